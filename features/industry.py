"""Industry codes by prefix: how deep an account's NAICS or SIC code lies inside a list of prefixes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


class Sectors:
    """The sector of each account: the first two digits of its NAICS code, else of its SIC code.

    code (a,) int64 place in `values`, -1: no code
    """

    def __init__(self, naics: np.ndarray, sic: np.ndarray) -> None:
        sector = [f"naics {n[:2]}" if n else f"sic {s[:2]}" if s else None for n, s in zip(naics, sic, strict=True)]
        self.values = tuple(sorted({s for s in sector if s is not None}))
        place = {value: i for i, value in enumerate(self.values)}
        self.code = np.array([place.get(s, -1) if s else -1 for s in sector], dtype=np.int64)


def depth(codes: Iterable[str | None], prefixes: Iterable[str]) -> np.ndarray:
    """(n,) int64 length of the longest of the prefixes that each code starts with, 0: none of them."""
    by_length: dict[int, set[str]] = {}
    for prefix in prefixes:
        by_length.setdefault(len(prefix), set()).add(prefix)
    lengths = sorted(by_length, reverse=True)
    return np.array(
        [next((k for k in lengths if code and code[:k] in by_length[k]), 0) for code in codes], dtype=np.int64
    )
