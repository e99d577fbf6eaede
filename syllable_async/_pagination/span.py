"""One span of a walk by key: what it took in, what it gave, and whether an answer can be believed. No I/O."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from datetime import datetime
from typing import cast

from msgspec.structs import replace

from ..errors import PaginationError
from ..models import InvalidRow, Session
from .cursor import CursorSpan
from .keyset_page import KeysetPage
from .keyset_state import (
    LOOK_BACK,
    SECOND,
    KeysetContext,
    KeysetState,
    KeysetStep,
    TieStep,
    ceiling,
    floor,
    instant_before,
)
from .known_ids import MIN_INSTANT, TIMESTAMP_RESOLUTION, IdLog, KnownIds, to_micros
from .query import ListQuery


class Span:
    """The sessions from one instant to another, oldest first, each once.

    Attributes:
        rows: taken in and not yet given, oldest first.
        step: which request comes next; None: the span is read to its end.
        end: not included; moves down when the span is cut, and up when its right neighbour begins later.
        first_look: the first answer to a request that no session checks, while the second has not come.
        left: while it has not begun, the neighbour that takes over what lies before its first session.
        rows_left: about how many sessions lie behind those taken in; None before the first page.
    """

    __slots__ = (
        "_anchor",
        "_asked_end",
        "_cut_before",
        "_floor",
        "_gone",
        "_largest_page",
        "_log",
        "_page_start",
        "_reached",
        "_time_per_row",
        "end",
        "first_look",
        "left",
        "rows",
        "rows_left",
        "step",
    )

    def __init__(self, cursor: CursorSpan, end: datetime) -> None:
        self.end = self._asked_end = self._cut_before = end
        self.left: Span | None = None
        self.first_look: KeysetPage | None = None
        self.rows: deque[Session] = deque()
        self.rows_left: float | None = None
        self._largest_page = 1
        self._reached = MIN_INSTANT
        self._time_per_row = TIMESTAMP_RESOLUTION
        self._log = IdLog(cursor.known)
        self._gone = set[str]() if cursor.is_checked else set(cursor.known.ids)
        self._floor = cursor.floor or MIN_INSTANT
        self.step: KeysetState | None = None
        self.begin_at(cursor.since)

    def begin_at(self, since: datetime | None) -> None:
        """Ask from there on next, a tick early because the server's start may be exclusive."""
        self._page_start = since
        start = None if since is None else instant_before(since, TIMESTAMP_RESOLUTION)
        self.first_look = None
        # The end is not included, so a span that begins at it is empty.
        self.step = KeysetStep(start) if (since or MIN_INSTANT) < self.end else None
        self._anchor = self._first_known_after(start)

    def _first_known_after(self, start: datetime | None) -> tuple[int, str] | None:
        return next((one for one in self._log.after(start) if one[1] not in self._gone), None)

    @property
    def cursor(self) -> CursorSpan:
        """Where it stands, after the last row that was taken from `rows`."""
        pending = len(self.rows)
        since = self._page_start if pending or self.step is None else self.step.start
        # In the midst of a block rows of any place in it are known, so they say nothing about those between.
        checked = not isinstance(self.step, TieStep)
        known = self._log.view(pending)
        # A start behind the end asks for nothing, and a cursor that held it would look damaged.
        since = since if since is None else min(since, self.end)
        return CursorSpan(floor=self.floor, since=since, end=self.end, known=known, is_checked=checked)

    @property
    def floor(self) -> datetime | None:
        """Sessions before it are not given: they were, or they are before the span."""
        return None if self._floor == MIN_INSTANT else self._floor

    @property
    def newest(self) -> datetime | None:
        """The newest timestamp that is known."""
        return self._log.newest

    @property
    def alive(self) -> bool:
        """Whether it has rows to give or a request to send."""
        return self.step is not None or bool(self.rows)

    @property
    def has_begun(self) -> bool:
        """Whether it knows a session: then each page can be checked by those before it."""
        return len(self._log) > 0

    def is_anchored(self, page: KeysetPage) -> bool:
        """Whether something tells that a page leaves out nothing at its beginning.

        The left neighbour does, and so does the oldest session that is known and should be there: what lies between
        that and the younger ones may be late ones, which nobody knows.
        """
        if self.left is not None:
            return True
        step = cast("KeysetState", self.step)
        if isinstance(step, TieStep):
            return len(self._log) > len(self._gone) and self._log.is_last_after(step.start)
        return self._anchor is not None and (
            self._anchor[0] >= to_micros(page.instants[-1]) or self._anchor[1] in page.keys
        )

    def begin(self, page: KeysetPage) -> bool:
        """Give what lies before the first session of the first page to the left, and the second in which that is.

        No session tells whether a first page leaves out those that it should begin with. The pages of the left
        neighbour do, for they are checked one by the other.

        Returns:
            Whether the page has sessions that are left to this span.
        """
        left, begin = self.left, self._floor
        if left is None or not page.rows or page.instants[0] < begin:
            return True
        if page.instants[0] < instant_before(self.end, SECOND):
            begin = floor(page.instants[0], SECOND) + SECOND
        else:
            begin = self.end
        left.extend(begin)
        self._floor = begin
        if begin <= page.instants[-1] and begin < self.end:
            return True
        self.begin_at(begin)
        return False

    def extend(self, end: datetime) -> None:
        """Read on to a later end."""
        begin = self.newest or min(self._asked_end, self.end)
        self._cut_before, self.end = min(self._cut_before, self.end), end
        if isinstance(self.step, KeysetStep):
            self.step = replace(self.step, previous_total=None)  # it counted up to the end that was
        elif self.step is None:
            # Not `begin_at`: rows that are not given yet are of the page before.
            self.step = KeysetStep(instant_before(begin, TIMESTAMP_RESOLUTION))
            self._anchor = self._first_known_after(self.step.start)

    def query(self, query: ListQuery) -> ListQuery:
        """The next request. Its end is a whole second, for servers that round it down."""
        step = cast("KeysetState", self.step)
        # What a block concludes at last rests on all its pages.
        self._asked_end = min(self.end, self._asked_end) if isinstance(step, TieStep) else self.end
        return query.replace(
            page=step.page,
            limit=step.size or query.limit,
            start_datetime=step.start,
            end_datetime=ceiling(self.end),
        )

    def check(self, page: KeysetPage, request_number: int) -> None:
        """Refuse an answer that is not in order."""
        if sorted(page.instants) != list(page.instants):
            raise PaginationError("the server does not honour order_by=timestamp", page=request_number)

    def knows_any(self, page: KeysetPage) -> bool:
        """Whether an answer holds a session that was given."""
        return any(key in self._log for key in page.keys)

    def is_doubtful(self, page: KeysetPage) -> bool:
        """Whether an answer leaves out all that it should hold of what was given; or is empty where nothing tells."""
        step = self.step
        if isinstance(step, TieStep) and step.page:
            # Only the end of the block has no rows to check it by.
            return not page.rows and page.total_count != len(step.ids)
        # The page begins among the newest that were given: a list that is behind, or being rebuilt, has none of them.
        if self.knows_any(page):
            return False
        return not page.rows or bool(self._expected_on(page))

    def missing(self, page: KeysetPage) -> tuple[str, ...]:
        """Of the sessions that a doubtful answer leaves out, the oldest and the newest with an id."""
        expected = [key for _, key in self._expected_on(page)]
        # Those with an id, where there are any: only they can be asked for.
        ids = [key for key in expected if not key.startswith("sha256:")] or expected
        return tuple(dict.fromkeys((*ids[:1], *ids[-1:])))

    def _expected_on(self, page: KeysetPage) -> list[tuple[int, str]]:
        """The sessions that were given and should be on the page, oldest first.

        Not those after its last timestamp: the walk goes on from there, so nothing is passed over. Nor those at it, if
        the page may be full.
        """
        # A later page of a block begins behind what the pages before it gave.
        if self.step is None or self.step.page:
            return []
        expected = self._log.after(self.step.start)
        if page.rows:
            size = min(self._largest_page, self.step.size or self._largest_page)
            is_full = len(page.rows) >= size or (page.total_count or 0) > len(page.rows)
            bound = to_micros(page.instants[-1]) + (not is_full)
            expected = [one for one in expected if one[0] < bound]
        return [one for one in expected if one[1] not in self._gone]

    def expect_nothing(self, page: KeysetPage) -> None:
        """What should be on the page was deleted: it is not asked for again."""
        self._gone.update(key for _, key in self._expected_on(page))

    def confirms_total(self, page: KeysetPage) -> bool | None:
        """Whether the total of an answer and the one before fit together; None: they say nothing."""
        return self.step.confirms_total(page) if isinstance(self.step, KeysetStep) else None

    def accept(self, page: KeysetPage, context: KeysetContext, keep_from: datetime, others: IdLog) -> None:
        """Take an answer in. What is raised here leaves the span as it was."""
        step = cast("KeysetState", self.step)
        until, offset = step.until, step.offset
        following = step.next(page, replace(context, end=min(self.end, self._asked_end), page_size=self._largest_page))
        if isinstance(following, KeysetStep) and self._asked_end < self.end:
            following = replace(following, previous_total=None)
        # The block is proven and the walk goes on behind it: what the page has of that is taken in with it. Else only
        # the block's own rows are, as those behind it may not be all.
        if until is not None and following is not None and following.start is not None and following.start > until:
            until = None
        # Nothing raises from here on.
        if self._anchor is not None and page.rows and not self.is_anchored(page):
            # Two answers left them out: they were deleted.
            first = to_micros(page.instants[0])
            self._gone.update(key for at, key in self._log.after(step.start) if at < first)
        # A look that was left alone, because the second failed, was at another question than the next one.
        self.first_look = None
        self._page_start, self.step = step.start, following
        self._largest_page = max(self._largest_page, len(page.rows))
        self.forget(min(step.start or MIN_INSTANT, keep_from))
        lowest, end = self._floor, self.end
        if until is not None and until < end:
            end = until + TIMESTAMP_RESOLUTION
        found = page.between(lowest, end)
        self._reached = max((self._reached, *found.instants[-1:]))
        new = self._log.add_new(found.invalid_first() if page.has_invalid else found, others)
        self.rows.extend([row for row in new if not isinstance(row, InvalidRow)])
        self._anchor = self._first_taken(page, following.start) if isinstance(following, KeysetStep) else None
        self._count(page, offset)
        if self.step is None and self._asked_end < self.end:
            # The answer says nothing of what the neighbour gave back meanwhile.
            self.extend(self.end)

    def _first_taken(self, page: KeysetPage, start: datetime | None) -> tuple[int, str] | None:
        """The first session of a page that is after an instant, of those that were taken in."""
        place = 0 if start is None else bisect_right(page.instants, start)
        taken = (at for at in range(place, len(page.keys)) if page.keys[at] in self._log)
        return next(((to_micros(page.instants[at]), page.keys[at]) for at in taken), None)

    def new_invalid(self, page: KeysetPage, others: IdLog) -> tuple[InvalidRow, ...]:
        """The rows of the span that do not fit and that were not met before."""
        return tuple(
            row
            for key, instant, row in page
            if isinstance(row, InvalidRow)
            and self._floor <= instant < self.end
            and not (key in self._log or key in others)
        )

    def forget(self, moment: datetime) -> None:
        """Forget the ids of sessions before an instant, and give none of them any more."""
        # A whole second, as a server that rounds the start down sends again what lies between.
        lowest = floor(moment, SECOND)
        if lowest > self._floor:
            self._floor = lowest
            self._log.forget_before(lowest)
            self._gone = {key for key in self._gone if key in self._log}

    def known(self) -> KnownIds:
        """All ids that are kept."""
        return self._log.view(len(self.rows))

    def _count(self, page: KeysetPage, offset: int) -> None:
        count = len(page.rows)
        # The end of the span, or a page that leaves nothing to reckon with.
        if self.step is None or not count:
            self.rows_left = 0
            return
        first, last = page.instants[0], page.instants[-1]
        self._time_per_row = max(last - first, TIMESTAMP_RESOLUTION) / count
        if page.total_count is not None:
            self.rows_left = max(0, page.total_count - offset - count)
        # Nobody counts: the rest is reckoned to be as dense as this page.
        else:
            self.rows_left = (self.end - last) / max(self._time_per_row, TIMESTAMP_RESOLUTION)

    def split(self) -> Span | None:
        """Cut it at a whole second halfway through what is left, and give the right half; None: it is not worth it.

        Whole seconds, because a server may show or filter coarser than it stores: then a finer cut leaves sessions in
        neither half. Halfway by the clock, or sooner if the rows that are left would end sooner at the pace of the last
        page: a walk up to now may have its sessions far back.
        """
        position = self._position()
        # Less than three pages: each part would cost a request and save less.
        if position is None or not self.rows_left or self.rows_left < 3 * self._largest_page:
            return None
        # Not in what a neighbour gave back, or it would be cut off and given back for ever.
        left = self._cut_before - position
        left = min(self._time_per_row, left / self.rows_left) * self.rows_left
        middle = floor(position + left / 2, SECOND)
        # The left half looks back, so it has to be longer than that.
        if middle <= position + LOOK_BACK or middle >= self._cut_before:
            return None
        # A walk that goes on from a cursor knows sessions of both halves.
        right = Span(CursorSpan(floor=middle, since=middle, end=self.end, known=self._log.cut(middle)), self.end)
        right._gone = {key for key in self._gone if key in right._log}
        right._largest_page, right._time_per_row = self._largest_page, self._time_per_row
        right._cut_before = self._cut_before
        self.end = self._cut_before = middle
        self.rows_left /= 2
        right.rows_left = self.rows_left
        return right

    def _position(self) -> datetime | None:
        """Everything that was taken in, or is being read, lies at or before; None where there is nothing yet."""
        step = self.step
        if step is None or self.rows_left is None:
            return None
        places = [
            self._floor,
            self._page_start,
            step.start,
            step.until,
            step.last_timestamp if isinstance(step, KeysetStep) else None,
            self._reached,
        ]
        position = max(place for place in places if place is not None)
        return None if position == MIN_INSTANT else position
