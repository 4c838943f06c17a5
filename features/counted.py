"""Counts whose words agree with them, wherever a number of things is told: "1 lead", "2,000 leads"."""

from __future__ import annotations


def counted(n: int, one: str, many: str | None = None) -> str:
    """How many there are, with words that agree: `one` for 1, else `many`, which is `one` with an s unless given.

    The words may go on as far as they must agree: counted(n, "lead is held", "leads are held").
    """
    return f"{n:,} {one if n == 1 else many or f'{one}s'}"
