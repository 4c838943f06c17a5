"""Sales material and who used it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.schema import ROLES
from training.world.deals import STAGES, Steps
from training.world.places import SOLD_SOLUTIONS, SOLUTIONS
from training.world.reps import Reps
from training.world.setting import DAY, HOUR, Ints, Setting, Texts

ASSET_KINDS = ("collateral", "training", "campaign")
_THINGS = ("Deck", "Case study", "Price list, 2nd edition", "One-pager", 'The "Why now?" talk', "Course")


@dataclass(frozen=True)
class Assets:
    """Columns of the assets, (n,) each, and their uses, (u,) each; use_deal -1: outside any opportunity."""

    kind: Texts
    title: Texts
    solution: Texts
    roles: Texts
    stages: Texts
    published: Ints
    use_asset: Ints
    use_rep: Ints
    use_deal: Ints
    use_at: Ints


def make_assets(setting: Setting, reps: Reps, deal_rep: Ints, steps: Steps) -> Assets:
    """Forty assets; a third of the steps of an opportunity use one, and reps read some on their own."""
    rng, n = setting.rng("assets"), 40
    solution = rng.integers(0, len(SOLD_SOLUTIONS), n)
    published = setting.start + rng.integers(-200, setting.days - 30, n) * DAY
    titles = [f"{_THINGS[i % len(_THINGS)]}: {SOLUTIONS[s]}" for i, s in enumerate(solution)]
    used = np.flatnonzero(rng.random(steps.deal.size) < 0.33)
    alone = len(reps) * 4
    asset = rng.integers(0, n, used.size + alone)
    rep = np.concatenate([deal_rep[steps.deal[used]], rng.integers(0, len(reps), alone)])
    deal = np.concatenate([steps.deal[used], np.full(alone, -1)])
    own = rng.integers(setting.start, setting.end, alone)
    at = np.concatenate([steps.at[used] + HOUR, own])
    keep = (at >= published[asset]) & (at < setting.end) & (at >= reps.hired[rep]) & (at < reps.until[rep])
    return Assets(
        kind=np.array(ASSET_KINDS, dtype=object)[rng.integers(0, 3, n)],
        title=np.array(titles, dtype=object),
        solution=np.array(SOLUTIONS, dtype=object)[solution],
        roles=np.array(
            [";".join(ROLES[i] for i in sorted(rng.choice(8, 3, replace=False))) for _ in range(n)], dtype=object
        ),
        stages=np.array([";".join(STAGES[i : i + 2]) for i in rng.integers(0, 3, n)], dtype=object),
        published=published,
        use_asset=asset[keep],
        use_rep=rep[keep],
        use_deal=deal[keep],
        use_at=at[keep],
    )
