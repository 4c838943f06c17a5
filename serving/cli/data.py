"""Data in: a configuration, a sample, the tables' contracts, the served market."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from features.errors import Breach, TableError, UsageError
from serving.cli.options import (
    CONFIG,
    AsOfOption,
    ConfigOption,
    DataOption,
    Format,
    FormatOption,
    MappingOption,
    config_at,
    instant,
    say,
)

FOUND = ("level", "table", "column", "count", "rows", "value", "expected")


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
    say(f"{report.accept_rate:.0%} of the offers were accepted; {report.convert_rate:.1%} convert, as far as is true.")
    say(f"Its configuration is {out / 'callsheet.yaml'}, its truth {out / 'truth' / 'pairs.csv'}.")


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

    settings = config_at(config)
    try:
        snapshot = read_snapshot(data, config=settings, mapping=mapping, as_of=instant(as_of, settings.timezone))
    except TableError as refused:
        show(_found("breach", refused.breaches), FOUND, format=format, title="Breaches")
        say(f"{len(refused.breaches)} breaches; nothing was loaded.")
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
    say(f"The tables keep their contracts. Now is {snapshot.now:%Y-%m-%d %H:%M} UTC.")


def _found(level: str, breaches: Sequence[Breach]) -> list[dict[str, object]]:
    return [{"level": level, **breach.as_dict()} for breach in breaches]
