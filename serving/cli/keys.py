"""API keys at the command line: create, list, revoke, rotate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from features.errors import UsageError
from serving.cli.options import CONFIG, HOME, DbOption, Format, FormatOption, HomeOption, UnreadConfigOption, say

if TYPE_CHECKING:
    from serving.ledger import Ledger

KEY_COLUMNS = ("key_id", "name", "scopes", "rep_id", "state", "created_at", "expires_at", "revoked_at")

KeyArgument = Annotated[str, typer.Argument(metavar="KEY_ID", help="As `callsheet keys list` shows it.")]
ExpiresOption = Annotated[
    str | None, typer.Option("--expires", metavar="DURATION", help="How long it holds.", show_default="until revoked")
]


def create(
    scope: Annotated[
        str, typer.Option("--scope", metavar="SCOPES", help="What it allows: route, record, ingest, operate, read.")
    ],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Whose it is; Idempotency-Keys go by it.")],
    rep: Annotated[
        str | None, typer.Option("--rep", metavar="REP", help="A rep's own key: it records only that rep's offers.")
    ] = None,
    expires: ExpiresOption = None,
    config: UnreadConfigOption = CONFIG, home: HomeOption = HOME, db: DbOption = None,
) -> None:  # fmt: skip
    """Make an API key. It alone goes to standard output, this once: the ledger keeps only its hash.

    A service that runs takes it within two seconds. From the first key on, every
    route but the probes asks for one. `keys rotate` makes the key that takes
    another's place: a retry under it is the same request.

    \b
    Examples
      callsheet keys create --scope route,record --name "lead router" > router.key
      callsheet keys create --scope record --name "Ann" --rep R00003 --expires 90d
    """
    from serving.ledger import keys
    from serving.ledger.change import changing

    scopes = [part.strip() for part in scope.split(",") if part.strip()]
    with _ledger(db, home) as ledger, changing(ledger) as change:
        key, text = keys.create(change, name, scopes, rep_id=rep, expires_at=_until(expires))
    say(f"Key {key.key_id}: keep what follows, nobody can read it again.")
    typer.echo(text)


def listing(
    config: UnreadConfigOption = CONFIG, home: HomeOption = HOME, db: DbOption = None,
    format: FormatOption = Format.table,
) -> None:  # fmt: skip
    """List every key that ever was, with what it allows and whether it still holds; never the key itself.

    \b
    Examples
      callsheet keys list
      callsheet keys list --format json
    """
    from serving import listing
    from serving.ledger import keys

    now = datetime.now(UTC)
    with _ledger(db, home) as ledger, ledger.reading() as connection:
        rows = [key.__dict__ | {"state": key.state(now)} for key in keys.listed(connection)]
    listing.show(rows, KEY_COLUMNS, format=format, empty="There is no key: on this machine the service is open.")


def revoke(
    key_id: KeyArgument,
    config: UnreadConfigOption = CONFIG, home: HomeOption = HOME, db: DbOption = None,
) -> None:  # fmt: skip
    """End a key. A service that runs refuses it within two seconds.

    \b
    Examples
      callsheet keys revoke 1f0c9a77be21
    """
    from serving.ledger import keys
    from serving.ledger.change import changing

    with _ledger(db, home) as ledger, changing(ledger) as change:
        done = keys.revoke(change, key_id)
    say(f"Key {key_id} is revoked." if done else f"Key {key_id} was revoked before.")


def rotate(
    key_id: KeyArgument,
    overlap: Annotated[
        str, typer.Option("--overlap", metavar="DURATION", help="How long the old one holds beside the new one.")
    ] = "24h",
    expires: ExpiresOption = None,
    config: UnreadConfigOption = CONFIG, home: HomeOption = HOME, db: DbOption = None,
) -> None:  # fmt: skip
    """Make a key that takes another's place: the same name, scopes and rep. The old one ends after the overlap.

    The new key alone goes to standard output. A retry under it with the Idempotency-Key
    of a request under the old one gets the answer of then: both are one caller's.

    \b
    Examples
      callsheet keys rotate 1f0c9a77be21 > router.key
      callsheet keys rotate 1f0c9a77be21 --overlap 1h --expires 90d
    """
    from serving.ledger import keys
    from serving.ledger.change import changing

    with _ledger(db, home) as ledger, changing(ledger) as change:
        key, text = keys.rotate(change, key_id, _span(overlap, "--overlap"), expires_at=_until(expires))
    say(f"Key {key.key_id} takes the place of {key_id}, which holds for {overlap} more at most.")
    typer.echo(text)


@contextmanager
def _ledger(db: str | None, home: HomeOption) -> Iterator[Ledger]:
    from serving.ledger import Ledger

    with closing(Ledger.open(db, home)) as ledger:
        yield ledger


def _until(expires: str | None) -> datetime | None:
    return None if expires is None else datetime.now(UTC) + _span(expires, "--expires")


def _span(text: str, option: str) -> timedelta:
    from features.clock import Duration

    try:
        span = Duration.parse(text)
    except ValueError as error:
        raise UsageError(f"{text!r}: {error}.", field=option) from None
    if span.working:
        raise UsageError(f"{text!r}: a key has no working hours; write 36h, 90d or 12w.", field=option)
    return timedelta(microseconds=span.microseconds)
