"""Turns: never more at once than there are, fair among callers, and given back when the work has truly ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.actor import LOCAL, Actor
from serving.crowd import BYTES_EACH, Crowd, Quota
from serving.refusal import Turned
from serving.turns import FOR_OTHERS, Overloaded, Turn, Turns

A, B = Actor("key:a", frozenset()), Actor("key:b", frozenset())


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await test()

    asyncio.run(bounded())


def work(turn: Turn) -> None:
    with turn:
        pass


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_who_waits_gets_a_turn_when_one_is_over() -> None:
    async def test() -> None:
        turns = Turns(running=1, waiting=2)
        first = await turns.take("a")
        second = asyncio.create_task(turns.take("a"))
        await settle()
        assert (turns.running, turns.waiting, second.done()) == (1, 1, False)
        work(first)
        await settle()
        assert (turns.running, turns.waiting, second.done()) == (1, 0, True)
        second.result().give_up()
        await settle()
        assert turns.running == 0

    run(test)


def test_a_turn_whose_caller_is_gone_counts_until_its_work_ends() -> None:
    """A timeout answers the caller; the thread goes on, and its place is not another's yet."""

    async def test() -> None:
        turns = Turns(running=1, waiting=1)
        turn = await turns.take("a")
        with turn:
            turn.give_up()
            await settle()
            assert turns.running == 1
        await settle()
        assert turns.running == 0

    run(test)


def test_work_that_was_given_up_before_it_started_never_starts() -> None:
    async def test() -> None:
        turn = await Turns().take("a")
        turn.give_up()
        turn.give_up()
        with pytest.raises(Overloaded):
            work(turn)

    run(test)


def test_who_finds_every_place_taken_is_turned_away_at_once() -> None:
    async def test() -> None:
        turns = Turns(running=1, waiting=1)
        await turns.take("a")
        waits = asyncio.create_task(turns.take("a"))
        await settle()
        with pytest.raises(Overloaded) as refused:
            await turns.take("a")
        assert (refused.value.status, refused.value.code) == (503, "overloaded")
        waits.cancel()

    run(test)


def test_who_waits_too_long_is_not_started() -> None:
    async def test() -> None:
        turns = Turns(running=1, waiting=1, seconds=0.01)
        turn = await turns.take("a")
        with pytest.raises(Overloaded):
            await turns.take("a")
        assert turns.waiting == 0
        work(turn)
        await settle()
        assert turns.running == 0

    run(test)


def test_one_who_floods_does_not_hold_the_others_back() -> None:
    """Callers take turns, and a full house makes room for who has fewer waiting."""

    async def test() -> None:
        turns = Turns(running=1, waiting=4)
        now = await turns.take("a")
        flood = [asyncio.create_task(turns.take("a")) for _ in range(4)]
        await settle()
        other = asyncio.create_task(turns.take("b"))
        await settle()
        assert turns.waiting == 4
        with pytest.raises(Overloaded):
            await flood[3]
        work(now)
        await settle()
        work(await flood[0])
        await settle()
        assert other.done()
        for task in (other, *flood[1:3]):
            work(await task)
            await settle()
        assert (turns.running, turns.waiting) == (0, 0)

    run(test)


def test_one_whose_work_takes_long_leaves_others_a_turn() -> None:
    async def test() -> None:
        turns = Turns(running=3, waiting=9)
        long = [await turns.take("a") for _ in range(3 - FOR_OTHERS)]
        more = asyncio.create_task(turns.take("a"))
        other = await turns.take("b")
        last = asyncio.create_task(turns.take("b"))
        await settle()
        assert (turns.running, turns.waiting, more.done(), last.done()) == (3, 2, False, False)
        work(other)
        await settle()
        assert (more.done(), last.done()) == (False, True)
        work(long[0])
        await settle()
        assert more.done()

    run(test)


