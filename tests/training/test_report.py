"""The report's page: it stands alone, says the verdict as it is, and lets no name on it become a tag."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest

from training.paper import between, table
from training.report.kept import Kept
from training.report.page import SECTIONS, page

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 40
LOST = {"lost": {"ndcg_at_5": [0.01, 0.002, 0.018]}, "by_cut": [0.01]}


def kept(**changes: Any) -> Kept:
    """A run's remains, made up."""
    recipes = pd.DataFrame(
        [
            ("Callsheet ranker", "ranker", "ndcg_at_5", 0.6, 0.5, 0.7, None, None, None),
            ("Callsheet ranker", "ranker", "accept_at_3", 0.45, 0.4, 0.5, None, None, None),
            ("Rules: owner, else territory", "rules", "ndcg_at_5", 0.5, 0.4, 0.6, 0.1, 0.03, 0.17),
            ("Rules: owner, else territory", "rules", "accept_at_3", 0.35, 0.3, 0.4, 0.1, 0.05, 0.15),
        ],
        columns=["recipe", "kind", "metric", "value", "low", "high", "lead", "lead_low", "lead_high"],
    )
    slices = pd.DataFrame(
        [("role", "inside", 300, recipe, "ndcg_at_5", value, value - 0.1, value + 0.1)
         for recipe, value in (("Callsheet ranker", 0.7), ("Rules: owner, else territory", 0.6))],
        columns=["slice", "part", "offers", "recipe", "metric", "value", "low", "high"],
    )  # fmt: skip
    made = Kept(
        run_id="a1b2", name="Model 3", version="3", trained=datetime(2026, 7, 1, 9, 30, tzinfo=UTC),
        said="The ranker beats every baseline.",
        params={
            "data.source": "exports/may", "data.until": "2026-06-30", "data.now": "2026-06-30T12:00:00Z", "seed": "7",
            "data.fingerprint": "d4", "data.missing": "", "recipe.name": "standard", "recipe.fingerprint": "4e",
            "config.fingerprint": "c0", "config.market_fingerprint": "m4", "feature_version": "f3",
            "cuts": "2026-01-05, 2026-02-02", "code.version": "0.1.0", "code.lock": "10c4",
        },
        metrics={
            "test/offers": 2503, "calibration_error_accept": 0.02, "calibration_error_accept_by_chance": 0.03,
            "threshold/accept_one_in_three/share": 0.44, "threshold/accept_one_in_three/low": 0.4,
            "threshold/accept_one_in_three/high": 0.48, "threshold/accept_one_in_three/forecast": 0.42,
            "threshold/accept_one_in_three/offers": 767, "seconds/fits": 31.2,
        },
        tables={
            "recipes": recipes, "slices": slices,
            "labels": pd.DataFrame([("offers", 12000, ""), ("withdrawn", 138, "left out: the rep had no say")],
                                   columns=["rule", "offers", "meaning"]),
            "blocks": pd.DataFrame([("train", 10777, 3152)], columns=["block", "offers", "accepted"]),
            "value": pd.DataFrame(
                [("Callsheet ranker", reward, estimator, value, value - 0.02, value + 0.02, 300.0, 0.99, None)
                 for reward, estimator, value in (("converted", "dr", 0.09), ("converted", "gain", 0.03),
                                                  ("accepted", "dr", 0.4), ("converted", "logged", 0.06),
                                                  ("accepted", "logged", 0.3))]
                + [("Random", "converted", None, None, None, None, None, None, "The log has no support for it.")],
                columns=["recipe", "reward", "estimator", "value", "low", "high", "effective_sample_size", "overlap",
                         "refused"],
            ).astype(object).where(lambda frame: frame.notna(), None),
        },
        features={
            "families": [{"name": "graph", "features": 9, "dropped": LOST, "permuted": LOST, "shares": [0.1, 0.2],
                          "cost_ms": 6.0}],
            "features": [{"name": "tie_strength", "family": "graph", "means": "How strong the tie is.", "known": 0.5,
                          "shares": [0.1, 0.2], "permuted": None, "shift": None, "cost_ms": 0.2}],
            "agreement": 0.8, "unused": [],
            "canaries": {"text": "No canary ranks: all is well.", "singing": [], "columns": 91, "added": LOST,
                         "kinds": {"noise": {"columns": ["noise_1"], "share": 0.01, "place": 40, "permuted": LOST}}},
        },
        card={"heads": {"accept": {"estimable": True}, "convert": {"estimable": False, "reason": "only 3 converted"}}},
        gate=None, plots={"calibration": PNG},
    )  # fmt: skip
    return replace(made, **changes)


def gate(passed: bool) -> dict[str, Any]:
    checks = [{"name": "beats_rules", "passed": passed, "numbers": {}, "text": "Ahead of the rules by 0.1."}]
    return {"passed": passed, "reason": "All is met." if passed else "Behind the rules.", "checks": checks}


