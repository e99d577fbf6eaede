"""The rules of offset pagination, without any I/O: what is new on a page, what repeats, and where the end is."""

from __future__ import annotations

import sys
import warnings
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar

from msgspec import Struct

from .._messages import Page
from ..errors import PaginationDriftWarning, PaginationError

T = TypeVar("T")
MAX_REMEMBERED_IDS = 10_000
"""Ids that a plain walk remembers: about 1 MB, and a hundred pages of the default size."""
MAX_PAGES = 1_000_000
"""No list is this long; a server that is still going by then will never end."""
MAX_STALE_PAGES = 4
"""Pages in a row that bring nothing new and that no growth explains; each of them was asked for twice."""
MAX_MOVES = 10
"""How often a walk goes to another page because the server's page size seems to have changed."""


def _content(row: object) -> Hashable:
    try:
        return hash(row)
    except TypeError:  # dicts and lists
        return repr(row)


class Identity(Struct, Generic[T], frozen=True):
    """How a row is known again."""

    id_of: Callable[[T], Hashable | None]
    """A row's id; None where it has none, and is known by its content."""
    content: Callable[[Any], Hashable] = _content
    """Equal for rows that are equal; asked of rows without an id, and of the JSON of invalid ones."""
    id_of_json: Callable[[Any], Hashable | None] | None = None
    """`id_of` for a row's JSON, which stands where a user's hook may have made anything of the row. None: the same."""

    def keys(self, page: Page[T, Any]) -> list[Hashable]:
        """A key for each row that the server sent, in its order; a tuple for one that is known by its content."""
        rows: tuple[Any, ...] = page.raw or page.rows
        keys = list(map((self.id_of_json or self.id_of) if page.raw else self.id_of, rows))
        if None in keys:
            keys = [(self.content(row),) if key is None else key for key, row in zip(keys, rows, strict=True)]
        for invalid in page.invalid:
            content = self.content(invalid.raw)
            keys.insert(invalid.index, content if isinstance(invalid.raw, dict) else (content,))
        return keys


