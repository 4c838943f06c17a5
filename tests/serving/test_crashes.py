"""Crashes are put down to the model that computed; one that crashes on and on is held back, and another serves."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest

from features.errors import ModelError
from serving import computing
from serving.cache import ModelCache
from serving.card import card_of
from serving.computing import SLOTS, Marks, told
from serving.crashes import Crashes
from serving.ends import FOLDER, Ends, counts, how
from serving.ladder import climb
from serving.ledger import Ledger
from serving.ledger.challengers import Challengers
from serving.ledger.releases import Releases
from serving.live import Live
from tests.serving.challengers import contrary, released
from tests.serving.conftest import Crm
from tests.serving.live.standing import fill, release
from tests.serving.live.test_follow import until

ONE, OTHER = "1" * 64, "2" * 64
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Clock:
    """Stands until it is set."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def at(self, minutes: float) -> None:
        self.now = NOON + timedelta(minutes=minutes)


def noted(home: Path, clock: Clock, *minutes: float) -> Crashes:
    """Crashes of one model, so many minutes after noon."""
    crashes = Crashes(home, clock)
    for minute in minutes:
        clock.at(minute)
        crashes.note(ONE, signal.SIGSEGV)
    return crashes


def crash(home: Path, content_hash: str, times: int = 3) -> None:
    """As the supervisor has it, now."""
    for _ in range(times):
        Crashes(home).note(content_hash, signal.SIGABRT)


def test_the_third_crash_within_ten_minutes_holds_a_model_back_for_an_hour(tmp_path: Path) -> None:
    clock = Clock()
    crashes = noted(tmp_path, clock, 0, 4)
    assert crashes.held(ONE) is None
    clock.at(10)
    why = crashes.note(ONE, signal.SIGBUS)
    assert why is not None
    assert "3 workers crashed within 10 minutes while it computed, the last by SIGBUS" in why
    assert "tried again at 2026-03-02 13:10 UTC" in why
    assert crashes.held(OTHER) is None
    clock.at(69.9)
    with pytest.raises(ModelError, match="13:10 UTC"):
        Crashes(tmp_path, clock).check(ONE)
    clock.at(70)
    Crashes(tmp_path, clock).check(ONE)


def test_crashes_far_apart_hold_nothing_back(tmp_path: Path) -> None:
    assert noted(tmp_path, Clock(), 0, 4, 10.1, 15).held(ONE) is None


def test_a_model_that_crashes_on_after_its_hour_is_held_back_again(tmp_path: Path) -> None:
    clock = Clock()
    crashes = noted(tmp_path, clock, 0, 1, 2, 63, 64)
    assert crashes.held(ONE) is None
    clock.at(65)
    assert "14:05 UTC" in str(crashes.note(ONE, signal.SIGSEGV))


def test_a_clock_that_was_set_back_holds_nothing_back_for_longer(tmp_path: Path) -> None:
    clock = Clock()
    crashes = noted(tmp_path, clock, 0, 1, 2)
    clock.at(-1440)
    assert crashes.held(ONE) is None


@pytest.mark.parametrize(
    "line", [b"2026-03-02T1", b"", b"2026-03-02T12:02:00+00:00 SIG", b"2026-03-02T12:02:00 SIGSEGV", b"\xff\xfe\0"]
)
def test_what_is_no_line_counts_for_nothing(tmp_path: Path, line: bytes) -> None:
    """Half of one that a full disk took, or whatever else lies there."""
    clock = Clock()
    crashes = noted(tmp_path, clock, 0, 1)
    with (crashes.root / ONE).open("ab") as file:
        file.write(line + b"\n")
    assert crashes.held(ONE) is None
    clock.at(2)
    assert crashes.note(ONE, signal.SIGSEGV) is not None


def test_a_process_that_dies_while_it_computes_leaves_its_model_behind(tmp_path: Path) -> None:
    dies = f"""
import ctypes
from pathlib import Path
from serving.computing import computing, tell
tell(Path({str(tmp_path / "marks")!r}))
with computing({OTHER!r}):
    pass
with computing({ONE!r}):
    ctypes.string_at(0)
"""
    root = Path(__file__).resolve().parents[2]
    ended = subprocess.run([sys.executable, "-c", dies], cwd=root, check=False, stderr=subprocess.DEVNULL)
    assert ended.returncode == -signal.SIGSEGV
    assert told(tmp_path / "marks") == {ONE: False}


