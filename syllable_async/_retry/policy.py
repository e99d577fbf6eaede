"""When to try again: the policy, and the brakes that all calls of a client share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
from attrs import validators as v

from ..errors import SyllableError

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]
OnRetry = Callable[[int, SyllableError, float], None]


@attrs.frozen
class Time:
    """The monotonic clock and the sleep of a client; tests bring their own."""

    clock: Clock = time.monotonic
    sleep: Sleep = asyncio.sleep


def _seconds(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not (isinstance(value, int | float) and 0 <= value < float("inf")):
        raise ValueError(f"{attribute.name} must be a number of seconds from 0 on")


def _seconds_or_none(policy: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None:
        _seconds(policy, attribute, value)


@attrs.frozen
class RetryPolicy:
    """How often and how patiently a call is tried again. All times are seconds.

    Between attempts the client sleeps a random time up to `min(maximum, initial * 2 ** n)` ("full jitter"), or as long
    as the server's `Retry-After` asks. What is retried: connection errors, timeouts, replies cut off or garbled, and
    `statuses`, for calls that are safe to repeat; any other call only where it certainly never arrived.

    Attributes:
        max_attempts: requests in all; 1 means never again.
        initial: upper bound of the first sleep.
        maximum: upper bound of any sleep that the server did not ask for.
        deadline: for everything together: attempts, sleeps, waiting for a connection. None: no bound.
        max_retry_after: a longer `Retry-After` is not obeyed; the error is raised at once and carries it.
        statuses: HTTP statuses worth another attempt.
        on_retry: called as `on_retry(attempt, error, delay)` before each sleep; `attempt` is the failed one, from 1.
    """

    max_attempts: int = attrs.field(default=4, validator=[v.instance_of(int), v.ge(1)])
    initial: float = attrs.field(default=0.5, validator=_seconds)
    maximum: float = attrs.field(default=8.0, validator=_seconds)
    deadline: float | None = attrs.field(default=60.0, validator=_seconds_or_none)
    max_retry_after: float = attrs.field(default=60.0, validator=_seconds)
    statuses: frozenset[int] = attrs.field(default=frozenset({408, 429, 500, 502, 503, 504}), converter=frozenset)
    on_retry: OnRetry | None = attrs.field(default=None, repr=False)


class Throttle:
    """The brakes that all calls of a client share: a quota of retries, and the pause that a 429 asks for.

    The quota ends retry storms: each retry takes 5 of 500, a success gives back what its call took, at least 1. So
    1,000 calls to a dead server make at most 1,100 requests.
    """

    CAPACITY = 500
    COST = 5

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self.clock = clock
        self.quota: int = self.CAPACITY
        self.paused_until: float = 0.0

    def take(self) -> bool:
        """Pay for one retry, if there is enough left."""
        if self.quota < self.COST:
            return False
        self.quota -= self.COST
        return True

    def give_back(self, amount: int = 1) -> None:
        """A call succeeded."""
        if self.quota < self.CAPACITY:
            self.quota = min(self.CAPACITY, self.quota + amount)

    def pause(self, seconds: float) -> None:
        """No call of the client sends for so long."""
        self.paused_until = max(self.paused_until, self.clock() + seconds)


@attrs.define(slots=True)
class Call:
    """One call while it runs: its limit in time, the requests it has sent, and whether the last one could leave."""

    deadline_at: float | None
    deadline: float | None
    sent: int = 0
    connected: bool = True
