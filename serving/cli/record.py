"""The record that the ledger keeps: which configurations decided, and what of it is past its retention."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

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
    UnreadConfigOption,
    config_at,
    say,
)


def prune(
    config: ConfigOption = CONFIG, home: HomeOption = HOME, db: DbOption = None, format: FormatOption = Format.table,
) -> None:  # fmt: skip
    """Take out the journal that was followed for a week, and what explains decisions past `retention.decisions`.

    Offers, events and the audit stay. A running service does the same about once a day.

    \b
    Examples
      callsheet db prune
      callsheet db prune --format json
    """
    settings = config_at(config)
    from serving import listing
    from serving.ledger import Ledger
    from serving.ledger.prune import prune as take_out

    with closing(Ledger.open(db, home)) as ledger:
        done = take_out(ledger, settings, datetime.now(UTC))
    rows = [{"what": name, "rows": count} for name, count in asdict(done).items()]
    listing.show(rows, ("what", "rows"), format=format)


def configurations(
    fingerprint: Annotated[
        str | None, typer.Argument(metavar="[FINGERPRINT]", help="Show this one whole; its beginning will do.")
    ] = None,
    config: UnreadConfigOption = CONFIG, home: HomeOption = HOME, db: DbOption = None,
    format: FormatOption = Format.table,
) -> None:  # fmt: skip
    """List the configurations that decided here, the latest first, with the keys in which each differs from the last.

    A decision names its configuration by fingerprint (`callsheet explain`); with one
    given, that configuration is printed as JSON, as it was read then.

    \b
    Examples
      callsheet ledger configurations
      callsheet ledger configurations 9f86d081
    """
    from serving import listing
    from serving.instants import iso, micros
    from serving.ledger import Ledger
    from serving.ledger.configurations import noted

    with closing(Ledger.open(db, home)) as ledger, ledger.reading() as connection:
        told = noted(connection)
    if fingerprint is not None:
        found = {row["fingerprint"]: row["body"] for row in told if row["fingerprint"].startswith(fingerprint)}
        if len(found) != 1:
            wrong = "No configuration" if not found else "More than one configuration"
            raise UsageError(f"{wrong} that decided here has a fingerprint {fingerprint}….", field="fingerprint")
        listing.show_object(next(iter(found.values())))
        return
    rows = [{"at": iso(micros(row["at"])), "fingerprint": row["fingerprint"], "keys": row["keys"]} for row in told]
    listing.show(rows, ("at", "fingerprint", "keys"), format=format, empty="Nothing has decided here yet.")
    say(f"{counted(len(rows), 'configuration')}.")
