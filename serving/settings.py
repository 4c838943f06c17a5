"""What a serving process is told, through its environment: the only way that reaches every worker of every Bento."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from features.errors import UsageError

DATA, CONFIG, HOME, DB = "CALLSHEET_DATA", "CALLSHEET_CONFIG", "CALLSHEET_HOME", "CALLSHEET_DB"
MAPPING, AS_OF, WORKERS = "CALLSHEET_MAPPING", "CALLSHEET_AS_OF", "CALLSHEET_WORKERS"
GUARDED, QUOTA = "CALLSHEET_GUARDED", "CALLSHEET_QUOTA"


@dataclass(frozen=True)
class Settings:
    """Where the data, the configuration, the models and the ledger are.

    data   a snapshot; None: the ledger, followed, whose now is the clock
    as_of  a snapshot's now; None: its latest fact
    """

    data: str | None
    config: Path
    home: Path
    db: str | None = None
    mapping: Path | None = None
    as_of: pd.Timestamp | None = None

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read them. Raises UsageError when CALLSHEET_AS_OF is no instant."""
        as_of = environment.get(AS_OF)
        try:
            instant = pd.Timestamp(as_of) if as_of else None
        except ValueError:
            raise UsageError(f"{AS_OF} is no instant: {as_of!r}.", field="--as-of") from None
        mapping = environment.get(MAPPING)
        return cls(
            environment.get(DATA) or None, Path(environment.get(CONFIG) or "callsheet.yaml"),
            Path(environment.get(HOME) or ".callsheet"), environment.get(DB) or None,
            Path(mapping) if mapping else None, instant,
        )  # fmt: skip

    def __post_init__(self) -> None:
        for value, name in ((self.mapping, "--mapping"), (self.as_of, "--as-of")):
            if self.data is None and value is not None:
                raise UsageError(
                    f"{name} is about a snapshot, so it needs --data; a ledger's rows are in our tables already, and "
                    "its now is the clock.",
                    field=name,
                )

    @property
    def environment(self) -> dict[str, str]:
        """The variables that `of` reads back; paths made absolute, for a worker may start elsewhere."""
        said = {CONFIG: str(self.config.resolve()), HOME: str(self.home.resolve())}
        if self.data is not None:
            said[DATA] = _anywhere(self.data) if "://" in self.data else str(Path(self.data).resolve())
        if self.db:
            said[DB] = _anywhere(self.db)
        if self.mapping:
            said[MAPPING] = str(self.mapping.resolve()) if self.mapping.exists() else str(self.mapping)
        if self.as_of is not None:
            said[AS_OF] = self.as_of.isoformat()
        return said


def _anywhere(url: str) -> str:
    """A database's URL that means the same in every folder: SQLite's file by its whole path."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        return url  # whoever opens it says what is wrong with it
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        return url
    return parsed.set(database=str(Path(str(parsed.database)).resolve())).render_as_string(hide_password=False)


def workers(environment: Mapping[str, str] = os.environ) -> int:
    """How many processes serve. Raises UsageError for what is no number from 1 to 64."""
    said = environment.get(WORKERS) or "1"
    if not said.isdigit() or not 1 <= int(said) <= 64:
        raise UsageError(f"{WORKERS} is a number from 1 to 64, not {said!r}.", field="--workers")
    return int(said)


def guarded(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a credential is asked for on loopback too, while the ledger has no key: the service is bound wider."""
    return environment.get(GUARDED, "") not in ("", "0")


def quota(environment: Mapping[str, str] = os.environ) -> float:
    """How often a second each credential may ask each worker; 0: no limit. Raises UsageError for what is no number."""
    said = environment.get(QUOTA) or "200"
    try:
        wanted = float(said)
    except ValueError:
        wanted = -1.0
    if not 0 <= wanted <= 1e6:
        raise UsageError(f"{QUOTA} is a number of requests per second, not {said!r}.", field=QUOTA)
    return wanted
