"""Any page/limit list: awaited for one page, or walked by offset pagination."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from functools import update_wrapper
from types import MethodType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from .._messages import Page
from .._timing import SYSTEM_CLOCK, Clock
from .._validators import non_negative_int
from ..models import ListResponse
from .offset import ItemIterator, OffsetWalk, PageIterator
from .offset_state import Identity, OffsetState
from .query import PageQuery

T = TypeVar("T")
FetchRows = Callable[[Any], Awaitable[Page[T, Any]]]
"""Fetches the page that a query of the pager's kind asks for."""
FetchResponse = Callable[[Any], Awaitable[ListResponse[T]]]
"""The same, where the envelope alone is asked for."""


class _CallOnly:
    """A method that shares its name with a page's attribute: used like that, it says that the `await` is missing."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self._method = method

    def __get__(self, pager: object, _: type[object] | None = None) -> Callable[..., Any]:
        return self._method if pager is None else _CallOnlyMethod(MethodType(self._method, pager))


class _CallOnlyMethod:
    def __init__(self, method: MethodType) -> None:
        update_wrapper(self, method)
        self._method = method

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._method(*args, **options)

    def __bool__(self) -> bool:
        return True

    def _refuse(self, *_: object) -> NoReturn:
        name = self._method.__name__
        raise TypeError(_forgotten(self._method.__self__, f"its `{name}` is a method; `{name}` of a page are its rows"))

    __len__ = __iter__ = __getitem__ = _refuse


class OffsetPager(Generic[T]):
    """A list that nobody has asked for yet: await it for the one page, or iterate to walk.

    `items`, `pages` and `async for` use offset pagination: the server's order, and a page number with each request. So
    data that moves between two pages can hide a row from them. `PaginationDriftWarning` is given, once a walk, where
    that is noticed and a row may be missing. Rows that come in before the walk's position only push others further
    on: they are left out the second time, and nothing is lost.
    """

    __slots__ = ("_clock", "_fetch", "_fetch_response", "_identity", "_name", "_query")
    _advice = ""

    def __init__(
        self,
        fetch: FetchRows[T],
        query: PageQuery,
        identity: Identity[T],
        clock: Clock = SYSTEM_CLOCK,
        *,
        fetch_response: FetchResponse[T] | None = None,
        name: str = "",
    ) -> None:
        self._fetch = fetch
        self._fetch_response = self._fetch_one_page if fetch_response is None else fetch_response
        self._query = query
        self._identity = identity
        self._clock = clock
        self._name = name

    def __repr__(self) -> str:
        given = [f"{name}={value}" for name in ("page", "limit") if (value := getattr(self._query, name)) is not None]
        names = dict.fromkeys(name for name, _ in self._query.to_query_items())
        others = [name for name in names if name not in {"page", "limit"}]
        filters = f"by {', '.join(others)}" if others else ""
        return f"<{' '.join(filter(None, [type(self).__name__, self._name, *given, filters]))}, not awaited>"

    def __await__(self) -> Generator[Any, Any, ListResponse[T]]:
        return self._fetch_response(self._query).__await__()

    async def _fetch_one_page(self, query: PageQuery) -> ListResponse[T]:
        response: ListResponse[T] = (await self._fetch(query)).response
        return response

    def __aiter__(self) -> ItemIterator[T]:
        return self._items(None, 0)

    def items(self, max_items: int | None = None, prefetch: int = 0) -> ItemIterator[T]:
        """Every row from the query's page on, in the server's order.

        A row whose id is among the last 10,000 is not yielded again. A page that fails raises its error and leaves the
        iterator where it was: `anext` again asks for that page. The walk ends where totals and rows agree, unless the
        last page is full (some servers count no further than 10,000), and on an empty page that was asked for twice,
        a second apart.

        Args:
            max_items: end after that many; 0 sends nothing.
            prefetch: pages to keep in flight ahead, in order and never past the end that the totals tell; a slow
                consumer throttles them.

        Raises:
            ClientClosedError: while iterating, when another task closed the walk, or its client.
            PaginationError: while iterating, when the server brings nothing new page after page, or does not end.
            ValueError: a negative number, or a query with `limit=0`.
        """
        return self._items(max_items, prefetch)

    def pages(self, max_pages: int | None = None, prefetch: int = 0) -> PageIterator[ListResponse[T]]:
        """Page after page, under the rules of `items`: rows that came before are left out of a page."""
        return PageIterator(self._walk(max_pages=non_negative_int("max_pages", max_pages), prefetch=prefetch))

    def _items(self, max_items: int | None, prefetch: int) -> ItemIterator[T]:
        non_negative_int("max_items", max_items)
        return ItemIterator(self._walk(max_rows=max_items, prefetch=prefetch), max_items)

    def _walk(self, *, max_pages: int | None = None, max_rows: int | None = None, prefetch: int) -> OffsetWalk:
        query, fetch = self._query.for_iteration(), self._fetch
        return OffsetWalk(
            lambda number: fetch(query.replace(page=number)),
            OffsetState(query.page or 0, self._identity, query.limit, self._advice),
            self._clock,
            max_pages=max_pages,
            max_rows=max_rows,
            prefetch=non_negative_int("prefetch", prefetch) or 0,
        )

    if not TYPE_CHECKING:
        # What belongs to the page, or to a list. Type checkers must not see these: to them they would be allowed.
        items = _CallOnly(items)

        def __getattr__(self, name: str) -> NoReturn:
            if name in {"total_count", "total_pages", "page", "page_size"}:
                raise AttributeError(_forgotten(self, f"`{name}` is of a page"), name=name, obj=self)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

        def __len__(self) -> NoReturn:
            raise TypeError(_forgotten(self, "it has no length"))

        def __bool__(self) -> bool:
            return True

        def __iter__(self) -> NoReturn:
            raise TypeError(_forgotten(self, "it is iterated by `async for`"))

        def __getitem__(self, _: object) -> NoReturn:
            raise TypeError(_forgotten(self, "it has no rows of its own"))


def _forgotten(pager: object, what: str) -> str:
    name = type(pager).__name__
    return f"this {name} was not awaited: {what}. Write `page = await …` for one page, `async for` for all"
