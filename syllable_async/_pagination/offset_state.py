"""The rules of a plain walk, without any I/O: what is new on a page, what repeats, and where the end is."""

from __future__ import annotations

import sys
import warnings
from collections import deque

from ..errors import PaginationDriftWarning, PaginationError
from ..models import ListResponseSession, Session

MAX_REMEMBERED_IDS = 10_000
"""Ids that a plain walk remembers: about 1 MB, and a hundred pages of the default size."""
MAX_PAGES = 1_000_000
"""No list is this long; a server that is still going by then will never end."""


class OffsetState:
    """What a plain walk knows of the pages that it has seen."""

    def __init__(self, first: int = 0) -> None:
        self.next_page = first
        """The next page."""
        self.largest_page = 0
        """Most rows that a page had; where `limit` is clamped, this is the server's page size."""
        self.ended = False
        self._rows: int | None = None
        self._total: int | None = None
        self._pages: int | None = None
        self._recent: deque[str] = deque()
        self._known: set[str] = set()
        self._cycle_marks: tuple[int | None, int | None] = (None, None)
        self._count = 0
        self._stale = False
        self._warned = False
        self._rechecking = False

    @property
    def expected_end(self) -> int | None:
        """The first page that the totals say is not there."""
        if self._total is not None and self.largest_page:
            return -(-self._total // self.largest_page)
        return self._pages

    def accept_page(self, page: ListResponseSession) -> tuple[Session, ...]:
        """Take the next page in; return its rows that were not there yet. A refused page changes nothing.

        Raises:
            PaginationError: the server repeats itself, or does not end.
        """
        before = self.next_page * max(page.page_size, 0) if self._rows is None else self._rows
        rows = before + len(page.items)
        if self._is_suspicious_empty_page(page, rows):
            self._rechecking = True
            return ()
        fresh = self._drop_known(page.items)
        complete = page.total_count == rows and page.total_pages in {None, self.next_page + 1}
        mark = hash(tuple(row.session_id or row for row in page.items))
        stale = bool(page.items) and not fresh
        if not complete:
            self._detect_cycle(page, mark, stale=stale)
        self._detect_drift(page, rows, repeats=len(fresh) < len(page.items))
        self._count += 1
        self._cycle_marks = mark, mark if self._count & (self._count - 1) == 0 else self._cycle_marks[1]
        self._rows, self._total, self._pages, self._stale = rows, page.total_count, page.total_pages, stale
        self._rechecking = False
        self.largest_page = max(self.largest_page, len(page.items))
        self.next_page += 1
        self.ended = complete or not page.items
        self._remember(fresh)
        return fresh

    def _is_suspicious_empty_page(self, page: ListResponseSession, rows: int) -> bool:
        """Whether a page is empty although totals that fit together tell of more. It is asked for once more then."""
        if page.items or self._rechecking or page.total_count is None or page.total_count <= rows:
            return False
        sizes = {self.largest_page, page.page_size}
        return any(size > 0 and page.total_pages == -(-page.total_count // size) for size in sizes)

    def _drop_known(self, items: tuple[Session, ...]) -> tuple[Session, ...]:
        ids = [row.session_id for row in items]
        if None not in ids and len(set(ids)) == len(ids) and self._known.isdisjoint(ids):
            return items
        here: set[str] = set()
        fresh: list[Session] = []
        for row in items:
            if row.session_id is not None:
                if row.session_id in self._known or row.session_id in here:
                    continue
                here.add(row.session_id)
            fresh.append(row)
        return tuple(fresh)

    def _detect_cycle(self, page: ListResponseSession, mark: int, *, stale: bool) -> None:
        """Refuse a repeat of the page before, or of the landmark: page 1, 2, 4, 8… (Brent's cycle search).

        So a loop of any length is found in constant memory. As many new rows before us as a page holds also make a
        page come again; then the total has grown by as much. Short stale pages happen once, at the end.
        """
        grown = (page.total_count or 0) - (self._total or 0) if self._total is not None else 0
        if self._count >= MAX_PAGES:
            raise PaginationError(f"the server does not end within {MAX_PAGES} pages", page=self.next_page)
        again = bool(page.items) and mark in self._cycle_marks
        nothing_new = stale and (len(page.items) >= self.largest_page or self._stale)
        if (again or nothing_new) and grown < len(page.items):
            raise PaginationError("the server repeats sessions instead of going on", page=self.next_page)

    def _detect_drift(self, page: ListResponseSession, rows: int, *, repeats: bool) -> None:
        moved = self._total is not None and page.total_count is not None and page.total_count != self._total
        cut = not page.items and page.total_count is not None and page.total_count > rows
        if self._warned or not (moved or repeats or cut):
            return
        # Before the warning: it may be turned into an error, and `anext` again must then go on.
        self._warned = True
        reason = (
            "the total moved" if moved else "sessions came twice" if repeats else "the total says that more is there"
        )
        _warn_drift(
            f"page {self.next_page}: {reason}; sessions may be missing. Pager.snapshot() is exact while the data moves"
        )

    def _remember(self, fresh: tuple[Session, ...]) -> None:
        ids = [row.session_id for row in fresh if row.session_id is not None]
        self._recent.extend(ids)
        self._known.update(ids)
        while len(self._recent) > MAX_REMEMBERED_IDS:
            self._known.discard(self._recent.popleft())


def _warn_drift(message: str) -> None:
    """Warn at the line outside this package that took the step."""
    level, frame = 1, sys._getframe()  # pyright: ignore[reportPrivateUsage]
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("syllable_async."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, PaginationDriftWarning, stacklevel=level)
