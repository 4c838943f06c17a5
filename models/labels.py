"""What became of each offered pair, as far as it was known at the cut: grades, outcomes, weights and groups."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from features.errors import InputError

#: lambdarank's grades: 0 rejected or expired, 1 accepted, 2 converted, 3 won.
GRADES = 4


@dataclass(frozen=True)
class Labels:
    """Outcomes of n offers, row for row with a Matrix of their pairs.

    grade      (n,) int8: 0 … 3; -1: not known, so the ranker leaves the row out
    accepted   (n,) float32: 1, 0, NaN while censored
    converted  (n,) float32: 1, 0, NaN where the offer was not mature for it
    won        (n,) float32: 1, 0, NaN
    weight     (n,) float32 > 0: what the row counts, in every fit but those of conversions
    convert_weight  (n,) float32 > 0: what it counts in those
    group      (n,) int64: offers of one number competed; only equality counts
    account    (n,) int64: the account, as the cluster of a bootstrap
    """

    grade: np.ndarray
    accepted: np.ndarray
    converted: np.ndarray
    won: np.ndarray
    weight: np.ndarray
    convert_weight: np.ndarray
    group: np.ndarray
    account: np.ndarray

    def __post_init__(self) -> None:
        sizes = {field.name: np.shape(getattr(self, field.name)) for field in fields(self)}
        if set(sizes.values()) != {(len(self.grade),)}:
            raise InputError(f"Labels must be one row of numbers each, all of one length; got {sizes}.", field="labels")
        if len(self.grade) and (self.grade.min() < -1 or self.grade.max() >= GRADES):
            raise InputError(f"A grade is -1 (not known) or 0 to {GRADES - 1}.", field="grade")
        for name in ("accepted", "converted", "won"):
            values = getattr(self, name)
            if not (np.isnan(values) | (values == 0) | (values == 1)).all():
                raise InputError(f"{name} is 1, 0 or NaN.", field=name)
        for name in ("weight", "convert_weight"):
            values = getattr(self, name)
            if not (np.isfinite(values) & (values > 0)).all():
                raise InputError("A weight is finite and above 0.", field=name)

    def __len__(self) -> int:
        return len(self.grade)

    def take(self, rows: np.ndarray) -> Labels:
        """The labels of some rows: positions or a mask."""
        return Labels(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def joined(self, other: Labels) -> Labels:
        """These labels, then those of another block; nothing competes across blocks, so its groups are its own."""
        later = replace(other, group=other.group - other.group.min(initial=0) + self.group.max(initial=-1) + 1)
        parts = {f.name: np.concatenate([getattr(self, f.name), getattr(later, f.name)]) for f in fields(self)}
        return Labels(**parts)

    def accept_rows(self) -> np.ndarray:
        """(m,) positions of the rows that teach p_accept."""
        return np.flatnonzero(~np.isnan(self.accepted))

    def convert_rows(self) -> np.ndarray:
        """(m,) positions of the rows that teach p(convert | accept): accepted, and mature for a conversion."""
        return np.flatnonzero((self.accepted == 1) & ~np.isnan(self.converted))

    def rank_rows(self) -> np.ndarray:
        """(m,) positions of the rows that have a grade."""
        return np.flatnonzero(self.grade >= 0)
