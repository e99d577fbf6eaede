"""Which request comes next in an exact walk by key, decided from the last answer alone, without any I/O.

A page that is asked for by offset shifts when rows before it come or go. So these walks ask for page 0 only: ascending
by timestamp, from shortly before the last timestamp of the page before. One answer is one view of the data, so it holds
every session from there up to its own last timestamp. Where one timestamp has more sessions than a page can hold, or
the server rounds `start_datetime` down to a unit that has more, offsets are needed after all; `TieStep` says when they
can be believed.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TypeAlias

from msgspec import Struct, field
from msgspec.structs import replace

from ..errors import PaginationError
from .keyset_page import KeysetPage
from .known_ids import MAX_INSTANT, MIN_INSTANT, TIMESTAMP_RESOLUTION

MILLISECOND = timedelta(milliseconds=1)
SECOND = timedelta(seconds=1)
LOOK_BACK = SECOND
"""How far a page reaches back behind the last timestamp of the page before, at most."""
MAX_TIE_PASSES = 100


def instant_before(moment: datetime, by: timedelta) -> datetime:
    """That much before, or the beginning of time."""
    return moment - min(by, moment - MIN_INSTANT)


def floor(moment: datetime, unit: timedelta) -> datetime:
    """The last whole unit (a second or a part of one) at or before."""
    return moment - (moment - MIN_INSTANT) % unit


def ceiling(moment: datetime) -> datetime:
    """The next whole second: a server that rounds `end_datetime` down leaves nothing out then."""
    whole = floor(moment, SECOND)
    return moment if moment == whole or whole > MAX_INSTANT - SECOND else whole + SECOND


class KeysetContext(Struct, frozen=True):
    """What a step needs to know of its walk."""

    end: datetime
    request_number: int
    """Of the request, for errors."""
    totals_trusted: bool = False
    """Whether the server's totals fitted together up to now."""
    page_size: int = 0
    """Rows of the largest page before: one as long may have been cut."""


class KeysetStep(Struct, frozen=True):
    """Ask for the first page from `start` on."""

    start: datetime | None
    last_timestamp: datetime | None = None
    """The last timestamp of the page before: this page must get further, or start later."""
    previous_ids: frozenset[str] = frozenset()
    """The ids of the page before."""
    previous_total: int | None = None
    """What the server counted from the start of the page before on."""
    done_until: datetime | None = None
    """Everything up to there was read, by a `TieStep`."""
    is_second_try: bool = False
    page = offset = 0
    size = until = None

    def next(self, page: KeysetPage, context: KeysetContext) -> KeysetState | None:
        start = self.start
        # All from the start on was asked for, and there is nothing; an empty page in doubt was asked for twice.
        if not page.rows:
            return None
        first, last = page.instants[0], page.instants[-1]
        # A server may round the start down, to a second at most; an answer that begins earlier is to another question.
        if start is not None and first < floor(start, SECOND):
            raise PaginationError("the server does not honour start_datetime", page=context.request_number)
        ids = frozenset(page.keys)
        # In ascending order it reaches the end of the walk; or it holds as many sessions as there are.
        if last >= context.end or self.is_last(page, ids, context):
            return None
        # Nothing behind the block that was read, though asked from the block's last instant on.
        if self.done_until is not None and last <= self.done_until and start == self.done_until:
            return self._after_done_block(self.done_until, ids)
        following = self._following(first, last)
        # The next page begins later, and this one brought something: so the walk gets on, and no row is passed over,
        # because this page is one view of everything up to its last timestamp.
        if (start is None or following > start) and not (ids <= self.previous_ids and last == self.last_timestamp):
            return KeysetStep(following, last, ids, page.total_count, self.done_until)
        # The start was rounded down, and the page did not get past it: that unit is read by offset.
        if start is not None and first < start:
            unit = MILLISECOND if first >= floor(start, MILLISECOND) else SECOND
            until = max(last, floor(start, unit) + unit - TIMESTAMP_RESOLUTION)
        # One timestamp fills the page; or nothing new came, and the page may yet have been cut just there.
        else:
            until = last
        return TieStep(until, following if start is None else start, len(page.rows), page=1, ids=set(ids))

    def _following(self, first: datetime, last: datetime) -> datetime:
        # Rows that come again show that the next page is of the same list; an eighth of the page's time is cheap.
        following = instant_before(last, max(TIMESTAMP_RESOLUTION, min(LOOK_BACK, (last - first) / 8)))
        # What a `TieStep` has read is not read again, or its instant would fill the page once more.
        if self.done_until is not None:
            following = max(following, self.done_until + TIMESTAMP_RESOLUTION)
        # Never from the last timestamp itself: an exclusive start would leave out the rest of its sessions.
        following = min(following, instant_before(last, TIMESTAMP_RESOLUTION))
        # So far back it would be the same page again; just before the last timestamp is the latest safe start.
        if self.start is not None and following <= self.start:
            following = max(following, instant_before(last, TIMESTAMP_RESOLUTION))
        return following

    def is_last(self, page: KeysetPage, ids: frozenset[str], context: KeysetContext) -> bool:
        """Whether the total says that nothing lies behind this page, and can be believed.

        It is where it went down by just the rows that the page before had and this one has not. A total of one row in
        two, of 10,000 at most, or of this page alone does not, aside from steps by one row.
        """
        # Another number of sessions than this page has: more follow, or nobody counts.
        if page.total_count != len(ids):
            return False
        # A wrong total may fit by chance, and then a page as long as those before it was cut. Pages of one row never
        # make a total trusted.
        if 1 < len(page.rows) == context.page_size:
            return False
        # The first page has nothing to compare its total with, so it counts for what the totals before were worth.
        if self.previous_total is None:
            return context.totals_trusted
        if self.previous_ids.isdisjoint(ids):
            return False  # the rows before were deleted, and the totals changed with them
        passed = len(self.previous_ids - ids)
        # One row gone and a total of one less may be chance, unless this page brought nothing new either.
        return self.previous_total - passed == page.total_count and passed > (0 if ids <= self.previous_ids else 1)

    def confirms_total(self, page: KeysetPage) -> bool | None:
        """Whether this total and the one before fit together; None: they say nothing."""
        ids = set(page.keys)
        # A total that is not there, or less than what came with it, is no total.
        if page.total_count is None or page.total_count < len(ids):
            return False
        passed = len(self.previous_ids - ids)
        # A step by a row proves nothing: one that came or went in the meantime looks the same.
        if self.previous_total is None or passed < 2:
            return None
        return self.previous_total - passed == page.total_count

    def _after_done_block(self, until: datetime, ids: frozenset[str]) -> KeysetStep:
        # Nothing but what is done, though start is as late as that: start is inclusive, and the next instant is next.
        # Asked twice, because with an exclusive start that would skip an instant.
        if self.is_second_try:
            return KeysetStep(until + TIMESTAMP_RESOLUTION, until, ids, done_until=until)
        return replace(self, is_second_try=True)


