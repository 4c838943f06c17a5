"""Every error that Callsheet raises on purpose, as one tree; clients match on `code`, never on the message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from features.counted import counted


class CallsheetError(Exception):
    """Something that a person can put right; the message says where it is and what to do.

    code       stable name of the kind of error, the same in the API, the command line and the logs
    exit_code  what the command line ends with: 1 the answer is no, 2 wrong usage or configuration, 3 it broke
    status     the HTTP status it becomes
    field      the field, option or configuration path it is about, where there is one
    outside    what callers over HTTP are told instead of the message, which then is for the log and the command line
    """

    code = "internal"
    exit_code = 3
    status = 500
    outside: str | None = None

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions rebuild from args alone, so `field` would be lost on the way back from a worker process.
        return _rebuild, (type(self), self.args, self.__dict__)

    def __str__(self) -> str:
        return self.message


def _rebuild(kind: type[CallsheetError], args: tuple[object, ...], state: dict[str, object]) -> CallsheetError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


class UsageError(CallsheetError):
    """The caller asked for something that cannot be: an option, an argument, a missing file."""

    code = "usage"
    exit_code = 2
    status = 400


class ConfigError(UsageError):
    """callsheet.yaml is wrong; `field` is the path of the key, such as markets.banks.revenue."""

    code = "config_invalid"


class MappingError(UsageError):
    """A mapping's SQL, or the source file that it reads, is wrong."""

    code = "mapping_invalid"


class UnknownId(CallsheetError):
    """A lead, rep, contact or account that the book does not hold; code is lead_unknown, rep_unknown, …"""

    exit_code = 1
    status = 404

    def __init__(self, entity: str, value: str, *, field: str | None = None) -> None:
        super().__init__(f"There is no {entity} {value!r} in the data.", field=field or f"{entity}_id")
        self.code = f"{entity}_unknown"


class InputError(CallsheetError):
    """A request's field breaks its contract."""

    code = "input_invalid"
    exit_code = 2
    status = 400


@dataclass(frozen=True)
class Breach:
    """One way in which a table breaks its contract.

    rows are numbers as a person counts them in the file: the first row of data is 1 (the header has none).
    value is the first offending value, or None where there is none to show.
    """

    table: str
    column: str
    rows: tuple[int, ...]
    value: str | None
    expected: str

    def as_dict(self) -> dict[str, object]:
        """The breach as one row of a listing."""
        return asdict(self) | {"rows": list(self.rows), "count": len(self.rows)}


class TableError(CallsheetError):
    """One or more tables break their contracts, so nothing of the snapshot is used; `breaches` lists them all."""

    code = "table_invalid"
    exit_code = 1
    status = 400

    def __init__(self, breaches: Sequence[Breach]) -> None:
        self.breaches = tuple(breaches)
        first = self.breaches[0]
        where = f" in rows {', '.join(map(str, first.rows[:5]))}" if first.rows else ""
        more = (
            f" (and {counted(len(self.breaches) - 1, 'more breach', 'more breaches')})"
            if len(self.breaches) > 1
            else ""
        )
        super().__init__(
            f"{first.table}.{first.column}: expected {first.expected}{where}{more}. Nothing was loaded.",
            field=f"{first.table}.{first.column}",
        )


class ModelError(CallsheetError):
    """A model cannot be used: damaged, foreign, or made for other features."""

    code = "model_invalid"
    exit_code = 3
    status = 503


class ModelGone(ModelError):
    """A model's files are not kept here, or not any more."""

    code = "model_gone"


class ModelHeldBack(ModelError):
    """A model may not compute for a while, because workers crashed by it."""

    code = "model_held_back"


class NotEnoughData(CallsheetError):
    """The data cannot teach or judge a model; the rules serve."""

    code = "not_enough_data"
    exit_code = 1
    status = 409


class Refused(CallsheetError):
    """The gate, or a verification, says no."""

    code = "refused"
    exit_code = 1
    status = 409


class Conflict(CallsheetError):
    """Someone else changed it first (compare-and-set); read again and decide again."""

    code = "conflict"
    exit_code = 1
    status = 409
