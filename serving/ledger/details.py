"""What explains a decision, as it is kept: zlib of JSON, from which an erasure takes what is said of single leads."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

Detail = Mapping[str, Any]

#: zlib's first level: half the time of the usual one, for a twentieth more bytes.
QUICK = 1
_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def pack(detail: Detail) -> bytes:
    """What is written of it: vectors as float32 in base64, for as decimals they would take most of its time and place.

    vectors  by candidate an array or a list, in which None or NaN is missing
    """
    vectors = {
        one: base64.b64encode(np.asarray(v, "<f4").tobytes()).decode() for one, v in detail.get("vectors", {}).items()
    }
    return zlib.compress(_JSON.encode({**detail, "vectors": vectors}).encode(), QUICK)


def unpack(body: bytes) -> dict[str, Any]:
    """What was written; its vectors as lists, to the last bit, None where a value is missing."""
    detail: dict[str, Any] = json.loads(text_of(body))
    vectors = {one: numbers(np.frombuffer(base64.b64decode(v), "<f4")) for one, v in detail.get("vectors", {}).items()}
    return {**detail, "vectors": vectors}


def numbers(values: np.ndarray) -> list[float | None]:
    """Each number as JSON can hold it, to the last bit; None where it is missing."""
    return [None if v != v else v for v in values.tolist()]


def text_of(body: bytes) -> str:
    """What was written as its JSON text, in which vectors are base64: cheaper than reading it whole."""
    return zlib.decompress(body).decode()


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
