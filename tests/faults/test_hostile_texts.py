"""Texts that are SQL, addresses or log lines, in every field that takes a text: kept as they are, or refused."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from copy import deepcopy
from itertools import count
from typing import Any, Final

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from sqlalchemy import select

from features.schema import TABLES, Column, Kind
from serving.ledger import Ledger
from serving.ledger.audit import verify
from serving.ledger.crm import CRM
from serving.ledger.idempotency import HEADER as KEY
from serving.ledger.tables import EVENTS
from serving.routes import ROUTES
from serving.wire.record import KINDS
from tests.faults.conftest import Served
from tests.serving.conftest import Crm

# As the owner, to whom the database forbids nothing that a text may say.
pytestmark = pytest.mark.owner

AT: Final = "2026-02-01T09:00:00Z"
FORGED: Final = "INFO forged"
#: What ends a statement, a text, a comment or a line; what a driver, a format or a shell takes for a place to fill.
SQL: Final = (
    "'; DROP TABLE canary; --", "x'); DELETE FROM canary WHERE ('1'='1", 'a"; UPDATE canary SET word = NULL; --',
    "\\'; DROP TABLE canary; /*", "%(word)s :word ? $1 {word} %s", f"a\r\n{FORGED}\u2028b", "$(touch canary) `id` ${a}",
)  # fmt: skip
_keys = count()


def is_text(column: Column) -> bool:
    return column.kind in (Kind.ID, Kind.TEXT, Kind.LIST) and not column.allowed


def inline(table: str, text: str) -> dict[str, Any]:
    """A row as a lead that is not stored brings it, all of its texts filled."""
    return {column.name: text for column in TABLES[table].columns if is_text(column) and column.name not in ("status",)}


def bodies(crm: Crm) -> Iterator[tuple[str, dict[str, Any]]]:
    """(route, sound body), so that together they have every field that takes a text."""
    lead, rep = str(crm.book.lead_ids[-1]), str(crm.book.rep_ids[0])
    contact, account = str(crm.book.contact_ids[0]), str(crm.book.account_ids[0])
    yield "/recommend_reps", {"lead_id": lead, "reasons": True}
    whole = inline("leads", "x") | {"contact": inline("contacts", "x"), "account": inline("accounts", "x")}
    del whole["contact_id"], whole["contact"]["account_id"]
    yield "/recommend_reps", {"lead": whole, "commit": False}
    yield "/recommend_reps", {"lead": {"contact_id": contact, "solution": "x"}}
    yield "/recommend_reps", {"lead": {"contact": {"contact_id": "x", "account_id": account}, "solution": "x"}}
    yield "/recommend_leads", {"rep_id": rep, "reasons": True}
    yield "/plan", {"week": "2026-W10"}
    yield "/score", {"pairs": [{"lead_id": lead, "rep_id": rep, "as_of": AT}]}
    told = {"reason": "x", "text": "x", "opportunity_id": "O-x", "stage": "x", "solution": "x", "to_rep_id": rep}
    for kind in KINDS:
        event = {"event_id": f"E-{kind}", "offer_id": "O-none", "kind": kind, "at": AT}
        yield "/record", {"events": [event | {key: told[key] for key in taken(kind)}]}
    for name, table in TABLES.items():
        stored = crm.snapshot.tables[name]
        row = {key: str(stored[key].iloc[0]) for key in table.key} if len(stored) else dict.fromkeys(table.key, "x")
        for column in filter(is_text, table.columns):
            yield "/ingest", {"tables": {name: [{column.name: "x"} | row]}}
    yield "/erase", {"contact_id": "nobody"}  # last, for what names who was erased is refused


def taken(kind: str) -> list[str]:
    """Which of its texts an event of a kind may have."""
    from serving.wire import record

    name = "".join(part.title() for part in kind.split("_"))
    fields = getattr(record, name).model_fields
    own = ("reason", "text", "opportunity_id", "stage", "solution", "to_rep_id")
    return [key for key in own if fields[key].annotation is not type(None)]


def leaves(body: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of every text in a body."""
    if isinstance(body, str):
        yield at
    elif isinstance(body, (dict, list)):
        for place, inner in body.items() if isinstance(body, dict) else enumerate(body):
            yield from leaves(inner, (*at, place))


def put(body: dict[str, Any], at: tuple[Any, ...], text: str) -> dict[str, Any]:
    """The same body with a text at a place."""
    made: Any = deepcopy(body)
    inner = made
    for place in at[:-1]:
        inner = inner[place]
    inner[at[-1]] = text
    return made  # type: ignore[no-any-return]


