"""Ask: batch scores, a recommendation for a person, the service, MLflow's pages, and the whole line as a demo."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from features.counted import counted
from features.errors import UsageError
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
    book_of,
    config_at,
    instant,
    say,
)

SCORES = ("score", "p_accept", "p_convert", "expected_value")


def score(
    pairs: Annotated[Path, typer.Argument(metavar="PAIRS.csv", help="lead_id, rep_id, optional as_of.")],
    out: Annotated[Path, typer.Option("--out", metavar="OUT.csv", help="The same pairs, in the same order.")],
    data: LedgerDataOption = None,
    config: ConfigOption = CONFIG, home: HomeOption = HOME, mapping: MappingOption = None, db: DbOption = None,
    as_of: AsOfOption = None,
    model: Annotated[str | None, typer.Option(metavar="VERSION", show_default="the champion", help="Which.")] = None,
) -> None:  # fmt: skip
    """Score pairs of a lead and a rep from a file, each as of its own instant (default: the lead's creation).

    A refused pair has its rule and empty scores. Without a champion the challenger
    scores, and a line on standard error says so.

    \b
    Examples
      callsheet score pairs.csv --out scores.csv
      callsheet score --data crm pairs.csv --out scores.csv --model 3
    """
    settings = config_at(config)
    book = book_of(data, settings, mapping, as_of, home, db)
    from serving.batch import read_pairs, score_file
    from serving.ladder import chosen
    from serving.ledger import Ledger
    from serving.ledger.releases import Releases
    from serving.recommend import Recommender

    asked = read_pairs(pairs, settings.timezone)
    with closing(Ledger.open(db, home)) as ledger:
        standing, told = chosen(home, Releases(ledger), settings, model)
    if told:
        say(told)
    scored = score_file(Recommender(book, settings, standing), asked, out)
    say(f"{out}: {counted(len(asked), 'pair')}, {scored:,} of them scored.")


def recommend(
    data: LedgerDataOption = None,
    lead: Annotated[str | None, typer.Option("--lead", metavar="LEAD", help="Rank the reps for this lead.")] = None,
    rep: Annotated[str | None, typer.Option("--rep", metavar="REP", help="Rank the open leads for this rep.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, max=100, help="How many at most.")] = 10,
    config: ConfigOption = CONFIG, home: HomeOption = HOME, mapping: MappingOption = None, db: DbOption = None,
    as_of: AsOfOption = None, format: FormatOption = Format.table,
) -> None:  # fmt: skip
    """Answer what the service would: reps for a lead, or the call sheet of a rep, with reasons.

    With --format json it is the object that the route answers.

    \b
    Examples
      callsheet recommend --lead L12742
      callsheet recommend --data crm --rep R00003 -k 5
      callsheet recommend --rep R00003 --format csv
    """
    if (lead is None) == (rep is None):
        raise UsageError("Name either a lead (--lead) or a rep (--rep).", field="--lead")
    settings = config_at(config)
    book = book_of(data, settings, mapping, as_of, home, db)
    from serving import listing
    from serving.present import Names, show_answer
    from serving.start import recommender

    ready = recommender(book, settings, home, db)
    if lead is not None:
        answer = ready.reps_for_lead(lead, k, reasons=True)
    else:
        answer = ready.leads_for_rep(str(rep), k, reasons=True)
    if format is Format.table:
        show_answer(answer, Names.of(book.tables), listing.console())
    elif format is Format.json:
        listing.show_object(answer)
    else:
        rows = [item | {"reasons": [reason["text"] for reason in item["reasons"]]} for item in answer["items"]]
        named = "rep_id" if lead is not None else "lead_id"
        listing.show(rows, ("rank", named, *SCORES, "reasons"), format=format)


def serve(
    data: LedgerDataOption = None,
    host: Annotated[str, typer.Option(help="An IP address; beyond loopback it takes an API key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where it listens.")] = 3000,
    workers: Annotated[int, typer.Option(min=1, help="Processes that answer.")] = 1,
    config: ConfigOption = CONFIG, home: HomeOption = HOME, mapping: MappingOption = None, db: DbOption = None,
    as_of: AsOfOption = None,
) -> None:  # fmt: skip
    """Answer over HTTP until you stop it: reps for a lead, leads for a rep, scores of pairs.

    From the ledger, which `callsheet load` fills: whatever is written to it, by this
    service or beside it, counts within a second in every process, and within ten a model
    that is released. With --data from a snapshot, as advice only.
    Ready when /readyz answers 200; /docs.json describes every route.

    \b
    Examples
      callsheet serve
      callsheet serve --port 8080 --workers 4
      callsheet serve --data crm
    """
    settings = config_at(config)
    from serving.run import serve as run
    from serving.settings import Settings

    run(
        Settings(data, config, home, db, mapping, instant(as_of, settings.timezone)),
        host=host, port=port, workers=workers,
    )  # fmt: skip


def ui(
    home: HomeOption = HOME,
    config: UnreadConfigOption = CONFIG,
    port: Annotated[int, typer.Option(min=1, max=65535, help="On loopback.")] = 5000,
) -> None:
    """Open MLflow on the local store: every run, its charts, its baselines; on loopback only, until you stop it.

    \b
    Examples
      callsheet ui
      callsheet ui --home /srv/callsheet --port 5001
    """
    from training.ui import address, run_ui

    say(f"The runs are at {address(home, port)}\nCtrl-C stops it.")
    run_ui(home, port)


def demo(
    home: HomeOption = HOME,
    config: UnreadConfigOption = CONFIG,
    accounts: Annotated[int, typer.Option(min=1, help="Companies of the made-up CRM.")] = 2_000,
    reps: Annotated[int, typer.Option(min=1, help="Its sellers.")] = 60,
    offers: Annotated[int, typer.Option(min=1, help="Its past offers.")] = 12_000,
    seed: Annotated[int, typer.Option(help="Another seed, another CRM.")] = 0,
) -> None:
    """Run the whole line once on a made-up CRM, in HOME/demo, which it makes anew each time.

    Sample, check, audit, train, promote, serve and ask: each step is shown as the
    command that you would type, with what it answers.

    \b
    Examples
      callsheet demo
      callsheet demo --accounts 400 --reps 24 --offers 4000
    """
    from serving.demo import Demo
    from serving.listing import console

    raise typer.Exit(Demo(home / "demo", accounts, reps, offers, seed).run(console()))
