"""Patience: a job tries again what may pass, for longer than a single call of the client does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from syllable_async import APIError, SyllableConnectionError, SyllableError

T = TypeVar("T")
LONGEST_PAUSE = 60.0
"""Seconds between two tries, unless the API asks for more."""
MANY_YEARS = 1e9
"""Seconds; more than this is a slip of the keyboard."""
ONE_SESSION = 300.0
"""Seconds that one call is tried again while others succeed: then it is the session and not the API."""


def may_pass(error: SyllableError) -> bool:
    """Whether the same request may succeed later: connections, timeouts, 408, 429 and 5xx."""
    if isinstance(error, SyllableConnectionError):
        return error.transient
    return isinstance(error, APIError) and (error.status in {408, 429} or error.status >= 500)


class Patience:
    """What all calls of a job share: for how long to try again, and when one last succeeded."""

    def __init__(
        self,
        seconds: float,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = seconds
        self._sleep = sleep
        self._monotonic = monotonic
        self._last_success = monotonic()
        self._failing_since: float | None = None

    async def run(self, step: Callable[[], Awaitable[T]]) -> T:
        """Call `step` until it succeeds, fails for good, or patience is over; then its last error is raised."""
        wait = self.begin()
        while True:
            try:
                result = await step()
            except SyllableError as error:
                await wait(error)
            else:
                self.succeeded()
                return result

    def begin(self) -> Callable[[SyllableError], Awaitable[None]]:
        """What one call calls after each failure: it waits, as long as the API asks for, or raises the error."""
        first_failure: float | None = None
        pause = 1.0

        async def wait(error: SyllableError) -> None:
            nonlocal first_failure, pause
            if first_failure is None:
                first_failure = self._monotonic()
            seconds = max(pause, getattr(error, "retry_after", None) or 0.0)
            if not may_pass(error) or seconds > self._time_left(first_failure):
                raise error
            await self._sleep(seconds)
            pause = min(2 * pause, LONGEST_PAUSE)

        return wait

    def succeeded(self) -> None:
        """The API serves."""
        self._last_success = self._monotonic()
        self._failing_since = None

    def _time_left(self, first_failure: float) -> float:
        """Seconds for which a call that first failed then is tried again."""
        now = self._monotonic()
        if self._failing_since is None:
            self._failing_since = now
        if self._last_success > first_failure:
            return first_failure + min(self._seconds, ONE_SESSION) - now
        return min(first_failure, self._failing_since) + self._seconds - now


def check_job(*, parallel: int, **seconds: float) -> None:
    """Refuse numbers that cannot be."""
    if isinstance(parallel, bool) or not isinstance(parallel, int):
        raise TypeError(f"parallel must be an int, not {type(parallel).__name__}")
    if parallel < 1:
        raise ValueError(f"parallel must be at least 1, not {parallel}")
    for name, value in seconds.items():
        if not 0 <= value <= MANY_YEARS:
            raise ValueError(f"{name} must be a number of seconds, not {value}")
