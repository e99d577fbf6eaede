"""The ways to read a list of sessions, over one callable that fetches a page."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from datetime import UTC, datetime
from typing import Any

import attrs

from ._pages import ItemIterator, PageIterator
from ._query import ListQuery, at_least
from .models import ListResponseSession

__all__ = ["FetchPage", "ItemIterator", "ListQuery", "PageIterator", "Pager"]

FetchPage = Callable[[ListQuery], Awaitable[ListResponseSession]]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Pager:
    """A list of sessions that nobody has asked for yet: await it for the one page, or iterate to walk.

    `items`, `pages` and `async for` keep the server's order and offsets, so data that moves between two pages can hide
    a session from them (`PaginationDriftWarning` when that is noticed).
    """

    __slots__ = ("_fetch_page", "_now", "_query", "_sleep")

    def __init__(
        self,
        fetch_page: FetchPage,
        query: ListQuery,
        *,
        now: Callable[[], datetime] = _utc_now,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._fetch_page = fetch_page
        self._query = query
        self._now = now
        self._sleep = sleep

    def __await__(self) -> Generator[Any, Any, ListResponseSession]:
        return self._fetch_page(self._query).__await__()

    def __aiter__(self) -> ItemIterator:
        return self.items()

    def items(self, max_items: int | None = None, prefetch: int = 0) -> ItemIterator:
        """Every session from the query's page on, in the server's order.

        A session whose id is among the last 10,000 is not yielded again. A page that fails raises its error and leaves
        the iterator where it was: `anext` again asks for that page.

        Args:
            max_items: end after that many; 0 sends nothing.
            prefetch: pages to keep in flight ahead, in order and never past the end that the totals tell; a slow
                consumer throttles them.

        Raises:
            PaginationError: while iterating, when the server repeats a page or does not end.
            ValueError: a negative number, or a query with `limit=0`.
        """
        at_least(0, "max_items", max_items)
        return ItemIterator(self._pages(max_rows=max_items, prefetch=prefetch), max_items)

    def pages(self, max_pages: int | None = None, prefetch: int = 0) -> PageIterator:
        """Page after page, under the rules of `items`: sessions that came before are left out of a page."""
        at_least(0, "max_pages", max_pages)
        return self._pages(max_pages=max_pages, prefetch=prefetch)

    def _pages(self, *, max_pages: int | None = None, max_rows: int | None = None, prefetch: int) -> PageIterator:
        at_least(0, "prefetch", prefetch)
        query, fetch_page = self._query.for_walk(), self._fetch_page
        return PageIterator(
            lambda number: fetch_page(attrs.evolve(query, page=number)),
            query.page or 0,
            max_pages=max_pages,
            max_rows=max_rows,
            prefetch=prefetch,
        )
