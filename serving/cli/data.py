"""Data in: a configuration, a sample, the tables' contracts, the served market."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from features.counted import counted
from features.errors import Breach, TableError, UsageError
from serving.cli.options import (
    CONFIG,
    HOME,
    AsOfOption,
    ConfigOption,
    DataOption,
    Format,
    FormatOption,
    HomeOption,
    MappingOption,
    config_at,
    instant,
    say,
    snapshot_of,
)

FOUND = ("level", "table", "column", "count", "rows", "value", "expected")


def init(
    data: DataOption,
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="Where to write it.")] = CONFIG,
    home: HomeOption = HOME, mapping: MappingOption = None,
    timezone: Annotated[
        str | None, typer.Option("--timezone", metavar="ZONE", help="Of timestamps that carry none, e.g. UTC.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what stands there.")] = False,
) -> None:  # fmt: skip
    """Write a commented callsheet.yaml from what the data holds: a first draft to agree on with sales.

    \b
    Examples
      callsheet init --data crm
      callsheet init --data crm --config draft.yaml
      callsheet init --data export --mapping features/mappings/hubspot.sql --timezone UTC
    """
    if config.exists() and not force:
        raise UsageError(f"{config} is there already; --force overwrites it, --config names another.", field="--config")
    from features.clock import known_zone
    from features.config_writer import write_config
    from features.snapshot import read_snapshot

    if timezone is not None and not known_zone(timezone):
        raise UsageError(f"{timezone!r} is no time zone; write UTC, or one such as Europe/Berlin.", field="--timezone")
    text = write_config(read_snapshot(data, mapping=mapping, timezone=timezone), timezone)
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(text, encoding="utf-8")
    typer.echo(config)
    say(f"Read {config} with sales, line by line; then: callsheet audit --data {data} --config {config}")


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
    home: HomeOption = HOME,
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
        found = counted(len(refused.breaches), "breach", "breaches")
        say(f"{found}; nothing was loaded. Rows count from 1, without the header.")
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


class Part(StrEnum):
    """What of the audit is listed."""

    all = "all"
    rules = "rules"
    buyers = "buyers"
    gaps = "gaps"


PARTS = {
    Part.rules: ("market", "rule", "accounts", "accounts_left", "contacts", "contacts_left"),
    Part.buyers: ("market", "buyer", "accounts", "have", "lack"),
    Part.gaps: ("market", "account_id", "name", "buyer", "contacts"),
}
TITLES = {
    Part.rules: "What each rule lets in: alone, and left after those before it",
    Part.buyers: "Accounts of the market that have, or lack, each buyer",
    Part.gaps: "Contacts to obtain: accounts that lack a buyer",
}
EMPTY = {
    Part.rules: "No market is configured.",
    Part.buyers: "The markets name no buyers: anybody at an account of theirs counts as one.",
    Part.gaps: "No account lacks a buyer.",
}
#: Gaps that a person sees before being sent to a file of them all.
FIRST_GAPS = 15


def audit(
    data: DataOption, config: ConfigOption = CONFIG, home: HomeOption = HOME, mapping: MappingOption = None,
    as_of: AsOfOption = None,
    part: Annotated[Part, typer.Option("--list", help="One list only; each is a table of its own.")] = Part.all,
    format: FormatOption = Format.table,
) -> None:  # fmt: skip
    """Hold the data to the served market: who passes each rule, and which accounts lack which buyer.

    The last list is the contacts to obtain.

    \b
    Examples
      callsheet audit --data crm
      callsheet audit --data crm --list gaps --format csv > to_obtain.csv
    """
    settings = config_at(config)
    known = snapshot_of(data, settings, mapping, as_of)
    from features.audit import audit as hold
    from features.book import Book
    from serving import listing

    found = hold(Book.of(known, settings), settings)
    lists = {
        Part.rules: [asdict(step) for step in found.steps],
        Part.buyers: [asdict(buyer) for buyer in found.coverage],
        Part.gaps: [asdict(gap) for gap in found.gaps],
    }
    rows = {name: listed for name, listed in lists.items() if part in (Part.all, name)}
    if format is Format.json and part is Part.all:
        listing.show_object({name.value: listed for name, listed in rows.items()})
    elif format is not Format.table:
        columns = list(dict.fromkeys(column for name in rows for column in PARTS[name]))
        marked = [{"list": name.value, **row} for name, listed in rows.items() for row in listed]
        listing.show(marked, ["list", *columns] if part is Part.all else columns, format=format)
    else:
        for name, listed in rows.items():
            first = listed[:FIRST_GAPS] if part is Part.all and name is Part.gaps else listed
            listing.show(first, PARTS[name], title=TITLES[name], empty=EMPTY[name])
            if len(first) < len(listed):
                typer.echo(f"… and {len(listed) - len(first):,} more: --list gaps")
            typer.echo()
    say(
        f"In the served market: {found.accounts_served:,} of {counted(found.accounts, 'account')}, "
        f"{found.contacts_served:,} of {counted(found.contacts, 'contact')}."
    )
