"""The recipe: everything that decides what is learned from given data, to be read, compared and hashed."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from features.errors import UsageError

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Cross(_Part):
    """A pooled effect of the linear start: one weight for each value (or pair of values) of its columns.

    A number with a declared direction has no place in one: its bands could rise and fall.

    columns   one or two columns; a number counts by its band (models/columns.py)
    spread    prior standard deviation of the weights, in logits: the smaller, the more they shrink to none
    speaks    the feature to which the effect's part in a score is attributed
    """

    columns: tuple[str, ...] = Field(min_length=1, max_length=2)
    spread: Positive
    speaks: str


class LinearPart(_Part):
    """The ridge logistic start. Spreads are prior standard deviations of weights, in logits.

    on        off: the boosters start from nothing
    number    spread of a standardised number's weight, learned for each by itself; missing: of all missing values'
    category  spread of each value of a category
    learn     spreads are re-estimated from the data (empirical Bayes), the stated ones counting as `belief` weights
    share     the convert-given-accept weights shrink towards a multiple of the accept weights, not towards 0
    """

    on: bool = True
    number: Positive = 0.3
    missing: Positive = 0.2
    category: Positive = 0.3
    crosses: tuple[Cross, ...] = ()
    learn: bool = False
    belief: Positive = 4.0
    share: bool = True


class Trees(_Part):
    """One LightGBM booster. `rounds` 0: not used. `choose`: at most so many, and as many as help on later rows; the
    ranker has all of them or none."""

    rounds: Annotated[int, Field(ge=0, le=5000)] = 60
    choose: bool = False
    leaves: Annotated[int, Field(ge=2, le=255)] = 7
    learning_rate: Share = 0.05
    min_rows: Annotated[int, Field(ge=1)] = 40
    l2: Annotated[float, Field(ge=0)] = 10.0
    columns: Share = 0.5
    rows: Share = 0.8
    bins: Annotated[int, Field(ge=3, le=255)] = 63


class Heads(_Part):
    """minimum: positives and negatives that the training block must hold, else the head is not estimable; calibrate:
    the same for the calibrate block; prior: offers that the boosters' own level is worth against the block's."""

    minimum: Annotated[int, Field(ge=1)] = 20
    calibrate: Annotated[int, Field(ge=1)] = 5
    prior: Positive = 200.0


class Behaviour(_Part):
    """How the behaviour family is held. share: most that a sweep of it may move a score, as a share of what fit moves
    it; gain: factor on its gain in trees; spread: factor on its spreads in the linear start."""

    share: Positive = 1.0
    gain: Share = 0.7
    spread: Share = 0.7


def _cross(first: str, second: str, spread: float, speaks: str) -> Cross:
    return Cross(columns=(first, second), spread=spread, speaks=speaks)


#: What a rep likes and is good at, beyond the role.
REP_CROSSES = (
    Cross(columns=("rep_id",), spread=0.3, speaks="rep_accept_rate"),
    _cross("rep_id", "function", 0.3, "rep_function_accept_rate"),
    _cross("rep_id", "level", 0.3, "level"),
    _cross("rep_id", "solution", 0.3, "rep_solution_accept_rate"),
)
#: What a role is for: people, solutions, companies of a size, a time of the quarter.
ROLE_CROSSES = (
    _cross("role", "function", 0.2, "function"),
    _cross("role", "level", 0.2, "level"),
    _cross("role", "solution", 0.2, "solution"),
    _cross("role", "account_segment", 0.2, "account_segment"),
    _cross("role", "sector", 0.1, "sector"),
    _cross("role", "revenue", 0.1, "revenue"),
    _cross("role", "employees", 0.1, "employees"),
    _cross("role", "account_status", 0.1, "account_status"),
    _cross("role", "quarter_left", 0.1, "quarter_left"),
)
#: Which solution sells where and to whom.
LEAD_CROSSES = (
    _cross("solution", "sector", 0.2, "sector"),
    _cross("solution", "function", 0.2, "function"),
    _cross("solution", "level", 0.1, "level"),
    _cross("solution", "revenue", 0.1, "revenue"),
    _cross("solution", "account_status", 0.1, "account_status"),
    _cross("region", "solution", 0.1, "solution"),
    _cross("sector", "account_segment", 0.1, "sector"),
    _cross("sector", "level", 0.1, "level"),
    _cross("function", "level", 0.1, "level"),
    _cross("customer", "quarter_left", 0.1, "quarter_left"),
    _cross("focus", "customer", 0.1, "focus_match"),
    _cross("focus", "account_status", 0.1, "focus_match"),
    _cross("product_line_match", "function", 0.1, "product_line_match"),
)
CROSSES = REP_CROSSES + ROLE_CROSSES + LEAD_CROSSES


class Recipe(_Part):
    """A recipe. Two with one fingerprint learn the same from the same data, whatever the threads.

    drop        families left out of the model (ablations)
    label_gain  what lambdarank counts a grade 0, 1, 2, 3 for
    seed        of the trees' sampling
    threads     of the fit; never changes what is learned, so it is no part of the fingerprint
    """

    name: str
    linear: LinearPart = LinearPart(crosses=CROSSES)
    accept: Trees = Trees()
    convert: Trees = Trees()
    ranker: Trees = Trees()
    label_gain: tuple[int, int, int, int] = (0, 1, 5, 7)
    heads: Heads = Heads()
    behaviour: Behaviour = Behaviour()
    drop: tuple[str, ...] = ()
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    threads: Annotated[int, Field(ge=1)] = Field(default=1, exclude=True)

    @classmethod
    def preset(cls, name: str) -> Recipe:
        """`fast` (demo, tests) or `standard`. Raises UsageError for another name."""
        if name not in PRESETS:
            raise UsageError(f"There is no recipe {name!r}; there are {', '.join(PRESETS)}.", field="recipe")
        return PRESETS[name]

    @classmethod
    def of_json(cls, text: str) -> Recipe:
        """The recipe that `json` wrote. Raises UsageError when it is none."""
        try:
            return cls.model_validate_json(text)
        except ValueError as error:
            raise UsageError(f"This is no recipe: {error}", field="recipe") from None

    @property
    def json_text(self) -> str:
        """The recipe as canonical JSON, without `threads`."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    @property
    def fingerprint(self) -> str:
        """sha256 of what the recipe does, hex; its name is no part of that."""
        content = {key: value for key, value in json.loads(self.json_text).items() if key != "name"}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def but(self, **changes: object) -> Self:
        """The same recipe with some fields changed: `recipe.but(drop=("graph",))`."""
        values = {field: getattr(self, field) for field in type(self).model_fields} | changes
        return type(self).model_validate(values)


_LEARNED = LinearPart(number=0.04, missing=0.1, crosses=CROSSES, learn=True, belief=0.5)
_SMALL = Trees(rounds=40, choose=True, leaves=7, learning_rate=0.08, bins=31)
_CHOSEN = Trees(rounds=240, choose=True)

PRESETS: dict[str, Recipe] = {
    "fast": Recipe(name="fast", linear=_LEARNED, accept=_SMALL, convert=_SMALL, ranker=_SMALL),
    "standard": Recipe(
        name="standard",
        linear=_LEARNED,
        accept=_CHOSEN,
        convert=_CHOSEN,
        ranker=Trees(rounds=120, choose=True, leaves=7, learning_rate=0.05),
    ),
}
