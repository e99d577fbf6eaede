"""When a recording that still comes comes too slowly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .._messages import ByteReply
from .._timing import _Alarm
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
