"""Exact walks: every session that is there from start to end comes once, whatever is inserted or deleted meanwhile."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from itertools import pairwise

import attrs

from .._timing import Clock
from ..errors import (
    APIError,
    InternalServerError,
    PaginationError,
    RateLimitError,
    SyllableConnectionError,
    SyllableError,
)
from ..models import ListResponseSession, Session
from .cursor import Cursor, fingerprint
from .iterators import SessionIterator
from .keyset_state import (
    MIN_INSTANT,
    TIMESTAMP_RESOLUTION,
    KeysetContext,
    KeysetState,
    KeysetStep,
    RecentIds,
    instant_before,
)
from .query import FetchPage, ListQuery

logger = logging.getLogger("syllable_async")


class SnapshotIterator(SessionIterator):
    """Sessions, oldest first, each exactly once."""

    def __init__(
        self,
        fetch_page: FetchPage,
        query: ListQuery,
        *,
        cursor: Cursor | None,
        max_items: int | None,
        overlap: float,
        clock: Clock,
    ) -> None:
        super().__init__(max_items)
        self._fetch_page = fetch_page
        self._query = query
        self._overlap = max(TIMESTAMP_RESOLUTION, timedelta(seconds=overlap))
        self._clock = clock
        self._longest = self._requests = 0
        self._rechecking = False
        self._fingerprint = fingerprint(query)
        if cursor is not None and not isinstance(cursor, Cursor):
            raise TypeError(f"cursor must be a Cursor, not {type(cursor).__name__}; see Cursor.from_json")
        begin, end = query.time_bounds()
        self._resume(cursor or Cursor(fingerprint=self._fingerprint, end=end, since=begin))

    def _resume(self, cursor: Cursor) -> None:
        if cursor.fingerprint != self._fingerprint:
            raise ValueError("the cursor belongs to a query with other filters or bounds")
        self._end = cursor.end
        self._last_timestamp = cursor.reached
        self._lower_bound = cursor.since or MIN_INSTANT
        self._seen = RecentIds(cursor.known, cursor.reached or MIN_INSTANT)
        self._state = self._first()

    def _first(self) -> KeysetState | None:
        # A tick early, because the server's start may be exclusive.
        start = None if self._lower_bound == MIN_INSTANT else instant_before(self._lower_bound, TIMESTAMP_RESOLUTION)
        return KeysetStep(start, start)

    @property
    def cursor(self) -> Cursor:
        """Where the walk stands, after the last session that it yielded."""
        floor = self._resume_point()
        return Cursor(
            fingerprint=self._fingerprint,
            end=self._end,
            reached=self._last_timestamp,
            since=None if floor == MIN_INSTANT else floor,
            known=self._seen.since(floor),
        )

    def _resume_point(self) -> datetime:
        """Everything older came already, late sessions aside."""
        return (
            self._lower_bound
            if self._last_timestamp is None
            else max(self._lower_bound, instant_before(self._last_timestamp, self._overlap))
        )

    def _pop_session(self) -> Session:
        row = super()._pop_session()
        self._seen.add(row)
        self._last_timestamp = (
            row.timestamp if self._last_timestamp is None else max(self._last_timestamp, row.timestamp)
        )
        return row

    async def _load_page(self) -> bool:
        if self._state is None:
            return False
        await self._request(self._state)
        return True

    async def _request(self, step: KeysetState) -> None:
        """One request. Whatever is raised here leaves the walk as it was."""
        if self._end is None:
            self._end = self._clock.now()
        if max(step.start or MIN_INSTANT, self._lower_bound) >= self._end:
            self._state = None
            return
        limit = step.size or self._query.limit
        query = attrs.evolve(
            self._query, page=step.page, limit=limit, start_datetime=step.start, end_datetime=self._end
        )
        page = await self._fetch_page(query)
        self._requests += 1
        self._check_order_and_ids(page.items)
        counted = page.total_count is not None and page.total_count <= step.offset
        if not page.items and not counted and not self._rechecking:
            # An empty page ends the walk; where the server's own total does not say the same it is asked twice.
            self._rechecking = True
            return
        self._accept_page(step, page, self._end)

    def _check_order_and_ids(self, rows: tuple[Session, ...]) -> None:
        if not all(row.session_id for row in rows):
            raise PaginationError("a session without an id cannot be told from a repeat", page=self._requests)
        if any(row.timestamp > after.timestamp for row, after in pairwise(rows)):
            raise PaginationError("the server does not honour order_by=timestamp", page=self._requests)

    def _accept_page(self, step: KeysetState, page: ListResponseSession, end: datetime) -> None:
        longest = max(self._longest, len(page.items))
        until = step.until
        following = step.next(page, KeysetContext(end, longest, self._overlap, self._requests))
        self._longest, self._rechecking, self._state = longest, False, following
        here = set[str | None]()
        for row in page.items:
            fresh = row.session_id not in self._seen and row.session_id not in here
            if fresh and self._lower_bound <= row.timestamp < end and (until is None or row.timestamp <= until):
                here.add(row.session_id)
                self._rows.append(row)
        if following is not None and following.start is not None:
            self._lower_bound = max(self._lower_bound, min(following.start, self._resume_point()))
            self._seen.forget_before(self._lower_bound)


class FollowIterator(SnapshotIterator):
    """Sessions as they appear, oldest first, each exactly once. It ends only by `aclose`, `break` or an error."""

    def __init__(
        self,
        fetch_page: FetchPage,
        query: ListQuery,
        *,
        cursor: Cursor | None,
        interval: float,
        overlap: float,
        clock: Clock,
    ) -> None:
        super().__init__(fetch_page, query, cursor=cursor, max_items=None, overlap=overlap, clock=clock)
        self._interval = interval
        self._begin()

    def _begin(self) -> None:
        # Each round is a snapshot up to now: a session dated in the future must not carry the walk past the present.
        self._end = None
        self._lower_bound = self._resume_point()
        self._state = self._first()

    async def _load_page(self) -> bool:
        wait = self._interval
        if self._state is not None:
            try:
                return await super()._load_page()
            except (SyllableConnectionError, APIError) as error:
                if not is_transient(error):
                    raise
                logger.warning("following goes on in %g s: %s", wait, error)
                wait = max(wait, getattr(error, "retry_after", None) or 0.0)
        await self._clock.sleep(wait)
        if self._state is None:
            self._begin()
        return True


def is_transient(error: SyllableError) -> bool:
    """Whether the same request may well succeed at the next interval."""
    return isinstance(error, (SyllableConnectionError, RateLimitError, InternalServerError)) or (
        isinstance(error, APIError) and error.status == 408
    )
