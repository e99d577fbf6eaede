"""The ways to read a list of sessions, over one callable that fetches a page."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from .._messages import Page, page_of
from .._timing import SYSTEM_CLOCK, Clock
from .._validators import non_negative_int, non_negative_seconds
from ..models import ListResponseSession, Session
from .cursor import Cursor
from .keyset import FollowIterator, SessionExists, SnapshotIterator, TellInvalid
from .keyset_page import id_of_json
from .offset import PageIterator
from .offset_pager import FetchResponse, FetchRows, OffsetPager
from .offset_state import Identity
from .query import FetchPage, ListQuery

SESSION_IDENTITY = Identity[Session](attrgetter("session_id"), id_of_json=id_of_json)
MAX_PARALLEL = 100
MAX_OVERLAP = 366 * 86400.0


async def _fetch_as_page(fetch_page: FetchPage, query: ListQuery) -> Page[Session, Any]:
    page = await fetch_page(query)
    return page if isinstance(page, Page) else page_of(page)


class Pager(OffsetPager[Session]):
    """A list of sessions that nobody has asked for yet: await it for one page, or iterate over it to walk.

    An export that goes on from where the last one ended:

    ```python
    import asyncio
    from datetime import UTC, datetime

    from syllable_async import AsyncSyllableClient, Cursor


    async def export(saved: str | None = None) -> str:
        cursor = Cursor.from_json(saved) if saved else None
        async with AsyncSyllableClient() as client:
            pager = client.sessions.list(start_datetime=datetime(2026, 1, 1, tzinfo=UTC))
            async with pager.snapshot(cursor=cursor, max_items=50) as walk:
                async for session in walk:
                    print(session)
                return walk.cursor.to_json()  # keep it with what you exported


    asyncio.run(export())
    ```

    | You want | Write | Pagination |
    |---|---|---|
    | one page | `await client.sessions.list(page=2, limit=50)` | none: the page that you asked for |
    | to look through sessions | `async for session in client.sessions.list()` | offset: the server's order |
    | the same, faster | `client.sessions.list().items(prefetch=8)` | offset: up to 8 pages in flight ahead, in order |
    | an export that misses nothing | `client.sessions.list().snapshot()` | keyset: each session once, resumable |
    | the same, faster | `client.sessions.list().snapshot(parallel=8)` | keyset: up to 8 spans side by side |
    | new sessions as they appear | `client.sessions.list().follow()` | keyset: a snapshot that does not end |

    ## Rules

    - Offset walks (`items`, `pages`, `async for`) ask for page numbers. Data that moves between two pages can hide a
      session from them. `PaginationDriftWarning` is given where that is noticed.
    - Keyset walks (`snapshot`, `follow`) ask for what comes after a timestamp. They are exact, and they need a server
      that honours `order_by=timestamp` and the date bounds. They raise `PaginationError` where it does not.
    - A step that fails leaves a walk where it was: `anext` again asks again. `aclose` ends a walk and awaits what is in
      flight; `async with` does that for you.
    - The live API was seen to leave test sessions out of its list, so no walk meets them: `client.sessions.list` says
      how to add them.
    """

    __slots__ = ("_fetch_page", "_session_exists", "_tell_invalid")
    _advice = ". Pager.snapshot() is exact while the data moves"
    _query: ListQuery

    def __init__(
        self,
        fetch_page: FetchPage,
        query: ListQuery,
        clock: Clock = SYSTEM_CLOCK,
        session_exists: SessionExists | None = None,
        *,
        fetch_rows: FetchRows[Session] | None = None,
        fetch_response: FetchResponse[Session] | None = None,
        tell_invalid: TellInvalid = lambda _: None,
    ) -> None:
        rows = fetch_rows or partial(_fetch_as_page, fetch_page)
        super().__init__(rows, query, SESSION_IDENTITY, clock, fetch_response=fetch_response)
        self._fetch_page = fetch_page
        self._session_exists = session_exists
        self._tell_invalid = tell_invalid

    if TYPE_CHECKING:

        def __await__(self) -> Generator[Any, Any, ListResponseSession]: ...
        def pages(self, max_pages: int | None = None, prefetch: int = 0) -> PageIterator[ListResponseSession]: ...

    def snapshot(
        self,
        cursor: Cursor | None = None,
        max_items: int | None = None,
        overlap: float = 14400.0,
        parallel: int = 1,
    ) -> SnapshotIterator:
        """Every session of the query's span exactly once, whatever is inserted or deleted meanwhile: keyset pagination.

        A session that is listed from start to end of the walk comes once; one that comes or goes meanwhile comes at
        most once. The span is half-open, from `start_datetime` to `end_datetime`; without an end it ends at this
        machine's time when the walk begins. A server with replicas may list its youngest sessions late: end the walk
        as much earlier as a replica may be behind, or let the next run find them (`cursor`, `overlap`).

        The server is not trusted: each page must hold a session of those before it. Where none is, the page is asked
        for again after 1 s and 2 s, and then the missing sessions by id. If those are deleted the walk goes on; if they
        exist the list is behind, and the walk raises rather than to lose sessions. A page without the oldest session
        that it should hold is asked for twice, and so is the first of all.

        It rests on one thing: a session's `timestamp` does not change during the walk. One that is moved meanwhile may
        be missed, or come twice. A session without an id is known by its content. Memory: the ids of the sessions
        within `overlap` of the end, and a page for each span.

        The live API lists no test sessions unless it is asked for them; `Sessions.list` says how.

        Args:
            cursor: go on from there instead of from the start. Unfinished, it keeps its end, unless `end_datetime` is
                later; of a finished snapshot it gives what is new since, up to a new end: tonight's run goes on from
                last night's cursor.
            max_items: end after that many; 0 sends nothing.
            overlap: seconds that a session may be listed after its `timestamp`, which is when it began: a call may be
                listed when it ends. The finished walk's cursor looks back so far and keeps the ids of that time.
                At most a year.
            parallel: spans to read side by side, 1 to 100. With more than one the walk is that much faster, at the same
                number of requests, and each span comes oldest first, but all of them in no order. A cursor can go on
                with any other number.

        Raises:
            PaginationError: while iterating, when the list is behind (`Cursor.forget` goes on all the same), or when
                the server does not honour order or bounds. `anext` again asks again.
            ClientClosedError: another task closed the walk.
            ValueError: another order, a page other than the first, a bound without an offset, or a cursor of another
                query; a number out of its range.
        """
        non_negative_int("max_items", max_items)
        if not isinstance(parallel, int) or isinstance(parallel, bool):
            raise TypeError(f"parallel must be an int, not {type(parallel).__name__}")
        if not 1 <= parallel <= MAX_PARALLEL:
            raise ValueError(f"parallel must be between 1 and {MAX_PARALLEL}")
        return SnapshotIterator(
            self._fetch_page,
            self._query.for_keyset(),
            cursor=cursor,
            max_items=max_items,
            overlap=_checked_overlap(overlap),
            clock=self._clock,
            parallel=parallel,
            session_exists=self._session_exists,
            tell_invalid=self._tell_invalid,
        )

    def follow(self, cursor: Cursor | None = None, interval: float = 30.0, overlap: float = 14400.0) -> FollowIterator:
        """Sessions as they appear: a snapshot up to now, and after each `interval` what was listed since.

        When is a session given? At the first poll after the list shows it, once, and as it is then: a call that is
        listed while it runs is not given again when it ends, so `duration` and the like may still be missing.

        What is promised? Each session that is listed at most `overlap` seconds after its `timestamp` (when it began)
        comes exactly once, also across restarts from `.cursor`. Later ones are not looked for. Timestamps rise within a
        poll, but a late session comes after younger ones.

        What does a late call cost? Each poll looks back 300 seconds, and one in ten minutes the whole `overlap`: a call
        that is listed within 300 seconds comes at the next poll, any other up to ten minutes later. A poll costs one
        request for each page of those 300 seconds, and the long one a request for each page of the overlap. Memory
        holds the ids of the overlap.

        Errors that pass (connections, timeouts, 408, 429, 5xx) are logged and tried again after the interval, or after
        `retry_after` where that is longer; others are raised, and `anext` again goes on. The checks are those of
        `snapshot`, test sessions as there.

        Args:
            cursor: go on from there; one of a snapshot over the same filters will do. Without it the walk begins at
                `start_datetime`, or at the oldest session.
            interval: seconds between two looks at the server when nothing is left to yield.
            overlap: seconds that a session may be late, a year at most.

        Raises:
            ClientClosedError: another task closed the walk.
            PaginationError: as for `snapshot`.
            ValueError: as for `snapshot`, and a query with an end.
        """
        if self._query.end_datetime is not None:
            raise ValueError("follow() does not end: leave end_datetime out, or use snapshot()")
        return FollowIterator(
            self._fetch_page,
            self._query.for_keyset(),
            cursor=cursor,
            interval=non_negative_seconds("interval", interval),
            overlap=_checked_overlap(overlap),
            clock=self._clock,
            session_exists=self._session_exists,
            tell_invalid=self._tell_invalid,
        )


def _checked_overlap(overlap: float) -> float:
    seconds = non_negative_seconds("overlap", overlap)
    if seconds > MAX_OVERLAP:
        raise ValueError("overlap must be at most 366 days in seconds")
    return seconds
