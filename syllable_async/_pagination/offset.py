"""Plain walks: pages in the server's order and by its offsets, over one callable that fetches a page by its number."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import attrs

from .._messages import Page
from .._timing import Clock
from .iterators import EndOfWalk, ResumableIterator, RowIterator, cancel_threadsafe, consume_exception
from .offset_state import OffsetState

T = TypeVar("T")
Response_co = TypeVar("Response_co", covariant=True)
FetchNumber = Callable[[int], Awaitable[Page[Any, Any]]]
SECOND_LOOK = 1.0
"""Seconds before a page that is in doubt is asked for again."""


class OffsetWalk:
    """Pages one after the other, some of them in flight ahead; what both iterators of a plain walk stand on."""

    def __init__(
        self,
        fetch: FetchNumber,
        state: OffsetState[Any],
        clock: Clock,
        *,
        max_pages: int | None = None,
        max_rows: int | None = None,
        prefetch: int = 0,
    ) -> None:
        self.state: OffsetState[Any] = state
        self._fetch = fetch
        self._clock = clock
        self._pages_wanted = max_pages
        self._rows_wanted = max_rows
        self._prefetch = prefetch
        self._tasks: dict[int, asyncio.Task[Page[Any, Any]]] = {}
        self._early: set[int] = set()
        """Those of the pages in flight that were asked for before the page before them had come."""

    async def next_rows(self) -> tuple[Page[Any, Any] | None, tuple[Any, ...]]:
        """The next page with rows that were not there yet, and those rows; None at the end."""
        state = self.state
        while not state.ended and self._pages_wanted != 0 and self._rows_wanted != 0:
            if state.second_look:
                await self._clock.sleep(SECOND_LOOK)
            drifts = state.drifts
            early = state.next_page in self._early
            page = await (self._await_prefetched() if self._prefetch else self._fetch(state.next_page))
            rows = state.accept_page(page, early=early)
            if state.drifts != drifts:
                await self._cancel_prefetch()
            self._count_down(rows)
            self._schedule_prefetch()
            if rows:
                return page, rows
        await self._cancel_prefetch()
        return None, ()

    def _count_down(self, rows: tuple[Any, ...]) -> None:
        if self._rows_wanted is not None:
            self._rows_wanted = max(0, self._rows_wanted - len(rows))
        if self._pages_wanted is not None and rows:
            self._pages_wanted -= 1

    async def _await_prefetched(self) -> Page[Any, Any]:
        number = self.state.next_page
        self._schedule_prefetch(again=True)
        task = self._tasks[number]
        # Waiting for the task and not awaiting it: cancelling this step must not cancel the page.
        await asyncio.wait((task,))
        if self.state.expected_end is not None and _has_rows(task):
            # The page is at hand, so the next request leaves before the caller works on it: 3 % of a walk's time.
            self._schedule_prefetch(ahead=1)
            await asyncio.sleep(0)
        # Out before its result is looked at: a page that failed is asked for again.
        del self._tasks[number]
        self._early.discard(number)
        return task.result()

    def _schedule_prefetch(self, ahead: int = 0, *, again: bool = False) -> None:
        """Have the next pages in flight, as many as asked for and never past an end that is known.

        A page that is in doubt is asked for `again` only when its time has come.
        """
        state = self.state
        if not self._prefetch or (state.second_look and not again):
            return
        if state.ended or self._rows_wanted == 0 or self._pages_wanted == 0:
            for task in self._tasks.values():
                task.cancel()
            return
        ends = [state.next_page + ahead + (self._prefetch if state.largest_page else 1)]
        if state.expected_end is not None:
            ends.append(max(state.expected_end, state.next_page + 1))
        if self._rows_wanted is not None and state.largest_page:
            ends.append(state.next_page - (-self._rows_wanted // state.largest_page))
        if self._pages_wanted is not None:
            ends.append(state.next_page + self._pages_wanted)
        for number in range(state.next_page, min(ends)):
            if number not in self._tasks:
                self._tasks[number] = task = asyncio.create_task(_call(self._fetch, number))
                if number != state.next_page:
                    self._early.add(number)
                task.add_done_callback(consume_exception)

    async def _cancel_prefetch(self) -> None:
        tasks = [*self._tasks.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
            self._tasks.clear()
            self._early.clear()

    async def aclose(self) -> None:
        """Cancel and await the pages in flight; of a loop that is gone they are gone too."""
        if any(task.get_loop() is not asyncio.get_running_loop() for task in self._tasks.values()):
            self._cancel_threadsafe()
        else:
            await self._cancel_prefetch()

    def _cancel_threadsafe(self) -> None:
        for task in self._tasks.values():
            cancel_threadsafe(task)

    def __del__(self) -> None:
        # `async for … break` calls no aclose: what is in flight ends with the iterator.
        self._cancel_threadsafe()


async def _call(fetch: FetchNumber, number: int) -> Page[Any, Any]:
    return await fetch(number)


def _has_rows(task: asyncio.Task[Page[Any, Any]]) -> bool:
    return not task.cancelled() and task.exception() is None and bool(task.result().rows)


class PageIterator(ResumableIterator[Response_co]):
    """Page after page; rows that were on an earlier page are left out, and an empty page is not yielded."""

    def __init__(self, walk: OffsetWalk) -> None:
        self._walk = walk

    @property
    def next_page(self) -> int:
        """The 0-based page that comes next; a later walk can begin there."""
        return self._walk.state.next_page

    async def _next(self) -> Response_co:
        page, rows = await self._walk.next_rows()
        if page is None:
            raise EndOfWalk
        response = page.response
        return cast("Response_co", response if rows is response.items else attrs.evolve(response, items=rows))

    async def aclose(self) -> None:
        """End the walk: what is in flight is cancelled and awaited. Can be called twice."""
        await super().aclose()
        await self._walk.aclose()


class ItemIterator(RowIterator[T]):
    """Row after row, in the server's order."""

    def __init__(self, walk: OffsetWalk, max_items: int | None = None) -> None:
        super().__init__(max_items)
        self._walk = walk

    @property
    def next_page(self) -> int:
        """The 0-based page that follows the one whose rows come now; a later walk can begin there."""
        return self._walk.state.next_page

    async def _load_page(self) -> bool:
        page, rows = await self._walk.next_rows()
        self._rows.extend(rows)
        return page is not None

    async def aclose(self) -> None:
        """End the walk: pages in flight are cancelled and awaited. Can be called twice."""
        await super().aclose()
        await self._walk.aclose()
