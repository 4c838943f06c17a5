"""Why a decision was made, years later: what was written down, and the model of then asked again."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from features.errors import CallsheetError, ModelGone, ModelHeldBack
from features.matrix import Matrix
from models.product import Product
from serving.computing import computing
from serving.instants import iso, micros
from serving.ledger.decisions import Told
from serving.reasons import by_rule
from serving.reasons import told as told_by

log = logging.getLogger(__name__)

Answer = dict[str, Any]
#: A model by its content hash. Raises ModelGone where it is not kept any more, another ModelError where it may not be
#: asked for now, or cannot be.
Load = Callable[[str], Product]


def explained(told: Told, load: Load, lead: Answer | None = None) -> Answer:
    """A decision as it was answered, and what came of it.

    lead       where its lead is now
    replay     the model of then on the features of then: whether it says the same, or why it cannot be asked; null
               where no model scored, or the decision's particulars were erased with the contact that they were about
    shadow     whom the challenger would have taken, where it looked on
    reasons    of each line that was shown, made anew from both and from the names that were known then; where no
               model scored, the rule that ranked it
    """
    row, detail = told.row, told.detail
    answer = {name: row[name] for name in _KEPT} | {
        "at": iso(micros(row["at"])), "as_of": iso(micros(row["as_of"])),
        "degraded": row["degraded_reason"] is not None,
        "refused": json.loads(row["refused"]), "erased": detail is None, "offers": [_offer(one) for one in told.offers],
        "events": [_event(one) for one in told.events],
        "items": [], "scores": [], "features": {}, "refused_ids": {}, "unplaced": [], "replay": None,
        "shadow": told.shadow, "lead": lead,
    }  # fmt: skip
    if detail is None:
        return answer
    replay, reasons = replayed(row, detail, load)
    named = detail["ranked"]
    items = [item | {"reasons": item.get("reasons") or reasons.get(item.get(named), [])} for item in detail["items"]]
    columns = ("score", "p_accept", "p_convert", "expected_value", "propensity")
    scores = [
        {named: one} | {name: detail[name][place] for name in columns} for place, one in enumerate(detail["candidates"])
    ]  # fmt: skip
    features = {one: dict(zip(detail["columns"], vector, strict=True)) for one, vector in detail["vectors"].items()}
    return answer | {
        "items": items, "scores": scores, "features": features, "refused_ids": detail["refused"], "replay": replay,
        "unplaced": detail.get("unplaced", []),
    }  # fmt: skip


_KEPT = (
    "decision_id", "actor", "route", "lead_id", "rep_id", "policy", "rung", "degraded_reason", "model_version",
    "content_hash", "feature_version", "config_fingerprint", "inputs_hash", "book_seq", "candidates",
)  # fmt: skip


def replayed(
    row: Mapping[str, Any], detail: Mapping[str, Any], load: Load, only: str | None = None
) -> tuple[Answer | None, dict[str, list[Answer]]]:  # fmt: skip
    """What the model of then says today of a decision, and the reasons of each line, by whom it names; only: of one."""
    facts = detail.get("facts", {})  # decisions of earlier versions kept none
    # What is held stands above the candidates and is none of them: of it the line alone says what it was worth.
    lines = {item[detail["ranked"]]: (item["score"], item["expected_value"]) for item in detail["items"]}
    ranked = zip(detail["candidates"], zip(detail["score"], detail["expected_value"], strict=True), strict=True)
    worth = lines | dict(ranked)
    reasons = {
        one: by_rule(worth[one][0], facts.get(one, {}))
        for one in lines
        if only in (None, one) and worth[one][1] is None
    }
    shown = [one for one in detail["vectors"] if one in worth and only in (None, one)]
    scored = [one for one in shown if worth[one][1] is not None]
    if row["content_hash"] is None or not scored:
        return None, reasons
    try:
        product = load(row["content_hash"])
    except CallsheetError as error:
        return {"model": _state(error), "agrees": None, "because": str(error)}, reasons
    values = np.array([detail["vectors"][one] for one in scored], dtype=np.float32)  # None reads as NaN
    blank, then = np.full(len(scored), "", object), np.full(len(scored), micros(row["as_of"]), np.int64)
    matrix = Matrix(values, tuple(detail["columns"]), blank, blank, then, product.vocabulary)
    written = np.array([worth[one][0] for one in scored])
    with computing(product.content_hash):
        same = bool(np.array_equal(product.predict(matrix).score, written))
    by_model = told_by(product, matrix, [facts.get(one, {}) for one in scored])
    return {"model": "here", "agrees": same, "because": None}, reasons | dict(zip(scored, by_model, strict=True))


def _state(error: CallsheetError) -> str:
    """Why a model cannot be asked, in a word."""
    if isinstance(error, ModelHeldBack):
        return "held_back"
    return "gone" if isinstance(error, ModelGone) else "unusable"


def _offer(row: Mapping[str, Any]) -> Answer:
    at = {name: iso(micros(row[name])) if row[name] else None for name in ("offered_at", "answered_at", "converted_at")}
    kept = ("offer_id", "lead_id", "rep_id", "attempt", "policy", "propensity", "answer", "reject_reason",
            "opportunity_id")  # fmt: skip
    return {name: row[name] for name in kept} | at


def _event(row: Mapping[str, Any]) -> Answer:
    return {
        "event_id": row["event_id"], "offer_id": row["offer_id"], "kind": row["kind"], "actor": row["actor"],
        "at": iso(micros(row["at"])), "received_at": iso(micros(row["received_at"])),
    }  # fmt: skip
