"""The rules that serve when no model does: the owner, else the territory, else a rendezvous hash. Stateless."""

from __future__ import annotations

import hashlib

import numpy as np

from features.matrix import Matrix

#: Rungs of the ladder, as answers name them.
OWNER_TERRITORY, HASH = "owner_territory", "hash"


def rank_by_rules(matrix: Matrix, owner: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Rung (n,) object and score (n,) float64 of each pair: 2 the account's owner, 1 in territory, 0 else; plus hash.

    A pair's score depends on itself alone; the hash in [0, 1) orders what the rule leaves equal. The rung of an
    answer is that of its best pair. `owner` (n,) bool: who owns the account today, where rules serve; None: the
    feature, which without a history knows nothing of the past's owners.
    """
    owner = _is_set(matrix, "owner_is_rep") if owner is None else owner
    territory = _is_set(matrix, "region_match")
    level = np.where(owner, 2.0, np.where(territory, 1.0, 0.0))
    rung = np.where(level > 0, OWNER_TERRITORY, HASH).astype(object)
    return rung, level + rendezvous(matrix.lead_id, matrix.rep_id)


def rendezvous(lead_id: np.ndarray, rep_id: np.ndarray, salt: str = "") -> np.ndarray:
    """(n,) float64 in [0, 1) from ids alone: highest-random-weight hashing (Thaler and Ravishankar 1998).

    The best rep of a lead stays the best when others come or go. Another salt gives another draw.
    """
    draws = np.empty(len(lead_id))
    for i, (lead, rep) in enumerate(zip(lead_id, rep_id, strict=True)):
        # Lengths first, so that no two pairs of ids read the same when joined.
        text = f"{salt}\x00{len(lead)}\x00{lead}\x00{rep}"
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        draws[i] = int.from_bytes(digest, "big") >> 11
    return draws / float(1 << 53)


def _is_set(matrix: Matrix, name: str) -> np.ndarray:
    """(n,) bool: a flag that is known to be 1."""
    return np.asarray(matrix.column(name) == 1)
