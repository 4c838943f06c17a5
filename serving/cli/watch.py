"""Watch: whether the model that serves is still what it was when it was trained."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from features.errors import NotEnoughData, TableError, UsageError
from serving.cli.options import (
    CONFIG,
    HOME,
    AsOfOption,
    ConfigOption,
    DbOption,
    Format,
    FormatOption,
    HomeOption,
    LedgerDataOption,
    MappingOption,
    config_at,
    ledger_url,
    say,
    snapshot_of,
)


def monitor(
    data: LedgerDataOption = None,
    config: ConfigOption = CONFIG, home: HomeOption = HOME, mapping: MappingOption = None, db: DbOption = None,
    as_of: AsOfOption = None,
    window: Annotated[str, typer.Option(metavar="DURATION", help="The recent past, in days or weeks.")] = "28d",
    model: Annotated[
        str | None, typer.Option(metavar="VERSION", show_default="the champion, else the challenger", help="Which.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.html", show_default="in HOME/reports", help="The report.")
    ] = None,
    format: FormatOption = Format.table,
) -> None:  # fmt: skip
    """Hold recent offers against what the model learned from: drift, outcomes, calibration, age; exit 1: act.

    Writes a report with charts, and a run in MLflow. The last line on standard
    output is: recommendation: keep, recalibrate or retrain. Exits 0 for keep, and 1
    for the others, where the data stopped or a feature is gone, and where nothing
    could be judged. Data that cannot be read exit 1, too; the line is then: refused: why.

    \b
    Examples
      callsheet monitor                        the ledger's offers
      callsheet monitor --data crm
      callsheet monitor --data crm --window 8w --out drift.html
      callsheet monitor --data crm --model 3 --as-of 2026-06-01 --format json
    """
    settings = config_at(config)
    span = _span(window)
    source = data if data is not None else ledger_url(db, home)
    from serving import listing
    from serving.ledger import Ledger
    from serving.monitor import look
    from serving.present_monitor import COLUMNS, refused, rows, show_monitored

    try:
        known = snapshot_of(source, settings, mapping, as_of)
        with closing(Ledger.open(db, home)) as ledger:
            looked = look(
                known,
                settings,
                home,
                ledger,
                window=span,
                version=model,
                asked=as_of is not None,
                out=out,
                source=source,
            )
    except (TableError, NotEnoughData) as error:
        if format is Format.table:
            typer.echo(f"refused: {error}")
        else:
            listing.show(refused(error), COLUMNS, format=format)
        raise
    if looked.told:
        say(looked.told)
    say(f"The report is {looked.report}, its run {looked.run_id}.")
    if format is Format.table:
        show_monitored(looked.seen, listing.console())
    else:
        listing.show(rows(looked.seen), COLUMNS, format=format)
    raise typer.Exit(0 if looked.seen.judgement.healthy else 1)


def _span(text: str) -> int:
    """A --window in microseconds; a working hour is no length of the past."""
    from features.clock import Duration

    try:
        span = Duration.parse(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no window: {error}.", field="--window") from None
    if span.working:
        raise UsageError(f"{text!r} is no window; write days or weeks, such as 28d or 8w.", field="--window")
    return span.microseconds
