"""A commit holds what the CRM says when it is made, whatever its worker has followed by then."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from serving.actor import LOCAL
from serving.decide import Decider
from serving.instants import micros
from serving.ledger import Ledger, LedgerError
from serving.ledger.crm import OFFERS
from serving.ledger.idempotency import Once
from serving.live import Live
from serving.plan import plan
from serving.uptodate import MOVES, STALE, Busy, UpToDate
from tests.serving.conftest import Crm
from tests.serving.live.standing import write
from tests.serving.live.test_follow import account_of, like, placed

NOW = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
WEEK = "{}-W{:02d}".format(*NOW.isocalendar())


class Restless(Live):
    """Another process writes a preference whenever this one has caught up."""

    caught = 0

    def catch_up(self) -> Any:
        """As Live, and then the ledger is ahead again."""
        made = super().catch_up()
        self.caught += 1
        exclude(self, str(made.book.rep_ids[-1]), placed(made)[0], f"again-{self.caught}")
        return made


@pytest.fixture
def live(stocked: Ledger, crm: Crm, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Live]:
    """It follows nothing by itself: what others write it knows when it asks."""
    made = getattr(request, "param", Live)(stocked, crm.config, tmp_path, clock=lambda: micros(NOW))
    yield made
    made.close()


@pytest.fixture
def decider(live: Live) -> Decider:
    return Decider(live.ledger, live.config, lambda: live.recommender, lambda: NOW, uptodate=UpToDate(live))


def url_of(live: Live) -> str:
    return live.ledger.engine.url.render_as_string(hide_password=False)


def exclude(live: Live, rep_id: str, lead_id: str, preference_id: str = "no") -> None:
    told = {"preference_id": preference_id, "rep_id": rep_id, "subject": "account", "rule": "exclude",
            "subject_id": account_of(live.recommender, lead_id), "since": NOW - timedelta(minutes=5)}  # fmt: skip
    write(url_of(live), "preferences", told)


def change_role(live: Live, rep_id: str, lead_id: str) -> None:
    frame = live.recommender.book.tables["reps"]
    (mine,) = frame[frame["rep_id"] == rep_id].astype(object).where(lambda f: f.notna(), None).to_dict("records")
    write(url_of(live), "reps", mine | {"role": "ldr"})


def once(key: str = "key") -> Once:
    return Once.of(LOCAL.name, "test", key, {})


def offers(live: Live) -> int:
    with live.ledger.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(OFFERS)).scalar_one())


@pytest.mark.parametrize(("change", "rule"), [(exclude, "exclusion"), (change_role, "role")])
def test_who_may_not_have_a_lead_any_more_does_not_get_it_in_the_moment_before_that_is_followed(
    live: Live, decider: Decider, change: Any, rule: str
) -> None:
    lead_id, rep_id = placed(live.recommender)
    change(live, rep_id, lead_id)
    answer = decider.reps(lead_id, None, 1, actor=LOCAL, once=once()).answer
    assert answer["items"][0]["offer_id"]
    assert answer["items"][0]["rep_id"] != rep_id
    assert answer["refused"][rule] >= 1


def test_a_call_sheet_does_not_offer_what_its_rep_may_not_have_since_a_moment(live: Live, decider: Decider) -> None:
    _, rep_id = placed(live.recommender)
    (lead_id,) = live.recommender.rank_leads(rep_id).best_ids[:1]
    exclude(live, rep_id, lead_id)
    sheet = decider.leads(rep_id, 3, actor=LOCAL, once=once()).answer
    assert lead_id not in {item["lead_id"] for item in sheet["items"]}
    assert sheet["refused"]["exclusion"] >= 1


def test_a_plan_that_was_ranked_before_a_rep_was_excluded_does_not_give_him_the_lead(
    live: Live, decider: Decider
) -> None:
    dry = plan(decider, WEEK, actor=LOCAL).answer["assignments"]
    lead_id, rep_id = dry[0]["lead_id"], dry[0]["rep_id"]
    exclude(live, rep_id, lead_id)
    answer = plan(decider, WEEK, actor=LOCAL, once=once()).answer
    assert lead_id not in {one["lead_id"] for one in answer["assignments"] if one["rep_id"] == rep_id}
    (nobody,) = (one for one in answer["unplaced"] if one["lead_id"] == lead_id)
    assert (nobody["because"], nobody["waits_for"]) == ({"exclusion": 1}, "plan")
    assert answer["assignments"]


def test_offers_and_new_leads_of_others_do_not_make_an_answer_anew(live: Live, decider: Decider) -> None:
    lead_id, rep_id = placed(live.recommender)
    before = live.recommender
    write(url_of(live), "leads", {"lead_id": "new", "created_at": NOW, **like(before, lead_id)})
    other = {"offer_id": "other", "lead_id": "new", "rep_id": rep_id, "offered_at": NOW - timedelta(days=60)}
    write(url_of(live), "offers", other | {"answer": "accepted", "answered_at": NOW - timedelta(days=59)})
    answer = decider.reps(lead_id, None, 1, actor=LOCAL, once=once()).answer
    assert answer["items"][0]["rep_id"] == rep_id
    assert live.recommender is before
    exclude(live, rep_id, lead_id)
    decider.reps(lead_id, None, 1, actor=LOCAL, once=once("2"))
    assert live.recommender is not before


@pytest.mark.parametrize("live", [Restless], indirect=True)
def test_what_changes_faster_than_it_is_ranked_is_not_offered(live: Restless, decider: Decider) -> None:
    lead_id, rep_id = placed(live.recommender)
    exclude(live, rep_id, lead_id)
    before = offers(live)
    with pytest.raises(Busy, match="faster"):
        decider.reps(lead_id, None, 1, actor=LOCAL, once=once())
    assert (live.caught, offers(live)) == (MOVES, before)


def test_a_worker_that_cannot_follow_the_ledger_for_long_offers_nothing(live: Live, decider: Decider) -> None:
    lead_id, _ = placed(live.recommender)
    before = offers(live)
    live._in_step -= STALE + 1
    with pytest.raises(LedgerError, match="not been followed"):
        decider.reps(lead_id, None, 1, actor=LOCAL, once=once())
    assert offers(live) == before
    live.catch_up()
    assert decider.reps(lead_id, None, 1, actor=LOCAL, once=once()).answer["items"][0]["offer_id"]
