"""What a worker writes down: lines that a program can read, and never what a request held, not even when it breaks."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final

LOG: Final = "CALLSHEET_LOG"
#: One line a request, where lines are asked for.
REQUESTS: Final = logging.getLogger("serving.requests")
#: Whose handlers a BentoML worker has.
_LOGGERS: Final = ("", "bentoml", "uvicorn.error", "circus")

_Trouble = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def story(error: BaseException) -> str:
    """Where it broke and what kind of error it was, with its causes; not its message, which may repeat a request."""
    told: list[str] = []
    seen: set[int] = set()
    now: BaseException | None = error
    while now is not None and id(now) not in seen:
        seen.add(id(now))
        frames = [f"{f.filename}:{f.lineno} in {f.name}" for f in traceback.extract_tb(now.__traceback__)]
        told.append("\n  ".join((f"{type(now).__module__}.{type(now).__qualname__}", *frames)))
        now = now.__cause__ or (None if now.__suppress_context__ else now.__context__)
    return "\nbecause of ".join(told)


class Text(logging.Formatter):
    """As BentoML writes a line; one message is one line, and a crash tells no more than its story."""

    def formatException(self, ei: Any) -> str:
        """The story of what is being handled."""
        return story(ei[1]) if ei[1] else ""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The message without its own ends of lines, which would make a second line that we never wrote."""
        record.message = record.message.replace("\r", "\\r").replace("\n", "\\n")
        return super().formatMessage(record)


class Lines(Text):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """at, level, logger, message, and what else the line is about."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage(),
        }  # fmt: skip
        line |= getattr(record, "about", {})
        if record.exc_info and record.exc_info[1]:
            line["story"] = story(record.exc_info[1])
        return json.dumps(line, ensure_ascii=True, default=str)


def configure(environment: Mapping[str, str] = os.environ) -> None:
    """Make every line that this process writes such a line: JSON with CALLSHEET_LOG=json, else as BentoML has it."""
    as_json = environment.get(LOG) == "json"
    for name in _LOGGERS:
        for handler in logging.getLogger(name).handlers:
            old = handler.formatter
            layout = old._fmt if old else None
            handler.setFormatter(Lines() if as_json else Text(layout, old.datefmt if old else None))
    if as_json:
        logging.getLogger("serving").setLevel(logging.INFO)
    REQUESTS.setLevel(logging.INFO if as_json else logging.WARNING)
    sys.excepthook = lambda kind, error, trace: logging.getLogger("serving").critical(
        "The process ends", exc_info=(kind, error, trace)
    )


def who(actor: str) -> str:
    """An actor's name for a line; an issuer may name its subjects by e-mail, so that is told by a hash."""
    kind, _, subject = actor.partition(":")
    return f"oidc#{hashlib.sha256(subject.encode()).hexdigest()[:12]}" if kind == "oidc" else actor


def request(**about: Any) -> None:
    """One request: its id, route, status, milliseconds, who asked, and the code it was refused with; no more."""
    REQUESTS.info("request", extra={"about": about})
