"""Attempts that fail as they are told, and a retrier that needs no network."""

from __future__ import annotations

import asyncio
from typing import Any

from syllable_async import APIError, InternalServerError, NotFoundError, RateLimitError, RetryPolicy
from syllable_async._messages import Request
from syllable_async._retry import CallState, Retrier, RetryQuota
from syllable_async._timing import Clock
from tests.time_control import FakeTime

GET = Request(method="GET", path_template="/x/{id}", path="/x/1")
POST = Request(method="POST", path_template="/x", path="/x", idempotent=False)


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
            if call.deadline_at is None and call.deadline is not None:
                call.deadline_at = self.time.now + call.deadline  # as the transport does it: with slot and turn
            self.time.now += self.takes
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        return "done"


def clock(time: FakeTime) -> Clock:
    return Clock(time.clock, time.sleep)


def retrier(time: FakeTime, policy: Any = None) -> Retrier:
    return Retrier(policy or RetryPolicy(), RetryQuota(clock(time)), clock(time))