def test_the_page_stands_alone() -> None:
    html = page(kept())
    assert html.startswith("<!doctype html>")
    assert not re.search(r"<script|<link|<iframe|@import|url\(|https?:", html)
    assert re.findall(r'src="([^"]{0,22})', html) == ["data:image/png;base64,"]
    for anchor, (question, _) in SECTIONS.items():
        assert f'<a href="#{anchor}">{question}</a>' in html
        assert f'<h2 id="{anchor}">{question}</h2>' in html


def test_what_counts_stands_first() -> None:
    top = page(kept(), "This model serves since 1 July.").split("<nav>")[0]
    for said in ("Model 3: standard recipe", "1 July 2026, 09:30", "exports/may", "2,503 offers", "serves since",
                 "The ranker beats every baseline.", "No canary ranks", "0.600", "the rules: 0.500", "44%",
                 "40% to 48%; forecast 42%: kept; 767 offers"):  # fmt: skip
        assert said in top, said


@pytest.mark.parametrize(
    ("judged", "word", "tone"),
    [(None, "Not judged yet", "wait"), (gate(True), "The gate let it pass", "good"), (gate(False), "refused", "bad")],
)
def test_the_verdict_is_said_as_it_is(judged: dict[str, Any] | None, word: str, tone: str) -> None:
    html = page(kept(gate=judged))
    assert f'class="card said {tone}"' in html
    assert word in html
    assert ("callsheet promote --model 3" in html) is (judged is None)
    assert ("NOT MET" in html) is (judged is not None and not judged["passed"])


@pytest.mark.parametrize(("forecast", "said"), [(0.4, "kept"), (0.48, "kept"), (0.39, "NOT KEPT"), (0.49, "NOT KEPT")])
def test_a_threshold_says_whether_it_kept_its_promise(forecast: float, said: str) -> None:
    metrics = kept().metrics | {"threshold/accept_one_in_three/forecast": forecast}
    assert f"forecast {forecast:.0%}: {said};" in page(kept(metrics=metrics))


def test_canaries_are_called_what_they_are() -> None:
    flown = kept().features["canaries"]
    kinds = flown["kinds"] | {"day_before": flown["kinds"]["noise"]}
    html = page(kept(features={**kept().features, "canaries": flown | {"kinds": kinds}}))
    assert "what strong features were a day before, less what they are now" in html


def test_a_check_that_could_not_be_tried_is_not_said_to_be_met() -> None:
    judged = gate(True)
    judged["checks"][0]["tried"] = False
    html = page(kept(gate=judged))
    assert "not tried" in html
    assert '<b class="ok">met</b>' not in html


def test_a_value_is_told_where_the_log_supports_it_and_refused_where_it_does_not() -> None:
    html = page(kept())
    assert "+0.030 <small>(+0.010 to +0.050)</small>" in html
    assert "What the past got: 30.0% accepted, 6.0% converted." in html
    assert "The log has no support for it." in html


def test_a_probability_that_cannot_be_told_says_why() -> None:
    assert "cannot be told: only 3 converted" in page(kept())


@pytest.mark.parametrize(
    ("error", "said"), [(0.029, "within chance"), (0.039, "that the gate allows"), (0.041, "<b class=\"no\">beyond")]
)  # fmt: skip
def test_a_calibration_error_is_held_to_chance_and_the_gates_allowance(error: float, said: str) -> None:
    assert said in page(kept(metrics=kept().metrics | {"calibration_error_accept": error}))


def test_names_of_the_data_stay_text() -> None:
    evil = kept().tables["slices"].assign(part="<img src=x onerror=alert(1)>")
    html = page(kept(tables={**kept().tables, "slices": evil}, params=kept().params | {"data.source": "<b>$(rm)</b>"}))
    assert "<img src=x" not in html
    assert "<b>$" not in html
    assert "&#x27;&lt;b&gt;$(rm)&lt;/b&gt;&#x27;" in html, "the command is quoted for a shell, then for the page"


def test_it_says_how_to_make_the_model_again() -> None:
    html = page(kept())
    assert "callsheet train --data exports/may --recipe standard --seed 7 --as-of 2026-06-30T12:00:00Z" in html
    assert "10c4" in html


def test_numbers_with_and_without_an_interval() -> None:
    assert between([0.1234, 0.1, 0.15]) == "0.123 <small>(0.100 to 0.150)</small>"
    assert between([0.1234, None, None], 2, sign=True) == "+0.12"
    assert between([None]) == between([]) == between([float("nan"), 0.0, 1.0]) == "–"


def test_a_table_escapes_cells_and_has_no_head_where_there_is_nothing_to_say() -> None:
    made = table(("", ""), [("a", "<b>")])
    assert "<thead>" not in made
    assert "&lt;b&gt;" in made
