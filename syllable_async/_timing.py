"""Time: the clock of a client, and timeouts that are cheaper than `asyncio.timeout`."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, cast

from msgspec import Struct


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Clock(Struct, frozen=True):
    """The clock of a client: monotonic seconds, a sleep, and the time of day. Tests bring their own."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    now: Callable[[], datetime] = _utc_now
    """Aware, UTC. Deadlines never rest on it."""


SYSTEM_CLOCK = Clock()


class Timeout:
    """`asyncio.timeout` for a block that each call enters once: `TimeoutError` after `seconds`, None for no limit.

    It has no coroutines and no states, which halves the cost (3 of 6 us).
    """

    __slots__ = ("_cancelling", "_handle", "_passed", "_seconds", "_task")

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._passed = False
        self._handle: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._task = task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._cancelling = task.cancelling()
        if self._seconds is not None:
            self._handle = task.get_loop().call_later(self._seconds, self._pass)
        return self

    @property
    def task(self) -> asyncio.Task[Any]:
        """The task that runs the block."""
        return self._task

    @property
    def expired(self) -> bool:
        """Whether the limit ended the block."""
        return self._passed

    def expire(self) -> None:
        """End the block now, as if its time had passed; not from inside the block."""
        if not self._passed:
            self._pass()

    def _pass(self) -> None:
        self._passed = True
        self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        if self._handle is not None:
            self._handle.cancel()
        # As there: a cancellation that somebody else asked for meanwhile is theirs, and passes.
        if self._passed and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError
        return None


class SharedTimer:
    """One timer of the event loop for all `CatchingTimeout` blocks that run: set again only when it goes off too early.

    A timer for each block would cost 3 % of a call.

    Attributes:
        blocks: those that run now.
        due: when the timer goes off, by the loop's clock; infinite: none is set.
    """

    def __init__(self) -> None:
        self.blocks: set[CatchingTimeout] = set()
        self.due: float = math.inf
        self._handle: asyncio.TimerHandle | None = None

    def set(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        """Go off then, and not later."""
        self.cancel()
        self.due, self._handle = due, loop.call_at(due, self._on_timer, loop)

    def cancel(self) -> None:
        """Forget the timer."""
        if self._handle is not None:
            self._handle.cancel()
            self.due, self._handle = math.inf, None

    def _on_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        self.due, self._handle = math.inf, None
        now, blocks = loop.time(), list(self.blocks)
        for block in blocks:
            if block.due <= now:
                block.expire()
        later = [block.due for block in blocks if now < block.due < math.inf]
        if later:
            self.set(loop, min(later))


class CatchingTimeout(Timeout):
    """A `Timeout` that ends no matter how its block ended, and keeps what was raised as a value.

    Attributes:
        due: when the limit ends the block, by the loop's clock; infinite: no limit.
        error: what the block raised, `TimeoutError` where the limit ended it; None: nothing.
    """

    __slots__ = ("_timer", "due", "error")

    def __init__(self, seconds: float | None, timer: SharedTimer) -> None:
        Timeout.__init__(self, seconds)  # `super()` costs twice as much, here and in `aiohttp_internals`
        self._timer = timer
        self.due: float = math.inf
        self.error: Exception | asyncio.CancelledError | None = None

    def __enter__(self) -> Self:
        task: Any = asyncio.current_task()
        self._task = task
        self._cancelling = task.cancelling()
        self._timer.blocks.add(self)
        if self._seconds is not None:
            loop: asyncio.AbstractEventLoop = task.get_loop()
            self.due = due = loop.time() + self._seconds
            if due < self._timer.due:
                self._timer.set(loop, due)
        return self

    def left(self) -> float | None:
        """Seconds until the block is ended; None: no limit. Only inside the block."""
        return None if self._seconds is None else max(0.0, self.due - self._task.get_loop().time())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self._timer.blocks.discard(self)
        if error is None and not self._passed:  # as most blocks end
            return True
        try:
            super().__exit__(kind, error, traceback)
        except TimeoutError as timeout:
            error = timeout
        if isinstance(error, Exception | asyncio.CancelledError):
            self.error = error
        return error is None or self.error is not None


class RearmableTimeout:
    """`asyncio.timeout` for many short waits: one timer for all of them, set again only when it goes off too early.

    A timer for each chunk would cost a fifth of the speed.
    """

    def __init__(self) -> None:
        self.task: asyncio.Task[Any] | None = None
        self.expired = False
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def arm(self, seconds: float) -> tuple[asyncio.Task[Any], int]:
        """The running task will be cancelled, and `expired` set, unless it takes back `task` in that time."""
        task: Any = asyncio.current_task()
        loop: asyncio.AbstractEventLoop = task.get_loop()
        self.task, self.expired = task, False
        self._due = loop.time() + seconds
        if self._timer is None:
            self._timer = loop.call_at(self._due, self._on_timer, loop)
        return task, task.cancelling()

    def disarm(self) -> None:
        """Forget the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self.task is None:
            return
        if loop.time() < self._due:
            self._timer = loop.call_at(self._due, self._on_timer, loop)
        else:
            self.expired = True
            self.task.cancel()
