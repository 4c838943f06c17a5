"""What a person is shown: listings that lose nothing, answers with their reasons, and the rules by name."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from features.eligibility import RULES
from serving.listing import FORMATS, console, show
from serving.present import REFUSED, RUNGS, Names, refusals, show_answer
from serving.present_runs import show_counts, show_recipes_of, show_runs
from tests.features.crm_files import read
from training.compare import Compared
from training.contestants import RANKER, TITLES
from training.label_counts import MEANING, LabelCounts

ROWS = [
    {"id": "0110", "n": 12_000, "share": 0.123456789, "note": None, "rows": [1, 2, 3]},
    {"id": "[red]x", "n": 0, "share": float("nan"), "note": 'a "quoted", cell', "rows": []},
]
COLUMNS = ("id", "n", "share", "note", "rows")
NAMES = Names({"R1": "Ann, inside"}, {"L1": "CFO at Acme: payments"})


def _listed(format: str, rows: list[dict[str, Any]] = ROWS) -> str:
    out = io.StringIO()
    show(rows, COLUMNS, format=format, out=out)
    return out.getvalue()


def test_json_is_exact_and_has_null_for_what_is_not_known() -> None:
    rows = json.loads(_listed("json"))
    assert rows[0] == ROWS[0]
    assert rows[1]["share"] is None


def test_csv_round_trips_with_exact_numbers() -> None:
    first, second = csv.DictReader(io.StringIO(_listed("csv")))
    assert (first["id"], float(first["share"]), first["rows"], first["note"]) == ("0110", 0.123456789, "1;2;3", "")
    assert (second["share"], second["note"]) == ("", 'a "quoted", cell')


def test_no_text_of_a_csv_listing_is_run_as_a_formula_and_a_table_reads_it_back(tmp_path: Path) -> None:
    names = ["=HYPERLINK(1)", "+1", "-1", "@x", "\tx", "\rx", "\nx", "'=x", "'x", "a\rb", "x"]
    out = io.StringIO(newline="")
    rows = [{"rep_id": f"R{n}", "name": name, "role": "inside", "change": -5.5} for n, name in enumerate(names)]
    show(rows, ("rep_id", "name", "role", "change"), format="csv", out=out)
    cells = list(csv.reader(io.StringIO(out.getvalue(), newline="")))[1:]
    assert not [row for row in cells if row[1].startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]
    assert {row[3] for row in cells} == {"-5.5"}
    show(rows, ("rep_id", "name", "role"), format="csv", out=(tables := io.StringIO(newline="")))
    assert read(tmp_path, reps=tables.getvalue()).tables["reps"]["name"].tolist() == names


def test_a_table_shows_markup_as_it_is_and_a_dash_for_nothing() -> None:
    shown = _listed("table")
    assert "[red]x" in shown
    assert "12,000" in shown
    assert "–" in shown


@pytest.mark.parametrize(
    ("format", "said"), list(zip(FORMATS, ["Nothing to list.\n", "[]\n", "id,n,share,note,rows\n"], strict=True))
)
def test_an_empty_listing_is_still_a_listing(format: str, said: str) -> None:
    assert _listed(format, []) == said


def test_every_rule_and_rung_has_words() -> None:
    assert set(REFUSED) == set(RULES)
    assert set(RUNGS) >= {"champion", "last_good", "challenger", "owner_territory", "hash"}


def _answer(**more: Any) -> dict[str, Any]:
    item = {
        "rank": 1, "rep_id": "R1", "p_accept": 0.41, "p_convert": 0.0712,
        "reasons": [
            {"feature": "a", "effect": -0.2, "text": "Acme is outside your segment."},
            {"feature": "b", "effect": 0.3, "text": "You meet Acme on 5 March."},
        ],
    }  # fmt: skip
    return {
        "lead_id": "L1", "as_of": "2026-03-02T09:00:00Z", "rung": "champion", "degraded": False,
        "degraded_reason": None, "model_version": "7", "candidates": 5, "refused": {"territory": 1, "capacity_full": 3},
        "items": [item],
    } | more  # fmt: skip


def _shown(answer: dict[str, Any]) -> str:
    out = io.StringIO()
    show_answer(answer, NAMES, console(out))
    return out.getvalue()


def test_an_answer_names_people_chances_and_reasons_what_helps_first() -> None:
    shown = _shown(_answer())
    assert "Reps for lead L1  CFO at Acme: payments" in shown
    assert "by the released model 7" in shown
    assert "41%" in shown
    assert "7.1%" in shown
    assert shown.index("+ You meet Acme") < shown.index("- Acme is outside")
    assert "5 looked at; refused: 3 no room this week, 1 outside the rep's territory." in shown


def test_where_rules_rank_it_says_so_and_shows_no_chance() -> None:
    bare = {"rank": 1, "rep_id": "R1", "p_accept": None, "p_convert": None, "reasons": []}
    shown = _shown(
        _answer(rung="hash", degraded=True, degraded_reason="not enough data", model_version=None, items=[bare])
    )
    assert "Degraded: not enough data" in shown
    assert "accepts" not in shown
    assert "because" not in shown


def test_nobody_is_an_answer_too() -> None:
    assert "Nobody may take it." in _shown(_answer(items=[]))
    assert refusals({"candidates": 4, "refused": {}}) == "4 looked at, none refused."


def test_the_account_of_the_offers_fits_a_terminal() -> None:
    log = {"offers": 123_456, "left out: buyer": 12, "kept although: territory": 3, "examples": 9} | {
        rule: 12_345 for rule in MEANING if ":" not in rule and rule not in ("left out", "kept although")
    }
    known = {"offers": 9, "accepted": 3, "worth, in offers past it": 0, "won": 0}
    screen = Console(width=80, record=True)
    with screen.capture() as shown:
        show_counts(LabelCounts(log, {"train": known, "calibrate": known, "test": known | {"won": 1}}), screen)
    lines = shown.get().splitlines()
    assert max(len(line) for line in lines) <= 80
    assert not any("…" in line for line in lines)
    assert any(line.split()[:5] == ["against", "a", "rep's", "filters", "3"] for line in lines)
    assert any(line.split() == ["won", "–", "–", "1"] for line in lines)
    assert not any("worth" in line for line in lines)


def _compared(key: str, **changes: Any) -> Compared:
    metrics = {"ndcg_at_5": (0.591, 0.533, 0.649), "accept_at_3": (0.464, 0.422, 0.505)}
    ranker = key == RANKER
    return Compared(
        run_id="643ba8d130974a6ebca11276906ee571", name="Model 3: standard recipe, data to 2026-06-30, seed 0"
        if ranker else TITLES[key], started=datetime(2026, 7, 1, tzinfo=UTC), version="3", gate="passed",
        params={"recipe.linear.crosses": json.dumps([{"columns": ["rep_id"]}] * 26), "recipe.name": "standard"},
        metrics=metrics, kind=RANKER if ranker else "baseline", lead=None if ranker else (0.09, 0.057, 0.127),
        **changes,
    )  # fmt: skip


def _lines(show: Callable[[Sequence[Compared], Console], None], runs: Sequence[Compared], width: int) -> list[str]:
    out = io.StringIO()
    show(runs, Console(file=out, width=width))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_a_run_with_its_baselines_can_be_read_at_80_columns() -> None:
    lines = _lines(show_recipes_of, [_compared(key) for key in TITLES], 80)
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines if "…" in line]
    assert sum("+0.090 (+0.057 to +0.127)" in line for line in lines) == len(TITLES) - 1
    assert len(lines) < 2 * len(TITLES) + 5


def test_runs_side_by_side_keep_their_intervals_where_there_is_room() -> None:
    first, second = _compared(RANKER), _compared(RANKER, behind=(0.016, 0.0004, 0.032))
    lines = _lines(show_runs, [first, second], 80)
    assert any("0.591 (0.533 to 0.649)" in line for line in lines)
    assert any("+0.016 (+0.000 to +0.032)" in line for line in lines)
    assert any("26 entries" in line for line in lines)
    narrow = _lines(show_runs, [first, second, second, second], 80)
    assert max(map(len, narrow)) <= 80
    assert not any("0.533" in line for line in narrow)
    assert "--format csv" in narrow[-1]
