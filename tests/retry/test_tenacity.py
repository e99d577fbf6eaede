"""A user's tenacity object: its attempts, wait and condition; safety, quota and deadline stay ours."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import tenacity

from syllable_async import InternalServerError, NotFoundError, RateLimitError, RetryPolicy, SyllableConnectionError
from tests.retry.scripts import GET, POST, Script, failing, retrier
from tests.time_control import FakeTime


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
    script = Script(*(failing(500) for _ in range(9999)), time=fake_time)
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


def test_deadline_and_retry_after_are_ours_beside_a_tenacity_object(fake_time: FakeTime) -> None:
    assert retrier(fake_time).with_policy(tenacity.AsyncRetrying()).effective_policy == RetryPolicy()


DEFAULTS: list[Any] = [tenacity.AsyncRetrying(), tenacity.AsyncRetrying(retry=tenacity.retry_if_exception_type())]


@pytest.mark.parametrize("users", DEFAULTS)
async def test_an_object_without_a_condition_repeats_what_may_be_repeated(users: Any, fake_time: FakeTime) -> None:
    shared = retrier(fake_time, users)
    script = Script(failing(404))
    with pytest.raises(NotFoundError):
        await shared.run(script, GET)
    assert script.calls == 1
    for error in (failing(503), failing(429, 2), SyllableConnectionError("reset")):
        assert await shared.run(Script(error), GET) == "done"


async def test_a_condition_that_names_a_404_repeats_it(fake_time: FakeTime) -> None:
    users = tenacity.AsyncRetrying(retry=tenacity.retry_if_exception_type(NotFoundError), wait=tenacity.wait_none())
    assert await retrier(fake_time, users).run(Script(failing(404)), GET) == "done"


async def test_a_429_is_seen_at_once_and_its_retry_after_obeyed(fake_time: FakeTime) -> None:
    users = tenacity.AsyncRetrying(stop=tenacity.stop_after_attempt(2))
    script = Script(failing(429, 3), failing(429, 4))
    with pytest.raises(RateLimitError):
        await retrier(fake_time, users).run(script, GET)
    assert (script.calls, fake_time.sleeps) == (2, [3])


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        (SyllableConnectionError("refused", outcome_unknown=False), 2),
        (failing(429, 1), 2),
        (failing(503, 1), 1),
        (SyllableConnectionError("reset"), 1),
    ],
    ids=str,
)
@pytest.mark.parametrize("condition", [None, tenacity.retry_always], ids=["default", "always"])
async def test_no_condition_repeats_a_call_that_may_have_been_acted_upon(
    error: Exception, calls: int, condition: Any, fake_time: FakeTime
) -> None:
    options = {} if condition is None else {"retry": condition}
    script = Script(error)
    users = tenacity.AsyncRetrying(stop=tenacity.stop_after_attempt(3), **options)
    try:
        await retrier(fake_time, users).run(script, POST)
    except type(error):
        pass
    assert script.calls == calls
