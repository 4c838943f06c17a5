"""The ledger's doors: the CRM's tables in and out of it, its schema, its backups, and the forgetting of a contact."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from features.counted import counted
from serving.cli.options import (
    CONFIG,
    HOME,
    ConfigOption,
    DataOption,
    DbOption,
    Format,
    FormatOption,
    HomeOption,
    MappingOption,
    UnreadConfigOption,
    config_at,
    say,
    snapshot_of,
)

LOADED = ("table", "rows", "inserted", "changed", "unchanged", "removed", "ours")


def load(
    data: DataOption,
    config: ConfigOption = CONFIG, home: HomeOption = HOME, mapping: MappingOption = None, db: DbOption = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="What is not in the data goes, except offers that were made here.")
    ] = False,
    format: FormatOption = Format.table,
) -> None:  # fmt: skip
    """Load a CRM snapshot into the ledger: rows by key, in one transaction, whole or not at all.

    A row whose key is known takes the place of the old one; what a tracked column
    held before goes into `changes`. Offers that this ledger made stay as they are.
    Running services answer with it within seconds.

    \b
    Examples
      callsheet load --data crm
      callsheet load --data export --mapping features/mappings/salesforce.sql
      callsheet load --data crm --replace --format json
    """
    settings = config_at(config)
    known = snapshot_of(data, settings, mapping, None)
    from serving import listing
    from serving.ledger import Ledger
    from serving.ledger.load import load as put

    rows = sum(len(table) for table in known.tables.values())
    with closing(Ledger.open(db, home)) as ledger, _bar("load", rows) as tick:
        done = put(ledger, known, config=settings, replace=replace, tick=tick)
    listing.show([asdict(table) for table in done.tables], LOADED, format=format)
    say(f"Change {done.seq}; {counted(done.held, 'lead is', 'leads are')} held by an open or accepted offer.")
    if done.doubled:
        say(f"Of {counted(done.doubled, 'lead')} more than one offer is open or accepted: the latest holds each.")
    if done.forgotten:
        say(f"{counted(done.forgotten, 'contact')} erased here before came with the data again and went again.")


class FileFormat(StrEnum):
    """How tables are written."""

    csv = "csv"
    parquet = "parquet"


def export(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="A new or empty folder.")],
    config: UnreadConfigOption = CONFIG, home: HomeOption = HOME, db: DbOption = None,
    format_of: Annotated[FileFormat, typer.Option("--format-of", help="Of the tables' files.")] = FileFormat.csv,
    format: FormatOption = Format.table,
) -> None:  # fmt: skip
    """Write the CRM tables out of the ledger, as a folder that `load` and every --data take again; the audit says so.

    OUT/record holds decisions and events, always as CSV. In CSV, text that a
    spreadsheet would run as a formula gets a quote before it; `load` takes it off.

    \b
    Examples
      callsheet export --out crm-today
      callsheet export --out crm-today --format-of parquet
    """
    from serving import listing
    from serving.ledger import Ledger
    from serving.ledger.export import export as write

    with closing(Ledger.open(db, home)) as ledger:
        rows = write(ledger, out, form=format_of.value)
    listing.show([{"table": name, "rows": count} for name, count in rows.items()], ("table", "rows"), format=format)
    say(f"Written to {out}.")


def upgrade(config: UnreadConfigOption = CONFIG, home: HomeOption = HOME, db: DbOption = None) -> None:
    """Make the ledger, or bring its tables to this version; several that start at once do it once.

    Every command that opens the ledger does the same, backup too: take one before, with
    the version that you come from. restore brings an older backup up.

    \b
    Examples
      callsheet db upgrade
      callsheet db upgrade --db postgresql://callsheet@localhost/callsheet
    """
    from serving.ledger import Ledger
    from serving.ledger.database import url_in

    with closing(Ledger(db or url_in(home))) as ledger:
        found, newest = ledger.upgrade()
    if found == newest:
        typer.echo(f"up to date: {newest}")
    else:
        typer.echo(f"made: {newest}" if found is None else f"upgraded: {found} -> {newest}")


def status(
    config: UnreadConfigOption = CONFIG, home: HomeOption = HOME, db: DbOption = None,
    format: FormatOption = Format.table,
) -> None:  # fmt: skip
    """Look at the ledger: its revision, journal mode, last change and rows by table; exit 1: not there, or old.

    \b
    Examples
      callsheet db status
      callsheet db status --format json
    """
    from serving import listing
    from serving.ledger import Ledger
    from serving.ledger.database import url_in
    from serving.ledger.status import FORGETS
    from serving.ledger.status import status as look

    with closing(Ledger(db or url_in(home))) as ledger:
        seen = look(ledger)
    facts = {name: value for name, value in asdict(seen).items() if name != "rows"}
    rows = [{"what": name, "value": value} for name, value in facts.items()]
    listing.show([*rows, *_rows_of(seen.rows)], ("what", "value"), format=format)
    if seen.forgets:
        say(FORGETS)
    if not seen.known:
        say("Its tables are of a newer version: install that again.")
    elif seen.revision != seen.newest:
        say("Its tables are older than this version: callsheet db upgrade.")
        raise typer.Exit(1)


def grants(
    role: Annotated[str, typer.Option("--role", metavar="NAME", help="The role that serves; it owns nothing.")],
    config: UnreadConfigOption = CONFIG, home: HomeOption = HOME,
) -> None:  # fmt: skip
    """Print the SQL that lets a role of PostgreSQL serve, and neither change nor delete a row of the audit.

    For the owner of the tables to run, after each `db upgrade`: what the role
    could do to them besides is taken from it. Restoring a backup and upgrading
    stay the owner's. A role that may act as the owner is refused.

    \b
    Examples
      callsheet db grants --role callsheet_serving
      callsheet db grants --role callsheet_serving | psql -v ON_ERROR_STOP=1 "$CALLSHEET_DB"
    """
    from serving.ledger.grants import grants as statements

    typer.echo(statements(role), nl=False)


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file.")],
    config: UnreadConfigOption = CONFIG, home: HomeOption = HOME, db: DbOption = None,
    unrecorded: Annotated[
        bool, typer.Option("--unrecorded", help="Keep it also where the ledger cannot be written to, nor its audit.")
    ] = False,
    format: FormatOption = Format.table,
) -> None:  # fmt: skip
    """Write the whole ledger into one file while it is in use, and verify it; never copy the database's file instead.

    The file is itself a ledger in SQLite (--db sqlite:///FILE opens it), from
    PostgreSQL too. Released models are files of their own, in HOME/models. The
    audit says who took it, and its SHA-256; where that cannot be written down,
    there is no backup but with --unrecorded.

    \b
    Examples
      callsheet backup ledger-2026-03-02.db
      callsheet backup emergency.db --unrecorded
      callsheet backup /backups/ledger.db --db postgresql://callsheet@localhost/callsheet
    """
    from serving import listing
    from serving.ledger import Ledger
    from serving.ledger.backup import backup as write

    with closing(Ledger.open(db, home)) as ledger, _bar("backup", None) as tick:
        done = write(ledger, file, tick, unrecorded=unrecorded)
    facts: list[dict[str, object]] = [
        {"what": "seq", "value": done.seq},
        {"what": "sha256", "value": done.sha256},
        *_rows_of(done.rows),
    ]
    listing.show(facts, ("what", "value"), format=format)
    if not done.recorded:
        say("The ledger cannot be written to, so its audit does not say that this was taken: note the hash elsewhere.")
    say(f"{file} is sound and holds every change up to {done.seq}.")


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `callsheet backup` wrote.")],
    config: ConfigOption = CONFIG, home: HomeOption = HOME, db: DbOption = None,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite a ledger that holds something.")] = False,
    format: FormatOption = Format.table,
) -> None:  # fmt: skip
    """Bring a backup back, whole or not at all: into an empty ledger, or with --replace over what is there.

    A backup of SQLite restores to PostgreSQL and the other way round. Contacts that
    were erased since are erased again, and an API key that was revoked or made since
    stays so. Services that run follow within seconds.

    \b
    Examples
      callsheet restore ledger-2026-03-02.db
      callsheet restore ledger.db --replace --db postgresql://callsheet@localhost/callsheet
    """
    settings = config_at(config)
    from serving import listing
    from serving.ledger import Ledger
    from serving.ledger.backup import restore as bring

    home.mkdir(parents=True, exist_ok=True)
    with closing(Ledger.open(db, home)) as ledger, _bar("restore", None) as tick:
        done = bring(ledger, file, home, settings, replace=replace, tick=tick)
    listing.show([{"what": "seq", "value": done.seq}, *_rows_of(done.rows)], ("what", "value"), format=format)
    say(f"The ledger is that of {file}; its changes are counted on from {done.seq}.")
    if done.replaced is not None:
        say(f"The audit that gave way ended with {done.replaced.number}:{done.replaced.hash}; the new one notes it.")


def erase(
    contact: Annotated[str, typer.Option("--contact", metavar="ID", help="The contact's id.")],
    config: ConfigOption = CONFIG, home: HomeOption = HOME, db: DbOption = None,
    format: FormatOption = Format.table,
) -> None:  # fmt: skip
    """Forget a contact: its row, what it did, what was written of it; exit 1: the files hold traces, so ask again.

    Its leads are closed and stay, stripped, under a name that leads to nobody: reps'
    records and the audit hold on to their ids. The database's files are rewritten.
    Backups keep it until they are deleted; a restore erases it again.

    \b
    Examples
      callsheet erase --contact C00017
      callsheet erase --contact C00017 --format json
    """
    settings = config_at(config)
    from serving import listing
    from serving.actor import CLI
    from serving.doors import Doors
    from serving.ledger import Ledger

    with closing(Ledger.open(db, home)) as ledger:
        home.mkdir(parents=True, exist_ok=True)
        done = Doors(ledger, settings, home, lambda: None).forget(contact, CLI)
    rows = [{"table": name, "rows": count} for name, count in done["rows"].items()]
    listing.show(rows, ("table", "rows"), format=format, empty="It was erased before.")
    if not done["scrubbed"]:
        say(
            "It is erased, but the database's files still hold traces, for they could not be rewritten: run this again."
        )
        raise typer.Exit(1)


def access(
    contact: Annotated[str, typer.Option("--contact", metavar="ID", help="The contact's id.")],
    config: UnreadConfigOption = CONFIG, home: HomeOption = HOME, db: DbOption = None,
) -> None:  # fmt: skip
    """Tell everything that is held about a contact, as one JSON object: what the right of access asks for.

    Rows of every table that are about it, its leads, their offers and what became of
    these; each decision on its leads and each line about them, with reasons. It is
    what `erase` would take out, and what that leaves. It names reps and colleagues,
    too: look it over before it goes to anybody. The audit says that it was taken.

    \b
    Examples
      callsheet access --contact C00017 > C00017.json
    """
    from serving import listing
    from serving.access import access as tell
    from serving.cache import ModelCache
    from serving.ledger import Ledger

    with closing(Ledger.open(db, home)) as ledger:
        told = tell(ledger, contact, ModelCache(home).load)
    listing.show_object(told)
    if told["erased_at"] is not None:
        say(f"It was erased at {told['erased_at']}; the hash of its id is all that is left.")


def _rows_of(rows: Mapping[str, int]) -> list[dict[str, object]]:
    return [{"what": f"rows.{name}", "value": count} for name, count in rows.items()]


@contextmanager
def _bar(title: str, total: int | None) -> Iterator[Callable[[str, int], None]]:
    """A bar on stderr, where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn(f"[bold]{title}[/] {{task.description}}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=total)
        yield lambda what, rows: bar.update(task, advance=rows, description=what)
