"""What a guard is: where it stands, what is left without it, and which test says so."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Guard:
    """One guard.

    what     it does
    file     where it stands, and its text there, which is in the file once; without: what takes its place
    test     the node that must fail then; says: what of its failure, a pattern: an assertion unless told
    """

    what: str
    file: str
    stands: str
    without: str
    test: str
    says: str = r"^(AssertionError|assert |Failed: DID NOT RAISE)"
