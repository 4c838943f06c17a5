"""When reps are away, and what they asked for or ruled out, as of any instant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.asof import NAT, NEVER, Latest, Log, Pairs, later
from features.entities import Index, Tables, Words, facts, instants


def read_absences(tables: Tables, reps: Index) -> Latest:
    """Until when a rep is away, of the absences that have begun."""
    rows = facts(tables, "time_off")
    begun = later(instants(rows, "starts_at"), instants(rows, "known_at"))
    return Latest(Log(reps.find(rows["rep_id"]), begun, len(reps)), instants(rows, "ends_at"))


@dataclass(frozen=True)
class Wishes:
    """The reps' preferences.

    told   by rule and subject: the (rep, subject) pairs, and until when the wishes that have begun hold
    """

    told: dict[tuple[str, str], tuple[Pairs, Latest]]

    @classmethod
    def of(cls, tables: Tables, reps: Index, accounts: Index, contacts: Index, solutions: Words) -> Wishes:
        """Read the preferences; a subject that nobody knows is nobody's."""
        rows = facts(tables, "preferences")
        told = {}
        for (rule, subject), part in rows.groupby(["rule", "subject"], sort=True):
            if subject == "solution":
                about, width = solutions.codes(part["subject_id"].to_numpy(dtype=object)), len(solutions)
            else:
                index = accounts if subject == "account" else contacts
                about, width = index.find(part["subject_id"]), len(index)
            pairs = Pairs(reps.find(part["rep_id"]), about, width)
            until = instants(part, "until")
            begun = later(instants(part, "since"), instants(part, "known_at"))
            log = Log(pairs.members, begun, len(pairs))
            told[str(rule), str(subject)] = pairs, Latest(log, np.where(until == NAT, NEVER, until))
        return cls(told)

    def hold(self, rule: str, subject: str, rep: np.ndarray, about: np.ndarray, t: np.ndarray) -> np.ndarray:
        """(n,) whether the rep's wish about the subject's code holds at t."""
        if (rule, subject) not in self.told:
            return np.zeros(len(rep), bool)
        pairs, until = self.told[rule, subject]
        return np.asarray(until.at(pairs.codes(rep, about), t) > t)
