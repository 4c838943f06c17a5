"""Which models the threads of this worker compute by, kept where a crash cannot take it: the supervisor reads it."""

from __future__ import annotations

import mmap
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

#: Threads that are told of at once, and the bytes of a content hash.
SLOTS: Final = 64
HASH: Final = 32


class Marks:
    """One process's file: a slot for each thread that computes, with the hash of its model; zeros: a free one.

    It is memory that is shared with the file, so a mark costs no call of the system, and outlives the process.
    """

    def __init__(self, file: Path) -> None:
        """Make the file. Raises OSError where there is no room for it, for a page without a place kills who writes."""
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.posix_fallocate(handle, 0, SLOTS * HASH)
            self._shared = mmap.mmap(handle, SLOTS * HASH)
        finally:
            os.close(handle)
        self._free = deque(range(SLOTS))

    @contextmanager
    def on(self, content_hash: str) -> Iterator[None]:
        """Tell of it meanwhile; where all slots are taken, it goes untold."""
        try:
            slot = self._free.pop()
        except IndexError:
            yield
            return
        place = slice(slot * HASH, (slot + 1) * HASH)
        self._shared[place] = bytes.fromhex(content_hash)
        try:
            yield
        finally:
            self._shared[place] = bytes(HASH)
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
def computing(content_hash: str) -> Iterator[None]:
    """Held while native code computes by a model."""
    if _marks is None:
        yield
        return
    with _marks.on(content_hash):
        yield


def told(file: Path) -> set[str]:
    """The models by which a process computes, or did when it died. Raises OSError where it told nothing."""
    content = file.read_bytes()
    slots = {content[start : start + HASH] for start in range(0, len(content), HASH)}
    return {slot.hex() for slot in slots if any(slot)}
