"""The loop: attempts, sleeps, `Retry-After`, deadline, hooks and the log."""

from __future__ import annotations

import asyncio
import logging
import random

import pytest

from syllable_async import (
    InternalServerError,
    NotFoundError,
    RetryPolicy,
    SyllableConnectionError,
    SyllableError,
    SyllableTimeoutError,
)
from syllable_async._retry import CallState
from tests.retry.scripts import GET, Script, failing, retrier
from tests.time_control import FakeTime


@pytest.mark.parametrize("error", [failing(503), SyllableConnectionError("reset")], ids=str)
async def test_transient_errors_are_retried(error: SyllableError, fake_time: FakeTime) -> None:
    script = Script(error, error)
    assert await retrier(fake_time).run(script, GET) == "done"
    assert script.calls == 3


@pytest.mark.parametrize("error", [failing(404), failing(429), failing(429, 1)], ids=str)
async def test_final_errors_are_raised_at_once(error: SyllableError, fake_time: FakeTime) -> None:
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
    script = Script(failing(503, asked), time=fake_time)
    with pytest.raises(InternalServerError) as caught:
        await retrier(fake_time, RetryPolicy(deadline=deadline)).run(script, GET)
    assert caught.value.retry_after == asked
    assert (script.calls, fake_time.sleeps) == (1, [])


async def test_a_call_sends_until_its_deadline_and_no_further(fake_time: FakeTime) -> None:
    script = Script(failing(503, 5), time=fake_time)
    with pytest.raises(InternalServerError):
        await retrier(fake_time, RetryPolicy(deadline=5)).run(script, GET)
    assert (script.calls, fake_time.sleeps) == (1, [])
    script = Script(failing(503, 4.9), time=fake_time)
    assert await retrier(fake_time, RetryPolicy(deadline=5)).run(script, GET) == "done"
    assert fake_time.sleeps == [4.9]


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
    assert other.clock is shared.clock


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


async def test_an_async_on_retry_is_awaited(fake_time: FakeTime) -> None:
    told: list[int] = []

    async def on_retry(attempt: int, error: SyllableError, delay: float) -> None:
        await fake_time.sleep(3)
        told.append(attempt)

    script = Script(failing(503, 2), failing(503, 2))
    assert await retrier(fake_time, RetryPolicy(on_retry=on_retry)).run(script, GET) == "done"
    assert told == [1, 2]
    assert fake_time.sleeps == [3, 2, 3, 2]


@pytest.mark.parametrize("error", [ValueError("theirs"), TimeoutError("theirs")], ids=repr)
async def test_what_on_retry_raises_passes(error: Exception, fake_time: FakeTime) -> None:
    async def on_retry(attempt: int, _: SyllableError, delay: float) -> None:
        raise error

    with pytest.raises(type(error), match="theirs"):
        await retrier(fake_time, RetryPolicy(on_retry=on_retry)).run(Script(failing(503)), GET)


async def test_an_on_retry_that_hangs_ends_with_the_deadline(fake_time: FakeTime) -> None:
    async def on_retry(attempt: int, error: SyllableError, delay: float) -> None:
        await asyncio.Event().wait()

    policy = RetryPolicy(deadline=0.01, initial=0, on_retry=on_retry)
    with pytest.raises(SyllableTimeoutError, match=r"the deadline of 0.01 s passed while on_retry ran") as caught:
        await retrier(fake_time, policy).run(Script(failing(503), time=fake_time), GET)
    assert (caught.value.__context__, caught.value.attempts) == (None, 0)


def test_a_call_begins_with_nothing_sent() -> None:
    call = CallState()
    assert (call.requests_sent, call.may_have_been_sent, call.deadline_at) == (0, True, None)
