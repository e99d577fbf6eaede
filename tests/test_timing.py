"""The limit in time: `asyncio.timeout` in all that can be seen of it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syllable_async._timing import CatchingTimeout, SharedTimer, Timeout
from tests.time_control import TimelessLoop

Kind = Callable[[float | None], AbstractAsyncContextManager[Any]]


@asynccontextmanager
async def ours(seconds: float | None) -> AsyncGenerator[None]:
    with Timeout(seconds):
        yield


@asynccontextmanager
async def catching(seconds: float | None) -> AsyncGenerator[None]:
    timer = CatchingTimeout(seconds, SharedTimer())
    with timer:
        yield
    if timer.error is not None:
        raise timer.error


both = pytest.mark.parametrize("limit", [ours, catching, asyncio.timeout], ids=["ours", "catching", "asyncio"])


@both
@pytest.mark.parametrize("seconds", [-1, 0, 0.001])
async def test_what_takes_longer_is_a_timeout_and_no_cancellation(limit: Kind, seconds: float) -> None:
    with pytest.raises(TimeoutError):
        async with limit(seconds):
            await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


@both
@pytest.mark.parametrize("seconds", [None, 0.002])
async def test_what_ends_in_time_is_left_alone_afterwards_too(limit: Kind, seconds: float | None) -> None:
    async with limit(seconds):
        await asyncio.sleep(0)
    await asyncio.sleep(0.004)


@both
@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
async def test_another_error_passes(limit: Kind, error: type[BaseException]) -> None:
    with pytest.raises(error):
        async with limit(1):
            raise error


@pytest.mark.parametrize("seconds", [None, 1])
async def test_a_block_that_is_ended_twice_is_one_timeout(seconds: float | None) -> None:
    timer = Timeout(seconds)

    async def work() -> int:
        with pytest.raises(TimeoutError), timer:
            await asyncio.Event().wait()
        return cast("asyncio.Task[Any]", asyncio.current_task()).cancelling()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    for _ in range(2):
        timer.expire()
    assert await task == 0


@both
@pytest.mark.parametrize("seconds", [None, 1, 0])
async def test_a_cancellation_from_outside_passes_even_when_the_time_is_up(limit: Kind, seconds: float | None) -> None:
    async def work() -> None:
        async with limit(seconds):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(task.cancel)  # after the limit, in the same turn of the loop
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


@both
async def test_the_inner_one_of_two_limits_is_told_from_the_outer(limit: Kind) -> None:
    async with limit(1):
        with pytest.raises(TimeoutError):
            async with limit(0):
                await asyncio.Event().wait()
    with pytest.raises(TimeoutError):
        async with limit(0), limit(1):
            await asyncio.Event().wait()


Block = tuple[int, int, int | None]
"""Seconds: when it begins, how long its work takes, its limit. Work ends in the middle of a second."""


async def ends(blocks: list[Block], timer: SharedTimer) -> list[tuple[float, bool]]:
    """When each block ended, and whether by its limit."""
    loop = asyncio.get_running_loop()
    started = loop.time()

    async def run(begins: int, takes: int, limit: int | None) -> tuple[float, bool]:
        await asyncio.sleep(begins)
        block = CatchingTimeout(limit, timer)
        with block:
            await asyncio.sleep(takes + 0.5)
        return loop.time() - started, isinstance(block.error, TimeoutError)

    return await asyncio.gather(*(run(*block) for block in blocks))


def check_ends(blocks: list[Block], timer: SharedTimer) -> None:
    """Each block ends by itself or at its own limit, whatever limits the others have; nothing is left behind."""
    with asyncio.Runner(loop_factory=TimelessLoop) as runner:
        found = runner.run(ends(blocks, timer))
    assert found == [
        (begins + (takes + 0.5 if limit is None else min(takes + 0.5, limit)), limit is not None and limit <= takes)
        for begins, takes, limit in blocks
    ]
    assert not timer.blocks


BLOCKS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 20), st.none() | st.integers(0, 20)), min_size=1, max_size=6
)


@given(BLOCKS)
def test_blocks_that_share_a_timer_end_at_their_own_limits(blocks: list[Block]) -> None:
    check_ends(blocks, SharedTimer())


class NeverEarlier(SharedTimer):
    """Naive: a timer that is set is not set anew for a block that ends before."""

    def set(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        if self.due == math.inf:
            super().set(loop, due)


class Once(SharedTimer):
    """Naive: after it went off, the blocks that still run are forgotten."""

    def _on_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        super()._on_timer(loop)
        self.cancel()


@pytest.mark.parametrize(("naive", "blocks"), [(NeverEarlier, [(0, 9, 9), (0, 9, 3)]), (Once, [(0, 9, 3), (0, 9, 5)])])
def test_naive_shared_timers_miss_a_limit(naive: type[SharedTimer], blocks: list[Block]) -> None:
    check_ends(blocks, SharedTimer())
    with pytest.raises(AssertionError):
        check_ends(blocks, naive())


class Counting(SharedTimer):
    times_set = 0

    def set(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self.times_set += 1
        super().set(loop, due)


async def test_blocks_of_one_limit_share_one_timer() -> None:
    timer = Counting()
    for _ in range(100):
        with CatchingTimeout(30, timer):
            pass
    assert timer.times_set == 1
    assert timer.due < math.inf
    timer.cancel()
    assert timer.due == math.inf
