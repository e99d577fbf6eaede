"""Plain walks: pages in the server's order and by its offsets, over one callable that fetches a page by its number."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import attrs

from ..models import ListResponseSession
from .iterators import ResumableIterator, SessionIterator
from .offset_state import OffsetState

FetchNumber = Callable[[int], Awaitable[ListResponseSession]]


class PageIterator(ResumableIterator[ListResponseSession]):
    """Page after page; rows that were on an earlier page are left out, and an empty page is not yielded."""

    def __init__(
        self,
        fetch: FetchNumber,
        first: int,
        *,
        max_pages: int | None = None,
        max_rows: int | None = None,
        prefetch: int = 0,
    ) -> None:
        self._fetch = fetch
        self._ledger = OffsetState(first)
        self._stop = None if max_pages is None else first + max_pages
        self._rows_wanted = max_rows
        self._prefetch = prefetch
        self._tasks: dict[int, asyncio.Task[ListResponseSession]] = {}

    @property
    def next_page(self) -> int:
        """The 0-based page that comes next; a later walk can begin there."""
        return self._ledger.next_page

    async def _next(self) -> ListResponseSession:
        ledger = self._ledger
        while not ledger.ended and ledger.next_page != self._stop and self._rows_wanted != 0:
            page = await (self._await_prefetched() if self._prefetch else self._fetch(ledger.next_page))
            if self._closed:
                break
            items = ledger.accept_page(page)
            if self._rows_wanted is not None:
                self._rows_wanted = max(0, self._rows_wanted - len(items))
            self._schedule_prefetch()
            if items:
                return page if items is page.items else attrs.evolve(page, items=items)
        await self.aclose()
        raise StopAsyncIteration

    async def _await_prefetched(self) -> ListResponseSession:
        number = self._ledger.next_page
        self._schedule_prefetch()
        task = self._tasks[number]
        # Waiting for the task and not awaiting it: cancelling this step must not cancel the page.
        await asyncio.wait((task,))
        if self._ledger.expected_end is not None and _has_rows(task) and not self._closed:
            # The page is at hand, so the next request leaves before the caller works on it: 3 % of a walk's time.
            self._schedule_prefetch(ahead=1)
            await asyncio.sleep(0)
        if self._closed:
            raise StopAsyncIteration
        # Out before its result is looked at: a page that failed is asked for again.
        del self._tasks[number]
        return task.result()

    def _schedule_prefetch(self, ahead: int = 0) -> None:
        """Have the next pages in flight, as many as asked for and never past an end that is known."""
        ledger = self._ledger
        if ledger.ended or self._rows_wanted == 0 or not self._prefetch:
            self._cancel_prefetch()
            return
        ends = [ledger.next_page + ahead + (self._prefetch if ledger.largest_page else 1)]
        if ledger.expected_end is not None:
            ends.append(max(ledger.expected_end, ledger.next_page + 1))
        if self._rows_wanted is not None and ledger.largest_page:
            ends.append(ledger.next_page - (-self._rows_wanted // ledger.largest_page))
        if self._stop is not None:
            ends.append(self._stop)
        for number in range(ledger.next_page, min(ends)):
            if number not in self._tasks:
                self._tasks[number] = task = asyncio.create_task(_call(self._fetch, number))
                task.add_done_callback(_consume_exception)

    def _cancel_prefetch(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    async def aclose(self) -> None:
        """End the walk: pages in flight are cancelled and awaited. Can be called twice."""
        await super().aclose()
        self._cancel_prefetch()
        if self._tasks:
            await asyncio.wait(self._tasks.values())
            self._tasks.clear()

    def __del__(self) -> None:
        # `async for … break` calls no aclose: what is in flight ends with the iterator.
        for task in self._tasks.values():
            _cancel_threadsafe(task)


async def _call(fetch: FetchNumber, number: int) -> ListResponseSession:
    return await fetch(number)


def _cancel_threadsafe(task: asyncio.Task[ListResponseSession]) -> None:
    """Cancel from where a collector may run: any thread, any time, even after the loop."""
    loop = task.get_loop()
    with suppress(RuntimeError):
        if asyncio.get_running_loop() is loop:
            task.cancel()
            return
    with suppress(RuntimeError):  # the loop is closed, and so is the task
        loop.call_soon_threadsafe(task.cancel)


def _has_rows(task: asyncio.Task[ListResponseSession]) -> bool:
    return not task.cancelled() and task.exception() is None and bool(task.result().items)


def _consume_exception(task: asyncio.Task[ListResponseSession]) -> None:
    """Look at the exception, so that a page nobody came for is not reported as forgotten."""
    if not task.cancelled():
        task.exception()


class ItemIterator(SessionIterator):
    """Session after session, in the server's order."""

    def __init__(self, pages: PageIterator, max_items: int | None = None) -> None:
        super().__init__(max_items)
        self._pages = pages

    @property
    def next_page(self) -> int:
        """The 0-based page that follows the one whose sessions come now; a later walk can begin there."""
        return self._pages.next_page

    async def _load_page(self) -> bool:
        page = await anext(self._pages, None)
        if page is not None:
            self._rows.extend(page.items)
        return page is not None

    async def aclose(self) -> None:
        """End the walk: pages in flight are cancelled and awaited. Can be called twice."""
        await super().aclose()
        await self._pages.aclose()
