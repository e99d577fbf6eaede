"""Stall detection: raise where the server sends nothing for `timeout` seconds, or under 1 KiB/s for a minute."""

from __future__ import annotations

import asyncio

from .._messages import StreamedResponse
from .._timing import Clock, RearmableTimeout
from ..errors import SyllableTimeoutError

MIN_BYTES_PER_SECOND = 1024
"""Bytes per second, over `RATE_WINDOW` seconds of waiting for the server."""
RATE_WINDOW = 60.0


class StallDetector:
    """The stall limit. Only time spent waiting for the server counts, not what the caller does between chunks."""

    def __init__(self, timeout: float | None, clock: Clock) -> None:
        self._timeout = timeout
        self._monotonic = clock.monotonic
        self._alarm = RearmableTimeout()
        self.reset()

    def reset(self) -> None:
        """Begin a new window: a new connection owes nothing for the old one."""
        self._waited = 0.0
        self._received = 0
        self._alarm.disarm()

    async def read(self, response: StreamedResponse) -> bytes:
        """The next bytes of a response, or `SyllableTimeoutError` if none or too few came."""
        if self._timeout is None:
            return await response.read()
        began = self._monotonic()
        alarm = self._alarm
        task, cancelling = alarm.arm(self._timeout)
        chunk = b""
        try:
            chunk = await response.read()
        except asyncio.CancelledError:
            # As in `asyncio.timeout`: a cancellation that somebody else asked for meanwhile is theirs, and passes.
            if not alarm.expired or task.uncancel() > cancelling:
                raise
        finally:
            alarm.task = None
        if alarm.expired:
            raise SyllableTimeoutError("timeout", self._timeout)
        # Only the wait for the server counts, so a slow reader is no slow line.
        self._waited += self._monotonic() - began
        self._received += len(chunk)
        if chunk and self._waited >= RATE_WINDOW:
            self._check_rate()
        return chunk

    def _check_rate(self) -> None:
        if self._received < MIN_BYTES_PER_SECOND * self._waited:
            raise SyllableTimeoutError("slow-transfer limit (under 1 KiB/s)", RATE_WINDOW)
        self.reset()
