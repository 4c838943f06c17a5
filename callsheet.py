"""The command line: the commands put together, what they share in how they begin and end; rooms decide the rest."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable
from importlib.metadata import version as installed
from typing import Annotated, NoReturn

import typer

from features.errors import CallsheetError
from serving.cli import (
    ask,
    audit,
    data,
    decide,
    keys,
    learn,
    ledger,
    lift,
    options,
    questions,
    record,
    report,
    sla,
    watch,
)

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

COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {
    "Data in": (data.init, data.sample, data.check, data.audit),
    "Learn and release": (
        learn.train,
        learn.compare,
        report.report,
        learn.promote,
        learn.rollback,
        learn.models,
        learn.value,
    ),
    "Watch": (watch.monitor, sla.sla, questions.questions),
    "Decide": (decide.plan, decide.explain, lift.lift),
    "Ledger": (ledger.load, ledger.export, ledger.backup, ledger.restore, ledger.access, ledger.erase),
    "Ask": (ask.score, ask.recommend, ask.serve, ask.ui, ask.demo),
}
#: Commands that come in groups: the panel, what the group is about, and its commands by name.
GROUPS: dict[str, tuple[str, str, dict[str, Callable[..., None]]]] = {
    "keys": (
        "Guard",
        "API keys: who may ask the service, for what, and until when.",
        {"create": keys.create, "list": keys.listing, "revoke": keys.revoke, "rotate": keys.rotate},
    ),
    "db": (
        "Ledger",
        "The ledger's database.",
        {"upgrade": ledger.upgrade, "grants": ledger.grants, "status": ledger.status, "prune": record.prune},
    ),
    "ledger": (
        "Guard",
        "The ledger's own soundness, and what decided in it.",
        {"verify": audit.verify, "configurations": record.configurations},
    ),
}
for _panel, _commands in COMMANDS.items():
    for _command in _commands:
        app.command(rich_help_panel=_panel)(_command)
for _name, (_panel, _about, _members) in GROUPS.items():
    _group = typer.Typer(no_args_is_help=True, help=_about, rich_markup_mode="rich")
    for _member, _command in _members.items():
        _group.command(_member)(_command)
    app.add_typer(_group, name=_name, rich_help_panel=_panel)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"callsheet {installed('callsheet')}")
        raise typer.Exit


@app.callback()
def callsheet(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show more progress, and a traceback when something breaks.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
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
      callsheet promote               release the model, if it earns its place
      callsheet load --data crm       put the CRM on record: offers are made from there
      callsheet serve                 answer over HTTP, write down what was decided
    """
    _logs(debug)


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
        options.say(story)
        raise SystemExit(3)
    where = options.home_in_use / "error.log"
    try:
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(story, encoding="utf-8")
        details = f"The details are in {where}"
    except OSError:
        details = "`callsheet --debug …` shows the details"
    options.say(
        f"Callsheet broke: {type(error).__name__}: {error}\n{details}; it is a fault of ours, not of your data."
    )
    raise SystemExit(3)


def main() -> None:
    """The console command. Exit codes: 0 done; 1 the answer is no; 2 wrong usage or configuration; 3 it broke."""
    debug = "--debug" in sys.argv[1:2]
    try:
        app(prog_name="callsheet")
    except CallsheetError as error:
        where = f"{error.field}: " if error.field and error.field not in str(error) else ""
        options.say(f"{where}{error}" if not debug else traceback.format_exc())
        raise SystemExit(error.exit_code) from None
    except Exception as error:
        _broke(error, debug)


if __name__ == "__main__":
    main()
