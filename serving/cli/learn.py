"""Learn and release: training, runs side by side, the gate, the way back, what serves."""

from __future__ import annotations

from typing import Annotated

import typer

from serving.cli.options import (
    CONFIG,
    HOME,
    AsOfOption,
    ConfigOption,
    DataOption,
    DbOption,
    Format,
    FormatOption,
    HomeOption,
    MappingOption,
    config_at,
    snapshot_of,
)


def train(
    data: DataOption,
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

    The last line on standard output is: model VERSION run RUN_ID

    \b
    Examples
      callsheet train --data crm
      callsheet train --data crm --promote
      callsheet train --data sqlite:///crm.db --recipe fast --seed 7
    """  # fmt: skip
    from serving.listing import console
    from serving.present_runs import show_recipes
    from training.train import train as fit

    settings = config_at(config)
    result = fit(snapshot_of(data, settings, mapping, as_of), settings, home, recipe=recipe, seed=seed, source=data)
    show_recipes(result.table, result.sentence, not result.beaten_by, console())
    passed = not release or _promote(home, db, settings, result.run_id)
    typer.echo(f"model {result.version} run {result.run_id}")
    raise typer.Exit(0 if passed else 1)


def compare(
    runs: Annotated[list[str] | None, typer.Argument(help="Run ids.", show_default="the last ones")] = None,
    home: HomeOption = HOME,
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
