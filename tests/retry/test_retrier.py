"""When a call is tried again: the policy, Retry-After, quota, pause, deadline, and tenacity objects of the user's."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from syllable_async import (
    APIError,
    InternalServerError,
    NotFoundError,
    RateLimitError,
    RetryPolicy,
    SyllableConnectionError,
    SyllableError,
    SyllableTimeoutError,
)
from syllable_async._http.status_errors import parse_retry_after
from syllable_async._messages import Request
from syllable_async._retry.quota import RateLimitPause, RetryQuota
from syllable_async._retry.retrier import CallState, Retrier
from syllable_async._timing import Clock
from tests.fake_time import FakeTime

GET = Request(method="GET", path_template="/x/{id}", path="/x/1")
POST = Request(method="POST", path_template="/x", path="/x", idempotent=False)
NOW = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT


def failing(status: int, retry_after: float | None = None) -> APIError:
    cls = {429: RateLimitError, 404: NotFoundError}.get(status, InternalServerError)
    return cls(status=status, retry_after=retry_after)


class Script:
    """An attempt that fails as it is told, then succeeds."""

    def __init__(self, *failures: BaseException, time: FakeTime | None = None, takes: float = 0.0) -> None:
        self.failures = list(failures)
        self.calls = 0
        self.time = time
        self.takes = takes

    async def __call__(self, call: CallState) -> str:
        self.calls += 1
        if self.time is not None:
            self.time.now += self.takes
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        return "done"


def clock(time: FakeTime) -> Clock:
    return Clock(time.clock, time.sleep)


def retrier(time: FakeTime, policy: Any = None) -> Retrier:
    return Retrier(policy or RetryPolicy(), RetryQuota(), RateLimitPause(clock(time)), clock(time))


RETRIED: list[SyllableError] = [
    *(failing(status) for status in (408, 429, 500, 502, 503, 504)),
    SyllableConnectionError("reset"),
    SyllableTimeoutError("timeout", 30),
]
FINAL: list[SyllableError] = [
    failing(404),
    failing(501),
    failing(505),
    SyllableConnectionError("untrusted", transient=False),
    SyllableTimeoutError("deadline", 60),
]


@pytest.mark.parametrize("error", RETRIED, ids=str)
async def test_what_may_pass_is_tried_again(error: SyllableError, fake_time: FakeTime) -> None:
    script = Script(error, error)
    assert await retrier(fake_time).run(script, GET) == "done"
    assert script.calls == 3


@pytest.mark.parametrize("error", FINAL, ids=str)
async def test_what_will_not_pass_is_raised_at_once(error: SyllableError, fake_time: FakeTime) -> None:
    script = Script(error)
    with pytest.raises(SyllableError) as caught:
        await retrier(fake_time).run(script, GET)
    assert caught.value is error
    assert script.calls == 1
    assert fake_time.sleeps == []


@pytest.mark.parametrize("attempts", [1, 2, 4])
async def test_attempts_are_bounded_and_the_last_error_is_raised_bare(attempts: int, fake_time: FakeTime) -> None:
    errors = [failing(500) for _ in range(9)]
    script = Script(*errors)
    with pytest.raises(InternalServerError) as caught:
        await retrier(fake_time, RetryPolicy(max_attempts=attempts)).run(script, GET)
    assert script.calls == attempts
    assert caught.value is errors[attempts - 1]
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


async def test_sleeps_are_full_jitter_up_to_the_maximum(fake_time: FakeTime) -> None:
    random.seed(1)
    policy = RetryPolicy(max_attempts=8, deadline=None)
    for _ in range(50):
        with pytest.raises(InternalServerError):
            await retrier(fake_time, policy).run(Script(*(failing(500) for _ in range(8))), GET)
    bounds = [0.5, 1, 2, 4, 8, 8, 8]
    sleeps = [fake_time.sleeps[i::7] for i in range(7)]
    for bound, drawn in zip(bounds, sleeps, strict=True):
        assert max(drawn) <= bound
        assert min(drawn) < bound / 4
        assert max(drawn) > bound / 2


@pytest.mark.parametrize("asked", [0.0, 1.5, 60.0])
async def test_retry_after_is_obeyed(asked: float, fake_time: FakeTime) -> None:
    assert await retrier(fake_time, RetryPolicy(deadline=90)).run(Script(failing(503, asked)), GET) == "done"
    assert sum(fake_time.sleeps) == asked


@pytest.mark.parametrize(("asked", "deadline"), [(60.1, None), (1e35, None), (31.0, 30.0)])
async def test_a_retry_after_that_is_too_long_is_raised_and_carried(
    asked: float, deadline: float | None, fake_time: FakeTime
) -> None:
    script = Script(failing(429, asked))
    with pytest.raises(RateLimitError) as caught:
        await retrier(fake_time, RetryPolicy(deadline=deadline)).run(script, GET)
    assert caught.value.retry_after == asked
    assert (script.calls, fake_time.sleeps) == (1, [])


RETRY_AFTER = [
    ("0", 0.0), ("1", 1.0), ("1.5", 1.5), (" 7\t", 7.0), ("121", 121.0), ("315360000", 315360000.0), ("1e35", 1e35),
    ("Fri, 15 Jan 2027 08:00:20 GMT", 20.0), ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
    ("Friday, 15-Jan-27 08:00:20 GMT", 20.0),
    ("inf", None), ("Infinity", None), ("nan", None), ("-10", None), ("+1", None),
    ("1e999", None),
    ("²", None),
    ("", None), (" ", None), ("Zun, 99 Jan 2027 08:00:20 GMT", None), ("Fri, 15 Jan 100000 08:00:20 GMT", None),
    ("soon", None), ("1, 2", None), ("0x10", None), ("1_000", None),
    ("9" * 5000, None), (".", None), ("1;", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "seconds"), RETRY_AFTER)
def test_retry_after_forms(text: str, seconds: float | None) -> None:
    assert parse_retry_after(CIMultiDict({"retry-after": text}), NOW) == seconds
    assert parse_retry_after({"Retry-After": text}, NOW) == seconds


def test_retry_after_in_milliseconds_goes_first_and_two_of_them_mean_nothing() -> None:
    assert parse_retry_after(CIMultiDict({"Retry-After-Ms": "250", "Retry-After": "9"}), NOW) == 0.25
    assert parse_retry_after(CIMultiDict({"Retry-After-Ms": "x", "Retry-After": "9"}), NOW) == 9
    assert parse_retry_after(CIMultiDict([("Retry-After", "1"), ("Retry-After", "2")]), NOW) is None
    assert parse_retry_after({}, NOW) is None


@given(st.text())
def test_no_retry_after_breaks_anything(text: str) -> None:
    seconds = parse_retry_after({"Retry-After": text, "retry-after-ms": text}, NOW)
    assert seconds is None or 0 <= seconds < float("inf")


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        (SyllableConnectionError("refused", outcome_unknown=False), 2),
        (failing(429, 1), 2),
        (failing(503, 1), 2),
        (SyllableConnectionError("reset"), 1),
        (SyllableTimeoutError("timeout", 30), 1),
        (failing(503), 1),
        (failing(500), 1),
        (failing(502, 1), 1),
    ],
    ids=str,
)
async def test_a_call_that_changes_something_is_repeated_only_if_it_never_arrived(
    error: SyllableError, calls: int, fake_time: FakeTime
) -> None:
    for policy in (RetryPolicy(), tenacity.AsyncRetrying(stop=tenacity.stop_after_attempt(3))):
        script = Script(error)
        with contextlib.nullcontext() if calls > 1 else pytest.raises(type(error)):
            await retrier(fake_time, policy).run(script, POST)
        assert script.calls == calls


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
    shared.quota.available = start = 50
    scripts = [Script(*(failing(status) for status in program)) for program in programs]
    results = await asyncio.gather(*(shared.run(script, GET) for script in scripts), return_exceptions=True)
    retries = sum(script.calls - 1 for script in scripts)
    back = sum(max(1, 5 * (s.calls - 1)) for s, r in zip(scripts, results, strict=True) if r == "done")
    assert 0 <= shared.quota.available <= RetryQuota.CAPACITY
    assert shared.quota.available == start - 5 * retries + back


@pytest.mark.parametrize(
    ("error", "pause"), [(failing(429, 20), [20]), (failing(429, 60), [60]), (failing(429, 60.1), [])]
)
async def test_a_429_pauses_every_call_of_the_client_as_long_as_may_be_asked(
    error: SyllableError, pause: list[float], fake_time: FakeTime
) -> None:
    shared = retrier(fake_time, RetryPolicy(max_attempts=1))
    with pytest.raises(RateLimitError):
        await shared.run(Script(error), GET)
    assert fake_time.sleeps == []
    assert await shared.run(Script(), GET) == "done"
    assert fake_time.sleeps == pause


@pytest.mark.parametrize("error", [failing(429), failing(503, 20)], ids=str)
async def test_no_other_answer_pauses_anybody_else(error: SyllableError, fake_time: FakeTime) -> None:
    shared = retrier(fake_time, RetryPolicy(max_attempts=1))
    with pytest.raises(SyllableError):
        await shared.run(Script(error), GET)
    assert await shared.run(Script(), GET) == "done"
    assert fake_time.sleeps == []


async def test_a_pause_is_lengthened_while_it_is_waited_for_and_never_shortened(fake_time: FakeTime) -> None:
    shared = retrier(fake_time)
    shared.pause.extend(20)
    shared.pause.extend(5)

    async def sleep(seconds: float) -> None:
        await fake_time.sleep(seconds)
        if len(fake_time.sleeps) == 1:
            shared.pause.extend(7)

    assert await attrs.evolve(shared, clock=attrs.evolve(shared.clock, sleep=sleep)).run(Script(), GET) == "done"
    assert fake_time.sleeps == [20, 7]


async def test_a_client_begins_without_a_pause_and_with_a_full_quota() -> None:
    assert RateLimitPause(Clock(monotonic=lambda: 0.5)).until <= 0.5
    assert RetryQuota().available == 500
    call = CallState(None, None)
    assert (call.requests_sent, call.may_have_been_sent) == (0, True)


async def test_a_call_sends_until_its_deadline_and_no_further(fake_time: FakeTime) -> None:
    shared = retrier(fake_time, RetryPolicy(deadline=5))
    shared.pause.extend(5)
    assert await shared.run(Script(), GET) == "done"
    script = Script(failing(503, 5))
    with pytest.raises(InternalServerError):
        await shared.run(script, GET)
    assert (script.calls, fake_time.sleeps) == (1, [5])


async def test_a_call_that_is_given_goes_on_counting_and_has_no_deadline(fake_time: FakeTime) -> None:
    recording, seen = CallState(), list[int]()

    async def attempt(call: CallState) -> str:
        call.requests_sent += 1
        seen.append(call.requests_sent)
        fake_time.now += 10
        if len(seen) % 3:
            raise SyllableConnectionError("reset")
        return "done"

    one = retrier(fake_time, RetryPolicy(deadline=1))
    assert await one.run(attempt, GET, call=recording) == "done"
    assert await one.run(attempt, GET, call=recording) == "done"
    assert seen == [1, 2, 3, 4, 5, 6]


async def test_a_failure_that_is_given_counts_as_the_first_attempt(fake_time: FakeTime) -> None:
    script = Script(*[SyllableConnectionError("reset")] * 9)
    with pytest.raises(SyllableConnectionError):
        await retrier(fake_time).run(script, GET, failure=SyllableConnectionError("cut"))
    assert script.calls == 3
    with pytest.raises(NotFoundError):
        await retrier(fake_time).run(script, GET, failure=failing(404))
    assert script.calls == 3


async def test_another_policy_has_the_same_brakes(fake_time: FakeTime) -> None:
    shared = retrier(fake_time)
    assert shared.with_policy(None) is shared
    other = shared.with_policy(RetryPolicy(max_attempts=1))
    assert other.effective_policy.max_attempts == 1
    assert other.quota is shared.quota
    assert other.pause is shared.pause
    assert other.clock is shared.clock
    assert shared.with_policy(tenacity.AsyncRetrying()).effective_policy == RetryPolicy()


async def test_a_pause_beyond_the_deadline_is_not_waited_for(fake_time: FakeTime) -> None:
    shared = retrier(fake_time, RetryPolicy(deadline=5))
    shared.pause.extend(10)
    script = Script()
    with pytest.raises(SyllableTimeoutError, match="deadline of 5 s") as caught:
        await shared.run(script, GET)
    assert not caught.value.outcome_unknown
    assert (script.calls, fake_time.sleeps) == (0, [])


async def test_no_sleep_begins_that_would_pass_the_deadline(fake_time: FakeTime) -> None:
    script = Script(*(failing(500) for _ in range(99)), time=fake_time, takes=10)
    started = fake_time.now
    with pytest.raises(InternalServerError):
        await retrier(fake_time, RetryPolicy(max_attempts=99, deadline=25)).run(script, GET)
    assert script.calls <= 3
    assert fake_time.now - started <= 35


async def test_on_retry_and_the_log_tell_each_retry(fake_time: FakeTime, caplog: pytest.LogCaptureFixture) -> None:
    told: list[tuple[int, SyllableError, float]] = []
    caplog.set_level(logging.INFO, "syllable_async")
    errors = [failing(503, 2), SyllableConnectionError("the connection was reset"), *(failing(500) for _ in range(2))]
    policy = RetryPolicy(on_retry=lambda attempt, error, delay: told.append((attempt, error, delay)))
    with pytest.raises(InternalServerError):
        await retrier(fake_time, policy).run(Script(*errors), GET)
    assert [(attempt, error) for attempt, error, _ in told] == [(1, errors[0]), (2, errors[1]), (3, errors[2])]
    assert told[0][2] == 2
    levels = [record.levelname for record in caplog.records]
    assert levels == ["INFO", "INFO", "INFO", "WARNING"]
    assert "GET /x/{id}: attempt 1 failed: HTTP 503; next in 2.000 s" in caplog.messages[0]
    assert "giving up after attempt 4" in caplog.messages[3]


async def test_cancellation_passes_even_where_a_users_rule_would_retry_everything(fake_time: FakeTime) -> None:
    users = tenacity.AsyncRetrying(retry=tenacity.retry_always)
    script = Script(failing(500), asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await retrier(fake_time, users).run(script, GET)
    assert script.calls == 2


async def test_tenacity_replaces_attempts_wait_and_condition(fake_time: FakeTime) -> None:
    seen: list[int] = []
    users = tenacity.AsyncRetrying(
        stop=tenacity.stop_after_attempt(6),
        wait=tenacity.wait_fixed(3),
        retry=tenacity.retry_if_exception_type(NotFoundError),
        before_sleep=lambda state: seen.append(state.attempt_number),
    )
    script = Script(*(failing(404) for _ in range(5)))
    assert await retrier(fake_time, users).run(script, GET) == "done"
    assert fake_time.sleeps == [3] * 5
    assert seen == [1, 2, 3, 4, 5]
    script = Script(failing(500))
    with pytest.raises(InternalServerError):
        await retrier(fake_time, users).run(script, GET)


async def test_quota_and_deadline_stay_ours_with_tenacity(fake_time: FakeTime) -> None:
    users = tenacity.AsyncRetrying(wait=tenacity.wait_fixed(1))  # never stops by itself
    shared = retrier(fake_time, users)
    script = Script(*(failing(500) for _ in range(9999)))
    with pytest.raises(InternalServerError):
        await shared.run(script, GET)
    assert script.calls <= 61
    shared.quota.available = 5
    script = Script(*(failing(500) for _ in range(9999)))
    with pytest.raises(InternalServerError):
        await shared.run(script, GET)
    assert script.calls == 2


async def test_one_tenacity_object_serves_many_calls_at_once(fake_time: FakeTime) -> None:
    users = tenacity.AsyncRetrying(stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_none())
    shared = retrier(fake_time, users)
    scripts = [Script(failing(500), failing(500)) for _ in range(40)]
    assert await asyncio.gather(*(shared.run(script, GET) for script in scripts)) == ["done"] * 40
    assert {script.calls for script in scripts} == {3}


def test_the_policy_is_what_its_documentation_says() -> None:
    policy = RetryPolicy()
    assert attrs.astuple(policy) == (4, 0.5, 8.0, 60.0, 60.0, {408, 429, 500, 502, 503, 504}, None)
    nothing = RetryPolicy(max_attempts=1, initial=0, maximum=0, deadline=0, max_retry_after=0, statuses=frozenset())
    assert nothing.deadline == 0
    assert RetryPolicy(deadline=None).deadline is None


WRONG: list[dict[str, Any]] = [
    {"max_attempts": 0}, {"max_attempts": "4"}, {"initial": -1}, {"maximum": float("nan")}, {"deadline": float("inf")},
    {"deadline": -1}, {"max_retry_after": "x"}, {"initial": None}, {"maximum": None}, {"max_retry_after": None},
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_policy_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        RetryPolicy(**wrong)


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


def test_a_policy_shows_its_numbers_and_no_hook() -> None:
    assert "max_attempts=4" in repr(RetryPolicy())
    assert "on_retry" not in repr(RetryPolicy(on_retry=print))
