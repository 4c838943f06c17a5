"""Which models the threads of this worker compute by, kept where a crash cannot take it: the supervisor reads it."""

from __future__ import annotations

import mmap
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

#: Threads that are told of at once; of each a byte, 2 for a model on trial and else 1, and the content hash.
SLOTS: Final = 64
WIDTH: Final = 33


class Marks:
    """One process's file: a slot for each thread that computes, with the hash of its model; zeros: a free one.

    It is memory that is shared with the file, so a mark costs no call of the system, and outlives the process.
    """

    def __init__(self, file: Path) -> None:
        """Make the file. Raises OSError where there is no room for it, for a page without a place kills who writes."""
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.posix_fallocate(handle, 0, SLOTS * WIDTH)
            self._shared = mmap.mmap(handle, SLOTS * WIDTH)
        finally:
            os.close(handle)
        self._free = deque(range(SLOTS))

    @contextmanager
    def on(self, content_hash: str, *, tried: bool = False) -> Iterator[None]:
        """Tell of it meanwhile; where all slots are taken, it goes untold."""
        try:
            slot = self._free.pop()
        except IndexError:
            yield
            return
        place = slice(slot * WIDTH, (slot + 1) * WIDTH)
        self._shared[place] = bytes([1 + tried]) + bytes.fromhex(content_hash)
        try:
            yield
        finally:
            self._shared[place] = bytes(WIDTH)
            self._free.append(slot)


_marks: Marks | None = None


def tell(file: Path | None) -> None:
    """Tell in this file from now on; None: nobody asks. A disk that is full is no reason not to serve."""
    global _marks
    _marks = None
    if file is not None:
        with suppress(OSError):
            _marks = Marks(file)


@contextmanager
def computing(content_hash: str, *, tried: bool = False) -> Iterator[None]:
    """Held while native code computes by a model; tried: it is the challenger, on trial beside what serves."""
    if _marks is None:
        yield
        return
    with _marks.on(content_hash, tried=tried):
        yield


def told(file: Path) -> dict[str, bool]:
    """The models by which a process computes, or did when it died, and whether each is on trial. Raises OSError."""
    content = file.read_bytes()
    slots = [content[start : start + WIDTH] for start in range(0, len(content), WIDTH)]
    return {slot[1:].hex(): slot[0] == 2 for slot in slots if slot[0]}
