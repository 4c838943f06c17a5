"""The SLA at the command line: what is due and what was breached, and the passing on of what nobody took."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from features.counted import counted
from serving.cli.options import (
    CONFIG,
    HOME,
    ConfigOption,
    DbOption,
    Format,
    FormatOption,
    HomeOption,
    config_at,
    say,
)

if TYPE_CHECKING:
    from pathlib import Path

    from features.config import Config
    from serving.ledger import Ledger
    from serving.sla import Applied

LISTED = (
    "state", "due_at", "offer_id", "lead_id", "rep_id", "limit", "offered_at", "lead_to_offer", "offer_to_touch",
    "because", "until", "waits_for",
)  # fmt: skip
#: Leads that nobody asked to place, which a table on the screen shows; other formats have all.
SHOWN = 10
DONE = ("done", "lead_id", "offer_id", "because")


def sla(
    apply: Annotated[
        bool, typer.Option("--apply", help="Expire what is overdue, and offer those leads and rejected ones again.")
    ] = False,
    config: ConfigOption = CONFIG, home: HomeOption = HOME, db: DbOption = None, format: FormatOption = Format.table,
) -> None:  # fmt: skip
    """List open offers by when they must be answered, what was breached, leads that nobody can take, and questions.

    Working hours are those of the rep's zone, without holidays and time off;
    lead_to_offer and offer_to_touch are seconds. With --apply each lead goes to
    the next best rep, never to one who had it, as often as `reoffers` says; then
    it is unplaced; it is held until then where `until` names a time, and offered as
    soon as a rep may take it, unless it waits for the data, a person or a plan. A
    new model that does harm is rolled back (policy.guard). A running service does
    the same each minute.

    \b
    Examples
      callsheet sla
      callsheet sla --format csv > due.csv
      callsheet sla --apply
    """
    settings = config_at(config)
    from serving import listing
    from serving.due import lines
    from serving.guard import watch
    from serving.ledger import Ledger
    from serving.ledger.unplaced import NOT_ASKED

    with closing(Ledger.open(db, home)) as ledger:
        if apply:
            _show(_applied(ledger, settings, home), format)
            if (back := watch(ledger, settings)) is not None:
                say(f"Rolled back to {back.called}: {back.reason}.")
            return
        with ledger.reading() as connection:
            answer = lines(connection, settings, datetime.now(UTC), limit=None)
    unplaced = [{"state": "held" if lead["until"] else "unplaced"} | lead for lead in answer["unplaced"]]
    untold = sum(lead["because"] == NOT_ASKED for lead in unplaced)
    if format is Format.table:  # they come last, and there may be more than anybody reads
        unplaced = unplaced[: len(unplaced) - untold + SHOWN]
    asked = [{"state": "question", "because": {one["reason"]: 1}} | one for one in answer["questions"]]
    rows = [*answer["items"], *unplaced, *asked]
    listing.show(rows, LISTED, format=format, empty="No offer waits for an answer.")
    breached = sum(item["state"] != "open" for item in answer["items"])
    offers, leads = counted(answer["total"], "offer"), counted(answer["unplaced_total"], "lead")
    questions = f"{counted(answer['questions_total'], 'question')} about the data (`callsheet questions`)"
    not_asked = "nobody asked to place them since they became free (`callsheet plan` takes them up)"
    nobody = f", {untold:,} of them because {not_asked}" if untold else ""
    say(f"{offers}, {breached:,} of them not answered in time; {leads} unplaced{nobody}; {questions}.")


def _applied(ledger: Ledger, config: Config, home: Path) -> Applied:
    """Do it now, beside whatever serves: what two do at once happens once."""
    from serving.live import Live
    from serving.reoffer import Rerouted
    from serving.sla import apply
    from serving.start import decider

    live = Live(ledger, config, home)
    return apply(ledger, config, Rerouted(decider(live), live.catch_up), datetime.now(UTC))


def _show(done: Applied, format: Format) -> None:
    from serving import listing

    rows: list[listing.Row] = [
        *({"done": "expired", "offer_id": offer_id} for offer_id in done.expired),
        *({"done": "offered", "lead_id": lead, "offer_id": offer_id} for lead, offer_id in done.reoffered.items()),
        *({"done": "unplaced", "lead_id": lead, "because": because} for lead, because in done.unplaced.items()),
    ]
    listing.show(rows, DONE, format=format, empty="Nothing was overdue.")
    say(
        f"{counted(len(done.expired), 'offer')} expired, {counted(len(done.reoffered), 'lead')} offered again, "
        f"{len(done.unplaced):,} unplaced."
    )
