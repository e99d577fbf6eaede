"""Exact walks: every session that is there from start to end comes once, whatever is inserted or deleted meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import cast

import attrs
from msgspec.structs import replace

from .._timing import Clock
from ..errors import (
    APIError,
    InternalServerError,
    PaginationError,
    RateLimitError,
    SyllableConnectionError,
    SyllableError,
)
from ..models import InvalidRow, Session
from .cursor import Cursor, CursorSpan, fingerprint, fingerprints
from .iterators import EndOfWalk, RowIterator
from .keyset_page import KeysetPage
from .keyset_state import SECOND, KeysetContext, floor, instant_before
from .known_ids import MIN_INSTANT, IdLog
from .parallel import SpanRequests, link_spans, split_spans
from .query import FetchPage, ListQuery
from .span import Span

logger = logging.getLogger("syllable_async")

SessionExists = Callable[[str], Awaitable[bool]]
TellInvalid = Callable[[tuple[InvalidRow, ...]], None]
"""Called with rows that do not fit their model; each of them is told once, however often it comes here."""
PAUSES = (1.0, 2.0)
"""Seconds before each further look at a page that leaves out what it should hold."""
SHORT_LOOK_BACK = timedelta(seconds=300)
LONG_LOOK_EVERY = timedelta(minutes=10)
"""How far `follow` looks back at each poll, and how often it looks back the whole overlap."""


class PageReader:
    """Fetches the next page of a span, and believes none that contradicts what was given."""

    def __init__(
        self,
        fetch_page: FetchPage,
        session_exists: SessionExists | None,
        tell_invalid: TellInvalid,
        query: ListQuery,
        clock: Clock,
    ) -> None:
        self._fetch_page = fetch_page
        self._session_exists = session_exists
        self._tell_invalid = tell_invalid
        self._query = query
        self._clock = clock
        self._has_rows = False
        self.requests = 0

    async def read(self, span: Span) -> KeysetPage:
        """One page. Where it is doubtful it is asked for again after a pause, and then by id.

        Raises:
            PaginationError: the list leaves out sessions that it gave, and that are not deleted.
        """
        query = span.query(self._query)
        page = await self._fetch(query, span)
        if not span.is_doubtful(page):
            is_unproven = page.rows and not query.page and not span.is_anchored(page)
            return await self._look_twice(page, query, span) if is_unproven else page
        # A page from which nothing is expected is doubtful where it is empty, and believed the second time.
        for pause in PAUSES if span.missing(page) else PAUSES[:1]:
            await self._clock.sleep(pause)
            other = await self._fetch(query, span)
            if not span.is_doubtful(other):
                return other
            # Of two doubtful answers the one that begins earlier: the other may be from a replica that is behind.
            if other.rows and (not page.rows or other.instants[0] <= page.instants[0]):
                page = other
        missing = span.missing(page)
        await self._believe_deletion(missing)
        if not page.rows and not query.page and (missing or self._has_rows):
            await self._believe_emptiness()
        span.expect_nothing(page)
        return page

    async def _look_twice(self, page: KeysetPage, query: ListQuery, span: Span) -> KeysetPage:
        """Of two answers to a request that no session checks, such as the first of all, the one that begins earlier.

        Within one instant nothing tells which of two sessions is earlier: there a third answer decides.
        """
        if span.first_look is None:
            span.first_look = page
            page = await self._fetch(query, span)
        first, span.first_look = span.first_look, None
        if page.begins_before(first):
            return page
        if first.begins_before(page) or first.keys[0] == page.keys[0]:
            return first
        third = await self._fetch(query, span)
        return first if first.begins_before(third) or third.keys[0] == first.keys[0] else third

    async def _fetch(self, query: ListQuery, span: Span) -> KeysetPage:
        page = KeysetPage.of(await self._fetch_page(query))
        self.requests += 1
        if page.unplaced:
            self._tell_invalid(tuple(row for row in page.unplaced if isinstance(row, InvalidRow)))
            if not page.rows:
                raise PaginationError("no row of a page has a timestamp to go on from", page=self.requests)
        span.check(page, self.requests)
        self._has_rows = self._has_rows or bool(page.rows)
        return page

    async def _believe_deletion(self, missing: tuple[str, ...]) -> None:
        """Refuse a page that leaves sessions out, unless they are gone."""
        for session_id in missing:
            if self._session_exists is None or await self._session_exists(session_id):
                raise self._behind("the list leaves out sessions that it gave before and that were not deleted")

    async def _believe_emptiness(self) -> None:
        """Refuse an empty page while the list as a whole, which gave sessions before, has none at any time."""
        everything = self._query.replace(page=0, start_datetime=None, end_datetime=None)
        self.requests += 1
        page = KeysetPage.of(await self._fetch_page(everything))
        if not (page.rows or page.unplaced):
            raise self._behind("the list is empty, though it gave sessions before")

    def _behind(self, what: str) -> PaginationError:
        return PaginationError(
            f"{what}: it is behind, or being rebuilt. Walk on later from `cursor`, or at once from `cursor.forget()`, "
            "which may lose the sessions that the list hides",
            page=self.requests,
        )


class SnapshotIterator(RowIterator[Session]):
    """Sessions, each exactly once; oldest first, unless several spans are read side by side."""

    def __init__(
        self,
        fetch_page: FetchPage,
        query: ListQuery,
        *,
        cursor: Cursor | None,
        max_items: int | None,
        overlap: float,
        clock: Clock,
        parallel: int = 1,
        session_exists: SessionExists | None = None,
        tell_invalid: TellInvalid = lambda _: None,
    ) -> None:
        if cursor is not None and not isinstance(cursor, Cursor):
            raise TypeError(f"cursor must be a Cursor, not {type(cursor).__name__}; see Cursor.from_json")
        if cursor is not None and cursor.fingerprint not in fingerprints(query):
            raise ValueError(
                "the cursor belongs to a query with other filters or another start: give it to the query it came from"
            )
        begin, end = query.time_bounds()
        begun = CursorSpan(floor=begin, since=begin, end=None)
        self._resumed = attrs.evolve(
            cursor or Cursor(kept_from=begin, spans=(begun,), fingerprint=""), fingerprint=fingerprint(query)
        )
        self._query_end = end
        self._overlap = timedelta(seconds=overlap)
        self._clock = clock
        super().__init__(max_items)
        self._parallel = parallel
        self._pages = PageReader(fetch_page, session_exists, tell_invalid, query, clock)
        self._tell_invalid = tell_invalid
        self._requests = SpanRequests(self._pages.read, parallel)
        self._end: datetime | None = None
        self._spans: list[Span] = []

    @property
    def cursor(self) -> Cursor:
        """Where the walk stands, after the last session that it yielded."""
        if self._end is None:
            return self._resumed
        self._retire_spans()
        spans = tuple([span.cursor for span in self._spans])
        if not spans:
            return self._finished_cursor()
        return attrs.evolve(
            self._resumed, end=self._end, kept_from=self._keep_from, spans=spans, known=self._known.view()
        )

    def _finished_cursor(self) -> Cursor:
        """A cursor that goes on from the overlap before the end, and knows what was given of it."""
        known = self._known.view().since(self._keep_from)
        begin = None if self._keep_from == MIN_INSTANT else self._keep_from
        rest = CursorSpan(floor=begin, since=begin, end=None, known=known)
        return attrs.evolve(self._resumed, end=None, kept_from=begin, spans=(rest,), known=known.of())

    async def _next(self) -> Session:
        try:
            return await super()._next()
        except EndOfWalk:  # other spans may have a request in flight
            await self._requests.aclose()
            raise

    def _pop_row(self) -> Session:
        row = self._rows.popleft()
        if self._left is not None:
            self._left -= 1
            if not self._left:
                self._rows = deque()  # what is left of them stays with its span, and so before the cursor
        return row

    def _begin(self) -> None:
        """Pin the end, and take up what the cursor says is left."""
        cursor = self._resumed
        end, spans = cursor.end, list(cursor.spans)
        if end is None:
            end = self._query_end or self._clock.now()
        elif self._query_end is not None and self._query_end > end:
            if spans[-1].end == end:
                spans[-1] = replace(spans[-1], end=self._query_end)
            else:
                begin = floor(end, SECOND)
                spans.append(CursorSpan(floor=begin, since=begin, end=self._query_end))
            end = self._query_end
        self._end = end
        self._known = IdLog(cursor.known)
        self._keep_from = self._first_kept(end)
        self._spans = [Span(span, span.end or end) for span in spans]
        self._retire_spans()

    def _first_kept(self, end: datetime) -> datetime:
        """Ids of sessions from there on are kept for the walk that goes on after this one."""
        kept_from = self._resumed.kept_from or MIN_INSTANT
        return max(kept_from, floor(instant_before(end, max(self._overlap, SECOND)), SECOND))

    def _retire_spans(self) -> None:
        link_spans(self._spans)
        awaited = [span.left for span in self._spans]
        kept = [span for span in self._spans if span.alive or span in awaited]
        for span in self._spans:
            if span not in kept:
                self._known.extend(span.known(), self._keep_from)
        self._spans = kept

    async def _load_page(self) -> bool:
        """Have rows at hand, if there may be any; False: the walk is at its end."""
        if self._end is None:
            self._begin()
        self._retire_spans()
        if self._parallel > 1:
            self._spans = split_spans(self._spans, self._parallel)
        link_spans(self._spans)
        launched = self._requests.launch(self._spans)
        ready = next((span for span in self._spans if span.rows), None)
        if ready is None:
            ended = await self._requests.wait()
            self._accept(ended)
            ready = next((span for span in self._spans if span.rows), None)
        elif launched:
            await asyncio.sleep(0)  # they leave before the caller works on the rows at hand: 7 % of a walk's time
        if ready is not None:
            self._rows = ready.rows
        return bool(self._spans)

    def _accept(self, ended: list[tuple[Span, asyncio.Task[KeysetPage]]]) -> None:
        """Take in what came. A page that failed leaves its span where it was."""
        failures = list[BaseException]()
        for span, task in ended:
            try:
                self._accept_page(span, task.result())
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - raised below, when the others are taken in
                failures.append(error)
        if failures:
            raise failures[0]

    def _accept_page(self, span: Span, page: KeysetPage) -> None:
        # The first page of a span is not checked by any session, and so its total ends nothing.
        is_trusted = self._totals_trusted and span.knows_any(page)
        context = KeysetContext(span.end, self._pages.requests, is_trusted)
        trusted = span.confirms_total(page)
        if not span.begin(page):
            return
        if page.has_invalid:
            # First of all, because it may raise. The walk knows them as it knows those that it gave.
            self._tell_invalid(span.new_invalid(page, self._known))
        span.accept(page, context, self._keep_from, self._known)
        if trusted is not None:
            self._totals_trusted = trusted

    _totals_trusted = False

    async def aclose(self) -> None:
        """End the walk: what is in flight is cancelled and awaited. Can be called twice."""
        await super().aclose()
        await self._requests.aclose()


class FollowIterator(SnapshotIterator):
    """Sessions as they appear, each exactly once. It ends only by `aclose`, `break` or an error."""

    def __init__(
        self,
        fetch_page: FetchPage,
        query: ListQuery,
        *,
        cursor: Cursor | None,
        interval: float,
        overlap: float,
        clock: Clock,
        session_exists: SessionExists | None = None,
        tell_invalid: TellInvalid = lambda _: None,
    ) -> None:
        super().__init__(
            fetch_page,
            query,
            cursor=cursor,
            max_items=None,
            overlap=overlap,
            clock=clock,
            session_exists=session_exists,
            tell_invalid=tell_invalid,
        )
        self._interval = interval
        self._live: Span | None = None
        """The one span of all polls after the first."""
        self._long_look_at = MIN_INSTANT
        """The end of the last poll that looked back the whole overlap."""
        self._is_long = True

    @property
    def cursor(self) -> Cursor:
        """Where the walk stands, after the last session that it yielded."""
        if self._live is None:
            return super().cursor
        live = self._live.cursor
        # Whoever goes on from here looks back the whole overlap first: nobody knows how late that will be.
        rest = CursorSpan(floor=live.floor, since=live.floor, end=None, known=live.known)
        return attrs.evolve(self._resumed, end=None, kept_from=live.floor, spans=(rest,), known=self._known.view())

    async def _load_page(self) -> bool:
        wait = self._interval
        try:
            if self._end is None or self._spans:
                await super()._load_page()
                return True
        except (SyllableConnectionError, APIError) as error:
            if not is_transient(error):
                raise
            logger.warning("follow: a poll failed, the next one is in %g s: %s", wait, error)
            wait = max(wait, getattr(error, "retry_after", None) or 0.0)
        live = self._live if self._spans else self._end_poll(cast("datetime", self._end))
        await self._clock.sleep(wait)
        if live is not None and not self._spans:
            self._begin_poll(live)
        return True

    def _retire_spans(self) -> None:
        if self._live is None:
            super()._retire_spans()
        elif not self._live.alive:
            self._spans = []

    def _end_poll(self, end: datetime) -> Span:
        """Remember how far back was looked; the span of the next poll."""
        if self._live is None:
            rest = self._finished_cursor().spans[0]
            self._live = Span(rest, end)
            self._known = IdLog(rest.known.of())
        if self._is_long:
            self._long_look_at = end
            self._keep_from = max(self._live.floor or MIN_INSTANT, self._first_kept(end))
            self._live.forget(self._keep_from)
        self._is_long = False
        return self._live

    def _begin_poll(self, live: Span) -> None:
        """Look from a little before the end of the poll before, or from as early as a session may still appear, to now.

        Each poll is a snapshot up to now: a session dated in the future must not carry the walk past the present.
        """
        before, now = live.end, self._clock.now()
        self._is_long = now >= self._long_look_at + LONG_LOOK_EVERY
        since = live.floor
        if not self._is_long:
            # As far as the newest session that is known, at least, so that the page can be checked by it.
            short = instant_before(before, min(SHORT_LOOK_BACK, max(self._overlap, SECOND)))
            since = max(since or MIN_INSTANT, min(short, live.newest or short))
        self._end = live.end = max(now, before)
        live.begin_at(since)
        self._spans = [live] if live.alive else []


def is_transient(error: SyllableError) -> bool:
    """Whether the same request may well succeed at the next interval."""
    return isinstance(error, (SyllableConnectionError, RateLimitError, InternalServerError)) or (
        isinstance(error, APIError) and error.status == 408
    )
