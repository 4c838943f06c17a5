"""Questions about the data at the command line: those that are open, and the settling of one by hand."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from features.counted import counted
from features.errors import UsageError
from serving.cli.options import CONFIG, HOME, DbOption, Format, FormatOption, HomeOption, UnreadConfigOption, say

LISTED = ("question_id", "lead_id", "rep_id", "offer_id", "reason", "asked_at")


def questions(
    settle: Annotated[
        str | None, typer.Option("--settle", metavar="QUESTION_ID", help="Settle this one, as the list names it.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why it is settled, for the audit.")
    ] = None,
    config: UnreadConfigOption = CONFIG, home: HomeOption = HOME, db: DbOption = None,
    format: FormatOption = Format.table,
) -> None:  # fmt: skip
    """List what reps' answers say is wrong in the data, the oldest first, or settle one of these questions by hand.

    A change of what a question is about settles it by itself, and so does the
    closing of its lead. By hand is for one that was none, or that nothing in the
    data answers, such as a lead that is called dead and is not. Its lead then goes
    on, at the next run of the SLA's work.

    \b
    Examples
      callsheet questions
      callsheet questions --settle e-2026-03-02-17 --reason "their office moved, the region is right"
    """
    from serving import listing
    from serving.actor import CLI
    from serving.due import questions as asked
    from serving.ledger import Ledger
    from serving.ledger.change import changing
    from serving.ledger.questions import settle_by_hand

    if (settle is None) != (reason is None) or (reason is not None and not reason.strip()):
        raise UsageError("A question is settled with --settle QUESTION_ID and --reason TEXT.", field="--reason")
    with closing(Ledger.open(db, home)) as ledger:
        if settle is not None and reason is not None:
            with changing(ledger) as change:
                lead = settle_by_hand(change, settle, reason.strip(), CLI)
            say(f"Question {settle} is settled; lead {lead} goes on where nothing else keeps it.")
            return
        with ledger.reading() as connection:
            count, rows = asked(connection, None)
    listing.show(rows, LISTED, format=format, empty="No question about the data is open.")
    say(f"{counted(count, 'question is', 'questions are')} open.")
