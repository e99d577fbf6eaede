"""When a recording that still comes comes too slowly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from .._messages import ByteReply
from ..errors import SyllableTimeoutError

SLOWEST = 1024
"""Bytes per second, over `RATE_WINDOW` seconds of waiting for the server."""
RATE_WINDOW = 60.0


class Pace:
    """The stall limit. Only time spent waiting for the server counts, not what the caller does between chunks."""

    def __init__(self, timeout: float | None, clock: Callable[[], float]) -> None:
        self._timeout = timeout
        self._clock = clock
        self._alarm = _Alarm()
        self.restart()

    def restart(self) -> None:
        """Begin a new window: a new connection owes nothing for the old one."""
        self._waited = 0.0
        self._received = 0
        self._alarm.stop()

    async def read(self, reply: ByteReply) -> bytes:
        """The next bytes of a reply, or `SyllableTimeoutError` if none or too few came."""
        if self._timeout is None:
            return await reply.read()
        began = self._clock()
        alarm = self._alarm
        task, cancelling = alarm.wait(self._timeout)
        chunk = b""
        try:
            chunk = await reply.read()
        except asyncio.CancelledError:
            if not alarm.rang or task.uncancel() > cancelling:
                raise
        finally:
            alarm.task = None
        if alarm.rang:
            raise SyllableTimeoutError("timeout", self._timeout)
        self._waited += self._clock() - began
        self._received += len(chunk)
        if chunk and self._waited >= RATE_WINDOW:
            self._judge()
        return chunk

    def _judge(self) -> None:
        if self._received < SLOWEST * self._waited:
            raise SyllableTimeoutError("slow-transfer limit (under 1 KiB/s)", RATE_WINDOW)
        self.restart()


class _Alarm:
    """`asyncio.timeout` for many short waits: one timer for all of them, set again only when it goes off too early.

    A timer for each chunk would cost a fifth of the speed.
    """

    def __init__(self) -> None:
        self.task: asyncio.Task[Any] | None = None
        self.rang = False
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def wait(self, seconds: float) -> tuple[asyncio.Task[Any], int]:
        """The running task will be cancelled, and `rang` set, unless it takes back `task` in that time."""
        loop = asyncio.get_running_loop()
        task = cast("asyncio.Task[Any]", asyncio.current_task(loop))
        self.task, self.rang = task, False
        self._due = loop.time() + seconds
        if self._timer is None:
            self._timer = loop.call_at(self._due, self._off, loop)
        return task, task.cancelling()

    def stop(self) -> None:
        """Forget the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _off(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self.task is None:
            return
        if loop.time() < self._due:
            self._timer = loop.call_at(self._due, self._off, loop)
        else:
            self.rang = True
            self.task.cancel()
