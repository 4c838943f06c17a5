"""The ledger's own soundness at the command line: the audit's chain."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from features.counted import counted
from features.errors import UsageError
from serving.cli.options import CONFIG, HOME, DbOption, HomeOption, UnreadConfigOption, say

if TYPE_CHECKING:
    from serving.ledger.audit import Head


def verify(
    noted: Annotated[
        str | None,
        typer.Option("--noted", metavar="NUMBER:HASH", help="A last row that an earlier run printed, kept elsewhere."),
    ] = None,
    config: UnreadConfigOption = CONFIG, home: HomeOption = HOME, db: DbOption = None,
) -> None:  # fmt: skip
    """Recompute the audit's hash chain, and hold decisions, offers and events to it; exit 1 where one is another.

    It names the audit's first row that is not what was written, or that vouches
    for a row which is another now. What an erasure took out, it says itself.

    It prints the last row. Whoever notes that outside the database can prove
    later, with --noted, that nothing up to it was rewritten or cut off, not even
    by someone who may write every table.

    \b
    Examples
      callsheet ledger verify
      callsheet ledger verify --noted 4812:9f86d081884c7d659a2feaa0c55ad015…
    """
    from serving.ledger import Ledger
    from serving.ledger.audit import head
    from serving.ledger.audit import verify as check
    from serving.ledger.vouched import COLUMNS

    known = _noted(noted)
    with closing(Ledger.open(db, home)) as ledger, ledger.reading() as connection:
        held: Counter[str] = Counter()
        tampered, last = check(connection, known, held), head(connection)
    if tampered is not None:
        typer.echo(f"tampered: row {tampered.number}: {tampered.why}")
        raise typer.Exit(1)
    typer.echo(f"ok: {counted(last.number, 'row')}, the last {last.number}:{last.hash}")
    told = ", ".join(f"{held[table]:,} {table}" for table in COLUMNS)
    say(f"Held to it: {told}; of them erased: {held['erased']:,}.")


def _noted(text: str | None) -> Head | None:
    from serving.ledger.audit import Head

    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,18}):([0-9a-f]{64})", text)
    if not found:
        raise UsageError(f"{text!r} is no NUMBER:HASH as this command prints it.", field="--noted")
    return Head(int(found[1]), found[2])
