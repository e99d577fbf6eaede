"""Which request comes next in an exact walk by key, decided from the last answer alone, without any I/O.

A page that is asked for by offset shifts when rows before it come or go. So these walks ask for page 0 only: ascending
by timestamp, from shortly before the last timestamp of the page before. One answer is one view of the data, so it holds
every session from there up to its own last timestamp. Where one timestamp has more sessions than a page can hold,
offsets are needed after all; `Block` says when they can be believed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import attrs

from ..errors import PaginationError
from ..models import ListResponseSession, Session

TICK = timedelta(microseconds=1)
MOST_PASSES = 100
BEGINNING = datetime.min.replace(tzinfo=UTC)


def earlier(moment: datetime, by: timedelta) -> datetime:
    """That much before, or the beginning of time."""
    return moment - min(by, moment - BEGINNING)


@attrs.frozen
class Bounds:
    """What a step needs to know of its walk."""

    end: datetime
    longest: int
    """Rows of the longest page so far: a shorter one was not cut by a clamped limit."""
    overlap: timedelta
    number: int
    """Of the request, for errors."""

    def is_last(self, page: ListResponseSession, offset: int = 0) -> bool:
        """Whether nothing lies behind this page. A total that says otherwise is believed rather than the length."""
        rows = len(page.items)
        if rows and page.items[-1].timestamp >= self.end:
            return True
        return rows < self.longest and (page.total_count is None or page.total_count <= offset + rows)


@attrs.frozen
class Key:
    """Ask for the first page from `start` on."""

    start: datetime | None
    reached: datetime | None
    """The last timestamp of the page before: this page must get further, or start later."""
    again: bool = False
    page = offset = 0
    size = until = None

    def enter(self, page: ListResponseSession, bounds: Bounds) -> Step | None:
        rows, start = page.items, self.start
        if not rows or bounds.is_last(page):
            return None
        first, last = rows[0].timestamp, rows[-1].timestamp
        if start is not None and first < start and (self.reached is None or last <= self.reached):
            raise PaginationError("the server does not honour start_datetime", page=bounds.number)
        # An eighth of the page at most: where sessions are dense, an overlap of a second would fill the next page.
        following = earlier(last, max(TICK, min(bounds.overlap, (last - first) / 8)))
        if start is None or following > start:
            return Key(following, last)
        if start == last and self.reached is not None and last <= self.reached:
            # Nothing but what is done, though start is as late as that: start is inclusive, and the next instant is
            # next. Asked twice, because with an exclusive start that would skip an instant.
            return Key(last + TICK, last) if self.again else Key(last, last, again=True)
        return Block(last, bounds.longest)


@attrs.define
class Block:
    """Read all sessions of one instant, page by page, pass after pass.

    A pass is believed if no id came twice in it and the next pass has the same ids. Proof: its rows are distinct, and
    all of them were still there after its last page, whose offset and length tell how many rows there were by then:
    as many as the pass read. So it read them all. (That a pass agrees with the next one is not enough: a row that is
    inserted among those already read and deleted before the next page hides another, and can do so twice.)
    """

    at: datetime
    size: int
    page: int = 0
    passes: int = 1
    ids: set[str] = attrs.Factory(set[str])
    clean: bool = True
    believed: set[str] | None = None
    """The ids of the pass before, if it was clean."""
    behind: bool = True
    """Whether the pass before found sessions behind the block."""

    @property
    def start(self) -> datetime:
        return earlier(self.at, TICK)

    @property
    def offset(self) -> int:
        return self.page * self.size

    @property
    def until(self) -> datetime:
        return self.at

    def enter(self, page: ListResponseSession, bounds: Bounds) -> Step | None:
        rows = page.items
        if rows and rows[0].timestamp < self.start:
            raise PaginationError("the server does not honour start_datetime", page=bounds.number)
        here = [row.session_id or "" for row in rows if row.timestamp <= self.at]
        new = set(here) - self.ids
        passed = bool(rows) and rows[-1].timestamp > self.at
        last = not passed and (not rows or bounds.is_last(page, self.offset))
        cut = 0 < len(rows) < self.size and not passed and not last
        proven = self.believed == self.ids | new
        over = passed or last or cut or not new
        if over and not proven and self.passes == MOST_PASSES:
            raise PaginationError(f"{MOST_PASSES} passes over one timestamp never agreed", page=bounds.number)
        self.ids |= new
        self.clean = self.clean and len(new) == len(here) and not cut
        self.page += 1
        if proven:
            return Key(self.at, self.at) if self.behind else None
        return self._again(len(rows) if cut else self.size, behind=not last) if over else self

    def _again(self, size: int, *, behind: bool) -> Block:
        believed = self.ids if self.clean else None
        return Block(self.at, size, passes=self.passes + 1, believed=believed, behind=behind)


Step: TypeAlias = Key | Block


class Seen:
    """The ids that can come again, oldest first; those before a floor are forgotten."""

    def __init__(self, known: Iterable[str] = (), at: datetime = BEGINNING) -> None:
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
