"""Canaries: columns that can tell nothing, declared so that a model can be fitted with them, and never computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from features.declare import Feature

CANARY = "canary"
#: What the columns of each kind hold.
KINDS = {"noise": "columns of noise", "day_before": "what strong features were a day before, less what they are now"}
#: One column of noise may look useful by chance; their mean tells how much a recipe makes of nothing.
NOISES = 3
NOISE = tuple(
    Feature(f"noise_{i}", means="A number drawn at random: it tells nothing of anything.", unit="score", family=CANARY)
    for i in range(1, NOISES + 1)
)


def day_before(feature: Feature) -> Feature:
    """The canary of a feature: what it was a day before the instant asked, less what it is then.

    The value of the day before is nearly the feature itself, and a model may use either; what it has beyond the
    feature is their difference, and that has nothing to tell unless the feature loses what it once knew.
    """
    return replace(
        feature, name=f"{feature.name}_day_before", means=f"A day before, less now: {feature.means}",
        kind="number", helps=None, hurts=None, monotone=0, family=CANARY,
    )  # fmt: skip


def canaries(features: Sequence[Feature]) -> tuple[Feature, ...]:
    """Every canary that there can be: the noises, and one for each feature that is no category."""
    return (*NOISE, *(day_before(feature) for feature in features if feature.kind != "category"))
