"""Decide: the plan of a week, why a decision was made, and a rep's week."""

from __future__ import annotations

import uuid
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from features.counted import counted
from features.errors import UsageError
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
    from features.config import Config
    from serving.ledger import Ledger

WeekOption = Annotated[
    str | None, typer.Option("--week", metavar="WEEK", help="ISO week, as 2026-W10.", show_default="the current one")
]
ASSIGNED = ("lead_id", "rep_id", "offer_id", "expected_value", "p_convert", "p_accept", "score")
BY_RULE = {"owner_territory": "the rule of owner and territory", "hash": "a fixed draw, for no rule told them apart"}
#: By what became of the model of then, and by whether it agrees.
REPLAYED: dict[str, dict[bool | None, str]] = {
    "here": {True: "says the same today", False: "says something else today"},
    "gone": {None: "is not kept any more"},
    "held_back": {None: "is held back because workers crashed by it"},
    "unusable": {None: "cannot be asked"},
}
LINES = (
    "offer_id", "lead_id", "offered_at", "answer", "reject_reason", "rank", "expected_value", "policy", "propensity",
    "reason",
)  # fmt: skip


def plan(
    week: WeekOption = None,
    commit: Annotated[
        bool, typer.Option("--commit", help="Make every assignment an offer; without it nothing is offered.")
    ] = False,
    config: ConfigOption = CONFIG, home: HomeOption = HOME, db: DbOption = None, format: FormatOption = Format.table,
) -> None:  # fmt: skip
    """Plan a week on the ledger: the open leads to the reps, worth most first, each rep up to the room that is left.

    A lead that nobody gets is listed with how many reps each rule refused. With
    --format json it is the object that POST /plan answers.

    \b
    Examples
      callsheet plan
      callsheet plan --week 2026-W10 --format csv
      callsheet plan --commit
    """
    settings = config_at(config)
    from serving import listing
    from serving.actor import CLI
    from serving.ledger import Ledger
    from serving.ledger.configurations import note
    from serving.ledger.idempotency import Once
    from serving.live import Live
    from serving.plan import plan as planned
    from serving.start import decider

    with closing(Ledger.open(db, home)) as ledger:
        note(ledger, settings, CLI.name)
        known = decider(Live(ledger, settings, home))
        asked = week or _week(datetime.now(UTC))
        once = Once.of(CLI.name, "plan", uuid.uuid4().hex, {"week": asked}) if commit else None
        answer = planned(known, asked, actor=CLI, once=once).answer
    if format is Format.json:
        listing.show_object(answer)
        return
    listing.show(answer["assignments"], ASSIGNED, format=format, title=f"The plan of {asked}")
    if format is Format.table:
        rows = [u | {"because": _words(u["because"])} for u in answer["unplaced"]]
        columns = ("lead_id", "because", "until", "waits_for")
        listing.show(rows, columns, title="Unplaced", empty="Every open lead has a rep.")
    done = "offered" if commit else "assigned; nothing is offered without --commit"
    say(f"{counted(len(answer['assignments']), 'lead')} {done}, {len(answer['unplaced']):,} unplaced.")


def explain(
    decision: Annotated[str | None, typer.Argument(metavar="[DECISION]", help="A decision_id.")] = None,
    rep: Annotated[str | None, typer.Option("--rep", metavar="REP", help="A rep's week instead.")] = None,
    week: WeekOption = None,
    config: ConfigOption = CONFIG, home: HomeOption = HOME, db: DbOption = None, format: FormatOption = Format.table,
) -> None:  # fmt: skip
    """Tell why a decision was made, or what a rep got in a week: load, share, refusals, and the reason of each offer.

    A decision is asked again of the model of then with the features of then; with
    --format json it is the object that GET /explain answers.

    \b
    Examples
      callsheet explain D-0f3c…
      callsheet explain --rep R00003 --week 2026-W10
    """
    if (decision is None) == (rep is None):
        raise UsageError("Name either a decision, or a rep with --rep.", field="--rep")
    if decision is not None and week is not None:
        raise UsageError("A decision is of one instant; --week goes with --rep. Leave it out.", field="--week")
    settings = config_at(config)
    from serving.ledger import Ledger

    with closing(Ledger.open(db, home)) as ledger:
        if decision is not None:
            _explain_decision(ledger, settings, home, decision, format)
        else:
            _explain_week(ledger, settings, home, str(rep), week, format)


