"""Time that only passes when somebody sleeps."""

from __future__ import annotations

import asyncio


class FakeTime:
    """A clock that only sleeping moves. Every sleep gives the loop one turn."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.sleeps: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)
