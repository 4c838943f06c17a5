"""callsheet.yaml as checked values: the agreement with sales, every key of it named here and nowhere else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from rapidfuzz import process

from features.clock import Duration, Hours, known_zone
from features.config_errors import explained
from features.countries import iso_country
from features.errors import ConfigError
from features.id_files import read_ids
from features.identity import Oidc
from features.schema import ROLES, STATUSES, TRACKED
from features.strict_yaml import parse_yaml, read_yaml
from features.titles import FUNCTIONS, LEVELS

T = TypeVar("T")

_TRACKED = tuple(f"{table}.{column}" for table, columns in TRACKED.items() for column in columns)
_PRESELLERS = ("ldr", "bdr")


# -- Values ---------------------------------------------------------------------------------------------------------


def _one_of(allowed: Iterable[str], what: str) -> AfterValidator:
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


def _listed(items: tuple[T, ...]) -> tuple[T, ...]:
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
Texts = Annotated[tuple[Text, ...], AfterValidator(_listed)]
Code = Annotated[Text, Field(pattern=r"^[0-9]{1,6}$")]
Codes = Annotated[tuple[Code, ...], AfterValidator(_listed)]
Country = Annotated[Text, AfterValidator(_country)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Share = Annotated[Number, Field(ge=0, le=1)]
Bound = Annotated[Number, Field(ge=0)] | None
Range = Annotated[tuple[Bound, Bound], BeforeValidator(_range)]
Flag = Annotated[bool, Field(strict=True)]
Role = Annotated[Text, _one_of(ROLES, "a role")]
Status = Annotated[Text, _one_of(STATUSES, "an account status")]
Function = Annotated[Text, _one_of(FUNCTIONS, "a function")]
Level = Annotated[Text, _one_of(LEVELS, "a level")]
Zone = Annotated[Text, AfterValidator(_time_zone)]
Span = Annotated[Duration, BeforeValidator(_duration), PlainSerializer(str)]
Elapsed = Annotated[Span, AfterValidator(_elapsed)]


class Section(BaseModel):
    """A part of callsheet.yaml; a key that it does not name is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, populate_by_name=True)


# -- The served market ----------------------------------------------------------------------------------------------


