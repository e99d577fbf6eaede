"""The limit in time: `asyncio.timeout` in all that can be seen of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from syllable_async._timing import Timeout

Kind = Callable[[float | None], AbstractAsyncContextManager[Any]]


@asynccontextmanager
async def ours(seconds: float | None) -> AsyncGenerator[None]:
    with Timeout(seconds):
        yield


both = pytest.mark.parametrize("limit", [ours, asyncio.timeout], ids=["ours", "asyncio"])


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
async def test_another_error_passes(limit: Kind) -> None:
    with pytest.raises(KeyError):
        async with limit(1):
            raise KeyError


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
