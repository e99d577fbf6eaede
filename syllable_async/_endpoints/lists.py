"""Any other page/limit list of the API, by its path."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any, TypeVar

import attrs

from .._decoding import list_response_type
from .._http import build_request
from .._messages import Page
from .._pagination import FilteredQuery, OffsetPager, PageQuery
from .._retry import Retries
from .._validators import non_negative_int
from ..models import InvalidRow, ListResponse
from .endpoint import ROW_IDENTITY, Endpoint, InvalidRowHook

T = TypeVar("T")
Query = Mapping[str, object] | Iterable[tuple[str, object]] | None


class Lists(Endpoint):
    """What `AsyncSyllableClient.list` stands on."""

    def list(
        self,
        path: str,
        cls: type[T],
        *,
        page: int | None,
        limit: int | None,
        query: Query,
        on_invalid_row: Callable[[InvalidRow], object] | None,
        retries: Retries,
    ) -> OffsetPager[T]:
        """A pager over `GET path`, whose rows are of `cls`; nothing is sent yet."""
        filters = _check_list(path, query)
        envelope = list_response_type(cls, self._converter)
        lists, tell = self._with_policy(retries), InvalidRowHook.from_argument(on_invalid_row)

        async def fetch(query: PageQuery) -> Page[T, InvalidRow]:
            request = build_request("GET", [path], query.to_query_items())
            found = await lists._fetch_rows(request, envelope, tell)
            return found.with_response(_plain(found.response))

        asked = FilteredQuery(non_negative_int("page", page), non_negative_int("limit", limit), filters)
        return OffsetPager(fetch, asked, ROW_IDENTITY, self._transport.clock, name=f"of {path}")


def _check_list(path: str, query: Query) -> tuple[tuple[str, str], ...]:
    """The query as pairs of strings.

    Raises:
        TypeError: the path is no str, or a value of the query has no form on the wire.
        ValueError: the path is not a literal one, or the query names `page` or `limit`.
    """
    if not isinstance(path, str):
        raise TypeError(f"path must be a str, not {type(path).__name__}")
    if not path.startswith("/"):
        raise ValueError("path must begin with a slash, for example '/api/v1/agents/'")
    pairs = tuple(build_request("GET", [path], query).query)
    if any(name in {"page", "limit"} for name, _ in pairs):
        raise ValueError("query must not name page or limit: give them as arguments of their own")
    return pairs


_FIELDS = attrgetter(*(field.name for field in attrs.fields(ListResponse)))


def _plain(response: Any) -> ListResponse[Any]:
    """The envelope that was made for one type of rows, as the public class."""
    items, page, page_size, total_pages, total_count = _FIELDS(response)
    return ListResponse(items=items, page=page, page_size=page_size, total_pages=total_pages, total_count=total_count)