class Accounts(Section):
    """Accounts by name: `include` lets them in as an industry code would, `exclude` keeps them out and wins.

    Each is a list of account ids, or the path of a file of them relative to callsheet.yaml, read here.
    """

    include: Texts | None = None
    exclude: tuple[Text, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _read_files(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, Mapping):
            return value
        folder = (info.context or {}).get("folder", Path())
        return {key: read_ids(folder / v, key) if isinstance(v, str) else v for key, v in value.items()}


class Buyer(Section):
    """Who is involved in the purchase: one of the functions, and one of the levels or a keyword in the title.

    `functions` absent: any function. Neither levels nor keywords: any title. `solutions` absent: for every solution.
    """

    functions: Annotated[tuple[Function, ...], AfterValidator(_listed)] | None = None
    levels: Annotated[tuple[Level, ...], AfterValidator(_listed)] | None = None
    keywords: Texts | None = None
    solutions: Texts | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Buyer:
        if not (self.functions or self.levels or self.keywords):
            raise ValueError("a buyer needs functions, levels or keywords")
        return self


class Market(Section):
    """One served market; all its lines must hold. naics, sic and accounts.include are one line: any of them."""

    revenue: Range | None = None
    employees: Range | None = None
    naics: Codes | None = None
    sic: Codes | None = None
    countries: Annotated[tuple[Country, ...], AfterValidator(_listed)] | None = None
    regions: Texts | None = None
    statuses: Annotated[tuple[Status, ...], AfterValidator(_listed)] | None = None
    accounts: Accounts = Accounts()
    solutions: Texts | None = None
    buyers: Annotated[tuple[Buyer, ...], AfterValidator(_listed)] | None = None

    @model_validator(mode="after")
    def _has_a_wall(self) -> Market:
        lines = (self.revenue, self.employees, self.naics, self.sic, self.countries, self.regions, self.statuses)
        if not any(lines) and not self.accounts.include:
            raise ValueError(
                "no rule on accounts, so it would serve everyone; add at least one of revenue, employees, naics, sic, "
                "countries, regions, statuses, accounts.include"
            )
        for buyer in self.buyers or ():
            foreign = set(buyer.solutions or ()) - set(self.solutions or buyer.solutions or ())
            if foreign:
                raise ValueError(f"a buyer names a solution that the market does not: {', '.join(sorted(foreign))}")
        return self


# -- Reps, time, learning -------------------------------------------------------------------------------------------


class RoleRule(Section):
    """What a rep of this role may take: accounts of these statuses, of these segments."""

    statuses: Annotated[tuple[Status, ...], AfterValidator(_listed)] | None = None
    segments: Texts | None = None


class Reps(Section):
    """Which hard filters hold for reps."""

    territory: Flag = True
    product_line: Flag = True
    roles: dict[Role, RoleRule] = {}

    @model_validator(mode="after")
    def _sellers_only(self) -> Reps:
        idle = [role for role in self.roles if role in _PRESELLERS]
        if idle:
            raise ValueError(f"{idle[0]} gets no offers, so a rule for it changes nothing; leave it out")
        return self


class Sla(Section):
    """How long an offer waits for its answer; wh = working hours of the rep's zone, holidays and time off.

    A role's time stands instead of `accept`; of that and the grade's time, the one that ends first counts.
    """

    accept: Span = Duration.parse("16wh")
    by_role: dict[Role, Span] = {}
    by_grade: dict[Text, Span] = {}

    def of(self, role: str) -> Duration:
        """The time that a rep of this role has."""
        return self.by_role.get(role, self.accept)

    def limits(self, role: str, grade: str | None) -> tuple[Duration, ...]:
        """Every time within which a rep of this role must answer for a lead of this grade."""
        graded = self.by_grade.get(grade) if grade is not None else None
        return (self.of(role),) if graded is None else (self.of(role), graded)


class Reoffers(Section):
    """What becomes of a lead whose offer was rejected or ran out: the next best rep gets it, never one who had it."""

    attempts: Annotated[int, Field(strict=True, ge=0, le=100)] = 3


class Converted(Section):
    """What counts as a conversion: an opportunity of this forecast weight within this time of the offer."""

    within: Elapsed = Duration.parse("90d")
    forecast_weight: Share = 0.10


class Won(Section):
    """How long after the offer a deal may still be won."""

    within: Elapsed = Duration.parse("365d")


class Labels(Section):
    """When an offer's outcome is known."""

    converted: Converted = Converted()
    won: Won = Won()


class Blocks(Section):
    """Lengths of the newest block that a model learns from, and of those on which it is tested."""

    calibrate: Elapsed = Duration.parse("28d")
    test: Elapsed = Duration.parse("28d")


class Value(Section):
    """What a lead is worth: accept * p_accept + p_convert * (convert + amount * mean amount)."""

    accept: Number = 0.0
    convert: Number = 1.0
    amount: Annotated[Number, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _worth_something(self) -> Value:
        if not (self.accept or self.convert or self.amount):
            raise ValueError("accept, convert and amount are all 0, so every lead is worth the same; set one")
        return self


class History(Section):
    """Columns without a history that are to be read as if they had always held their latest value."""

    assume_constant: tuple[Annotated[Text, _one_of(_TRACKED, "a column that changes")], ...] = ()


class Config(Section):
    """The whole of callsheet.yaml. Attributes have the names of its keys; paths of id files are already read."""

    markets: dict[Text, Market] = Field(default_factory=dict, validate_default=True)
    reps: Reps = Reps()
    unknown: Literal["refuse", "allow"] = "refuse"
    timezone: Zone | None = None
    hours: Hours = Hours()
    sla: Sla = Sla()
    reoffers: Reoffers = Reoffers()
    labels: Labels = Labels()
    blocks: Blocks = Blocks()
    value: Value = Value()
    behaviour_share: Annotated[Number, Field(ge=0)] = 1.0
    history: History = History()
    oidc: Oidc | None = None

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything that the configuration says of routing, however it is written."""
        return _digest(self.model_dump(mode="json", by_alias=True, exclude={"oidc"}) | {"markets": self._markets()})

    @cached_property
    def market_fingerprint(self) -> str:
        """SHA-256 of what decides who is in the served market; a change of it runs the gate again."""
        return _digest({"markets": self._markets(), "unknown": self.unknown})

    def _markets(self) -> list[tuple[str, Any]]:
        # A list, for the first market that matches counts: their order is part of what they say.
        return [(name, market.model_dump(mode="json")) for name, market in self.markets.items()]


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


# -- Loading --------------------------------------------------------------------------------------------------------

NO_MARKET = (
    'No market is configured, and "we sell to everyone" is no served market. Write at least one under `markets:`, '
    "with a range of revenue, industry codes, countries or named accounts; `callsheet init --data D` writes one from "
    "your data."
)


def load_config(path: Path) -> Config:
    """Read callsheet.yaml and the id files that it names.

    Raises ConfigError: its `field` is the path of the first wrong key (markets.banks.revenue), its message lists
    every wrong key with what is allowed there.
    """
    if not path.is_file():
        raise ConfigError(
            f"There is no configuration {path}; `callsheet init --data D` writes one from your data.", field="config"
        )
    return make_config(read_yaml(path), path.parent)


def read_config(text: str, folder: Path = Path()) -> Config:
    """As `load_config`, of a text; relative paths in it start at `folder`."""
    return make_config(parse_yaml(text, "callsheet.yaml"), folder)


def make_config(document: Any, folder: Path = Path()) -> Config:
    """Check a document of plain dicts and lists, as YAML gives it. Raises ConfigError as `load_config`."""
    if document is not None and not isinstance(document, Mapping):
        raise ConfigError("callsheet.yaml must be keys and values, `markets:` the first of them.")
    if not (document or {}).get("markets"):
        raise ConfigError(NO_MARKET, field="markets")
    try:
        return Config.model_validate(document, context={"folder": folder})
    except ValidationError as error:
        raise explained(error, Config) from error
