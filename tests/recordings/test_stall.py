"""The stall limit, on its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from syllable_async._messages import StreamedResponse
from syllable_async._recordings.stall import StallDetector
from syllable_async._timing import Clock
from syllable_async.errors import SyllableTimeoutError
from tests.recordings.scripted_origin import Headers, Origin, ScriptedReply, Version


class Waiting(ScriptedReply):
    """A reply whose bytes come when `arrive` is called."""

    def __init__(self) -> None:
        super().__init__(200, Headers({}), "length", b"", "whole", 1, Origin(Version(b"")))
        self.arrived = asyncio.Event()

    async def read(self) -> bytes:
        await self.arrived.wait()
        return b"x"


def pace(timeout: float | None = 0.01, clock: Callable[[], float] = lambda: 0.0) -> StallDetector:
    return StallDetector(timeout, Clock(monotonic=clock))


async def stalls(watch: StallDetector, reply: StreamedResponse) -> None:
    with pytest.raises(SyllableTimeoutError, match=r"the timeout of 0\.01 s passed"):
        await watch.read(reply)


async def test_a_stall_leaves_no_trace_in_the_task() -> None:
    task = asyncio.current_task()
    assert task is not None
    watch, reply = pace(), Waiting()
    for _ in range(2):
        await stalls(watch, reply)
        assert task.cancelling() == 0
    reply.arrived.set()
    assert await watch.read(reply) == b"x"


async def test_one_timer_serves_many_reads() -> None:
    watch, reply = pace(), Waiting()
    reply.arrived.set()
    for _ in range(3):
        assert await watch.read(reply) == b"x"
        await asyncio.sleep(0.006)  # the timer goes off while nobody waits, and while somebody has just begun to
    reply.arrived.clear()
    began = asyncio.get_running_loop().time()
    await stalls(watch, reply)
    assert asyncio.get_running_loop().time() - began >= 0.009


async def test_a_cancellation_is_no_stall() -> None:
    reading = asyncio.ensure_future(pace().read(Waiting()))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_a_cancellation_in_the_same_moment_wins() -> None:
    watch = pace()
    reading = asyncio.ensure_future(watch.read(Waiting()))
    await asyncio.sleep(0)
    watch._alarm._due = 0.0
    watch._alarm._on_timer(asyncio.get_running_loop())
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_a_timeout_around_a_read_is_the_callers() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.005):
            await pace(5.0).read(Waiting())


async def test_nothing_stays_scheduled_after_a_restart() -> None:
    watch, reply = pace(30.0), Waiting()
    reply.arrived.set()
    await watch.read(reply)
    timer = watch._alarm._timer
    assert timer is not None
    watch.reset()
    assert timer.cancelled()
