"""The quota that all calls of a client share: it ends storms, and comes back by success, healthy responses and calm."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syllable_async import NotFoundError, RetryPolicy, SyllableConnectionError
from syllable_async._retry import CallState, RetryQuota
from tests.retry.scripts import GET, Script, clock, failing, retrier
from tests.time_control import FakeTime


async def test_a_dead_server_gets_at_most_a_tenth_more_and_success_refills(fake_time: FakeTime) -> None:
    shared = retrier(fake_time)
    calls = 0

    async def dead(call: CallState) -> str:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        raise SyllableConnectionError("refused")

    results = await asyncio.gather(*(shared.run(dead, GET) for _ in range(1000)), return_exceptions=True)
    assert all(isinstance(result, SyllableConnectionError) for result in results)
    assert calls == 1100
    assert shared.quota.available == 0
    for _ in range(RetryQuota.CAPACITY):
        await shared.run(Script(), GET)
    assert shared.quota.available == RetryQuota.CAPACITY
    assert await shared.run(Script(failing(500)), GET) == "done"
    assert shared.quota.available == RetryQuota.CAPACITY


@given(st.lists(st.lists(st.sampled_from([500, 404]), max_size=5), max_size=40))
async def test_the_quota_is_exact_whatever_runs_side_by_side(programs: list[list[int]]) -> None:
    time = FakeTime()
    shared = retrier(time, RetryPolicy(deadline=None))
    shared.quota.available = start = 50.0
    scripts = [Script(*(failing(status) for status in program)) for program in programs]
    results = await asyncio.gather(*(shared.run(script, GET) for script in scripts), return_exceptions=True)
    retries = sum(script.calls - 1 for script in scripts)
    back = sum(max(1, 5 * (s.calls - 1)) for s, r in zip(scripts, results, strict=True) if r == "done")
    back += sum(isinstance(result, NotFoundError) for result in results)
    assert 0 <= shared.quota.available <= RetryQuota.CAPACITY
    assert shared.quota.available == start - 5 * retries + back


async def test_a_response_that_the_policy_would_not_retry_comes_from_a_server_that_works(fake_time: FakeTime) -> None:
    shared = retrier(fake_time)
    shared.quota.available = 0
    for _ in range(3):
        with pytest.raises(NotFoundError):
            await shared.run(Script(failing(404)), GET)
    assert shared.quota.available == 3
    with pytest.raises(SyllableConnectionError):
        await shared.run(Script(SyllableConnectionError("untrusted", transient=False)), GET)
    assert shared.quota.available == 3


def test_ten_calm_minutes_fill_the_quota(fake_time: FakeTime) -> None:
    quota = RetryQuota(clock(fake_time))
    while quota.acquire():
        pass
    fake_time.now += 30
    assert not quota.acquire()  # not calm: a retry was wanted half a minute ago
    fake_time.now += 60 + 270
    assert quota.acquire()
    assert quota.available == 250 - RetryQuota.COST
    fake_time.now += 86_400
    assert quota.acquire()
    assert quota.available == RetryQuota.CAPACITY - RetryQuota.COST


def test_time_in_which_retries_are_wanted_fills_nothing(fake_time: FakeTime) -> None:
    quota = RetryQuota(clock(fake_time))
    paid = 0
    for _ in range(1000):
        paid += quota.acquire()
        fake_time.now += 59
    assert paid == 100


def test_the_naive_loop_would_storm() -> None:
    """What the quota is for: the same dead server under a loop that only counts attempts."""
    calls = 0

    async def naive(attempt: Callable[[], Awaitable[None]]) -> None:
        for _ in range(4):
            try:
                await attempt()
            except SyllableConnectionError:
                continue
            return

    async def dead() -> None:
        nonlocal calls
        calls += 1
        raise SyllableConnectionError("refused")

    async def main() -> None:
        await asyncio.gather(*(naive(dead) for _ in range(1000)))

    asyncio.run(main())
    assert calls == 4000
