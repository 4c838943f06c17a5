"""What the challenger looked on at, as rows for people and programs."""

from __future__ import annotations

from typing import Any, Final

from serving.ledger.releases import Released
from serving.ledger.shadows import Watched

#: first: whom the challenger ranks first, beside the model that serves; foretold: mean p_accept of the answered offers.
SHADOW_COLUMNS: Final = (
    "model_version", "first", "decisions", "answered", "accepted", "foretold_by_serving", "foretold_by_challenger",
)  # fmt: skip


def shadow_rows(seen: tuple[Released, Watched] | None) -> list[dict[str, Any]]:
    """One row for each part of the decisions; accepted and foretold are shares of the answered offers."""
    if seen is None:
        return []
    model, found = seen
    rows = [
        {
            "model_version": model.version, "first": "the same" if part.agrees else "another",
            "decisions": part.decisions, "answered": part.answered,
            "accepted": part.accepted / part.answered if part.answered else None,
            "foretold_by_serving": part.serving, "foretold_by_challenger": part.p_accept,
        }
        for part in found.parts
    ]  # fmt: skip
    if found.errors:
        rows.append(
            dict.fromkeys(SHADOW_COLUMNS)
            | {"model_version": model.version, "first": "failed", "decisions": found.errors}
        )  # fmt: skip
    return rows
