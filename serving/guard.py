"""The guard: a new model whose offers are surely accepted less than others is rolled back without a person."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from features.config import Config
from features.errors import Conflict
from serving import metrics
from serving.actor import GUARD
from serving.ledger import Ledger
from serving.ledger import probation as made
from serving.ledger.leases import take
from serving.ledger.releases import Release, Releases

if TYPE_CHECKING:
    from training.probation import Answers, Judged, Probation

log = logging.getLogger(__name__)

TASK: Final = "guard"
#: A release that made too few offers for so long is left to people.
ENDS: Final = timedelta(days=90)


@dataclass(frozen=True)
class Standing:
    """How the release on probation stands.

    offers  those of its model that are settled, of OFFERS; others: how many held-out ones were made among them
    """

    release: Release
    probation: Probation
    offers: int
    others: int

    @property
    def over(self) -> bool:
        """Whether all offers by which it is judged are settled."""
        from training.probation import OFFERS

        return self.offers >= OFFERS

    @property
    def passed(self) -> bool:
        """Whether it came through: all are settled, it was held to others, and is not worse."""
        return self.over and self.probation.passed

    @property
    def judged(self) -> Judged | None:
        """The comparison that tells of it: the one by which it is worse, else with the held-out ones, if there is."""
        found = self.probation
        return found.before if found.worse == "before" or found.beside is None else found.beside

    def as_dict(self) -> dict[str, object]:
        """It for a program; no difference while the offers are too few to tell one."""
        from training.probation import OFFERS

        judged, found = self.judged, self.probation
        band = (judged.difference, judged.low, judged.high) if judged is not None else (None, None, None)
        held_to = None if judged is None else "held_out" if judged is found.beside else "before"
        return {
            "model": self.release.model.version if self.release.model else None, "revision": self.release.revision,
            "settled": self.offers, "of": OFFERS, "held_to": held_to,
            **dict(zip(("difference", "low", "high"), band, strict=True)),
        }  # fmt: skip

    @property
    def sentence(self) -> str:
        """It in words."""
        from training.probation import OFFERS

        who = self.release.called.replace("model", "Model", 1)
        begun = f"{who} is on probation, {self.offers:,} of {OFFERS:,} offers settled"
        if self.over:
            begun = (
                f"{who} {'has passed its probation' if self.passed else 'has not passed its probation, which is over'}"
            )
        return f"{begun}: {self._told() or 'too few to say how it does'}."

    @property
    def reason(self) -> str:
        """Why it is rolled back."""
        return f"the guard: {self._told()}"

    def _told(self) -> str | None:
        judged, found = self.judged, self.probation
        if judged is None or self.release.model is None:
            return None
        held = judged is found.beside
        others = "held-out ones" if held else "made before it"
        told = judged.sentence(self.release.model.version, others)
        if not held and found.beside is not None:
            told += f"; of {found.beside.others:,} held-out ones {found.beside.others_rate:.0%}"
        elif not held and found.held:
            told += "; too few held-out ones to say more"
        return told


def standing(ledger: Ledger, config: Config, now: datetime) -> Standing | None:
    """How the release on probation stands; None: none is, or the guard is off. Raises LedgerError.

    On probation is the last release, where it is a promotion, until OFFERS of its model's offers are settled and for
    ENDS at most; what it is judged by are these, so once they are there, nothing changes any more.
    Cost: some ten thousand rows by their keys
    """
    release = Releases(ledger).current() if config.policy.guard else None
    if release is None or release.kind != "promote" or release.model is None or now - release.promoted_at > ENDS:
        return None
    return _standing(ledger, config, release, now)


def came_through(ledger: Ledger, config: Config, content_hash: str, since: int, now: datetime) -> bool:
    """Whether a model that was promoted again after revision `since` has passed its probation in one of those releases.

    Cost: as `standing`, for each such promotion
    """
    after = None
    for release in Releases(ledger).history():
        its = release.model is not None and release.model.content_hash == content_hash
        tried = its and release.kind == "promote" and release.revision > since
        if tried and _standing(ledger, config, release, now, after).passed:
            return True
        after = release
    return False


def _standing(
    ledger: Ledger, config: Config, release: Release, now: datetime, after: Release | None = None
) -> Standing:
    """How a release stands, or stood when the one after it came: what a model was offered later is another's."""
    from training.probation import HELD, OFFERS, Probation, before, beside

    served, policy, until = Releases(ledger).before(release), config.policy, release.promoted_at + ENDS
    if after is not None:
        until = min(until, after.promoted_at)
    with ledger.reading() as connection:
        since = _first(made.since(connection, release, until, now, pilot=policy.pilot), OFFERS)
        earlier = made.before(connection, release, served, now, OFFERS)
    ours, hears = [one for one in since if not one.held], policy.holdout >= HELD
    found = Probation(
        beside(*_answers(since)) if hears else None, before(_answers(ours)[0], _answers(earlier)[0]), hears
    )
    return Standing(release, found, len(ours), len(since) - len(ours))


def watch(ledger: Ledger, config: Config, now: datetime | None = None) -> Release | None:
    """Roll the release on probation back if it does harm. Returns the new release, if so. Raises LedgerError.

    It is by compare-and-set on the release that was judged: where a person's came in between, that one stands. A
    rollback is on no probation, so one never follows from another; for that it must not return to the same files.
    """
    at = now or datetime.now(UTC)
    seen = standing(ledger, config, at)
    judged = seen.judged if seen is not None else None
    metrics.GUARD_OFFERS.set(seen.offers if seen is not None else 0)
    metrics.GUARD_DIFFERENCE.set(judged.difference if judged is not None else 0)
    if seen is None or seen.probation.worse is None:
        return None
    try:
        back = Releases(ledger).rollback(
            seen=seen.release.revision, reason=seen.reason, at=at, actor=GUARD, past_same=True
        )
    except Conflict as error:
        log.info("The guard leaves what serves alone: %s", error)
        return None
    metrics.GUARD_ROLLBACKS.inc()
    log.warning("Rolled back to %s (revision %d): %s", back.called, back.revision, back.reason)
    return back


def tick(ledger: Ledger, config: Config, holder: str, now: datetime | None = None) -> Release | None:
    """As `watch`, by one process of many; None also where another one looks this minute."""
    at = now or datetime.now(UTC)
    return watch(ledger, config, at) if take(ledger, TASK, holder, at) else None


def _first(since: Sequence[made.Made], most: int) -> Sequence[made.Made]:
    """Up to the model's offer of that number."""
    left = most
    for place, one in enumerate(since):
        left -= not one.held
        if not left:
            return since[: place + 1]
    return since


def _answers(offers: Sequence[made.Made]) -> tuple[Answers, np.ndarray]:
    """As they are compared, and which of them are held out."""
    from training.probation import Answers

    accepted = np.array([one.accepted for one in offers], float)
    account = np.array([one.account for one in offers], str)
    return Answers(accepted, account), np.array([one.held for one in offers], bool)
