"""Fits side by side: each in a process of its own on a long log, in turn on a short one, with the same bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from joblib import Parallel, cpu_count, delayed, parallel_config

T = TypeVar("T")

#: Examples from which on a fit takes longer than a process to start.
LONG = 20_000
#: A fit holds its rows several times over, so memory bounds how many there may be at once.
MOST = 4


def side_by_side(fits: Sequence[Callable[[], T]], examples: int) -> Iterator[T]:
    """What each fit answers, in their order, as soon as it and those before it are done.

    Each computes with one thread, in a process that is started fresh: LightGBM's threads do not survive a fork
    (LightGBM #1789).
    """
    jobs = min(cpu_count(), MOST, len(fits)) if examples >= LONG else 1
    with parallel_config(backend="loky", inner_max_num_threads=1):
        yield from Parallel(n_jobs=jobs, return_as="generator")(delayed(fit)() for fit in fits)
