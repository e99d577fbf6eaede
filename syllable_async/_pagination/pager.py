"""The ways to read a list of sessions, over one callable that fetches a page."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import attrs

from .._timing import SYSTEM_CLOCK, Clock
from .._validators import non_negative_int, non_negative_seconds
from ..models import ListResponseSession
from .cursor import Cursor
from .keyset import FollowIterator, SnapshotIterator
from .offset import ItemIterator, PageIterator
from .query import FetchPage, ListQuery


class Pager:
    """A list of sessions that nobody has asked for yet: await it for the one page, or iterate to walk.

    `items`, `pages` and `async for` keep the server's order and offsets, so data that moves between two pages can hide
    a session from them (`PaginationDriftWarning` when that is noticed).
    """

    __slots__ = ("_clock", "_fetch_page", "_query")

    def __init__(self, fetch_page: FetchPage, query: ListQuery, clock: Clock = SYSTEM_CLOCK) -> None:
        self._fetch_page = fetch_page
        self._query = query
        self._clock = clock

    def __await__(self) -> Generator[Any, Any, ListResponseSession]:
        return self._fetch_page(self._query).__await__()

    def __aiter__(self) -> ItemIterator:
        return self.items()

    def items(self, max_items: int | None = None, prefetch: int = 0) -> ItemIterator:
        """Every session from the query's page on, in the server's order.

        A session whose id is among the last 10,000 is not yielded again. A page that fails raises its error and leaves
        the iterator where it was: `anext` again asks for that page. An empty page is the end; where totals that fit
        together tell of more it is asked for once more before that is believed.

        Args:
            max_items: end after that many; 0 sends nothing.
            prefetch: pages to keep in flight ahead, in order and never past the end that the totals tell; a slow
                consumer throttles them.

        Raises:
            PaginationError: while iterating, when the server repeats a page or does not end.
            ValueError: a negative number, or a query with `limit=0`.
        """
        non_negative_int("max_items", max_items)
        return ItemIterator(self._pages(max_rows=max_items, prefetch=prefetch), max_items)

    def pages(self, max_pages: int | None = None, prefetch: int = 0) -> PageIterator:
        """Page after page, under the rules of `items`: sessions that came before are left out of a page."""
        non_negative_int("max_pages", max_pages)
        return self._pages(max_pages=max_pages, prefetch=prefetch)

    def _pages(self, *, max_pages: int | None = None, max_rows: int | None = None, prefetch: int) -> PageIterator:
        non_negative_int("prefetch", prefetch)
        query, fetch_page = self._query.for_iteration(), self._fetch_page
        return PageIterator(
            lambda number: fetch_page(attrs.evolve(query, page=number)),
            query.page or 0,
            max_pages=max_pages,
            max_rows=max_rows,
            prefetch=prefetch,
        )

    def snapshot(
        self, cursor: Cursor | None = None, max_items: int | None = None, overlap: float = 1.0
    ) -> SnapshotIterator:
        """Every session of the query's span exactly once, oldest first, whatever is inserted or deleted meanwhile.

        A session that is there from start to end of the walk comes once; one that comes or goes meanwhile comes at
        most once. The span is half-open, from `start_datetime` to `end_datetime`; without an end it ends at this
        machine's time when the walk begins. `.cursor` of the iterator goes on after its last session, in any process.

        It rests on three things: `timestamp` is what the server filters and orders by, it does not change, and every
        session has an id. Memory is bounded by the sessions within the overlap and by those of one instant.

        Args:
            cursor: go on from there instead of from the start.
            max_items: end after that many; 0 sends nothing.
            overlap: seconds before the last timestamp from which to ask again. Sessions that are inserted late, but
                not later than this, mostly come too; where a page spans less than 8 times as much, it is cut short.

        Raises:
            PaginationError: while iterating, when the server does not honour order or bounds, or leaves out an id.
            ValueError: another order, a page other than the first, a bound without an offset, or a cursor of another
                query.
        """
        non_negative_int("max_items", max_items)
        return SnapshotIterator(
            self._fetch_page,
            self._query.for_keyset(),
            cursor=cursor,
            max_items=max_items,
            overlap=non_negative_seconds("overlap", overlap),
            clock=self._clock,
        )

    def follow(self, cursor: Cursor | None = None, interval: float = 30.0, overlap: float = 1.0) -> FollowIterator:
        """Sessions as they appear: a snapshot up to now, and another from where that ended after each `interval`.

        Each session comes once, also one that appears with a timestamp up to `overlap` seconds older than the newest
        that came. Errors that pass (connections, timeouts, 408, 429, 5xx) are logged and tried again after the
        interval, or after `retry_after` where that is longer; others are raised, and `anext` again goes on.

        Args:
            cursor: go on from there; one of a snapshot over the same filters will do. Without it the walk begins at
                `start_datetime`, or at the oldest session.
            interval: seconds between two looks at the server when nothing is left to yield.
            overlap: seconds that a session may be late.

        Raises:
            ValueError: as for `snapshot`, and a query with an end.
        """
        if self._query.end_datetime is not None:
            raise ValueError("end_datetime has no meaning for a walk that does not end")
        return FollowIterator(
            self._fetch_page,
            self._query.for_keyset(),
            cursor=cursor,
            interval=non_negative_seconds("interval", interval),
            overlap=non_negative_seconds("overlap", overlap),
            clock=self._clock,
        )
