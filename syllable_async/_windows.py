"""A span of time cut into windows small enough to be walked side by side."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs

from ._pages import Walk
from ._query import FetchPage, ListQuery, at_least
from ._steps import TICK, earlier
from .errors import PaginationError


@attrs.frozen
class TimeWindow:
    """A half-open span, `start` included and `end` not."""

    start: datetime
    end: datetime
    count: int
    """Sessions that the server counted in it, and perhaps some on its edges: never fewer than there were."""


class WindowIterator(Walk[TimeWindow]):
    """Consecutive windows that leave nothing of the span out."""

    def __init__(self, fetch_page: FetchPage, start: datetime, end: datetime, max_sessions: int) -> None:
        self._fetch_page = fetch_page
        self._most = max_sessions
        self._spans = [(start, end)] if start < end else []
        self._pending: TimeWindow | None = None
        self._requests = 0
        self._whole: int | None = None
        self._counted = 0

    async def _step(self) -> TimeWindow:
        while self._spans:
            start, end = self._spans[-1]
            count = await self._count(start, end)
            if self._whole is None:
                self._whole = count
            if count > self._most and end - start > TICK:
                self._spans.pop()
                middle = start + (end - start) / 2
                self._spans += [(middle, end), (start, middle)]
                continue
            self._refuse_nonsense(count)
            self._spans.pop()
            window, pending = TimeWindow(start, end, count), self._pending
            if pending is not None and pending.count + count <= self._most:
                window, pending = TimeWindow(pending.start, end, pending.count + count), None
            self._pending = window
            if pending is not None:
                return pending
        if self._pending is None or self._closed:
            raise StopAsyncIteration
        window, self._pending = self._pending, None
        return window

    def _refuse_nonsense(self, count: int) -> None:
        """A session on an edge is counted in up to three windows. A total that ignores the bounds is in all of them."""
        if self._counted + count > 4 * (self._whole or 0) + self._most:
            raise PaginationError("the server's totals do not follow the bounds", page=self._requests)
        self._counted += count

    async def _count(self, start: datetime, end: datetime) -> int:
        # A tick early, because the server's start may be exclusive; its end may be inclusive, which counts too many.
        page = await self._fetch_page(ListQuery(page=0, limit=1, start_datetime=earlier(start, TICK), end_datetime=end))
        self._requests += 1
        if page.total_count is None:
            raise PaginationError("the server does not count, so no windows can be found", page=self._requests)
        return page.total_count


def windows(
    fetch_page: FetchPage, start: datetime | str, end: datetime | str, max_sessions: int = 5000
) -> WindowIterator:
    """Cut a span into consecutive half-open windows with at most `max_sessions` each, oldest first.

    The server is asked for totals only, and a span with too many is halved. One instant (a microsecond) that has more
    comes as one window, and its `count` says so. A window's sessions are had by `Pager.snapshot` over its bounds; all
    windows together give each session once, even where the server's totals are wrong.

    Raises:
        PaginationError: while iterating, when the server gives no totals, or totals that do not follow the bounds.
        ValueError: a bound without an offset, a start after its end, or `max_sessions` below 1.
    """
    at_least(1, "max_sessions", max_sessions)
    first, last = ListQuery.make(start_datetime=start, end_datetime=end).bounds()
    if first is None or last is None:
        raise TypeError("windows need both a start and an end")
    return WindowIterator(fetch_page, first.astimezone(UTC), last.astimezone(UTC), max_sessions)
