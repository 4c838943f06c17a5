"""As much of PromQL as our alerts and the dashboard speak: a query is read whole, or what is wrong with it is said."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NoReturn

_DURATION: Final = r"(?:\d+(?:ms|[smhdwy]))+|\$__rate_interval"
_TOKEN: Final = re.compile(
    rf'\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<range>\[(?:{_DURATION})\])|(?P<duration>{_DURATION})|'
    r"(?P<number>\d+(?:\.\d+)?)|(?P<name>[a-zA-Z_:][\w:]*)|(?P<sign>=~|!~|!=|==|>=|<=|[-+*/%^(){},=<>]))"
)
_BINDS: Final = {"or": 1, "and": 2, "unless": 2} | dict.fromkeys(("==", "!=", ">", "<", ">=", "<="), 3) | {
    "+": 4, "-": 4, "*": 5, "/": 5, "%": 5, "^": 6,
}  # fmt: skip
_SETS: Final = ("and", "or", "unless")
_GATHERS: Final = ("sum", "max", "min", "avg", "count")
#: What each function takes.
_TAKES: Final = {
    "absent": ("vector",), "vector": ("scalar",), "histogram_quantile": ("scalar", "vector"),
} | dict.fromkeys(
    ("rate", "increase", "delta", "max_over_time", "min_over_time", "avg_over_time"), ("range",)
)  # fmt: skip


@dataclass
class Query:
    """What a query asks: the metrics by the names of their samples, each with the function over its range, if one is.

    labels  by which it selects or gathers; values: by label what they are held to
    """

    metrics: list[tuple[str, str | None]] = field(default_factory=list)
    labels: set[str] = field(default_factory=set)
    values: dict[str, set[str]] = field(default_factory=dict)


def read(text: str) -> Query:
    """Read a query that yields a vector. Raises ValueError: it is none, or more than this knows."""
    reader = _Reader(text)
    kind = reader.binary(0)
    if reader.tokens[reader.at :] or kind != "vector":
        reader.wrong("it ends before it does" if reader.tokens[reader.at :] else f"a {kind} is no answer")
    return reader.query


class _Reader:
    def __init__(self, text: str) -> None:
        self.text, self.tokens, self.at, self.query = text, [], 0, Query()
        place = 0
        while text[place:].strip():
            found = _TOKEN.match(text, place)
            if found is None:
                self.wrong(f"{text[place : place + 20]!r} is no token")
            self.tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
            place = found.end()

    tokens: list[tuple[str, str]]

    def wrong(self, why: str) -> NoReturn:
        raise ValueError(f"{self.text}: {why}")

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")

    def take(self, *wanted: str) -> str:
        """The next token, which is of one of these kinds, or one of these signs."""
        kind, said = self.peek()
        if not {kind, said} & set(wanted):
            self.wrong(f"{said!r} in place of {' or '.join(wanted)}")
        self.at += 1
        return said

    def binary(self, least: int) -> str:
        left = self.one(None)
        while (how := _BINDS.get(self.peek()[1], 0)) > least:
            sign = self.take(*_BINDS)
            right = self.binary(how)
            if "range" in (left, right) or (sign in _SETS and "scalar" in (left, right)):
                self.wrong(f"a {left} {sign} a {right}")
            left = "vector" if "vector" in (left, right) else "scalar"
        return left

    def one(self, over: str | None) -> str:
        kind, said = self.peek()
        if kind == "number":
            self.take("number")
            return "scalar"
        if said == "(":
            self.take("(")
            inner = self.binary(0)
            self.take(")")
            return inner
        name = self.take("name")
        if name in _GATHERS:
            self.by()
            self.arguments(name, ("vector",))
            self.by()
            return "vector"
        if self.peek()[1] == "(":
            if name not in _TAKES:
                self.wrong(f"{name} is no function")
            self.arguments(name, _TAKES[name])
            return "vector"
        return self.selector(name, over)

    def by(self) -> None:
        if self.peek()[1] == "by":
            self.take("by")
            self.take("(")
            while self.peek()[1] != ")":
                self.query.labels.add(self.take("name"))
                if self.peek()[1] != ")":
                    self.take(",")
            self.take(")")

    def arguments(self, name: str, kinds: Sequence[str]) -> None:
        self.take("(")
        for place, wanted in enumerate(kinds):
            if place:
                self.take(",")
            found = self.one(name) if wanted == "range" else self.binary(0)
            if found != wanted:
                self.wrong(f"{name} takes a {wanted}, not a {found}")
        self.take(")")

    def selector(self, name: str, over: str | None) -> str:
        kind = "vector"
        if self.peek()[1] == "{":
            self.take("{")
            while self.peek()[1] != "}":
                label, sign = self.take("name"), self.take("=", "!=", "=~", "!~")
                said = self.take("string")[1:-1]
                self.query.labels.add(label)
                self.query.values.setdefault(label, set()).update(said.split("|") if "~" in sign else (said,))
                if self.peek()[1] != "}":
                    self.take(",")
            self.take("}")
        if self.peek()[0] == "range":
            self.take("range")
            kind = "range"
        if self.peek()[1] == "offset":
            self.take("offset")
            self.take("duration")
        self.query.metrics.append((name, over if kind == "range" else None))
        return kind
