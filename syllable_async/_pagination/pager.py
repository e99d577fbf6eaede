"""The ways to read a list of sessions, over one callable that fetches a page."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from .._messages import Page
from .._timing import SYSTEM_CLOCK, Clock
from .._validators import non_negative_int, non_negative_seconds
from ..models import ListResponseSession, Session
from .cursor import Cursor
from .keyset import FollowIterator, SnapshotIterator
from .offset import PageIterator
from .offset_pager import FetchRows, OffsetPager
from .offset_state import Identity
from .query import FetchPage, ListQuery

SESSION_IDENTITY = Identity[Session](attrgetter("session_id"))


async def _fetch_as_page(fetch_page: FetchPage, query: ListQuery) -> Page[Session, Any]:
    return Page[Session, Any].of(await fetch_page(query))


class Pager(OffsetPager[Session]):
    """A list of sessions that nobody has asked for yet: await it for the one page, or iterate to walk.

    `items`, `pages` and `async for` keep the server's order and offsets (`OffsetPager`), so data that moves between two
    pages can hide a session from them (`PaginationDriftWarning` when that is noticed); `snapshot` and `follow` are
    exact.

    The live API was seen to leave test sessions out of its list, so no walk meets them: `sessions.list` says how to
    add them.
    """

    __slots__ = ("_fetch_page",)
    _advice = ". Pager.snapshot() is exact while the data moves"
    _query: ListQuery

    def __init__(
        self,
        fetch_page: FetchPage,
        query: ListQuery,
        clock: Clock = SYSTEM_CLOCK,
        *,
        fetch_rows: FetchRows[Session] | None = None,
    ) -> None:
        super().__init__(fetch_rows or partial(_fetch_as_page, fetch_page), query, SESSION_IDENTITY, clock)
        self._fetch_page = fetch_page

    if TYPE_CHECKING:

        def __await__(self) -> Generator[Any, Any, ListResponseSession]: ...
        def pages(self, max_pages: int | None = None, prefetch: int = 0) -> PageIterator[ListResponseSession]: ...

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
