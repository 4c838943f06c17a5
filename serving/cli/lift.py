"""Lift: what the model, and the challenger with pilot reps, are worth beside accounts that stayed on the rules."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime

from features.errors import NotEnoughData
from serving.cli.options import (
    CONFIG,
    HOME,
    ConfigOption,
    DbOption,
    Format,
    FormatOption,
    HomeOption,
    LedgerDataOption,
    book_of,
    config_at,
    say,
)

#: The last is an object, for programs.
COLUMNS = ("policy", "model", "holdout", "model_mean", "holdout_mean", "lift", "low", "high", "waiting", "probation")


def lift(
    data: LedgerDataOption = None,
    config: ConfigOption = CONFIG, home: HomeOption = HOME, db: DbOption = None, format: FormatOption = Format.table,
) -> None:  # fmt: skip
    """Compare accounts under the model with the held-out ones on the rules: conversions an account, and a band.

    The band is a confidence sequence: it holds however often you look, so you may look
    daily and stop when it says so. An account counts once, when all of its offers of
    four weeks have had their time to convert. Hold accounts out with policy.holdout.
    Only offers that this ledger decided count, from when model and holdout were both at work.

    Accounts of the pilot are a row of their own: the challenger against the rules.

    Conversions take months to tell. How reps take the offers of a new model, by which
    the guard judges it meanwhile (policy.guard), is a line besides, and with --format
    json or csv `probation` in the champion's row.

    \b
    Examples
      callsheet lift
      callsheet lift --format json
    """
    settings = config_at(config)
    from sqlalchemy import select

    from serving import listing
    from serving.guard import standing
    from serving.ledger import Ledger
    from serving.ledger.crm import OFFERS
    from serving.ledger.holds import decided_here
    from serving.policy import kept_out
    from training.lift import Mixed, look, look_at_pilot

    book = book_of(data, settings, None, None, home, db)
    with closing(Ledger.open(db, home)) as ledger, ledger.reading() as connection:
        ours = connection.execute(select(OFFERS.c.offer_id).where(decided_here())).scalars().all()
        guarded = standing(ledger, settings, datetime.now(UTC))
    if guarded is not None:
        say(guarded.sentence)  # it is known long before the first account has matured
    offers = Mixed.of(book, ours, kept_out(book.account_ids, settings.policy))
    seen = {"champion": look(offers, book.now, settings)}
    told = [seen["champion"].sentence]
    try:
        if (piloted := look_at_pilot(offers, book.now, settings)) is not None:
            seen["pilot"] = piloted
            told.append(piloted.sentence)
    except NotEnoughData as error:
        told.append(f"The pilot tells nothing yet: {error}")
    rows = [{"policy": name} | asdict(one) for name, one in seen.items()]
    rows[0]["probation"] = guarded.as_dict() if guarded is not None else None
    shown = COLUMNS if format is not Format.table else COLUMNS[:-1]
    listing.show(rows, shown, format=format, title="Conversions an account")
    for sentence in told:
        say(sentence)