class TieStep(Struct):
    """Read all sessions of one instant, or of the unit that the server rounds to, page by page, pass after pass.

    A pass is believed if no id came twice in it and the next pass has the same ids. Proof: its rows are distinct, and
    all of them were still there after its last page, whose offset and length tell how many rows there were by then:
    as many as the pass read. So it read them all. (That a pass agrees with the next one is not enough: a row that is
    inserted among those already read and deleted before the next page hides another, and can do so twice.)
    Totals are not used: a wrong one would end both passes at the same place.
    """

    until: datetime
    """The last instant of the block."""
    start: datetime
    size: int
    page: int = 0
    passes: int = 1
    ids: set[str] = field(default_factory=set[str])
    no_duplicates: bool = True
    short: int | None = None
    """Rows of a page of this pass that was shorter than asked for."""
    previous_pass: set[str] | None = None
    """The ids of the pass before, if it was clean."""
    more_follows: bool = True
    """Whether the pass before found sessions behind the block."""

    @property
    def offset(self) -> int:
        return self.page * self.size

    def next(self, page: KeysetPage, context: KeysetContext) -> KeysetState | None:
        instants = page.instants
        # A server that rounds the start down does so to a second at most: what is earlier answers another question.
        if instants and instants[0] < floor(self.start, SECOND):
            raise PaginationError("the server does not honour start_datetime", page=context.request_number)
        here = {key for key, instant, _ in page if instant <= self.until}
        new = here - self.ids
        # Rows are in order, so one behind the block says that all of the block's rows were before it.
        passed = bool(instants) and instants[-1] > self.until
        # After a short page only nothing may come; else the limit was cut on the way, and the offsets with it.
        cut = self.short is not None and bool(instants)
        no_duplicates = self.no_duplicates and len(new) == len(here)
        read = self.ids | new
        proven = no_duplicates and not cut and self.previous_pass == read
        # A page without a new row ends the pass even if it has rows: a server that repeats itself would never end it.
        over = passed or cut or not new
        # Two passes agree. Where the one before found nothing behind the block, its empty page is not asked for again.
        if proven and (over or not self.more_follows):
            return self._after(page, here, passed=passed)
        # The rows change faster than they are read, or the answers contradict each other: no pass can be believed.
        if over and self.passes == MAX_TIE_PASSES:
            raise PaginationError(
                f"{MAX_TIE_PASSES} passes over one timestamp each gave other sessions", page=context.request_number
            )
        # Not proven yet: only a pass with distinct rows and equal offsets can be what the next one confirms.
        if over:
            size = self._next_size(cut=cut, only_behind=passed and not here)
            return self._again(read if no_duplicates and not cut else None, size, passed)
        # The pass goes on: a full or short page within the block says nothing yet about the block's end.
        self.ids, self.no_duplicates, self.page = read, no_duplicates, self.page + 1
        self.short = len(instants) if len(instants) < self.size else None
        return self

    def _after(self, page: KeysetPage, here: set[str], *, passed: bool) -> KeysetStep | None:
        more_counted = page.total_count is not None and page.total_count > len(self.previous_pass or ())
        # Two passes and the total agree that nothing lies behind the block: the walk is at its end.
        if not passed and not self.more_follows and not more_counted:
            return None
        # What lies behind the block is on one page with rows of it, so nothing is missing between.
        if passed and here:
            last = page.instants[-1]
            following = last - max(TIMESTAMP_RESOLUTION, min(LOOK_BACK, (last - self.until) / 8))
            if following > self.until:
                return KeysetStep(following, last, frozenset(page.keys), done_until=self.until)
        # What lies behind is on no page with rows of the block, has gone meanwhile, or moved up by a deletion; or only
        # the total tells of it. So it is asked for by its time: an empty page is the end then.
        return KeysetStep(self.until, self.until, frozenset(self.ids), done_until=self.until)

    def _next_size(self, *, cut: bool, only_behind: bool) -> int:
        # The server gives pages of this length now: offsets that are multiples of it leave no gap.
        if cut and self.short is not None:
            return self.short
        # So that the last page of the next pass holds rows of the block and rows behind it.
        return self.size - 1 if only_behind and self.size > 1 else self.size

    def _again(self, previous_pass: set[str] | None, size: int, more_follows: bool) -> TieStep:
        return TieStep(
            self.until,
            self.start,
            size,
            passes=self.passes + 1,
            previous_pass=previous_pass,
            more_follows=more_follows,
        )


KeysetState: TypeAlias = KeysetStep | TieStep
