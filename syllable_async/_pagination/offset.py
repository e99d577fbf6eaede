"""Plain walks: pages in the server's order and by its offsets, over one callable that fetches a page by its number."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import attrs

from ..models import ListResponseSession
from .iterators import SessionWalk, Walk
from .offset_state import Ledger

FetchNumber = Callable[[int], Awaitable[ListResponseSession]]


class PageIterator(Walk[ListResponseSession]):
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
        self._ledger = Ledger(first)
        self._stop = None if max_pages is None else first + max_pages
        self._wanted = max_rows
        self._prefetch = prefetch
        self._tasks: dict[int, asyncio.Task[ListResponseSession]] = {}

    @property
    def next_page(self) -> int:
        """The 0-based page that comes next; a later walk can begin there."""
        return self._ledger.number

    async def _step(self) -> ListResponseSession:
        ledger = self._ledger
        while not ledger.ended and ledger.number != self._stop and self._wanted != 0:
            page = await (self._from_flight() if self._prefetch else self._fetch(ledger.number))
            if self._closed:
                break
            items = ledger.enter(page)
            if self._wanted is not None:
                self._wanted = max(0, self._wanted - len(items))
            self._fly()
            if items:
                return page if items is page.items else attrs.evolve(page, items=items)
        await self.aclose()
        raise StopAsyncIteration

    async def _from_flight(self) -> ListResponseSession:
        number = self._ledger.number
        self._fly()
        task = self._tasks[number]
        # Waiting for the task and not awaiting it: cancelling this step must not cancel the page.
        await asyncio.wait((task,))
        if self._ledger.known_end is not None and _has_rows(task) and not self._closed:
            # The page is at hand, so the next request leaves before the caller works on it: 3 % of a walk's time.
            self._fly(ahead=1)
            await asyncio.sleep(0)
        if self._closed:
            raise StopAsyncIteration
        # Out before its result is looked at: a page that failed is asked for again.
        del self._tasks[number]
        return task.result()

    def _fly(self, ahead: int = 0) -> None:
        """Have the next pages in flight, as many as asked for and never past an end that is known."""
        ledger = self._ledger
        if ledger.ended or self._wanted == 0 or not self._prefetch:
            self._cancel()
            return
        ends = [ledger.number + ahead + (self._prefetch if ledger.longest else 1)]
        if ledger.known_end is not None:
            ends.append(max(ledger.known_end, ledger.number + 1))
        if self._wanted is not None and ledger.longest:
            ends.append(ledger.number - (-self._wanted // ledger.longest))
        if self._stop is not None:
            ends.append(self._stop)
        for number in range(ledger.number, min(ends)):
            if number not in self._tasks:
                self._tasks[number] = task = asyncio.create_task(_call(self._fetch, number))
                task.add_done_callback(_retrieve)

    def _cancel(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    async def aclose(self) -> None:
        """End the walk: pages in flight are cancelled and awaited. Can be called twice."""
        await super().aclose()
        self._cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values())
            self._tasks.clear()

    def __del__(self) -> None:
        # `async for … break` calls no aclose: what is in flight ends with the iterator.
        for task in self._tasks.values():
            _cancel_from_anywhere(task)


async def _call(fetch: FetchNumber, number: int) -> ListResponseSession:
    return await fetch(number)


def _cancel_from_anywhere(task: asyncio.Task[ListResponseSession]) -> None:
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


def _retrieve(task: asyncio.Task[ListResponseSession]) -> None:
    """Look at the exception, so that a page nobody came for is not reported as forgotten."""
    if not task.cancelled():
        task.exception()


class ItemIterator(SessionWalk):
    """Session after session, in the server's order."""

    def __init__(self, pages: PageIterator, max_items: int | None = None) -> None:
        super().__init__(max_items)
        self._pages = pages

    @property
    def next_page(self) -> int:
        """The 0-based page that follows the one whose sessions come now; a later walk can begin there."""
        return self._pages.next_page

    async def _more(self) -> bool:
        page = await anext(self._pages, None)
        if page is not None:
            self._rows.extend(page.items)
        return page is not None

    async def aclose(self) -> None:
        """End the walk: pages in flight are cancelled and awaited. Can be called twice."""
        await super().aclose()
        await self._pages.aclose()
