"""What every payload and answer is made of: strict values, each with its bound, no field but those named."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    create_model,
)

from features.schema import TABLES, Column, Kind

MAX_K: Final = 100
MAX_PAIRS: Final = 5_000
MAX_BODY: Final = 1_000_000  # bytes
EARLIEST, LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def _in_range(instant: datetime) -> datetime:
    """The calendar of working hours, and microseconds in 64 bits, hold between these."""
    if not EARLIEST <= instant <= LATEST:
        raise ValueError(f"must lie between {EARLIEST:%Y-%m-%d} and {LATEST:%Y-%m-%d}")
    return instant


def _whole(value: object) -> object:
    """In JSON, 10.0 is an integer too."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


#: No database keeps a NUL in a text.
_KEPT: Final = r"^[^\x00]*$"
Id = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=200, pattern=_KEPT)]
Text = Annotated[str, StringConstraints(strict=True, max_length=1_000, pattern=_KEPT)]
Instant = Annotated[AwareDatetime, AfterValidator(_in_range)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]
K = Annotated[int, Field(strict=True, ge=1, le=MAX_K, description="How many items at most."), BeforeValidator(_whole)]

_KINDS: dict[Kind, Any] = {
    Kind.ID: Id, Kind.TEXT: Text, Kind.LIST: Text, Kind.TIME: Instant, Kind.MONEY: Number, Kind.NUMBER: Number,
    Kind.SHARE: Number, Kind.FLAG: Flag,
}  # fmt: skip


class Payload(BaseModel):
    """What a caller sends; a field that it does not name is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Answer(BaseModel):
    """What a caller gets; no field but these."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def row_payload(
    name: str, table: str, doc: str, required: tuple[str, ...], without: tuple[str, ...] = ()
) -> type[Payload]:
    """A payload with the columns of a table: names, types and ranges are the table's contract."""
    fields: dict[str, Any] = {}
    for column in TABLES[table].columns:
        if column.name not in without:
            kind = _typed(column)
            if column.name in required and column.kind is Kind.TEXT:
                kind = Annotated[kind, Field(min_length=1)]
            fields[column.name] = (kind, ...) if column.name in required else (kind | None, None)
    return create_model(name, __base__=Payload, __doc__=doc, **fields)


def _typed(column: Column) -> Any:
    if column.allowed:
        return Literal[column.allowed]
    kind = _KINDS[column.kind]
    if column.low is not None or column.high is not None:
        return Annotated[kind, Field(ge=column.low, le=column.high)]
    return kind


class ErrorBody(Answer):
    """code is stable: clients match on it, never on the message. field: what it is about, such as pairs[3].lead_id."""

    code: str
    message: str
    field: str | None


class ErrorAnswer(Answer):
    """Any answer that is not the one asked for."""

    error: ErrorBody
