"""What all iterators over a list share: one task at a time, an end that stays the end, `async with`."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from .._validators import AsyncIterationOnly
from ..errors import ClientClosedError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class EndOfWalk(Exception):  # noqa: N818 - no error
    """A walk has no more to give. No `StopAsyncIteration`: one that a user's function raised would end the walk."""


class ResumableIterator(AsyncIterationOnly, Generic[T_co]):
    """What all walks share: one task at a time, `async with`, and an end that stays the end.

    A failed step leaves the walk where it was, so `anext` again goes on. It is a class and no async generator because
    a generator is finished by its first exception, and a caller who retries would get a short list without an error.

    A walk that is closed before its end raises `ClientClosedError` in every task but the one that closed it, so that
    no reader takes what it has for the whole. A walk belongs to the event loop of its first step.
    """

    _closed = False
    _ended = False
    _closer: asyncio.Task[Any] | None = None
    """The task that closed the walk, which knows that it did."""
    _reader: asyncio.Task[Any] | None = None
    """The task whose step is under way."""
    _step_over: asyncio.Future[None] | None = None
    """Where `aclose` waits for the step that it cancelled."""
    _loop: asyncio.AbstractEventLoop | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T_co:
        if self._reader is not None:
            self._check_loop(asyncio.get_running_loop())
            raise RuntimeError("two tasks share one iterator; give each a walk of its own, or share a queue")
        task = asyncio.current_task()
        if self._closed or self._ended or task is None:
            raise self._after_the_end(task)
        self._check_loop(task.get_loop())
        self._reader, cancelling = task, task.cancelling()
        try:
            row = await self._next()
        except EndOfWalk:
            self._ended = True
        except StopAsyncIteration as error:
            raise self._not_the_end() from error
        except asyncio.CancelledError:
            # As in `asyncio.timeout`: a cancellation that somebody else asked for meanwhile is theirs, and passes.
            if self._step_over is None or task.cancelling() > cancelling + 1:
                raise
        else:
            if self._step_over is None:
                return row
        finally:
            self._end_step(task)
        raise self._after_the_end(task)

    def _end_step(self, task: asyncio.Task[Any]) -> None:
        self._reader = None
        if self._step_over is not None:
            task.uncancel()
            self._step_over.set_result(None)

    async def _next(self) -> T_co:
        raise NotImplementedError  # pragma: no cover - every kind of walk has its own

    def _after_the_end(self, task: asyncio.Task[Any] | None) -> StopAsyncIteration | ClientClosedError | RuntimeError:
        """What a step raises that comes after the walk's end, or after its being closed."""
        if task is None:
            return RuntimeError("a walk needs a task of asyncio to run in")
        if self._ended or task is self._closer:
            return StopAsyncIteration()
        return ClientClosedError("the walk was closed before its end: there may be more")

    def _check_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            state = "closed" if self._loop.is_closed() else "another one"
            raise ClientClosedError(
                f"this walk belongs to the event loop in which it began, and that is {state}; begin a walk in this loop"
            )

    async def aclose(self) -> None:
        """End the walk: what is in flight is cancelled and awaited. Can be called twice.

        A task that waits for the walk's next step, or asks for one later, gets `ClientClosedError`; the one that
        called `aclose` gets the end.
        """
        task = asyncio.current_task()
        if not self._closed:
            self._closed, self._closer = True, task
        reader = self._reader
        if reader is None or reader is task or reader.done() or self._loop is not asyncio.get_running_loop():
            return
        if self._step_over is None:
            self._step_over = asyncio.get_running_loop().create_future()
            reader.cancel()
        await asyncio.shield(self._step_over)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


class RowIterator(ResumableIterator[T]):
    """A walk that takes rows in by the page and hands them out one by one."""

    def __init__(self, max_items: int | None) -> None:
        self._left = max_items
        self._rows: deque[T] = deque()

    async def __anext__(self) -> T:
        # Rows at hand need no await, so no other task can come between.
        if self._rows and not self._closed:
            return self._pop_row()
        return await super().__anext__()

    async def _next(self) -> T:
        while not self._rows:
            if self._left == 0 or not await self._load_page():
                raise EndOfWalk
        return self._pop_row()

    def _pop_row(self) -> T:
        row = self._rows.popleft()
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                self._rows.clear()
        return row

    async def _load_page(self) -> bool:
        """Take the next page in, if there may be one."""
        raise NotImplementedError  # pragma: no cover - every kind of walk has its own


def cancel_threadsafe(task: asyncio.Task[Any]) -> None:
    """Cancel from where a collector may run: any thread, any time, even after the loop."""
    loop = task.get_loop()
    with suppress(RuntimeError):
        if asyncio.get_running_loop() is loop:
            task.cancel()
            return
    with suppress(RuntimeError):  # the loop is closed, and so is the task
        loop.call_soon_threadsafe(task.cancel)


def consume_exception(task: asyncio.Task[Any]) -> None:
    """Look at the exception, so that a page nobody came for is not reported as forgotten."""
    if not task.cancelled():
        task.exception()
