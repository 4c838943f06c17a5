"""callsheet.yaml as checked values: the agreement with sales, every key of it named here and nowhere else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, model_validator

from features.clock import Duration, Hours
from features.config_errors import explained
from features.config_policy import Policy
from features.config_values import (
    TRACKED_COLUMNS,
    Codes,
    Country,
    Elapsed,
    Flag,
    Function,
    Level,
    Number,
    Range,
    Role,
    Section,
    Share,
    Span,
    Status,
    Text,
    Texts,
    Zone,
    listed,
    one_of,
)
from features.errors import ConfigError
from features.id_files import read_ids
from features.identity import Oidc
from features.strict_yaml import parse_yaml, read_yaml

#: Roles that pre-qualify; no rule of theirs has an effect.
PRESELLERS = ("ldr", "bdr")


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

    functions: Annotated[tuple[Function, ...], AfterValidator(listed)] | None = None
    levels: Annotated[tuple[Level, ...], AfterValidator(listed)] | None = None
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
    countries: Annotated[tuple[Country, ...], AfterValidator(listed)] | None = None
    regions: Texts | None = None
    statuses: Annotated[tuple[Status, ...], AfterValidator(listed)] | None = None
    accounts: Accounts = Accounts()
    solutions: Texts | None = None
    buyers: Annotated[tuple[Buyer, ...], AfterValidator(listed)] | None = None

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

    statuses: Annotated[tuple[Status, ...], AfterValidator(listed)] | None = None
    segments: Texts | None = None


class Reps(Section):
    """Which hard filters hold for reps."""

    territory: Flag = True
    product_line: Flag = True
    roles: dict[Role, RoleRule] = {}

    @model_validator(mode="after")
    def _sellers_only(self) -> Reps:
        idle = [role for role in self.roles if role in PRESELLERS]
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


class Retention(Section):
    """How long what explains a decision is kept; offers, their events and the audit stay."""

    decisions: Elapsed = Duration.parse("730d")


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

    assume_constant: tuple[Annotated[Text, one_of(TRACKED_COLUMNS, "a column that changes")], ...] = ()


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
    policy: Policy = Policy()
    behaviour_share: Annotated[Number, Field(ge=0)] = 1.0
    history: History = History()
    retention: Retention = Retention()
    oidc: Oidc | None = None

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything that the configuration says of routing, however it is written."""
        return _digest(
            self.model_dump(mode="json", by_alias=True, exclude={"oidc", "retention"}) | {"markets": self._markets()}
        )

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
