"""Lift: what the model is worth beside the accounts that stayed on the rules."""

from __future__ import annotations

from dataclasses import asdict

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

COLUMNS = ("model", "holdout", "model_mean", "holdout_mean", "lift", "low", "high", "waiting")


def lift(
    data: LedgerDataOption = None,
    config: ConfigOption = CONFIG, home: HomeOption = HOME, db: DbOption = None, format: FormatOption = Format.table,
) -> None:  # fmt: skip
    """Compare accounts under the model with the held-out ones on the rules: conversions an account, and a band.

    The band is a confidence sequence: it holds however often you look, so you may look
    daily and stop when it says so. An account counts once, when all of its offers of
    four weeks have had their time to convert. Hold accounts out with policy.holdout.

    \b
    Examples
      callsheet lift
      callsheet lift --format json
    """
    settings = config_at(config)
    from serving import listing
    from training.lift import look

    book = book_of(data, settings, None, None, home, db)
    seen = look(book, settings)
    listing.show([asdict(seen)], COLUMNS, format=format, title="Conversions an account")
    say(seen.sentence)
