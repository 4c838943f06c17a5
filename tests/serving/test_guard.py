"""The guard on a ledger: which offers it judges a new model by, what it does about a bad one, and what it leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, text
from typer.testing import CliRunner

import callsheet
from features.config import Config, read_config
from serving import metrics
from serving.actor import GUARD
from serving.guard import ENDS, standing, tick, watch
from serving.ledger import Ledger
from serving.ledger.audit import verify
from serving.ledger.change import changing
from serving.ledger.decisions import row_of
from serving.ledger.probation import LONGEST, since
from serving.ledger.releases import Release, Released, Releases
from serving.ledger.tables import DECISIONS
from tests.serving.ledger.small import last_audited, rows
from training.probation import OFFERS

MARKET = "markets: {all: {countries: [DE]}}\ntimezone: UTC\n"
HELD = f"{MARKET}policy: {{holdout: 0.3}}\n"
#: When the new model was released, and when the guard looks.
RELEASED = datetime.fromisoformat("2026-03-02T09:00:00+00:00")
NOW = RELEASED + timedelta(days=5)
OLD, NEW = (Released(version, version * 64, "f", "m") for version in "12")
MINUTE = timedelta(minutes=1)
#: Half, three in four, and one in four of the offers are accepted.
EVEN, GOOD, BAD = (True, False), (True, True, True, False), (False, False, False, True)
_ids = count()


@dataclass
class Offered:
    """Offers of one kind. answers: in turn, `n` of them; None: not answered yet; each of another account."""

    policy: str = "champion"
    model: Released | None = NEW
    rung: str = "champion"
    n: int = 100
    answers: Sequence[object] = EVEN
    at: datetime = RELEASED + MINUTE
    lead: dict[str, Any] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)

    def rows(self, decision_id: str) -> Iterator[dict[str, Any]]:
        said = {True: "accepted", False: "rejected"}
        for i in range(self.n):
            answer, name = self.answers[i % len(self.answers)], f"{next(_ids)}"
            at = self.at + i * MINUTE
            yield {
                "offer_id": f"F{name}", "lead_id": f"L{name}", "rep_id": "R1", "offered_at": at, "attempt": 1.0,
                "decision_id": decision_id, "policy": self.policy, "answer": said.get(answer, answer),  # type: ignore[call-overload]
                "answered_at": None if answer is None else at + MINUTE,
            } | self.more  # fmt: skip


def give(ledger: Ledger, *kinds: Offered) -> None:
    """Put them in, each kind decided at once."""
    with changing(ledger, RELEASED) as change:
        for kind in kinds:
            told: dict[str, Any] = dict.fromkeys(("degraded_reason",)) | {
                "policy": kind.policy, "rung": kind.rung, "candidates": 1,
                "model_version": kind.model.version if kind.model else None,
            }  # fmt: skip
            row = row_of(
                told, route="test", actor="test", at=kind.at, seq=0, config="", now=0, inputs_hash="",
                content_hash=kind.model.content_hash if kind.model else None,
            )  # fmt: skip
            change.connection.execute(insert(DECISIONS).values(row))
            made = list(kind.rows(row["decision_id"]))
            change.upsert("offers", rows("offers", *made))
            if kind.lead:
                leads = [{"contact_id": "C1", "solution": "payments", "created_at": RELEASED} | kind.lead] * len(made)
                change.upsert(
                    "leads",
                    rows(
                        "leads",
                        *(lead | {"lead_id": offer["lead_id"]} for lead, offer in zip(leads, made, strict=True)),
                    ),
                )


def held(answers: Sequence[object] = EVEN, **more: Any) -> Offered:
    """Held-out offers, made between those of the model."""
    return Offered("holdout", None, "owner_territory", answers=answers, at=RELEASED + 1.5 * MINUTE, **more)


def old(answers: Sequence[object], **more: Any) -> Offered:
    """Offers of what served before, until the release."""
    n = more.get("n", 400)
    return Offered(model=OLD, answers=answers, at=RELEASED - (n + 1) * MINUTE, **{"n": 400} | more)


@pytest.fixture
def released(ledger: Ledger) -> Ledger:
    """A ledger on which model 2 came after model 1, by force."""
    releases = Releases(ledger)
    releases.promote(OLD, seen=0, reason="first", at=RELEASED - timedelta(days=30))
    releases.promote(NEW, seen=1, reason="I know better", forced=True, at=RELEASED)
    return ledger


def serving(ledger: Ledger) -> Release:
    now = Releases(ledger).current()
    assert now is not None
    return now


def test_a_model_that_does_worse_than_the_held_out_offers_beside_it_is_rolled_back(released: Ledger) -> None:
    give(released, Offered(answers=BAD), held(GOOD))
    before = metrics.GUARD_ROLLBACKS._value.get()
    back = watch(released, read_config(HELD), NOW)
    assert back == serving(released)
    assert (back.kind, back.model, back.revision) == ("rollback", OLD, 3)
    told = "the guard: of 100 offers of model 2 25% were accepted, of 99 held-out ones 76% (-51 points, 99.5% band -"
    assert back.reason.startswith(told)
    row, payload = last_audited(released)
    assert (row.actor, row.action, row.subject) == (GUARD.name, "rollback", "release 3")
    assert json.loads(payload)["reason"] == back.reason
    assert Releases(released).rolled_back(NEW.content_hash, GUARD) == back
    assert Releases(released).rolled_back(OLD.content_hash, GUARD) is None
    with released.reading() as connection:
        assert verify(connection) is None
    assert metrics.GUARD_ROLLBACKS._value.get() == before + 1
    assert metrics.GUARD_OFFERS._value.get() == 100
    assert metrics.GUARD_DIFFERENCE._value.get() == pytest.approx(25 / 100 - 75 / 99)


def test_without_held_out_ones_it_is_held_to_what_served_before(released: Ledger) -> None:
    give(released, Offered(answers=BAD), old(GOOD))
    back = watch(released, read_config(MARKET), NOW)
    assert back is not None
    assert "of 100 offers of model 2 25% were accepted, of 400 made before it 75% (-50 points" in back.reason


def test_a_drop_that_the_held_out_ones_share_is_the_season(released: Ledger) -> None:
    give(released, Offered(answers=BAD), old(GOOD), held(BAD))
    assert watch(released, read_config(HELD), NOW) is None
    back = watch(released, read_config(MARKET), NOW)  # without a holdout nobody says so
    assert back is not None


def test_the_first_model_is_held_to_the_rules_before_it(ledger: Ledger) -> None:
    Releases(ledger).promote(NEW, seen=0, reason="first", at=RELEASED)
    rules = Offered("fallback", None, "owner_territory", 400, GOOD, RELEASED - timedelta(days=1))
    give(ledger, Offered(answers=BAD), rules)
    back = watch(ledger, read_config(MARKET), NOW)
    assert back is not None
    assert back.model is None


def test_a_good_model_is_left_alone_and_told_of(released: Ledger) -> None:
    give(released, Offered(answers=GOOD), held(EVEN), old(EVEN))
    config = read_config(HELD)
    assert watch(released, config, NOW) is None
    assert serving(released).revision == 2
    seen = standing(released, config, NOW)
    assert seen is not None
    told = "Model 2 is on probation, 100 of 1,000 offers settled: of 100 offers of model 2 75% were accepted"
    assert seen.sentence.startswith(told)
    said = seen.as_dict()
    assert {name: said[name] for name in ("model", "revision", "settled", "of", "held_to")} == {
        "model": "2", "revision": 2, "settled": 100, "of": OFFERS, "held_to": "held_out",
    }  # fmt: skip
    assert seen.judged is not None
    assert (said["difference"], said["low"], said["high"]) == (
        pytest.approx(0.75 - 50 / 99), seen.judged.low, seen.judged.high,
    )  # fmt: skip


def test_one_that_is_just_not_surely_worse_is_left_alone(released: Ledger) -> None:
    give(released, Offered(answers=(True, False, False)), held(EVEN), old(EVEN))
    assert watch(released, read_config(HELD), NOW) is None


def test_it_is_off_where_the_configuration_says_so(released: Ledger) -> None:
    give(released, Offered(answers=BAD), held(GOOD))
    off = read_config(f"{MARKET}policy: {{holdout: 0.3, guard: false}}\n")
    assert watch(released, off, NOW) is None
    assert standing(released, off, NOW) is None
    assert serving(released).revision == 2


def test_a_rollback_is_on_no_probation(released: Ledger) -> None:
    give(released, Offered(answers=BAD), held(GOOD))
    config = read_config(HELD)
    assert watch(released, config, NOW) is not None
    later = NOW + timedelta(days=1)
    give(released, Offered(model=OLD, answers=BAD, at=NOW + MINUTE), replace(held(GOOD), at=NOW + 1.5 * MINUTE))
    assert watch(released, config, later) is None
    assert serving(released).revision == 3


def test_a_release_of_a_person_that_comes_in_between_stands(released: Ledger) -> None:
    give(released, Offered(answers=BAD), held(GOOD))
    third = Released("3", "3" * 64, "f", "m")

    class Overtaken(Ledger):
        """A person is quicker than whatever is written through it."""

        def writing(self, *args: Any, **kwargs: Any) -> AbstractContextManager[Connection]:
            if serving(released).revision == 2:
                Releases(released).promote(third, seen=2, reason="a better one")
            return super().writing(*args, **kwargs)

    ours = Overtaken(released.url)
    assert watch(ours, read_config(HELD), NOW) is None
    ours.close()
    assert (serving(released).model, serving(released).revision) == (third, 3)


OTHERS: dict[str, Callable[[], Offered]] = {
    "chance chose": lambda: Offered("explore", answers=BAD),
    "a person chose": lambda: Offered("manual", answers=BAD),
    "the challenger chose": lambda: Offered("pilot", rung="challenger", answers=BAD),
    "the rules chose": lambda: Offered("fallback", None, "owner_territory", answers=BAD),
    "the last good model chose": lambda: Offered("fallback", OLD, "last_good", answers=BAD),
    "a worker that had not heard yet": lambda: Offered(model=OLD, answers=BAD),
    "its first time": lambda: Offered(answers=BAD, at=RELEASED - timedelta(days=2)),
    "not the lead's first": lambda: Offered(answers=BAD, more={"attempt": 2.0}),
    "taken back": lambda: Offered(answers=("withdrawn", "reassigned")),
    "not decided here": lambda: Offered(answers=BAD, more={"decision_id": "D-elsewhere"}),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_what_says_nothing_of_the_models_choice_is_left_out(released: Ledger, kind: str) -> None:
    give(released, Offered(n=90), held(n=80), OTHERS[kind]())
    seen = standing(released, read_config(HELD), NOW)
    assert seen is not None
    assert (seen.offers, seen.others) == (90, 80)
    assert seen.judged is not None
    assert seen.judged.model_rate == 0.5


def test_quick_answers_do_not_run_ahead_of_one_that_is_waited_for(released: Ledger) -> None:
    """The 41st of them waits for its answer, and every later one was refused at once."""
    give(released, Offered(n=40), Offered(n=1, answers=(None,), at=RELEASED + 41 * MINUTE))
    give(released, Offered(answers=(False,), at=RELEASED + 42 * MINUTE))
    seen = standing(released, read_config(HELD), NOW)
    assert seen is not None
    assert seen.offers == 40
    # Whoever is away until further notice has not taken it.
    late = standing(released, read_config(HELD), RELEASED + LONGEST + timedelta(days=1))
    assert late is not None
    assert late.offers == 141


def test_both_sides_cover_the_same_time(released: Ledger) -> None:
    """The model began when 30 held-out offers had been made, and has made none since."""
    give(released, held(n=100), Offered(n=20, at=RELEASED + 31 * MINUTE))
    with released.reading() as connection:
        made = since(connection, serving(released), NOW, NOW, pilot=False)
    assert [one.held for one in made].count(True) == 19
    assert not made[0].held
    assert not made[-1].held


def test_accounts_of_pilot_reps_have_no_counterpart(released: Ledger) -> None:
    with changing(released, RELEASED) as change:
        reps = [{"rep_id": f"R{n}", "name": "x", "role": "segment", "pilot": n == 2} for n in (1, 2)]
        change.upsert("reps", rows("reps", *reps))
        owned = [{"account_id": f"A{n}", "name": "x", "created_at": RELEASED, "owner_rep_id": f"R{n}"} for n in (1, 2)]
        change.upsert("accounts", rows("accounts", *owned))
    give(released, Offered(), held(n=20, lead={"account_id": "A1"}), held(n=30, lead={"account_id": "A2"}))
    with released.reading() as connection:
        for pilot, there in ((False, {"A1": 20, "A2": 30}), (True, {"A1": 20})):
            seen = [one.account for one in since(connection, serving(released), NOW, NOW, pilot=pilot) if one.held]
            assert {name: seen.count(name) for name in seen} == there


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)
def test_probation_ends_with_its_offers_or_its_time(released: Ledger) -> None:
    """What comes after the thousandth changes nothing; nor is a model that made few offers judged for ever."""
    give(released, Offered(n=OFFERS, answers=EVEN), held(EVEN, n=300))
    later = RELEASED + 2 * OFFERS * MINUTE
    give(released, Offered(n=900, answers=(False,), at=later), replace(held(GOOD, n=900), at=later))
    config, now = read_config(HELD), later + timedelta(days=3)
    seen = standing(released, config, now)
    assert seen is not None
    assert (seen.offers, seen.sentence.startswith("Model 2 has passed its probation: of 1,000")) == (OFFERS, True)
    assert watch(released, config, now) is None
    assert standing(released, config, RELEASED + ENDS + MINUTE) is None


def test_one_process_of_many_looks(released: Ledger) -> None:
    config = read_config(HELD)
    assert tick(released, config, "one", NOW) is None  # nothing to judge by
    give(released, Offered(answers=BAD), held(GOOD))
    assert tick(released, config, "two", NOW) is None
    assert tick(released, config, "one", NOW) is not None


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)
def test_it_reads_a_few_thousand_offers_however_many_there_are(released: Ledger) -> None:
    from serving.ledger.probation import OFFERS as TABLE
    from serving.ledger.probation import READ, _rows

    with released.reading() as connection:
        for newest in (False, True):
            asked = _rows(TABLE.c.offered_at >= RELEASED, newest=newest).compile(
                connection, compile_kwargs={"literal_binds": True}
            )
            plan = [row[3] for row in connection.execute(text(f"EXPLAIN QUERY PLAN {asked}"))]
            assert [line for line in plan if line.startswith("SEARCH offers USING INDEX ix_offers_offered_at")], plan
            assert not [line for line in plan if line.startswith("SCAN offers")], plan
            assert f"LIMIT {READ}" in str(asked)


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)
def test_the_list_of_models_tells_how_the_newest_stands_and_why_one_went(released: Ledger, tmp_path: Path) -> None:
    config: Config = read_config(HELD)
    (tmp_path / "callsheet.yaml").write_text(HELD)
    command = ["models", "--db", released.url, "--home", str(tmp_path), "--config", str(tmp_path / "callsheet.yaml")]
    recent = datetime.now(RELEASED.tzinfo)
    Releases(released).promote(OLD, seen=2, reason="again", at=recent - timedelta(days=3))
    begun = recent - timedelta(days=2)
    give(released, Offered(model=OLD, answers=BAD, at=begun), Offered("holdout", None, "hash", answers=GOOD, at=begun))
    ran = CliRunner().invoke(callsheet.app, command)
    assert ran.exit_code == 0, ran.output
    assert "Model 1 is on probation, 100 of 1,000 offers settled: of 100 offers of model 1 25%" in ran.stderr
    back = watch(released, config)
    assert back is not None
    ran = CliRunner().invoke(callsheet.app, [*command, "--format", "json"])
    assert json.loads(ran.stdout)[0]["reason"] == back.reason
    assert "probation" not in ran.stderr
    (tmp_path / "damaged.yaml").write_text(f"{HELD}polcy: {{}}\n")
    for name, why in (("nowhere", "for there is no configuration"), ("damaged", "is wrong: polcy")):
        ran = CliRunner().invoke(callsheet.app, [*command[:-1], str(tmp_path / f"{name}.yaml"), "--format", "json"])
        assert (ran.exit_code, json.loads(ran.stdout)[0]["reason"]) == (0, back.reason), ran.output
        assert "Whether a model is on probation is not told, " in ran.stderr
        assert why in ran.stderr
