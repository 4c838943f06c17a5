"""Learn and release: training, runs side by side, the gate, the way back, what serves."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.errors import ConfigError, TableError, UsageError
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
    UnreadConfigOption,
    config_at,
    ledger_url,
    say,
    snapshot_of,
)

if TYPE_CHECKING:
    from features.config import Config
    from features.snapshot import Snapshot
    from serving.ledger import Ledger
    from training.champion import Champion

LOG_HELP = "round_id, action, reward; optional propensity, cluster; every other column is context."


def train(
    data: LedgerDataOption = None,
    config: ConfigOption = CONFIG,
    home: HomeOption = HOME,
    mapping: MappingOption = None,
    db: DbOption = None,
    as_of: AsOfOption = None,
    recipe: Annotated[str, typer.Option(metavar="NAME", help="What is learned how: standard, or fast.")] = "standard",
    seed: Annotated[int, typer.Option(help="Same data, recipe and seed: the same model.")] = 0,
    release: Annotated[bool, typer.Option("--promote", help="Then run the gate; refused: exit 1.")] = False,
) -> None:
    """Learn from past offers: a tracked run with baselines and ablations, registered as the challenger.

    Without --data it learns from the ledger: what was loaded, and the offers that
    were made here, with their true propensities and what was recorded of them.

    Where a model of another recipe serves, that recipe is fitted on the same
    data beside the new one, so that the gate can tell which is better.

    The last line on standard output is: model VERSION run RUN_ID

    \b
    Examples
      callsheet train --data crm
      callsheet train --promote                 from the ledger
      callsheet train --data sqlite:///crm.db --recipe fast --seed 7
    """  # fmt: skip
    settings = config_at(config)
    source = data if data is not None else ledger_url(db, home)
    known = snapshot_of(source, settings, mapping, as_of)
    from serving.listing import console
    from serving.present_runs import show_counts, show_recipes
    from training.train import train as fit

    result = fit(known, settings, home, recipe=recipe, seed=seed, source=source, champion=_champion(home, db))
    show_counts(result.counts, console())
    show_recipes(result.table, result.sentence, not result.beaten_by, console())
    passed = not release or _promote(home, db, settings, version=result.version)
    say(f"The report is {result.report}.")
    typer.echo(f"model {result.version} run {result.run_id}")
    raise typer.Exit(0 if passed else 1)


def _champion(home: Path, db: str | None) -> Champion | None:
    """The model that serves, by the ledger; training makes no ledger where there is none."""
    from serving.ledger import Ledger
    from serving.promote import champion

    if db is None and not (home / "ledger.db").exists():
        return None
    with closing(Ledger.open(db, home)) as ledger:
        return champion(home, ledger)


def compare(
    runs: Annotated[list[str] | None, typer.Argument(help="Run ids.", show_default="the last ones")] = None,
    home: HomeOption = HOME,
    config: UnreadConfigOption = CONFIG,
    last: Annotated[int, typer.Option(min=1, help="How many of the latest runs.")] = 5,
    nested: Annotated[bool, typer.Option("--nested", help="With each run's baselines and ablations.")] = False,
    format: FormatOption = Format.table,
) -> None:
    """Set runs side by side: where their parameters differ, and their metrics with 95 % intervals.

    \b
    Examples
      callsheet compare
      callsheet compare --last 1 --nested
      callsheet compare 0f3c… 9ab1… --format csv
    """
    from serving import listing
    from serving.present_runs import show_recipes_of, show_runs
    from training.compare import compare as side_by_side

    found = side_by_side(home, runs or (), last, nested=nested)
    if format is Format.table:
        (show_recipes_of if nested else show_runs)(found, listing.console())
    else:
        rows = [run.as_dict() for run in found]
        listing.show(rows, list(dict.fromkeys(key for row in rows for key in row)), format=format)


def value(
    log: Annotated[Path, typer.Option("--log", metavar="LOG.csv", help=LOG_HELP)],
    policy: Annotated[Path, typer.Option("--policy", metavar="POLICY.csv", help="round_id, action, probability.")],
    home: HomeOption = HOME, config: UnreadConfigOption = CONFIG,
    level: Annotated[float, typer.Option(min=0.5, max=0.999, help="How sure the intervals are.")] = 0.95,
    replicates: Annotated[int, typer.Option(min=200, max=10_000, help="Of the bootstrap.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Of folds, fits and the bootstrap.")] = 0,
    format: Annotated[Format, typer.Option("--format", help="For a program, a person or a sheet.")] = Format.json,
) -> None:  # fmt: skip
    """Tell what a policy would have earned, from a log that another policy made; without support: exit 1 and why.

    IPS, SNIPS, doubly robust and switch-DR with intervals, from any bandit's log.
    Propensities that are empty or missing are fitted on the context. The policy's
    file may leave out actions of probability 0. docs/value.md tells how to read it.

    \b
    Examples
      callsheet value --log log.csv --policy policy.csv
      callsheet value --log log.csv --policy policy.csv --format table
    """
    from serving import listing
    from serving.present_value import show_value
    from training.offpolicy.progress import progress
    from training.offpolicy.reading import read
    from training.offpolicy.value import evaluate

    with progress("value") as tick:
        tick("reading")
        try:
            logged, asked = read(log, policy)
        except TableError as error:
            _say_refused(error, format)
            raise
        found = evaluate(logged, asked, seed=seed, replicates=replicates, level=level, tick=tick)
    if format is Format.table:
        show_value(found, listing.console())
    elif format is Format.json:
        listing.show_object(found.as_dict())
    else:
        rows = [one.__dict__ for one in found.estimates]
        listing.show(rows, ("estimator", "value", "low", "high"), format=format)
        if found.refused is not None:
            say(found.refused)
    raise typer.Exit(0 if found.refused is None else 1)


def _say_refused(error: TableError, format: Format) -> None:
    """Files that break their contract, on standard output as any other refusal is; the error ends the command."""
    from serving import listing

    if format is Format.table:
        typer.echo(f"No estimate. {error}")
    elif format is Format.json:
        breaches = [breach.as_dict() for breach in error.breaches]
        none: dict[str, object] = {"estimates": [], "effective_sample_size": None, "overlap": None}
        listing.show_object(none | {"refused": str(error), "breaches": breaches})
    else:
        listing.show([], ("estimator", "value", "low", "high"), format=format)


def promote( config: ConfigOption = CONFIG, home: HomeOption = HOME, db: DbOption = None,
    model: Annotated[str | None, typer.Option(metavar="VERSION", show_default="the challenger", help="Which.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Release it though the gate refuses; needs --reason.")] = False,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Make it the challenger beside what serves, without the gate.")
    ] = False,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why, for the history.")] = None,
    data: Annotated[
        str | None, typer.Option("--data", metavar="DIR|URL", help="Try it on offers answered since its cut, too.")
    ] = None,
    mapping: MappingOption = None, as_of: AsOfOption = None, format: FormatOption = Format.table,
) -> None:  # fmt: skip
    """Run the gate on the challenger, and release it if it has earned its place; refused: exit 1, nothing changes.

    The gate judges what the model's own run measured on offers held out, so it
    needs no data; it does look at today's configuration and at what serves.
    With newer data it also tries the model on what was answered since, and looks
    for the features in it. With --format json or csv each check is a row, and the
    last row is the verdict, with the version, whether it was forced, whether it serves.

    With --shadow nothing is judged and what serves goes on: the model becomes the
    challenger, which looks on as far as policy.shadow says, and decides for pilot
    reps where policy.pilot is true. `callsheet rollback --shadow` ends that.

    \b
    Examples
      callsheet promote
      callsheet promote --shadow --model 4
      callsheet promote --model 3
      callsheet promote --data crm
      callsheet promote --force --reason "agreed with sales on 2 March"
    """
    settings = config_at(config)
    if shadow:
        if force or data is not None:
            raise UsageError("--shadow asks the gate nothing, so it takes no --force and no --data.", field="--shadow")
        _challenge(home, db, settings, model, reason)
        return
    known = snapshot_of(data, settings, mapping, as_of) if data is not None else None
    released = _promote(
        home, db, settings, version=model, force=force, reason=reason, snapshot=known, format=format
    )  # fmt: skip
    raise typer.Exit(0 if released else 1)


def _challenge(home: Path, db: str | None, settings: Config, version: str | None, reason: str | None) -> None:
    from serving.challenge import challenge
    from serving.ledger import Ledger

    with closing(Ledger.open(db, home)) as ledger:
        named = challenge(home, ledger, settings, version=version, reason=reason)
    policy = settings.policy
    looks = f"it looks on in {policy.shadow:.0%} of the committed decisions on a lead" if policy.shadow else ""
    decides = "it decides for pilot reps" if policy.pilot else ""
    does = " and ".join(filter(None, (looks, decides))) or "policy.shadow and policy.pilot are off, so it does nothing"
    assert named.model is not None
    typer.echo(f"Model {named.model.version} is the challenger (revision {named.revision}); {does}.")


def _promote(
    home: Path, db: str | None, settings: Config, *, version: str | None = None, force: bool = False,
    reason: str | None = None, snapshot: Snapshot | None = None, format: Format = Format.table,
) -> bool:  # fmt: skip
    """Judge, release if it passed, print the verdict; whether the version serves now."""
    from serving import listing
    from serving.ledger import Ledger
    from serving.present_runs import VERDICT_COLUMNS, outcome, show_verdict, verdict_rows
    from serving.promote import promote as release

    with closing(Ledger.open(db, home)) as ledger:
        done = release(home, ledger, settings, version=version, reason=reason, force=force, snapshot=snapshot)
    if format is Format.table:
        show_verdict(done.verdict, listing.console())
    else:
        listing.show(verdict_rows(done), VERDICT_COLUMNS, format=format)
    say(outcome(done, force))
    return done.serves


def rollback(
    home: HomeOption = HOME, db: DbOption = None, config: UnreadConfigOption = CONFIG,
    shadow: Annotated[bool, typer.Option("--shadow", help="End the challenger's trial; what serves goes on.")] = False,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for the history.")] = "rolled back by hand",
) -> None:  # fmt: skip
    """Take the last release back: what served before serves again, an earlier model or the rules.

    Exits 1 when the rules serve already, or with --shadow when there is no challenger.

    \b
    Examples
      callsheet rollback
      callsheet rollback --shadow
      callsheet rollback --reason "reps in dach see leads of other segments"
    """
    from serving.challenge import dismiss
    from serving.ledger import Ledger
    from serving.promote import rollback as back

    with closing(Ledger.open(db, home)) as ledger:
        if shadow:
            ended, model = dismiss(ledger, reason=reason)
            typer.echo(f"Model {model.version} is the challenger no more (revision {ended.revision}).")
            return
        release, _ = back(home, ledger, reason=reason)
    typer.echo(f"Now {release.called} serve{'s' if release.model else ''} (revision {release.revision}).")


def models(
    home: HomeOption = HOME, db: DbOption = None, format: FormatOption = Format.table,
    config: Annotated[
        Path, typer.Option("--config", metavar="FILE", help="The configuration; without one, probation is not told.")
    ] = CONFIG,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="What the challenger looked on at, and what came of it.")
    ] = False,
) -> None:  # fmt: skip
    """List what serves, what served before it, which model is tried beside it, and which wait.

    With --shadow: the committed decisions at which the challenger looked on, apart
    where it ranks the same rep first and where another; how many of their offers
    were answered, which share of these was accepted, and which share the model that
    served and the challenger had foretold. Only the rep who got a lead has an
    outcome: where they differ, it tells who foretold better, not whose pick was.

    Below the table: how a new model stands that is on probation (policy.guard).

    \b
    Examples
      callsheet models
      callsheet models --shadow
      callsheet models --format json
    """
    from serving import listing
    from serving.challenge import looked_on
    from serving.ledger import Ledger
    from serving.present_shadow import SHADOW_COLUMNS, shadow_rows
    from serving.promote import MODEL_COLUMNS
    from serving.promote import models as listed

    with closing(Ledger.open(db, home)) as ledger:
        rows, seen, probation = listed(home, ledger), looked_on(ledger), _probation(ledger, config)
    if shadow:
        listing.show(shadow_rows(seen), SHADOW_COLUMNS, format=format, empty="The challenger has looked on at nothing.")
    else:
        shown = MODEL_COLUMNS if format is not Format.table else MODEL_COLUMNS[:7]
        listing.show(rows, shown, format=format, empty="No model was trained or released yet: the rules serve.")
    if probation is not None:
        say(probation)
    if seen is not None:
        say(seen[1].sentence(seen[0].version))


def _probation(ledger: Ledger, config: Path) -> str | None:
    """How the release on probation stands, in words, or why that is not told; None: none is on probation."""
    from serving.guard import standing

    if not config.exists():
        return f"Whether a model is on probation is not told, for there is no configuration {config}."
    try:
        settings = config_at(config)
    except ConfigError as error:
        return f"Whether a model is on probation is not told, for the configuration {config} is wrong: {error}"
    found = standing(ledger, settings, datetime.now(UTC))
    return found.sentence if found is not None else None
