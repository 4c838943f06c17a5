"""What explains a decision, as it is kept: zlib of JSON, from which an erasure takes what is said of single leads."""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Mapping
from typing import Any

Detail = Mapping[str, Any]


def pack(detail: Detail) -> bytes:
    """What is written of it."""
    return zlib.compress(json.dumps(detail, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode())


def unpack(body: bytes) -> dict[str, Any]:
    """What was written."""
    detail: dict[str, Any] = json.loads(zlib.decompress(body))
    return detail


def names(body: bytes, leads: Collection[str]) -> bool:
    """Whether it may be about one of the leads: cheaper than reading it."""
    text = zlib.decompress(body)
    return any(json.dumps(lead, ensure_ascii=False).encode() in text for lead in leads)


def without(detail: Detail, leads: Collection[str]) -> dict[str, Any]:
    """It with no reasons, features and names of these leads; their ids and scores stay, as those of nobody."""
    kept = {
        name: {one: said for one, said in detail[name].items() if one not in leads}
        for name in ("vectors", "facts")
        if name in detail
    }
    items = [
        item | {"reasons": []} if item.get("lead_id") in leads and "reasons" in item else item
        for item in detail["items"]
    ]
    return {**detail, **kept, "items": items}