class OffsetState(Generic[T]):
    """What a plain walk knows of the pages that it has seen."""

    def __init__(self, first: int, identity: Identity[T], limit: int | None = None, advice: str = "") -> None:
        self.next_page: int = first
        """The next page."""
        self.largest_page: int = 0
        """Rows of a full page: the most that one had, so where `limit` is clamped, the server's page size."""
        self.ended: bool = False
        self.second_look: bool = False
        """Whether the next page came already and is in doubt: it is to be asked for again, a moment later."""
        self.drifts: int = 0
        """How often the list was seen to move: pages that were asked for before that do not fit those after."""
        self._first = first
        self._identity = identity
        self._limit = limit
        self._advice = advice
        self._rows: int | None = None
        self._total: int | None = None
        self._pages: int | None = None
        self._page_size: int | None = None
        self._ahead = 0
        self._recent: deque[Hashable] = deque()
        self._known: set[Hashable] = set()
        self._moves = 0
        self._landmark: int | None = None
        self._count = 0
        self._stale_pages = 0
        self._warned = False

    @property
    def expected_end(self) -> int | None:
        """The first page that the totals say is not there."""
        ends = [] if self._pages is None else [self._pages]
        if self._total is not None and self.largest_page:
            ends.append(-(-self._total // self.largest_page))
        return min(ends, default=None)

    def accept_page(self, page: Page[T, Any], *, early: bool = False) -> tuple[T, ...]:
        """Take the next page in; return its rows that were not there yet. A refused page changes nothing.

        `early`: it was asked for before the page before it had come, so it may be the older of the two.

        A page in doubt gives no row: it is asked for again (`second_look`), or another one in its place.

        Raises:
            PaginationError: the server repeats itself, or does not end.
        """
        # Midway nobody has counted the rows before the first page: the server's page size is the best estimate.
        before = self.next_page * max(page.page_size, 0) if self._rows is None else self._rows
        longer = self._longer_size(page)
        # Pages are longer now: this one begins behind rows that are on none of those that came.
        if longer * self.next_page > before and self._may_move:
            return self._move(before, longer, page)
        # Without rows there is nothing to compare.
        if not page.row_count:
            return self._accept_empty(page, before, gap=longer * self.next_page > before)
        keys = self._identity.keys(page)
        growth = self._growth(page)
        overlap = self._overlap(keys, self._ahead + (growth or 0))
        # Rows that came in before our position push the last rows that we had onto this page, in their order.
        explained = overlap is not None and overlap == self._ahead + (growth or 0)
        shorter = bool(overlap) and not explained and self._is_shorter(len(keys), before - (overlap or 0))
        fresh = self._fresh(keys, overlap)
        # Pages are shorter now, and this one is wholly among the rows that came: the next row is some pages on.
        if not fresh and shorter and self._may_move:
            return self._move(before, len(keys), page)
        # Nobody counts, so an overlap in order is all that can be known of rows that came in before.
        if fresh and growth is None:
            explained = overlap is not None and overlap >= self._ahead and not (overlap and early)
        explained = explained or shorter
        # Nothing new may be one answer of a replica that is behind: the same page a moment later tells.
        if not fresh and not explained and not self.second_look:
            self.second_look = True
            return ()
        mark = hash(tuple(keys))
        self._refuse_cycle(mark, len(keys), growth or 0, stale=not fresh, explained=explained)
        self._warn_of_drift(
            (not explained, "the total moved" if overlap == 0 else "rows came twice"),
            (longer * self.next_page > before, "its pages have another size"),
        )
        self.drifts += bool(growth) or overlap != 0
        # The rows of the overlap were counted already, and a full page has this length from here on.
        if shorter:
            before, self.largest_page = before - (overlap or 0), len(keys)
        self._commit(page, before, keys, mark)
        self._ahead = max(0, (overlap or 0) - len(keys))
        self._stale_pages = 0 if fresh else self._stale_pages + (not explained)
        return self._take_rows(page, keys, fresh)

    def _longer_size(self, page: Page[T, Any]) -> int:
        """The page size of a server that seems to clamp less than before; 0: it does not."""
        # The first page has none before it.
        if not self.largest_page or self._page_size is None:
            return 0
        # More rows than any page had: so many fit on a page now, whatever `page_size` says.
        if page.row_count > self.largest_page:
            return page.row_count
        # The last page may have few rows, so `page_size` counts where it has grown.
        return page.page_size if page.page_size > self._page_size else 0

    def _is_shorter(self, count: int, position: int) -> bool:
        """Whether the server clamps more than before: pages of this size would put the page just where its rows are."""
        return count < self.largest_page and self.next_page * count == position

    @property
    def _may_move(self) -> bool:
        # Of a walk that began midway nobody knows how many rows are before it.
        return self._first == 0 and self._moves < MAX_MOVES

    def _move(self, before: int, size: int, page: Page[T, Any]) -> tuple[T, ...]:
        """Go on at the page that has the row after the last one, among pages of another size."""
        # Where the list moved before, what looked like new rows may have been the new size: then `before` is too large.
        self._warn_of_drift((self.drifts > 0, "its pages have another size"))
        self.next_page, self._ahead = divmod(before, size)
        self.largest_page, self._page_size = size, page.page_size
        self.second_look = False
        self._moves += 1
        self.drifts += 1
        return ()

    def _accept_empty(self, page: Page[T, Any], before: int, *, gap: bool) -> tuple[T, ...]:
        """An empty page is the end once it was seen twice, or where a total that holds still says the same."""
        growth, total, pages = self._growth(page), page.total_count, page.total_pages
        # Rows should be there, nobody counts, or the count has just changed: one look is not enough.
        if not self.second_look and (total != before or growth):
            self.second_look = True
            return ()
        more = total > before if total is not None else pages is not None and pages > self.next_page
        self._warn_of_drift(
            (more, "the total says that more is there"),
            (bool(growth), "the total moved"),
            (gap, "its pages have another size"),
        )
        self._commit(page, before, [], None)
        self.ended = True
        return ()

    def _growth(self, page: Page[T, Any]) -> int | None:
        """By how much the total has grown since the page before; None: nobody counts."""
        return None if self._total is None or page.total_count is None else page.total_count - self._total

    def _overlap(self, keys: list[Hashable], expected: int) -> int | None:
        """How many of the last rows the page begins with again, in their order; None: rows repeat in another way.

        Rows without ids may be alike and still be two, so they overlap where that was expected, or by a full page.
        """
        # All rows are new and distinct, as on nearly every page.
        if self._known.isdisjoint(keys) and len(set(keys)) == len(keys):
            return 0
        recent, distance = self._recent, 0
        # An overlap begins with the page's first row, so its last place among the recent rows says how long it is.
        if keys[0] in self._known:
            distance = next(n for n, key in enumerate(reversed(recent), 1) if key == keys[0])
        start = len(recent) - distance
        run = list(islice(recent, start, start + len(keys)))
        expected_or_whole = distance == expected or len(run) == len(keys) >= self.largest_page
        # Alike by chance: a row without an id that does not continue as the recent ones did is a new one.
        if isinstance(keys[0], tuple) and not (run == keys[: len(run)] and expected_or_whole):
            distance, run = 0, []
        ids = [key for key in keys[len(run) :] if not isinstance(key, tuple)]
        in_order = run == keys[: len(run)] and self._known.isdisjoint(ids) and len(set(ids)) == len(ids)
        return distance if in_order else None

    def _fresh(self, keys: list[Hashable], overlap: int | None) -> Sequence[int]:
        """The indices of the rows that were not there yet. A row without an id is one that was only in an overlap."""
        # Nothing repeats, so all are new, equal rows without ids too.
        if overlap == 0:
            return range(len(keys))
        here: set[Hashable] = set()
        fresh = list[int]()
        for index, key in enumerate(keys):
            repeats = key in self._known or key in here
            here.add(key)
            if index >= (overlap or 0) and (isinstance(key, tuple) or not repeats):
                fresh.append(index)
        return fresh

    def _refuse_cycle(self, mark: int, count: int, growth: int, *, stale: bool, explained: bool) -> None:
        """Refuse page after page without a new row, and the landmark again: page 1, 2, 4, 8… (Brent's cycle search).

        So a loop of any length is found in constant memory, those that are longer than the remembered ids too.
        """
        # A server that makes up new rows for ever is caught by no comparison.
        if self._count >= MAX_PAGES:
            raise PaginationError(f"the list does not end within {MAX_PAGES} pages", page=self.next_page)
        # A page that came before: rows inserted before it explain that only if there are as many as it has.
        circle = mark == self._landmark and growth < count and not stale
        # One stale page may be a list that moves; so many in a row, each seen twice, are a server that stands still.
        if circle or (stale and not explained and self._stale_pages + 1 >= MAX_STALE_PAGES):
            raise PaginationError("the server repeats rows instead of going on", page=self.next_page)

    def _commit(self, page: Page[T, Any], before: int, keys: list[Hashable], mark: int | None) -> None:
        rows, full = before + len(keys), self._is_full(page)
        self._rows, self._pages, self._page_size = rows, page.total_pages, page.page_size
        self._total = self._total if page.total_count is None else page.total_count
        self.second_look = False
        self.largest_page = max(self.largest_page, len(keys))
        self.next_page += 1
        self.ended = not full and page.total_count == rows and page.total_pages in {None, self.next_page}
        self._count += 1
        # At powers of two: the distance between landmarks doubles, so it becomes longer than any loop (Brent).
        if self._count & (self._count - 1) == 0:
            self._landmark = mark

    def _is_full(self, page: Page[T, Any]) -> bool:
        """Whether there may be a page after this one whatever the totals say: some count no further than 10,000.

        Of a walk that began midway the first page is taken for full: how many rows are before it is an estimate.
        """
        if self._rows is None and self._first:
            return True
        sizes = [size for size in (self.largest_page, self._limit or 0, page.page_size) if size > 0]
        return page.row_count >= min(sizes, default=1)

    def _take_rows(self, page: Page[T, Any], keys: list[Hashable], fresh: Sequence[int]) -> tuple[T, ...]:
        # All rows are new: the page's own tuple, without a copy.
        if len(fresh) == len(keys):
            self._remember(keys)
            return page.rows
        # Invalid rows have keys but stand beside the valid ones, so indices are counted over both.
        self._remember([keys[index] for index in fresh])
        invalid, chosen = {row.index for row in page.invalid}, set(fresh)
        valid = (index for index in range(len(keys)) if index not in invalid)
        return tuple(row for index, row in zip(valid, page.rows, strict=True) if index in chosen)

    def _remember(self, keys: list[Hashable]) -> None:
        self._recent.extend(keys)
        self._known.update(keys)
        while len(self._recent) > MAX_REMEMBERED_IDS:
            self._known.discard(self._recent.popleft())

    def _warn_of_drift(self, *signs: tuple[bool, str]) -> None:
        """Say once, of the first sign that is there, that rows may be missing."""
        reason = next((reason for is_there, reason in signs if is_there), None)
        # One warning a walk: what follows a first drift says nothing new.
        if self._warned or reason is None:
            return
        # Before the warning: it may be turned into an error, and `anext` again must then go on.
        self._warned = True
        _warn_drift(f"page {self.next_page}: {reason}; rows may be missing{self._advice}")


def _warn_drift(message: str) -> None:
    """Warn at the line outside this package that took the step."""
    level, frame = 1, sys._getframe()  # pyright: ignore[reportPrivateUsage]
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("syllable_async."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, PaginationDriftWarning, stacklevel=level)
