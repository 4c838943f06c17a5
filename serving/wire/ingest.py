"""What is ingested: rows of CRM tables, each with its table's columns, and what became of them."""

from __future__ import annotations

from typing import Any, Final, Self

from pydantic import create_model, model_validator

from features.schema import TABLES
from serving.wire.base import Answer, Payload, row_payload

#: Rows of one request, all tables together: they are committed at once, and other writers wait meanwhile.
MAX_ROWS: Final = 5_000


def _rows(name: str) -> Any:
    """A list of rows of a table; of a row, only its key must be there, and not even that where it can be made."""
    table = TABLES[name]
    row = row_payload(
        f"{name.title().replace('_', '')}Row", name,
        f"A row of {name}. Of a stored row, columns that are left out stay as they are; null empties one.",
        () if table.made_key else table.key,
    )  # fmt: skip
    return (list[row] | None, None)  # type: ignore[valid-type]


_Tables = create_model("_Tables", __base__=Payload, **{name: _rows(name) for name in TABLES})


class IngestTables(_Tables):
    """Rows by table. An empty list says that the source has the table, and nothing in it."""

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if sum(len(getattr(self, name) or ()) for name in TABLES) > MAX_ROWS:
            raise ValueError(f"a request holds at most {MAX_ROWS:,} rows; send the rest in another one")
        return self

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """The rows by table, with the columns that were sent and no others."""
        return {name: rows for name, rows in self.model_dump(exclude_unset=True).items() if rows is not None}


class IngestAsk(Payload):
    """Rows of CRM tables, put in by key; all of them or none."""

    tables: IngestTables


class IngestAnswer(Answer):
    """seq: the number of this change, which every later answer of this worker knows; rows: how many, by table."""

    seq: int
    rows: dict[str, int]
