"""Report: one training as a page that can be sent to those who were not there."""

from __future__ import annotations

import sys
import webbrowser
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from serving.cli.options import CONFIG, HOME, DbOption, HomeOption, UnreadConfigOption


class YesNo(StrEnum):
    """An answer on the command line."""

    yes = "yes"
    no = "no"


def report(
    run: Annotated[
        str | None, typer.Option("--run", metavar="RUN", show_default="the last training", help="Which.")
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="VERSION", help="Which, by the model that it made.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.html", show_default="in HOME/reports", help="The page.")
    ] = None,
    open_: Annotated[
        YesNo | None,
        typer.Option("--open", show_default="yes on a terminal", help="Show it in the browser."),
    ] = None,
    home: HomeOption = HOME, db: DbOption = None, config: UnreadConfigOption = CONFIG,
) -> None:  # fmt: skip
    """Write a training's report: what was learned from what, how good it is, the gate's verdict, how to make it again.

    One HTML page that loads nothing, with the charts inside. Its path is printed
    on standard output; it is kept with the run in MLflow, too.

    \b
    Examples
      callsheet report
      callsheet report --model 3 --out model-3.html
      callsheet report --run 0f3c9ab1 --open no
    """
    from serving.ledger import Ledger
    from serving.report import report as write

    ledger = Ledger.open(db, home) if db or (home / "ledger.db").is_file() else None
    try:
        path = write(home, ledger, run=run, version=model, out=out)
    finally:
        if ledger is not None:
            ledger.close()
    typer.echo(path)
    if open_ is YesNo.yes or (open_ is None and sys.stdout.isatty()):
        webbrowser.open(path.resolve().as_uri())
