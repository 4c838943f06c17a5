"""Rolling cuts in time: what a recipe may learn from at an instant, what calibrates it, and what it is tested on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.asof import DAY, NAT
from features.clock import iso_week_start
from features.config import Config
from features.counted import counted
from features.errors import NotEnoughData
from features.matrix import Matrix
from models.labels import Labels
from training.examples import Examples

CUTS = 3
MIN_TRAIN = 200  # offers mature for conversion before the calibrate block, below which nothing is fitted
MIN_BLOCK = 30  # offers of a calibrate or test block, below which it says nothing


@dataclass(frozen=True)
class Block:
    """Some examples by position, and what was known of their outcomes when they were used."""

    rows: np.ndarray
    labels: Labels

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Cut:
    """An instant at which a recipe is fitted as if it were today.

    at         int64 microseconds; labels of train and calibrate are those known then
    train      outcomes ripe before the calibrate block; calibrate: ripe within `blocks.calibrate` before the cut, for
               each head by its own maturity: answers up to an SLA ago, conversions up to their horizon ago
    test       offers made from the cut on, with what became of them; empty at the final cut
    """

    at: int
    train: Block
    calibrate: Block
    test: Block

    @property
    def day(self) -> str:
        """The cut as a date."""
        return day_of(self.at)

    def learned_from(self, matrix: Matrix) -> tuple[Matrix, Labels, Matrix, Labels]:
        """What a fit takes: train rows and labels, calibrate rows and labels, of a matrix of all examples."""
        train, calibrate = self.train, self.calibrate
        return matrix.take(train.rows), train.labels, matrix.take(calibrate.rows), calibrate.labels


def day_of(instant: int) -> str:
    """An instant's date, for people."""
    return str(pd.Timestamp(instant, unit="us").date())


def final_cut(examples: Examples, config: Config, now: int) -> Cut:
    """The cut at which the product is fitted: everything that is ripe by now. Raises NotEnoughData."""
    cut = _cut(examples, config, now, now, now)
    short = _shortage(cut, tested=False)
    if short:
        raise NotEnoughData(f"Not enough data to train on: {short}.")
    return cut


def rolling_cuts(examples: Examples, config: Config, now: int, cuts: int = CUTS) -> tuple[Cut, ...]:
    """Up to `cuts` cuts, the oldest first, whose test blocks follow each other and end where conversions are ripe.

    Cuts fall on Mondays (UTC), so that no group of a week is split between two blocks. Where the data do not reach
    back far enough for all of them the latest are kept.
    Raises   NotEnoughData when there is not even one, with the numbers
    """
    length = max(7 * DAY, config.blocks.test.microseconds // (7 * DAY) * 7 * DAY)
    ripe = examples.offered[(examples.convert_due <= now) & (examples.due <= now)]
    if not len(ripe):
        raise NotEnoughData(_too_short(examples, config, now, f"none of {counted(len(examples), 'offer')} is that old"))
    end = int(iso_week_start(np.array([last_in_company(ripe, length) + 1]), "UTC")[0])
    made: list[Cut] = []
    short = ""
    for back in range(1, cuts + 1):
        at = end - back * length
        cut = _cut(examples, config, at, at + length, now)
        short = _shortage(cut, tested=True)
        if short:
            break
        made.append(cut)
    if not made:
        raise NotEnoughData(_too_short(examples, config, now, f"at the cut of {cut.day} there are {short}"))
    return tuple(reversed(made))


def log_end(examples: Examples, config: Config, now: int) -> int:
    """Until when the log tells of outcomes: now, or the last of its offers, answers and conversions in company.

    An export that ended long ago, or that holds a date years after the rest, knows nothing of what came after its end:
    an offer that was open then is censored, and has not failed.
    """
    told = np.concatenate([examples.offered, examples.answered, examples.converted_known])
    length = max(config.blocks.test.microseconds, config.blocks.calibrate.microseconds)
    return min(now, last_in_company(told[told != NAT], length) + 7 * DAY)


def last_in_company(instants: np.ndarray, length: int) -> int:
    """The last of (n,) instants with enough others within `length` before it to make a block; else simply the last.

    A mistyped year must not move every block to where there is nothing.
    """
    ordered = np.sort(instants)
    close = np.flatnonzero(ordered[MIN_BLOCK - 1 :] - ordered[: len(ordered) - MIN_BLOCK + 1] <= length)
    return int(ordered[close[-1] + MIN_BLOCK - 1] if len(close) else ordered[-1])


def _cut(examples: Examples, config: Config, at: int, until: int, now: int) -> Cut:
    before = at - config.blocks.calibrate.microseconds
    offered = examples.known <= at
    ripe = offered & (examples.due <= at) & (examples.offered < at)
    # Conversions ripen long after answers, so each head has its own block; what lies between still teaches accepting.
    calibrates_convert = ripe & (examples.convert_due > before) & (examples.convert_due <= at)
    calibrates_accept = ripe & (examples.due > before)
    calibrate = calibrates_convert | calibrates_accept
    tested = (examples.offered >= at) & (examples.offered < until)
    tested &= (examples.convert_due <= now) & (examples.due <= now)
    return Cut(
        at,
        _block(examples, ripe & ~calibrate, at, young=True),
        _block(examples, calibrate, at),
        _block(examples, tested, now),
    )


def _block(examples: Examples, mask: np.ndarray, at: int, *, young: bool = False) -> Block:
    rows = np.flatnonzero(mask)
    return Block(rows, examples.labels(at, rows, young=young))


def _shortage(cut: Cut, *, tested: bool) -> str:
    """What the cut has too little of, in words; empty when it has enough."""
    ripe = int((cut.train.labels.grade >= 0).sum())
    if ripe < MIN_TRAIN:
        return f"{counted(ripe, 'offer')} with a known outcome to learn from, and it takes {MIN_TRAIN}"
    if len(cut.calibrate) < MIN_BLOCK:
        return f"{counted(len(cut.calibrate), 'offer')} to calibrate on, and it takes {MIN_BLOCK}"
    if tested and len(cut.test) < MIN_BLOCK:
        return f"{counted(len(cut.test), 'offer')} to test on, and it takes {MIN_BLOCK}"
    return ""


def _too_short(examples: Examples, config: Config, now: int, found: str) -> str:
    horizon, blocks = config.labels.converted.within, config.blocks
    have = (now - int(examples.offered.min())) / DAY
    need = (2 * horizon.microseconds + blocks.test.microseconds + blocks.calibrate.microseconds) / DAY
    return (
        f"Not enough data to train and test on: the log of offers spans {counted(round(have), 'day')}. A test takes "
        f"{need:.0f} days (test {blocks.test}, calibrate {blocks.calibrate}, and twice the conversion horizon of "
        f"{horizon}) and {MIN_TRAIN} offers before them; {found}. Collect more offers, or shorten "
        "labels.converted.within or blocks."
    )
