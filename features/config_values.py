"""The values of callsheet.yaml: what each kind of one may be, and how one that is wrong is put right."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
)
from rapidfuzz import process

from features.clock import Duration, known_zone
from features.countries import iso_country
from features.schema import ROLES, STATUSES, TRACKED
from features.titles import FUNCTIONS, LEVELS

T = TypeVar("T")

TRACKED_COLUMNS = tuple(f"{table}.{column}" for table, columns in TRACKED.items() for column in columns)


def one_of(allowed: Iterable[str], what: str) -> AfterValidator:
    """A name of a closed set, in any case; what is not in it is refused with the nearest that is."""
    names = {name.casefold(): name for name in allowed}

    def check(text: str) -> str:
        name = names.get(text.strip().casefold())
        if name is None:
            near = process.extractOne(text.strip().casefold(), list(names), score_cutoff=60)
            hint = f" Did you mean {names[near[0]]}?" if near else ""
            listed = f" Allowed: {', '.join(names.values())}." if len(names) < 40 else ""
            raise ValueError(f"{text!r} is not {what}.{hint}{listed}")
        return name

    return AfterValidator(check)


def _text(value: object) -> object:
    """An unquoted 522 is the code "522": YAML was read so that no digit of it was lost."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _country(code: str) -> str:
    name, meant = code.strip().upper(), iso_country(code)
    if meant is None or name != meant:
        hint = f" Did you mean {meant}?" if meant else ""
        raise ValueError(f"{code!r} is not a two-letter ISO country code, such as US, GB or DE.{hint}")
    return name


def listed(items: tuple[T, ...]) -> tuple[T, ...]:
    if not items:
        raise ValueError("an empty list lets nothing in; leave the key out, or list at least one")
    if len(set(items)) < len(items):
        twice = next(item for item in items if items.count(item) > 1)
        raise ValueError(f"{twice!r} stands twice; keep one")
    return items


def _range(value: object) -> object:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError("a range is [low, high], both included; either end may be null, such as [100, null]")
    low, high = value
    if low is None and high is None:
        raise ValueError("a range with two open ends filters nothing; give one of them, or leave the key out")
    if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
        raise ValueError(f"the low end {low} is above the high end {high}")
    return tuple(value)


def _duration(value: object) -> object:
    return value if isinstance(value, Duration) else Duration.parse(str(value))


def _elapsed(value: Duration) -> Duration:
    if value.working:
        raise ValueError("working hours do not count here; use elapsed time such as 90d")
    return value


def _time_zone(name: str) -> str:
    if not known_zone(name):
        raise ValueError(f"{name!r} is not a time zone; use an IANA name such as UTC or Europe/Berlin")
    return name


Text = Annotated[str, BeforeValidator(_text), Field(min_length=1, strict=True)]
Texts = Annotated[tuple[Text, ...], AfterValidator(listed)]
Code = Annotated[Text, Field(pattern=r"^[0-9]{1,6}$")]
Codes = Annotated[tuple[Code, ...], AfterValidator(listed)]
Country = Annotated[Text, AfterValidator(_country)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Share = Annotated[Number, Field(ge=0, le=1)]
Bound = Annotated[Number, Field(ge=0)] | None
Range = Annotated[tuple[Bound, Bound], BeforeValidator(_range)]
Flag = Annotated[bool, Field(strict=True)]
Role = Annotated[Text, one_of(ROLES, "a role")]
Status = Annotated[Text, one_of(STATUSES, "an account status")]
Function = Annotated[Text, one_of(FUNCTIONS, "a function")]
Level = Annotated[Text, one_of(LEVELS, "a level")]
Zone = Annotated[Text, AfterValidator(_time_zone)]
Span = Annotated[Duration, BeforeValidator(_duration), PlainSerializer(str)]
Elapsed = Annotated[Span, AfterValidator(_elapsed)]


class Section(BaseModel):
    """A part of callsheet.yaml; a key that it does not name is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, populate_by_name=True)
