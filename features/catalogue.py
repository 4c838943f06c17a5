"""The catalogue: every feature in its fixed column order, and the version that names this set of declarations."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from features.account import ACCOUNT
from features.behaviour import BEHAVIOUR
from features.canary import canaries
from features.declare import Family, Feature
from features.fit import FIT
from features.graph_family import GRAPH
from features.rep import REP
from features.timing import TIMING

FAMILIES: tuple[Family, ...] = (FIT, REP, ACCOUNT, TIMING, GRAPH, BEHAVIOUR)
FEATURES: tuple[Feature, ...] = tuple(feature for family in FAMILIES for feature in family.features)
COLUMNS: tuple[str, ...] = tuple(feature.name for feature in FEATURES)
#: What a column of a model may be: a feature, or a canary, which no engine computes and no released model has.
BY_NAME: dict[str, Feature] = {feature.name: feature for feature in (*FEATURES, *canaries(FEATURES))}

#: Twelve digits of the hash of what the columns are and mean; sentences may change without a new version.
FEATURE_VERSION = hashlib.sha256(
    json.dumps(
        [{k: v for k, v in asdict(f).items() if k not in ("helps", "hurts")} for f in FEATURES], sort_keys=True
    ).encode()
).hexdigest()[:12]


def families() -> dict[str, tuple[str, ...]]:
    """Column names by family, in catalogue order."""
    return {family.name: tuple(feature.name for feature in family.features) for family in FAMILIES}


def categories() -> tuple[str, ...]:
    """Names of the category features."""
    return tuple(feature.name for feature in FEATURES if feature.kind == "category")
