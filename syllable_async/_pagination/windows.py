"""A span of time cut into windows small enough to be walked side by side."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs

from .._validators import positive_int
from ..errors import PaginationError
from .iterators import ResumableIterator
from .keyset_state import TIMESTAMP_RESOLUTION, instant_before
from .query import FetchPage, ListQuery

SLACK = 1000
"""Sessions that may come and go again while windows are found, without a doubt about the server's totals."""


@attrs.frozen
class TimeWindow:
    """A half-open span, `start` included and `end` not."""

    start: datetime
    end: datetime
    count: int
    """Sessions that the server counted in it, and perhaps some on its edges: never fewer than there were."""


class WindowIterator(ResumableIterator[TimeWindow]):
    """Consecutive windows that leave nothing of the span out."""

    def __init__(self, fetch_page: FetchPage, start: datetime, end: datetime, max_sessions: int) -> None:
        self._fetch_page = fetch_page
        self._most = max_sessions
        self._spans = [(start, end)] if start < end else []
        self._pending: TimeWindow | None = None
        self._requests = 0
        self._span = start, end
        self._whole = 0
        self._counted = 0

    async def _next(self) -> TimeWindow:
        while self._spans:
            start, end = self._spans[-1]
            count = await self._count(start, end)
            self._whole = max(self._whole, count)
            if count > self._most and end - start > TIMESTAMP_RESOLUTION:
                self._spans.pop()
                middle = start + (end - start) / 2
                self._spans += [(middle, end), (start, middle)]
                continue
            await self._believe(count)
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

    async def _believe(self, count: int) -> None:
        """Refuse totals that ignore the bounds, which would be halved for ever.

        A session on an edge is counted in up to three windows, such a total in all of them. Sessions that came since
        the whole was counted are no nonsense either, so it is counted again before anything is said.
        """
        counted, slack = self._counted + count, max(self._most, SLACK)
        if counted > 4 * self._whole + slack:
            self._whole = max(self._whole, await self._count(*self._span))
            if counted > 4 * self._whole + slack:
                raise PaginationError("the server's totals do not follow the bounds", page=self._requests)
        self._counted = counted

    async def _count(self, start: datetime, end: datetime) -> int:
        # A tick early, because the server's start may be exclusive; its end may be inclusive, which counts too many.
        page = await self._fetch_page(
            ListQuery(page=0, limit=1, start_datetime=instant_before(start, TIMESTAMP_RESOLUTION), end_datetime=end)
        )
        self._requests += 1
        if page.total_count is None:
            raise PaginationError("the server does not count, so no windows can be found", page=self._requests)
        return page.total_count


def windows(fetch_page: FetchPage, start: datetime | str, end: datetime | str, max_sessions: int) -> WindowIterator:
    """Cut a span into consecutive half-open windows with at most `max_sessions` each, oldest first.

    The server is asked for totals only, and a span with too many is halved. One instant (a microsecond) that has more
    comes as one window, and its `count` says so. A window's sessions are had by `Pager.snapshot` over its bounds; all
    windows together give each session once, even where the server's totals are wrong.

    Raises:
        PaginationError: while iterating, when the server gives no totals, or totals that do not follow the bounds.
        ValueError: a bound without an offset, a start after its end, or `max_sessions` below 1.
    """
    positive_int("max_sessions", max_sessions)
    first, last = ListQuery.from_arguments(start_datetime=start, end_datetime=end).time_bounds()
    if first is None or last is None:
        raise TypeError("windows need both a start and an end")
    return WindowIterator(fetch_page, first.astimezone(UTC), last.astimezone(UTC), max_sessions)
