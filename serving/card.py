"""What serves now, and how well it did when it was judged; and the challenger beside it."""

from __future__ import annotations

from typing import Any

from serving.instants import iso, micros
from serving.recommend import Recommender
from serving.trial import Contender

#: What of a model's card is shown.
SHOWN = ("recipe", "heads", "rounds", "rows", "behaviour", "about", "lightgbm")


def card_of(recommender: Recommender) -> dict[str, Any]:
    """What GET /model answers."""
    standing, release = recommender.standing, recommender.standing.release
    card = standing.product.card if standing.product else {}
    now = recommender.now
    return recommender.signed(standing, standing.rung, standing.reason, now) | {
        "revision": release.revision if release else None,
        "content_hash": standing.product.content_hash if standing.product else None,
        "market_fingerprint": recommender.config.market_fingerprint,
        "promoted_at": release.promoted_at.strftime("%Y-%m-%dT%H:%M:%SZ") if release else None,
        "reason": release.reason if release else None, "forced": bool(release and release.forced),
        "gate": dict(release.gate) if release else {}, "card": {k: card[k] for k in SHOWN if k in card},
        "leads": len(recommender.book.lead_ids), "reps": len(recommender.book.rep_ids),
        "open_leads": len(recommender.open_at(now)), "challenger": _challenger(recommender.contender),
    }  # fmt: skip


def _challenger(found: Contender | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "model_version": found.model.version, "content_hash": found.model.content_hash,
        "revision": found.named.revision, "since": iso(micros(found.named.at)), "reason": found.named.reason,
        "usable": found.product is not None, "refused_because": found.reason,
    }  # fmt: skip
