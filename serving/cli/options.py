"""What the commands share: their common options, and the configuration and data that these name."""

from __future__ import annotations

import sys
from contextlib import closing
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from features.book import Book
    from features.config import Config
    from features.snapshot import Snapshot


class Format(StrEnum):
    """How a listing is printed."""

    table = "table"
    json = "json"
    csv = "csv"


CONFIG = Path("callsheet.yaml")
HOME = Path(".callsheet")

#: The home of this run, once its options are read: where the story of a crash goes.
home_in_use = HOME


def _use_home(home: Path) -> Path:
    global home_in_use
    home_in_use = home
    return home


DataOption = Annotated[
    str, typer.Option("--data", metavar="DIR|URL", help="The CRM snapshot: a folder of CSV or Parquet, or a SQL URL.")
]
LedgerDataOption = Annotated[
    str | None,
    typer.Option(
        "--data", metavar="DIR|URL", help="A CRM snapshot, as for `check`.", show_default="the ledger's CRM, as of now"
    ),
]
MappingOption = Annotated[
    Path | None, typer.Option("--mapping", metavar="FILE.sql", help="Brings a foreign export to Callsheet's names.")
]
ConfigOption = Annotated[Path, typer.Option("--config", metavar="FILE", help="The configuration; there must be one.")]
#: Every command takes the common options, so that one set of them fits a whole script; this one is not read here.
UnreadConfigOption = Annotated[Path, typer.Option("--config", metavar="FILE", help="Not read here.", hidden=True)]
HomeOption = Annotated[
    Path,
    typer.Option(
        "--home", metavar="DIR", envvar="CALLSHEET_HOME", help="Holds all that Callsheet writes.", callback=_use_home
    ),
]
DbOption = Annotated[
    str | None,
    typer.Option(
        "--db", metavar="URL", envvar="CALLSHEET_DB", help="The ledger's database.", show_default="HOME/ledger.db"
    ),
]
AsOfOption = Annotated[
    str | None,
    typer.Option(
        "--as-of", metavar="TIME", help="What is now, e.g. 2026-03-02T09:00Z.", show_default="the data's latest fact"
    ),
]
FormatOption = Annotated[Format, typer.Option("--format", help="For a person, a program or a sheet.")]


def say(text: str) -> None:
    """A line for the person at the terminal; results alone go to standard output."""
    print(text, file=sys.stderr, flush=True)


def config_at(path: Path) -> Config:
    """The configuration that --config names. Raises ConfigError, also where there is none."""
    from features.config import load_config

    return load_config(path)


def instant(text: str | None, zone: str | None) -> pd.Timestamp | None:
    """An --as-of as an instant in UTC. A bare date is its midnight in UTC; a time of day needs a zone."""
    import pandas as pd

    if text is None:
        return None
    try:
        at = pd.Timestamp(datetime.fromisoformat(text.strip()))
    except ValueError:
        raise UsageError(f"{text!r} is not a time; write it as 2026-03-02T09:00Z.", field="--as-of") from None
    if at.tzinfo is None:
        bare_date = len(text.strip()) <= len("2026-03-02")
        if zone is None and not bare_date:
            raise UsageError(f"{text!r} has no time zone; write {text}Z for UTC.", field="--as-of")
        at = at.tz_localize("UTC" if bare_date else zone)
    return at.tz_convert("UTC")


def ledger_url(db: str | None, home: Path) -> str:
    """The ledger's database, as --data takes it. Raises UsageError where there is none."""
    if db is None and not (home / "ledger.db").is_file():
        raise UsageError(
            "Name the data with --data, or load it into the ledger first: `callsheet load --data D`.", field="--data"
        )
    return db or f"sqlite:///{(home / 'ledger.db').resolve()}"


def book_of(
    data: str | None, config: Config, mapping: Path | None, as_of: str | None, home: Path, db: str | None
) -> Book:
    """The book of the snapshot that --data names, else of the ledger as of now. Raises TableError, LedgerEmpty."""
    from features.book import Book

    if data is not None:
        return Book.of(snapshot_of(data, config, mapping, as_of), config)
    if mapping is not None or as_of is not None:
        name = "--mapping" if mapping is not None else "--as-of"
        raise UsageError(f"{name} is about a snapshot, so it needs --data; a ledger's now is the clock.", field=name)
    from serving.ledger import Ledger
    from serving.live import ledger_book

    with closing(Ledger.open(db, home)) as ledger:
        return ledger_book(ledger, config)


def snapshot_of(data: str, config: Config, mapping: Path | None, as_of: str | None) -> Snapshot:
    """The snapshot that --data names, held to its contracts; a line says how much in it is odd. Raises TableError."""
    from features.snapshot import read_snapshot

    snapshot = read_snapshot(data, config=config, mapping=mapping, as_of=instant(as_of, config.timezone))
    if snapshot.warnings:
        say(f"Odd in the data, but allowed: {len(snapshot.warnings)}; `callsheet check` lists it.")
    return snapshot