@given(
    st.lists(
        st.tuples(st.sampled_from(["take", "take", "take", "end", "end", "cancel", "time"]), st.integers(0, 3)),
        max_size=60,
    )
)
def test_whatever_happens_no_turn_is_lost_and_none_made(steps: list[tuple[str, int]]) -> None:
    async def test() -> None:
        turns = Turns(running=2, waiting=3, seconds=0.001)
        tasks: list[asyncio.Task[Turn]] = []
        held: list[Turn] = []
        for step, n in steps:
            if step == "take":
                tasks.append(asyncio.create_task(turns.take(f"who{n}")))
            elif step == "end" and held:
                work(held.pop(n % len(held)))
            elif step == "cancel" and tasks:
                tasks[n % len(tasks)].cancel()
            elif step == "time":
                await asyncio.sleep(0.002)
            if n:
                await settle()
            for task in [t for t in tasks if t.done()]:
                tasks.remove(task)
                with suppress(Overloaded, asyncio.CancelledError):
                    held.append(task.result())
            assert turns.running <= 2
            assert max(turns._at_work.values(), default=0) <= 2 - FOR_OTHERS
            assert turns.waiting <= 3
        while tasks or held:
            for turn in held:
                work(turn)
            held.clear()
            await asyncio.sleep(0.002)
            for task in [t for t in tasks if t.done()]:
                tasks.remove(task)
                with suppress(Overloaded, asyncio.CancelledError):
                    held.append(task.result())
        await settle()
        assert (turns.running, turns.waiting) == (0, 0)

    run(test)


def test_one_caller_leaves_room_for_the_others() -> None:
    crowd = Crowd(most=3, each=2)
    with crowd.inside(A), crowd.inside(A):
        with pytest.raises(Turned) as refused, crowd.inside(A):
            pass
        assert (refused.value.status, refused.value.code) == (429, "too_many")
        with crowd.inside(B):
            assert crowd.open == 3
            with pytest.raises(Turned) as full, crowd.inside(B):
                pass
            assert (full.value.status, full.value.code) == (503, "overloaded")
    assert crowd.open == 0


def test_bodies_that_are_still_read_have_a_bound_in_all() -> None:
    crowd = Crowd(held=100)
    with crowd.body() as first:
        first(60)
        with pytest.raises(Turned) as refused, crowd.body() as second:
            second(41)
        assert (refused.value.status, refused.value.code) == (503, "overloaded")
        assert crowd.held == 60
    assert crowd.held == 0


def test_a_quota_lets_bursts_by_and_then_so_many_a_second() -> None:
    now = 0.0
    quota = Quota(10, lambda: now)
    for _ in range(20):
        quota.spend(A)
    with pytest.raises(Turned) as refused:
        quota.spend(A)
    assert (refused.value.status, refused.value.code, refused.value.headers) == (
        429, "quota_exceeded", {"retry-after": "1"}
    )  # fmt: skip
    quota.spend(B)
    now = 0.5
    for _ in range(5):
        quota.spend(A)
    with pytest.raises(Turned):
        quota.spend(A)


def test_a_large_body_costs_what_many_requests_do_and_is_paid_off_before_the_next() -> None:
    now = 0.0
    quota = Quota(10, lambda: now)
    quota.spend(A)
    quota.owe(A, 20 * BYTES_EACH)
    with pytest.raises(Turned) as refused:
        quota.spend(A)
    assert refused.value.headers["retry-after"] == "1"
    quota.spend(B)
    now = 0.3
    quota.spend(A)


def test_whoever_is_on_this_machine_has_no_quota_and_zero_is_none() -> None:
    for quota, who in ((Quota(1), LOCAL), (Quota(0), A)):
        for _ in range(100):
            quota.spend(who)


def test_a_quota_says_how_long_to_wait_when_it_is_less_than_one_a_second() -> None:
    quota = Quota(0.1, lambda: 0.0)
    quota.spend(A)
    with pytest.raises(Turned) as refused:
        quota.spend(A)
    assert refused.value.headers["retry-after"] == "10"