def test_more_threads_than_slots_compute_and_leave_all_slots_free(tmp_path: Path) -> None:
    marks, many = Marks(tmp_path / "marks"), SLOTS + 6
    all_in, seen = Barrier(many), dict[str, bool]()

    def work(number: int) -> None:
        with marks.on(ONE if number % 2 else OTHER, tried=bool(number % 2)):
            if all_in.wait(60) == 0:
                seen.update(told(tmp_path / "marks"))
            all_in.wait(60)

    with ThreadPoolExecutor(many) as pool:
        list(pool.map(work, range(many)))
    assert seen == {ONE: True, OTHER: False}
    assert told(tmp_path / "marks") == {}
    for _ in range(SLOTS + 1):  # a slot that was lost would be missed by now
        with marks.on(ONE):
            assert told(tmp_path / "marks") == {ONE: False}


def test_where_there_is_no_place_to_tell_it_computes_all_the_same(tmp_path: Path) -> None:
    computing.tell(tmp_path / "nowhere" / "marks")
    with computing.computing(ONE):
        assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(("tried", "blamed"), [(True, {OTHER}), (False, {ONE, OTHER})])
def test_a_crash_while_a_challenger_computed_costs_the_champion_nothing(
    tmp_path: Path, tried: bool, blamed: set[str]
) -> None:
    crashes = Crashes(tmp_path)
    ends, marks = Ends(tmp_path, crashes), Marks(tmp_path / "computing-7")
    with marks.on(ONE), marks.on(OTHER, tried=tried):
        ends.of(7, -signal.SIGSEGV, asked=False)
    assert {path.name for path in crashes.root.iterdir()} == blamed


@pytest.mark.parametrize(("code", "asked"), [(-signal.SIGKILL, False), (1, False), (-signal.SIGSEGV, True)])
def test_a_worker_that_is_killed_leaves_or_is_told_to_end_is_no_crash_of_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int, asked: bool
) -> None:
    crashes = Crashes(tmp_path)
    with Marks(tmp_path / "computing-7").on(ONE):
        Ends(tmp_path, crashes).of(7, code, asked=asked)
    assert not crashes.root.exists()
    monkeypatch.setenv(FOLDER, str(tmp_path))
    assert counts() == ({} if asked else {how(code): 1})
    assert (f"Worker 7 ended by {how(code)}" in caplog.text) is not asked


def test_the_ladder_leaves_out_what_crashes(crm: Crm, home: Path) -> None:
    ledger = Ledger.open(None, home)
    rungs = []
    for product in (None, crm.products[1], crm.products[0]):
        if product is not None:
            crash(home, product.content_hash)
        found = climb(Releases(ledger), ModelCache(home), crm.config)
        rungs.append((found.rung, found.version))
    ledger.close()
    assert rungs == [("champion", "2"), ("last_good", "1"), ("owner_territory", None)]
    assert "model 2 cannot serve: 3 workers crashed" in str(found.reason)


def test_workers_that_live_on_change_over_too_and_leave_a_crashing_challenger_out(
    crm: Crm, ledger: Ledger, tmp_path: Path
) -> None:
    other = contrary(crm.products[1])
    fill(ledger, crm)
    release(ledger, crm, tmp_path)
    other.save(tmp_path / "models" / other.content_hash)
    Challengers(ledger).name(released(crm, other), seen=0, reason="the opposite")
    live = Live(ledger, crm.config, tmp_path).start()
    try:
        until(lambda: live.recommender.beside)
        crash(tmp_path, other.content_hash, 2)
        crash(tmp_path, crm.products[1].content_hash, 2)
        before = card_of(live.recommender)
        assert (before["rung"], before["challenger"]["usable"]) == ("champion", True)
        crash(tmp_path, other.content_hash, 1)
        until(lambda: live.recommender.beside is None)
        assert "3 workers crashed" in card_of(live.recommender)["challenger"]["refused_because"]
        crash(tmp_path, crm.products[1].content_hash, 1)
        until(lambda: live.recommender.standing.rung == "last_good")
        said = card_of(live.recommender)
        assert (said["model_version"], said["degraded"]) == ("1", True)
        assert "3 workers crashed" in said["degraded_reason"]
    finally:
        live.close()