def _explain_decision(ledger: Ledger, config: Config, home: Path, decision_id: str, format: Format) -> None:
    from serving import listing
    from serving.cache import ModelCache
    from serving.explain import explained
    from serving.ledger.decisions import read
    from serving.whereabouts import whereabouts

    with ledger.reading() as connection:
        told = read(connection, decision_id)
        lead_id = told.row["lead_id"]
        lead = whereabouts(connection, config, lead_id, datetime.now(UTC)) if lead_id else None
    said = explained(told, ModelCache(home).load, lead)
    if format is Format.json:
        listing.show_object(said)
        return
    named = "rep_id" if said["route"] not in ("recommend_leads", "plan") else "lead_id"
    rows = [item | {"reasons": [r["text"] for r in item.get("reasons", [])]} for item in said["items"]]
    columns = ("rank", named, "offer_id", "score", "p_accept", "p_convert", "expected_value", "reasons")
    listing.show(
        rows, columns, format=format, title=f"{said['route']} for {said['lead_id'] or said['rep_id'] or 'all'}"
    )
    if format is not Format.table:
        return
    listing.show(said["offers"], ("offer_id", "lead_id", "rep_id", "answer", "answered_at"), title="What came of it")
    replay = said["replay"]
    by = (
        f"model {said['model_version']}, which {REPLAYED[replay['model']][replay['agrees']]}"
        if replay
        else BY_RULE.get(said["rung"], "a rule")
    )
    say(f"Decided at {said['at']} by {by}; policy {said['policy']}. Refused: {_words(said['refused']) or 'nobody'}.")
    if replay and replay["because"]:
        say(f"So it was not asked again: {replay['because']}")
    if lead is not None:
        until = f" until {lead['until']}" if lead["until"] else ""
        because = f": {_words(lead['because'])}" if lead["because"] else ""
        say(f"The lead is {lead['state']}{until}{because}.")


def _explain_week(ledger: Ledger, config: Config, home: Path, rep_id: str, week: str | None, format: Format) -> None:
    from serving import listing
    from serving.cache import ModelCache
    from serving.week import rep_week

    said = rep_week(ledger, rep_id, week, config, datetime.now(UTC), ModelCache(home).load)
    if format is Format.json:
        listing.show_object(said)
        return
    listing.show(said["offers"], LINES, format=format, title=f"{rep_id}, {said['from']} to {said['to']}")
    share = "" if said["share"] is None else f", {said['share']:.0%} of all offers"
    room = "no limit" if said["places"] is None else f"{said['places']:g}"
    taken = counted(said["used"], "place")
    say(f"{counted(len(said['offers']), 'offer')}{share}; {taken} taken of {room}. {_words(said['answers'])}")
    if said["hours"] < said["of_hours"]:
        whole = "" if said["capacity"] is None else f", so there is room for {room} of {said['capacity']:g}"
        say(f"Working hours of the week: {said['of_hours']:g}; he is there for {said['hours']:g}{whole}.")
    if said["per_hour"] is not None and said["of_all_per_hour"] is not None:
        his, all_of_them = _pace(said["per_hour"]), _pace(said["of_all_per_hour"])
        say(f"Offers by eight working hours: {his} while he is there; {all_of_them} for all who take leads.")
    if said["no_capacity_at"]:
        say(f"Full for the rest of the week since {said['no_capacity_at']}, by the rep's own word (no_capacity).")
    refused, asked = counted(sum(said["refused"].values()), "time"), counted(said["asked"], "decision")
    say(f"Refused {refused} in {asked}: {_words(said['refused']) or 'never'}.")


def _pace(per_hour: float) -> str:
    """Of eight hours, in two digits, so that one offer to many people is more than nothing."""
    paced = 8 * per_hour
    return f"{paced:.2g}" if paced < 9.95 else f"{paced:,.0f}"


def _words(counts: dict[str, Any]) -> str:
    return ", ".join(f"{rule} {n}" for rule, n in counts.items())


def _week(now: datetime) -> str:
    year, number, _ = now.isocalendar()
    return f"{year}-W{number:02d}"