def open_texts(model: type[BaseModel]) -> set[str]:
    """Names of the fields of a payload that take any text, wherever they lie."""
    found: set[str] = set()

    def walk(schema: Any, name: str, defs: Any) -> None:
        if "$ref" in schema:
            schema = defs[schema["$ref"].rpartition("/")[2]]
        if schema.get("type") == "string" and not {"enum", "const", "format"} & set(schema):
            found.add(name)
        for key, inner in schema.get("properties", {}).items():
            if isinstance(inner, dict) and inner:
                walk(inner, key, defs)
        for key in ("anyOf", "oneOf"):
            for inner in schema.get(key, ()):
                if set(inner) - {"required", "not"}:
                    walk(inner, name, defs)
        if isinstance(schema.get("items"), dict):
            walk(schema["items"], name, defs)

    schema = model.model_json_schema()
    walk(schema, "", schema.get("$defs", {}))
    return found


def test_the_bodies_have_every_field_that_takes_a_text(crm: Crm) -> None:
    for path, route in ROUTES.items():
        if route.ask is not None:
            filled = {place[-1] for asked, body in bodies(crm) if asked == path for place in leaves(body)}
            assert open_texts(route.ask) <= filled, path


class Sender:
    """Sends a text in every field, one at a time, and holds what was let in to what was sent."""

    def __init__(self, served: Served, crm: Crm) -> None:
        self.ledger, self.home = served.ledger, served.service.home
        self.http = httpx.Client(base_url=served.service.url, timeout=60)
        self.bodies = list(bodies(crm))
        self.kept: set[tuple[str, str]] = set()

    def everywhere(self, text: str) -> None:
        for path, body in self.bodies:
            for at in list(leaves(body))[: 1 if path == "/ingest" else None]:
                answer = self.http.post(path, json=put(body, at, text), headers={KEY: f"text-{next(_keys)}"})
                assert answer.status_code in (200, 400, 404, 409, 422), (path, at, answer.text)
                if answer.status_code == 200 and path == "/ingest":
                    self._holds(*at[1::2], put(body, at, text), text)
        for path in ("/explain/", "/due?rep_id="):
            answer = self.http.get(f"{path}{httpx.QueryParams({'a': text})}".replace("a=", "", 1))
            assert answer.status_code in (200, 400, 404), (path, answer.text)

    def _holds(self, name: str, column: str, body: dict[str, Any], text: str) -> None:
        row, table = body["tables"][name][0], CRM[name]
        with self.ledger.reading() as connection:
            keys = [key for key in TABLES[name].key if is_text(TABLES[name][key])]
            found = select(table.c[column]).where(*(table.c[key] == row[key] for key in keys))
            assert text in connection.execute(found).scalars().all(), (name, column)
        self.kept.add((name, column))


@pytest.fixture(scope="module")
def sender(served: Served, crm: Crm) -> Iterator[Sender]:
    """Beside the ledger's tables there is one more, which no request may touch."""
    made = Sender(served, crm)
    with made.ledger.writing() as connection:
        connection.exec_driver_sql("CREATE TABLE canary (word TEXT)")
        connection.exec_driver_sql("INSERT INTO canary VALUES ('sings')")
    yield made
    made.http.close()


def sings(ledger: Ledger) -> bool:
    with ledger.reading() as connection:
        assert verify(connection) is None
        return list(connection.exec_driver_sql("SELECT word FROM canary")) == [("sings",)]


@pytest.mark.parametrize("text", [*SQL[:1], *(pytest.param(text, marks=pytest.mark.faults) for text in SQL[1:])])
def test_sql_in_any_field_is_a_text(sender: Sender, text: str) -> None:
    sender.everywhere(text)
    assert sings(sender.ledger)
    assert len(sender.kept) > 50  # the rest are references, and names of things that must be known
    assert not any(line.startswith(FORGED) for line in (sender.home / "serve.log").read_text().splitlines())


@pytest.mark.faults
@settings(max_examples=30, database=None, suppress_health_check=list(HealthCheck))
@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=60))
def test_any_text_in_any_field_is_a_text(sender: Sender, text: str) -> None:
    sender.everywhere(text)
    assert sings(sender.ledger)


@pytest.mark.faults
def test_an_address_in_any_field_is_not_called(sender: Sender) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        sender.everywhere(f"http://127.0.0.1:{listener.getsockname()[1]}/latest/meta-data/")
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_what_was_said_of_offers_is_kept_as_it_was_said(sender: Sender) -> None:
    """An offer that nobody knows yet parks its events: they too are texts."""
    text = f"{SQL[1]} of an offer"
    event = {"event_id": text, "offer_id": text, "kind": "rejected", "reason": "other", "text": text, "at": AT}
    assert sender.http.post("/record", json={"events": [event]}).json()["results"][0]["result"] == "parked"
    with sender.ledger.reading() as connection:
        assert connection.execute(select(EVENTS.c.event_id).where(EVENTS.c.event_id == text)).scalar_one() == text
    assert sings(sender.ledger)
