"""The command line: options in, one function of a room called, its result printed; what a room decides is not here."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from features.errors import Breach, CallsheetError, TableError, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from features.config import Config
    from features.snapshot import Snapshot

# Nobody is told that Callsheet runs: these stand before MLflow or BentoML is imported anywhere.
for _switch in ("BENTOML_DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
    os.environ.setdefault(_switch, "true")

app = typer.Typer(
    name="callsheet",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Format(StrEnum):
    """How a listing is printed."""

    table = "table"
    json = "json"
    csv = "csv"


DataOption = Annotated[
    str, typer.Option("--data", metavar="DIR|URL", help="The CRM snapshot: a folder of CSV or Parquet, or a SQL URL.")
]
MappingOption = Annotated[
    Path | None, typer.Option("--mapping", metavar="FILE.sql", help="Brings a foreign export to Callsheet's names.")
]
ConfigOption = Annotated[Path, typer.Option("--config", metavar="FILE", help="The configuration; there must be one.")]
HomeOption = Annotated[
    Path,
    typer.Option("--home", metavar="DIR", envvar="CALLSHEET_HOME", help="Holds everything that Callsheet writes."),
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

CONFIG = Path("callsheet.yaml")
HOME = Path(".callsheet")
DATA, LEARN, SERVE = "Data in", "Learn and release", "Ask"


@app.callback()
def callsheet(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show more progress, and a traceback when something breaks.")
    ] = False,
) -> None:
    """Which sales rep gets which marketing lead, and which leads each rep should see now, with reasons.

    Results go to standard output, progress and logs to standard error.
    Exit codes: 0 done; 1 the answer is no; 2 wrong usage or configuration; 3 it broke.

    \b
    The usual way through
      callsheet init --data crm       a callsheet.yaml to agree on with sales
      callsheet check --data crm      are the tables sound?
      callsheet audit --data crm      whom does the served market let in?
      callsheet train --data crm      learn from past offers
      callsheet promote --data crm    release the model, if it earns its place
      callsheet serve --data crm      answer over HTTP
    """
    _logs(debug)


# -- What the commands share ----------------------------------------------------------------------------------------


def _say(text: str) -> None:
    """A line for the person at the terminal; results alone go to standard output."""
    typer.echo(text, err=True)


def _config(path: Path) -> Config:
    from features.config import load_config

    if not path.is_file():
        raise UsageError(
            f"There is no configuration at {path}. `callsheet init --data DIR` writes one; --config names another.",
            field="--config",
        )
    return load_config(path)


def _instant(text: str | None, zone: str | None) -> pd.Timestamp | None:
    """An --as-of as an instant in UTC. A bare date is its midnight in UTC; a time of day needs a zone."""
    import pandas as pd

    if text is None:
        return None
    try:
        instant = pd.Timestamp(datetime.fromisoformat(text.strip()))
    except ValueError:
        raise UsageError(f"{text!r} is not a time; write it as 2026-03-02T09:00Z.", field="--as-of") from None
    if instant.tzinfo is None:
        bare_date = len(text.strip()) <= len("2026-03-02")
        if zone is None and not bare_date:
            raise UsageError(f"{text!r} has no time zone; write {text}Z for UTC.", field="--as-of")
        instant = instant.tz_localize("UTC" if bare_date else zone)
    return instant.tz_convert("UTC")


def _snapshot(data: str, config: Config, mapping: Path | None, as_of: str | None) -> Snapshot:
    from features.snapshot import read_snapshot

    snapshot = read_snapshot(data, config=config, mapping=mapping, as_of=_instant(as_of, config.timezone))
    if snapshot.warnings:
        _say(f"{len(snapshot.warnings)} warnings about the data; `callsheet check` lists them.")
    return snapshot


# -- Data in --------------------------------------------------------------------------------------------------------


@app.command(rich_help_panel=DATA)
def check(
    data: DataOption,
    config: ConfigOption = CONFIG,
    mapping: MappingOption = None,
    as_of: AsOfOption = None,
    format: FormatOption = Format.table,
) -> None:
    """Hold the tables to their contracts: every breach, what is odd, and how changing columns are read.

    A breach refuses the whole snapshot and exits 1. Warnings are odd but allowed.

    \b
    Examples
      callsheet check --data crm
      callsheet check --data export --mapping features/mappings/salesforce.sql
      callsheet check --data sqlite:///crm.db --format json
    """  # fmt: skip
    from features.reading import reading
    from features.snapshot import read_snapshot
    from serving.listing import show

    settings = _config(config)
    try:
        snapshot = read_snapshot(data, config=settings, mapping=mapping, as_of=_instant(as_of, settings.timezone))
    except TableError as refused:
        show(_found("breach", refused.breaches), FOUND, format=format, title="Breaches")
        _say(f"{len(refused.breaches)} breaches; nothing was loaded.")
        raise typer.Exit(1) from None
    sizes = [{"table": name, "rows": len(table)} for name, table in snapshot.tables.items()]
    warnings = _found("warning", snapshot.warnings)
    missing = [{"level": "missing", "table": name, "expected": effect} for name, effect in snapshot.missing.items()]
    readings = [{"column": column, "how": how} for column, how in reading(snapshot.tables, settings)]
    if format is Format.table:
        show(sizes, ("table", "rows"), title="Tables")
        show(warnings, FOUND[1:], title="\nOdd, but allowed", empty="\nNothing odd.")
        if missing:
            show([{"what": m["table"], "so": m["expected"]} for m in missing], ("what", "so"), title="\nNot there")
        show(readings, ("column", "how"), title="\nHow features read what changes")
    else:
        read = [{"level": "read", "column": r["column"], "expected": r["how"]} for r in readings]
        show([*warnings, *missing, *read], FOUND, format=format)
    _say(f"The tables keep their contracts. Now is {snapshot.now:%Y-%m-%d %H:%M} UTC.")


@app.command(rich_help_panel=DATA)
def sample(
    out: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    accounts: Annotated[int, typer.Option(min=1, help="Companies; about ten contacts each.")] = 2_000,
    reps: Annotated[int, typer.Option(min=1, help="Sellers, of all roles.")] = 60,
    offers: Annotated[int, typer.Option(min=0, help="Leads that were offered to a rep, in sixty weeks.")] = 12_000,
    seed: Annotated[int, typer.Option(help="The same seed makes the same bytes.")] = 0,
    end: Annotated[str, typer.Option(metavar="DATE", help="The last day that the tables know of.")] = "2026-06-30",
    format: FormatOption = Format.table,
) -> None:
    """Write a synthetic CRM, to try Callsheet on: every table, a callsheet.yaml that fits, and the truth apart.

    OUT/truth/pairs.csv holds the true p_accept and p_convert of eligible pairs of
    the last weeks; no command reads it as data.

    \b
    Examples
      callsheet sample crm
      callsheet sample small --accounts 400 --reps 24 --offers 4000 --seed 7
    """
    from serving.listing import show
    from training.sample import write_sample

    try:
        last = date.fromisoformat(end)
    except ValueError:
        raise UsageError(f"{end!r} is not a date; write it as 2026-06-30.", field="--end") from None
    report = write_sample(out, accounts=accounts, reps=reps, offers=offers, seed=seed, end=last)
    show([{"table": name, "rows": n} for name, n in report.rows.items()], ("table", "rows"), format=format)
    _say(f"{report.accept_rate:.0%} of the offers were accepted; {report.convert_rate:.1%} convert, as far as is true.")
    _say(f"Its configuration is {out / 'callsheet.yaml'}, its truth {out / 'truth' / 'pairs.csv'}.")


FOUND = ("level", "table", "column", "count", "rows", "value", "expected")


def _found(level: str, breaches: Sequence[Breach]) -> list[dict[str, object]]:
    return [{"level": level, **breach.as_dict()} for breach in breaches]


# -- How it ends ----------------------------------------------------------------------------------------------------


def _logs(debug: bool) -> None:
    """Progress and logs to standard error: ours as they come, other people's from a warning up."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    for room in ("features", "models", "training", "serving"):
        logging.getLogger(room).setLevel(logging.DEBUG if debug else logging.INFO)


def _broke(error: BaseException, debug: bool) -> NoReturn:
    """Say what broke in one line; the whole story goes into a file, or with --debug to the terminal."""
    story = "".join(traceback.format_exception(error))
    if debug:
        _say(story)
        raise SystemExit(3)
    where = Path(os.environ.get("CALLSHEET_HOME") or HOME) / "error.log"
    try:
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(story, encoding="utf-8")
        details = f"The details are in {where}"
    except OSError:
        details = "`callsheet --debug …` shows the details"
    _say(f"Callsheet broke: {type(error).__name__}: {error}\n{details}; it is a fault of ours, not of your data.")
    raise SystemExit(3)


def main() -> None:
    """The console command. Exit codes: 0 done; 1 the answer is no; 2 wrong usage or configuration; 3 it broke."""
    debug = "--debug" in sys.argv[1:2]
    try:
        app()
    except CallsheetError as error:
        where = f"{error.field}: " if error.field and error.field not in str(error) else ""
        _say(f"{where}{error}" if not debug else traceback.format_exc())
        raise SystemExit(error.exit_code) from None
    except Exception as error:
        _broke(error, debug)


if __name__ == "__main__":
    main()
