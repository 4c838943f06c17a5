"""Carries built contact graphs over to a new book: those of accounts of which no fact has changed."""

from __future__ import annotations

import numpy as np

from features.asof import expand
from features.graph import EDGES, PRESENCE, ContactGraphs, Flat
from features.memberships import Hub, Memberships, Presence


def carried(
    old: ContactGraphs, new: Memberships, *, accounts: np.ndarray, contacts: np.ndarray, solutions: np.ndarray
) -> Flat:
    """The arrays of the accounts that were built and whose memberships are the same but for their codes.

    accounts, contacts, solutions   (old codes,) what each code is now, -1 where it is gone. Ids are sorted, so codes
                                    shift and never change places: what is a place within an account stays as it is.
    Cost    linear in the memberships of the accounts that were built.
    """
    flat, was = old.state
    built = np.flatnonzero(flat.edge_start[:-1] >= 0)
    now = accounts[built]
    kept = now >= 0
    for one, other in ((was.starts, new.starts), (was.presence.starts, new.presence.starts)):
        kept &= one[built + 1] - one[built] == np.where(kept, other[now + 1] - other[now], -1)
    built, now = built[kept], now[kept]
    changed = _changed_stays(was.presence, new.presence, built, now, contacts)
    changed |= _changed_hubs(was, new, built, now, contacts, solutions)
    return _moved(flat, built[~changed], now[~changed], new.accounts, contacts, solutions)


def _rows(one: np.ndarray, other: np.ndarray, built: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, ...]:
    """(account, old row, new row): rows of accounts that have as many before as now, side by side."""
    owner, before = expand(one[built], one[built + 1])
    return owner, before, expand(other[now], other[now + 1])[1]


def _changed_stays(
    was: Presence, new: Presence, built: np.ndarray, now: np.ndarray, contacts: np.ndarray
) -> np.ndarray:
    """(accounts,) bool: somebody came, left, or is known at the account at other instants."""
    owner, i, j = _rows(was.starts, new.starts, built, now)
    other = contacts[was.contact[i]] != new.contact[j]
    other |= (was.since[i] != new.since[j]) | (was.until[i] != new.until[j])
    return np.asarray(np.bincount(owner[other], minlength=len(built)) > 0)


def _changed_hubs(
    was: Memberships, new: Memberships, built: np.ndarray, now: np.ndarray, contacts: np.ndarray, solutions: np.ndarray
) -> np.ndarray:
    """(accounts,) bool: somebody has something else in common with others."""
    owner, i, j = _rows(was.starts, new.starts, built, now)
    other = (was.kind[i] != new.kind[j]) | (contacts[was.contact[i]] != new.contact[j])
    other |= (was.since[i] != new.since[j]) | (was.until[i] != new.until[j])
    # Of a solution the code counts; of any other hub only where the next one begins, for an edge names it by its place.
    about = (was.kind[i] == Hub.SOLUTION_INTEREST) & ~other
    other[about] = solutions[was.hub[i[about]]] != new.hub[j[about]]
    other[1:] |= _begins(was, i) != _begins(new, j)
    return np.asarray(np.bincount(owner[other], minlength=len(built)) > 0)


def _begins(memberships: Memberships, rows: np.ndarray) -> np.ndarray:
    """(rows - 1,) bool: whether each row but the first is of another hub than the one before it."""
    kind, hub = memberships.kind[rows], memberships.hub[rows]
    return np.asarray((kind[1:] != kind[:-1]) | (hub[1:] != hub[:-1]))


def _moved(
    flat: Flat, built: np.ndarray, now: np.ndarray, accounts: int, contacts: np.ndarray, solutions: np.ndarray
) -> Flat:
    """The kept accounts' arrays under their new codes, in buffers of their own: the old ones may still grow."""
    made = Flat.empty(accounts)
    if not len(built):
        return made
    columns, offsets = {}, {}
    for names, what in ((PRESENCE, "presence"), (EDGES, "edge")):
        start, stop = getattr(flat, f"{what}_start")[built], getattr(flat, f"{what}_stop")[built]
        place = expand(start, stop)[1]
        columns.update({name: flat.columns[name][place] for name in names})
        end = np.cumsum(stop - start)
        offsets[what] = end - (stop - start), end
    columns["presence_contact"] = contacts[columns["presence_contact"]]
    about = columns["edge_solution"] >= 0
    columns["edge_solution"][about] = solutions[columns["edge_solution"][about]]
    return made.filled(
        now, nodes=flat.nodes[built], hubs=flat.hubs[built], presence=offsets["presence"], edge=offsets["edge"],
        columns=columns,
    )  # fmt: skip
