"""Every metric by name, once: what an operator watches. Labels come from short lists, never an id or personal data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from prometheus_client import Counter, Gauge, Histogram

_MILLISECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_HOUR: Final = 3600.0

REQUESTS: Final = Histogram(
    "callsheet_request_duration_seconds",
    "From the first byte of a request to the last of its answer. rung: what ranked, none where nothing did.",
    ("route", "rung", "status"), buckets=_MILLISECONDS,
)  # fmt: skip
WAITS: Final = Histogram(
    "callsheet_turn_wait_seconds", "How long a request waited until it was computed.", buckets=_MILLISECONDS
)
TURNED_AWAY: Final = Counter("callsheet_turned_away_total", "Requests that were refused, by the code.", ("code",))
RUNNING: Final = Gauge(
    "callsheet_turns_running", "Requests that are computed now, in all workers.", multiprocess_mode="livesum"
)
WAITING: Final = Gauge(
    "callsheet_turns_waiting", "Requests that wait to be computed, in all workers.", multiprocess_mode="livesum"
)
OPEN: Final = Gauge(
    "callsheet_requests_open", "Requests that are open in any state, in all workers.", multiprocess_mode="livesum"
)
DECISIONS: Final = Counter(
    "callsheet_decisions_total", "Answers that rank. given: advice, decision (recorded), offer (committed).",
    ("policy", "rung", "given"),
)  # fmt: skip
UNSEEN: Final = Counter(
    "callsheet_unseen_categories_total",
    "Categories in what was ranked for an answer that the model has never seen, by feature.", ("feature",),
)  # fmt: skip
REFUSALS: Final = Counter("callsheet_refusals_total", "Candidates that a rule refused, by the rule.", ("rule",))
FEEDBACK: Final = Counter("callsheet_feedback_total", "Events that were reported, by what became of them.", ("result",))
FEEDBACK_LAG: Final = Histogram(
    "callsheet_feedback_lag_seconds", "From an event to our knowing of it.",
    buckets=(1, 10, 60, 10 * 60, _HOUR, 6 * _HOUR, 24 * _HOUR, 3 * 24 * _HOUR, 7 * 24 * _HOUR, 30 * 24 * _HOUR),
)  # fmt: skip
MODEL_AGE: Final = Gauge(
    "callsheet_model_age_seconds", "Since the last fact that the model learned from; 0: this rung does not serve.",
    ("rung",), multiprocess_mode="livemax",
)  # fmt: skip
LEDGER_LAG: Final = Gauge(
    "callsheet_ledger_lag_changes", "Changes of the ledger that the slowest worker does not know yet.",
    multiprocess_mode="livemax",
)  # fmt: skip
LEDGER_STALE: Final = Gauge(
    "callsheet_ledger_stale_seconds", "Since when the slowest worker may not know what was committed.",
    multiprocess_mode="livemax",
)  # fmt: skip
OVERDUE: Final = Gauge(
    "callsheet_offers_overdue", "Open offers past the time by which they should have been answered.",
    multiprocess_mode="livemax",
)  # fmt: skip
EXPIRED: Final = Gauge(
    "callsheet_offers_expired", "Offers that expired without an answer, by whoever said so, since the ledger began.",
    multiprocess_mode="livemax",
)  # fmt: skip
UNPLACED: Final = Gauge(
    "callsheet_leads_unplaced", "Open leads without a rep, by what they wait for: reps, data, person, plan.",
    ("waits_for",), multiprocess_mode="livemax",
)  # fmt: skip
OFFERS: Final = Counter(
    "callsheet_offers_total",
    "Offers that this service made; those that the SLA sent on are /recommend_reps too, reassigned ones /record.",
    ("policy", "route"),
)
CHALLENGED: Final = Counter(
    "callsheet_challenger_answers_total",
    "Answers of the challenger. how: shadow, pilot. result: agrees or differs with the model that serves, error, "
    "skipped (it had more to look on at than it could).", ("how", "result"),
)  # fmt: skip
CHALLENGER_SECONDS: Final = Histogram(
    "callsheet_challenger_shadow_duration_seconds", "What looking on took, beside the answers.", buckets=_MILLISECONDS
)
CHALLENGER_REFUSED: Final = Gauge(
    "callsheet_challenger_refused", "1 where a worker cannot use the challenger that is named; its log says why.",
    multiprocess_mode="livemax",
)  # fmt: skip
GUARD_OFFERS: Final = Gauge(
    "callsheet_guard_offers", "Settled offers by which the guard judges the release on probation; 0: none is.",
    multiprocess_mode="livemostrecent",
)  # fmt: skip
GUARD_DIFFERENCE: Final = Gauge(
    "callsheet_guard_difference",
    "The share of them that was accepted, less that of the held-out ones, or of those before; 0: not known yet.",
    multiprocess_mode="livemostrecent",
)
GUARD_ROLLBACKS: Final = Counter("callsheet_guard_rollbacks_total", "Releases that the guard rolled back.")
ENDS: Final = Gauge(
    "callsheet_worker_ends", "Workers that ended unasked since the service started, by the signal or exit code.",
    ("how",), multiprocess_mode="livemax",
)  # fmt: skip

ALL: Final = (
    REQUESTS, WAITS, TURNED_AWAY, RUNNING, WAITING, OPEN, DECISIONS, REFUSALS, UNSEEN, FEEDBACK, FEEDBACK_LAG,
    MODEL_AGE, LEDGER_LAG, LEDGER_STALE, OVERDUE, EXPIRED, UNPLACED, OFFERS, CHALLENGED, CHALLENGER_SECONDS,
    CHALLENGER_REFUSED, GUARD_OFFERS, GUARD_DIFFERENCE, GUARD_ROLLBACKS, ENDS,
)  # fmt: skip


def decided(answer: Mapping[str, Any], route: str, offers: Iterable[str] = ()) -> None:
    """Count an answer that ranks, once it is written down or turns out to be advice, and whom its rules refused.

    offers  the policy of each offer that was committed with it
    """
    given = "decision" if answer.get("decision_id") else "advice"
    for policy in offers:
        OFFERS.labels(policy, route).inc()
        given = "offer"
    DECISIONS.labels(str(answer["policy"]), str(answer["rung"]), given).inc()
    for rule, refused in (answer.get("refused") or {}).items():
        REFUSALS.labels(rule).inc(refused)


def unseen(feature: str, met: int) -> None:
    """Count categories that the model which ranks has never seen."""
    UNSEEN.labels(feature).inc(met)


def exposition() -> tuple[bytes, str]:
    """What every worker of this service counted, as Prometheus reads it, and its content type."""
    from bentoml._internal.configuration.containers import BentoMLContainer

    client = BentoMLContainer.metrics_client.get()
    return client.generate_latest(), client.CONTENT_TYPE_LATEST
