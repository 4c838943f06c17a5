"""Runs side by side, from a real MLflow store."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.errors import UsageError
from training.compare import compare
from training.tracking import Store


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a home")  # with a space, as on many a desktop
    store = Store(folder)
    for name, recipe, value in (("first", "fast", 0.5), ("second", "standard", 0.6)):
        with store.run(name, "What it is.", {"kind": "ranker"}) as run:
            run.params({"recipe.name": recipe, "seed": 0})
            run.metrics({"ndcg_at_5": value, "ndcg_at_5_low": value - 0.1, "ndcg_at_5_high": value + 0.1})
            run.metrics({"behaviour_share": 0.4, "log_loss_accept": float("nan"), "slice/role/inside/ndcg_at_5": 0.3})
            with store.run("Random", "A lottery.", {"kind": "baseline"}, run) as below:
                below.metrics({"ndcg_at_5": 0.2})
    return folder


def test_the_last_runs_come_newest_first_with_what_differs(home: Path) -> None:
    newest, oldest = compare(home)
    assert (newest.name, oldest.name) == ("second", "first")
    assert newest.params == {"recipe.name": "standard"}
    assert newest.metrics == {"ndcg_at_5": (0.6, 0.5, 0.7), "behaviour_share": (0.4, None, None)}
    assert newest.as_dict()["ndcg_at_5_high"] == pytest.approx(0.7)
    assert (newest.version, newest.gate) == (None, None)


def test_runs_are_listed_in_the_order_asked(home: Path) -> None:
    ids = [run.run_id for run in compare(home)]
    assert [run.run_id for run in compare(home, ids[::-1])] == ids[::-1]
    assert len(compare(home, last=1)) == 1


def test_nested_runs_follow_their_own(home: Path) -> None:
    assert [run.name for run in compare(home, nested=True)] == ["second", "Random", "first", "Random"]


def test_a_run_that_is_not_there_is_named(home: Path) -> None:
    with pytest.raises(UsageError, match="no run 'nothing'"):
        compare(home, ["nothing"])


def test_an_empty_home_says_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="callsheet train"):
        compare(tmp_path)
    assert not list(tmp_path.iterdir())
