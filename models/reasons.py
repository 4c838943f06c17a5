"""Why a pair scores as it does: its strongest contributions in the sentences that their features declare."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from features.catalogue import BY_NAME
from features.counted import counted
from features.declare import Feature
from features.errors import InputError
from features.matrix import Matrix
from models.product import Product
from models.wording import singular, value_text, when_text

#: Features that tell one story: their effects add up, and the first that has a sentence tells it.
STORIES: tuple[tuple[str, ...], ...] = (
    ("days_to_meeting", "meeting_14d", "meeting_28d"),
    ("days_since_touch", "touches_30d"),
    ("worked_within_two", "tie_distance", "tie_strength", "tie_diffusion"),
    ("rep_accept_rate", "rep_accept_rate_90d"),
    ("contact_recency", "contact_activities"),
    ("contact_interest", "account_interest", "account_activities"),
    ("wins", "days_since_win"),
    ("region_match", "country_match"),
    ("revenue", "employees"),
)
#: Contributions smaller than this, in logits, are no reason.
LEAST = 0.02
#: Of these, little is what their helping sentence claims ("Of a whole week you have places left.").
_LITTLE_HELPS = frozenset({"load_share"})
#: Sentences that deny something are true of none only, not of little.
_DENIES = re.compile(r"\b(no|not|outside)\b")
_STORY_OF: dict[str, tuple[str, ...]] = {name: story for story in STORIES for name in story}


@dataclass(frozen=True)
class Reason:
    """feature: whose sentence it is; effect: what its story adds to the score, in logits; text: the sentence."""

    feature: str
    effect: float
    text: str


def explain(
    product: Product,
    matrix: Matrix,
    facts: Sequence[Mapping[str, str | None]],
    *,
    helping: int = 3,
    hurting: int = 2,
) -> list[list[Reason]]:
    """Reasons of each of n pairs: what helps most, then what hurts most.

    facts   one mapping per pair: account, rep, contact, solution as a person would name them, and the timezone (IANA)
            in which dates are told. What is missing or empty leaves out the sentences that name it.
    Cost    LightGBM's contributions, some ms a pair: ask for the pairs that are shown.
    """
    if len(facts) != len(matrix):
        raise InputError(f"Of {counted(len(matrix), 'pair')} there are facts of {len(facts)}.", field="facts")
    if not len(matrix):
        return []
    effects = product.contributions(matrix).values
    typical = product.card.get("typical", {})
    return [_pair(matrix, row, effects[row], facts[row], typical, helping, hurting) for row in range(len(matrix))]


def _pair(
    matrix: Matrix,
    row: int,
    effects: np.ndarray,
    facts: Mapping[str, str | None],
    typical: Mapping[str, float],
    helping: int,
    hurting: int,
) -> list[Reason]:
    place = {name: i for i, name in enumerate(matrix.columns)}
    told: dict[tuple[str, ...], float] = {}
    for name, effect in zip(matrix.columns, effects, strict=True):
        story = _STORY_OF.get(name, (name,))
        told[story] = told.get(story, 0.0) + float(effect)
    found: dict[bool, list[Reason]] = {True: [], False: []}
    for story, effect in sorted(told.items(), key=lambda item: (-abs(item[1]), item[0])):
        helps, room = effect > 0, helping if effect > 0 else hurting
        if abs(effect) < LEAST or len(found[helps]) >= room:
            continue
        for name in story:
            # A member that points the other way would tell the opposite of the story.
            if name not in place or name not in BY_NAME or effects[place[name]] * effect <= 0:
                continue
            value = float(matrix.values[row, place[name]])
            text = sentence(BY_NAME[name], value, helps, facts, int(matrix.as_of[row]), typical.get(name))
            if text is not None:
                found[helps].append(Reason(name, effect, text))
                break
    return found[True] + found[False]


def sentence(
    feature: Feature,
    value: float,
    helps: bool,
    facts: Mapping[str, str | None],
    as_of: int,
    typical: float | None = None,
) -> str | None:
    """The feature's sentence with the pair's values, or None where it has none that is true of this value.

    typical   the median among training pairs, with which a claim of much or little is compared
    """
    template = feature.helps if helps else feature.hurts
    if template is None or not math.isfinite(value) or not _true(feature, template, value, helps, typical):
        return None
    names = {name for _, name, _, _ in string.Formatter().parse(template) if name}
    filled: dict[str, str] = {}
    for name in names:
        if name == "value":
            text = value_text(feature, value)
        elif name == "when":
            text = when_text(feature, value, as_of, facts.get("timezone"))
        else:
            text = " ".join((facts.get(name) or "").split())
        if not text:
            return None
        filled[name] = text
    result = template.format(**filled)
    if filled.get("value") == "1":
        result = singular(result)
    return result[0].upper() + result[1:]


def _true(feature: Feature, template: str, value: float, helps: bool, typical: float | None) -> bool:
    """Whether a sentence is true of a value. A sentence that gives the value or the date is, save for none of it."""
    if feature.kind == "category":
        return True
    if feature.kind == "flag":
        return value == (1.0 if helps else 0.0)
    if "{value}" in template:
        # "You have won no opportunities" does not help, and a bad thing that did not happen does not hurt.
        return round(value, 2) > 0 or (not helps and feature.helps is not None and "times" not in template)
    if "{when}" in template or feature.unit.startswith("log10"):
        return True
    if _DENIES.search(template):
        return value == 0
    if typical is None:
        return False
    much = value > 0 and value >= typical
    little = value <= typical
    return much if helps != (feature.name in _LITTLE_HELPS) else little
