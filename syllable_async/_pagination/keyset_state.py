"""Which request comes next in an exact walk by key, decided from the last answer alone, without any I/O.

A page that is asked for by offset shifts when rows before it come or go. So these walks ask for page 0 only: ascending
by timestamp, from shortly before the last timestamp of the page before. One answer is one view of the data, so it holds
every session from there up to its own last timestamp. Where one timestamp has more sessions than a page can hold,
offsets are needed after all; `TieStep` says when they can be believed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import attrs

from ..errors import PaginationError
from ..models import ListResponseSession, Session

TIMESTAMP_RESOLUTION = timedelta(microseconds=1)
MAX_TIE_PASSES = 100
MIN_INSTANT = datetime.min.replace(tzinfo=UTC)


def instant_before(moment: datetime, by: timedelta) -> datetime:
    """That much before, or the beginning of time."""
    return moment - min(by, moment - MIN_INSTANT)


@attrs.frozen
class KeysetContext:
    """What a step needs to know of its walk."""

    end: datetime
    largest_page: int
    """Rows of the longest page so far: a shorter one was not cut by a clamped limit."""
    overlap: timedelta
    request_number: int
    """Of the request, for errors."""

    def is_last(self, page: ListResponseSession, offset: int = 0) -> bool:
        """Whether nothing lies behind this page. A total that says otherwise is believed rather than the length."""
        rows = len(page.items)
        if rows and page.items[-1].timestamp >= self.end:
            return True
        return rows < self.largest_page and (page.total_count is None or page.total_count <= offset + rows)


@attrs.frozen
class KeysetStep:
    """Ask for the first page from `start` on."""

    start: datetime | None
    last_timestamp: datetime | None
    """The last timestamp of the page before: this page must get further, or start later."""
    is_second_try: bool = False
    page = offset = 0
    size = until = None

    def next(self, page: ListResponseSession, bounds: KeysetContext) -> KeysetState | None:
        rows, start = page.items, self.start
        if not rows or bounds.is_last(page):
            return None
        first, last = rows[0].timestamp, rows[-1].timestamp
        if start is not None and first < start and (self.last_timestamp is None or last <= self.last_timestamp):
            raise PaginationError("the server does not honour start_datetime", page=bounds.request_number)
        # An eighth of the page at most: where sessions are dense, an overlap of a second would fill the next page.
        following = instant_before(last, max(TIMESTAMP_RESOLUTION, min(bounds.overlap, (last - first) / 8)))
        if start is None or following > start:
            return KeysetStep(following, last)
        if start == last and self.last_timestamp is not None and last <= self.last_timestamp:
            # Nothing but what is done, though start is as late as that: start is inclusive, and the next instant is
            # next. Asked twice, because with an exclusive start that would skip an instant.
            return (
                KeysetStep(last + TIMESTAMP_RESOLUTION, last)
                if self.is_second_try
                else KeysetStep(last, last, is_second_try=True)
            )
        return TieStep(last, bounds.largest_page)


@attrs.define
class TieStep:
    """Read all sessions of one instant, page by page, pass after pass.

    A pass is believed if no id came twice in it and the next pass has the same ids. Proof: its rows are distinct, and
    all of them were still there after its last page, whose offset and length tell how many rows there were by then:
    as many as the pass read. So it read them all. (That a pass agrees with the next one is not enough: a row that is
    inserted among those already read and deleted before the next page hides another, and can do so twice.)
    """

    timestamp: datetime
    size: int
    page: int = 0
    passes: int = 1
    ids: set[str] = attrs.Factory(set[str])
    no_duplicates: bool = True
    previous_pass: set[str] | None = None
    """The ids of the pass before, if it was clean."""
    more_follows: bool = True
    """Whether the pass before found sessions behind the block."""

    @property
    def start(self) -> datetime:
        return instant_before(self.timestamp, TIMESTAMP_RESOLUTION)

    @property
    def offset(self) -> int:
        return self.page * self.size

    @property
    def until(self) -> datetime:
        return self.timestamp

    def next(self, page: ListResponseSession, bounds: KeysetContext) -> KeysetState | None:
        rows = page.items
        if rows and rows[0].timestamp < self.start:
            raise PaginationError("the server does not honour start_datetime", page=bounds.request_number)
        here = [row.session_id or "" for row in rows if row.timestamp <= self.timestamp]
        new = set(here) - self.ids
        passed = bool(rows) and rows[-1].timestamp > self.timestamp
        last = not passed and (not rows or bounds.is_last(page, self.offset))
        cut = 0 < len(rows) < self.size and not passed and not last
        proven = self.previous_pass == self.ids | new
        over = passed or last or cut or not new
        if over and not proven and self.passes == MAX_TIE_PASSES:
            raise PaginationError(
                f"{MAX_TIE_PASSES} passes over one timestamp never agreed", page=bounds.request_number
            )
        self.ids |= new
        self.no_duplicates = self.no_duplicates and len(new) == len(here) and not cut
        self.page += 1
        if proven:
            return KeysetStep(self.timestamp, self.timestamp) if self.more_follows else None
        return self._again(len(rows) if cut else self.size, behind=not last) if over else self

    def _again(self, size: int, *, behind: bool) -> TieStep:
        believed = self.ids if self.no_duplicates else None
        return TieStep(self.timestamp, size, passes=self.passes + 1, previous_pass=believed, more_follows=behind)


KeysetState: TypeAlias = KeysetStep | TieStep


class RecentIds:
    """The ids that can come again, oldest first; those before a floor are forgotten."""

    def __init__(self, known: Iterable[str] = (), at: datetime = MIN_INSTANT) -> None:
        self._order = deque((at, session_id) for session_id in known)
        self._ids = {session_id for _, session_id in self._order}

    def __contains__(self, session_id: str | None) -> bool:
        return session_id in self._ids

    def add(self, row: Session) -> None:
        session_id = row.session_id or ""
        self._ids.add(session_id)
        self._order.append((row.timestamp, session_id))

    def forget_before(self, floor: datetime) -> None:
        while self._order and self._order[0][0] < floor:
            self._ids.discard(self._order.popleft()[1])

    def since(self, floor: datetime) -> tuple[str, ...]:
        return tuple(session_id for at, session_id in self._order if at >= floor)
