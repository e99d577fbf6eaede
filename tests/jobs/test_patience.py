"""What may pass is tried again, for so long and no longer."""

from __future__ import annotations

import pytest

from syllable_async import (
    InternalServerError,
    NotFoundError,
    PaginationError,
    RateLimitError,
    SyllableConnectionError,
    SyllableError,
)
from syllable_async.jobs._patience import Patience, may_pass
from tests.time_control import FakeTime


class Script:
    """Fails with these errors, one a call, then succeeds."""

    def __init__(self, *errors: SyllableError) -> None:
        self.errors = list(errors)

    async def __call__(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def patient(time: FakeTime, seconds: float = 3600.0) -> Patience:
    return Patience(seconds, time.sleep, time.clock)


def test_what_may_pass() -> None:
    passing = [SyllableConnectionError("refused"), RateLimitError(status=429), InternalServerError(status=503)]
    lasting = [
        SyllableConnectionError("bad certificate", transient=False),
        NotFoundError(status=404),
        PaginationError("the list is behind", page=3),
    ]
    assert [may_pass(error) for error in [*passing, *lasting]] == [True] * 3 + [False] * 3


async def test_pauses_grow_to_a_minute_and_retry_after_is_obeyed(fake_time: FakeTime) -> None:
    errors = [InternalServerError(status=500) for _ in range(8)]
    errors[2] = InternalServerError(status=503, retry_after=1000.0)
    assert await patient(fake_time).run(Script(*errors)) == "done"
    assert fake_time.sleeps == [1, 2, 1000, 8, 16, 32, 60, 60]


async def test_a_call_that_fails_for_good_is_not_tried_again(fake_time: FakeTime) -> None:
    with pytest.raises(NotFoundError):
        await patient(fake_time).run(Script(NotFoundError(status=404)))
    assert fake_time.sleeps == []


async def test_patience_ends_before_its_time_is_exceeded(fake_time: FakeTime) -> None:
    for errors in ([InternalServerError(status=500)] * 99, [RateLimitError(status=429, retry_after=101.0)]):
        start = fake_time.now
        with pytest.raises(type(errors[0])):
            await patient(fake_time, 100.0).run(Script(*errors))
        assert fake_time.now - start <= 100


async def test_calls_after_an_outage_that_outlasted_patience_fail_at_once(fake_time: FakeTime) -> None:
    patience = patient(fake_time, 100.0)
    with pytest.raises(SyllableConnectionError):
        await patience.run(Script(*[SyllableConnectionError("refused")] * 99))
    fake_time.now += 60
    sleeps = len(fake_time.sleeps)
    with pytest.raises(SyllableConnectionError):
        await patience.run(Script(SyllableConnectionError("refused")))
    assert len(fake_time.sleeps) == sleeps
    assert await patience.run(Script()) == "done"
    assert await patience.run(Script(SyllableConnectionError("refused"))) == "done"


async def test_one_session_that_fails_while_others_succeed_is_given_up_earlier(fake_time: FakeTime) -> None:
    patience = patient(fake_time)
    start = fake_time.now

    async def poisoned() -> None:
        await patience.run(Script())
        raise InternalServerError(status=500)

    with pytest.raises(InternalServerError):
        await patience.run(poisoned)
    assert 200 < fake_time.now - start <= 300
