"""By when each offer must be answered: one reckoning for what training calls expired and what the service expires."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from features.asof import DAY, NAT
from features.clock import Absence, due
from features.entities import facts, instants

if TYPE_CHECKING:
    from features.known import Known

#: The limit of an offer whose rep left.
LEFT: Final = "left"
#: No absence stops the clock for longer: whoever is away until further notice is waited for a year.
LONGEST: Final = 366 * DAY


@dataclass(frozen=True)
class Deadlines:
    """(o,) offers, in the order of their table.

    at     by when each must be answered, int64 microseconds UTC
    limit  which time ended first, as the configuration spells it (16wh), or LEFT: nobody waits for a rep who left
    """

    at: np.ndarray
    limit: np.ndarray


def read_deadlines(cast: Known) -> Deadlines:
    """When the SLA of each offer ends: within the time of the rep's role, and that of the lead's grade if it has one.

    Role, grade and regions are those of the instant of the offer, wherever their history is known. Working hours are
    those of the rep's zone, without the public holidays of his region and without his time off; an absence that
    became known after the SLA had ended changes nothing. Elapsed time (h, d, w) runs on.
    """
    config, reps = cast.config, cast.reps
    offers = facts(cast.tables, "offers")
    lead, rep = cast.lead_index.find(offers["lead_id"]), cast.rep_index.find(offers["rep_id"])
    offered = instants(offers, "offered_at")
    terms = np.stack([
        reps.role.read(rep, offered, latest=True), cast.leads.grade.read(lead, offered, latest=True),
        reps.regions.read(rep, offered, latest=True),
    ])  # fmt: skip
    terms[[not config.sla.by_role, not config.sla.by_grade, not config.hours.holidays]] = -1  # nothing hangs on them
    words, away = (reps.roles.values, cast.grades.values), _absences(cast)
    at, limit = np.full(len(rep), NAT, np.int64), np.full(len(rep), None, object)
    for rows in _alike(rep, *terms):
        one = int(rep[rows[0]])
        *said, regions = terms[:, rows[0]].tolist()
        role, grade = (_word(known, code) for known, code in zip(words, said, strict=True))
        place = cast.holidays_of(regions, int(reps.country[one]) if one >= 0 else -1)
        zone = (reps.timezone[one] if one >= 0 else None) or config.timezone or "UTC"
        limits = config.sla.limits(role or "", grade)
        every = np.stack([due(offered[rows], each, zone, place, config.hours, away.get(one, ())) for each in limits])
        first = every.argmin(axis=0)
        at[rows] = every[first, np.arange(len(rows))]
        limit[rows] = np.array([str(each) for each in limits], object)[first]
    until = np.append(reps.active_until, NAT)[rep]
    gone = (until != NAT) & (until < at)
    return Deadlines(np.where(gone, np.maximum(until, offered), at), np.where(gone, LEFT, limit))


def _word(words: tuple[str, ...], code: int) -> str | None:
    return words[code] if code >= 0 else None


def _absences(cast: Known) -> dict[int, list[Absence]]:
    """When each rep is away, and since when that is known."""
    rows = facts(cast.tables, "time_off")
    begins, ends, known = (instants(rows, column) for column in ("starts_at", "ends_at", "known_at"))
    ends = np.minimum(ends, begins + LONGEST)
    found: dict[int, list[Absence]] = {}
    spans = zip(begins.tolist(), ends.tolist(), known.tolist(), strict=True)
    for rep, span in zip(cast.rep_index.find(rows["rep_id"]).tolist(), spans, strict=True):
        found.setdefault(rep, []).append(Absence(*span))
    return found


def _alike(*codes: np.ndarray) -> list[np.ndarray]:
    """The rows of each combination of codes, -1 one of them."""
    key = np.zeros(len(codes[0]), np.int64)
    for one in codes:
        key = np.unique(key, return_inverse=True)[1] * (int(one.max(initial=-1)) + 2) + one + 1
    order = np.argsort(key, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(key[order])) + 1) if len(order) else []
