"""The body of a request: JSON, no larger and no slower than it may be, read once and checked against its payload."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from serving.crowd import Crowd
from serving.refusal import Turned
from serving.wire.base import MAX_BODY
from serving.wire.record import KINDS, without_tag

M = TypeVar("M", bound=BaseModel)
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

#: A body of at most MAX_BODY that takes longer is sent by someone who wants to hold the connection.
BODY_SECONDS: Final = 10.0


def accepts(headers: Mapping[bytes, bytes]) -> None:
    """Let only JSON in UTF-8 by, and not compressed. Raises Turned (415)."""
    media, _, rest = headers.get(b"content-type", b"").partition(b";")
    charset = rest.strip().lower().replace(b'"', b"")
    if media.strip().lower() != b"application/json" or charset not in (b"", b"charset=utf-8"):
        raise Turned(415, "content_type", "Send JSON in UTF-8: content-type: application/json.")
    if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        raise Turned(415, "content_encoding", "Send the body uncompressed.")


async def read(headers: Mapping[bytes, bytes], receive: Receive, crowd: Crowd) -> bytes:
    """The body, read to its end or to the cap, whichever comes first.

    Raises Turned: body_too_large (413), body_incomplete (400), body_timeout (408), overloaded (503)
    """
    too_large = Turned(413, "body_too_large", f"A body holds at most {MAX_BODY:,} bytes.")
    length = headers.get(b"content-length", b"0")
    if not length.isdigit() or int(length[:20]) > MAX_BODY:
        raise too_large
    parts: list[bytes] = []
    size = 0
    try:
        with crowd.body() as hold:
            async with asyncio.timeout(BODY_SECONDS):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Turned(400, "body_incomplete", "The connection ended before the body did.")
                    part = message.get("body", b"")
                    size += len(part)
                    hold(len(part))
                    if size > MAX_BODY:
                        raise too_large
                    parts.append(part)
                    if not message.get("more_body", False):
                        return b"".join(parts)
    except TimeoutError:
        raise Turned(408, "body_timeout", f"The body did not arrive within {BODY_SECONDS:.0f} s.") from None


def checked(model: type[BaseModel], body: bytes) -> BaseModel:
    """The body as a payload. Raises Turned (400), naming the first field that is wrong but never its value."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise _refusal(error) from None


def checked_query(model: type[M], given: Iterable[tuple[str, str]]) -> M:
    """The parameters behind a path, each at most once. Raises Turned (400), as `checked`."""
    found: dict[str, str] = {}
    for name, value in given:
        if name in found:
            raise Turned(400, "input_invalid", "Give it once.", field=_path((name,)))
        found[name] = value
    try:
        return model.model_validate(found)
    except ValidationError as error:
        raise _refusal(error) from None


def _refusal(error: ValidationError) -> Turned:
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return Turned(400, "json_invalid", "The body is no JSON, or nested too deeply.")
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    place, message = without_tag(first["loc"]), first["msg"].removeprefix("Value error, ")
    if first["type"].startswith("union_tag"):  # pydantic's own words would repeat what was sent
        place, message = (*place, "kind"), f"One of {', '.join(KINDS)}"
    return Turned(400, "input_invalid", f"{message}{more}.", field=_path(place))


def _path(place: tuple[int | str, ...]) -> str | None:
    """("pairs", 3, "lead_id") as pairs[3].lead_id."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")
    return text[:200] or None
