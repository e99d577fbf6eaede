"""What a list can be asked for: the arguments, checked once, and their form on the wire."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Any, ClassVar, Self

import msgspec

from .._messages import Page
from .._validators import (
    check_datetime,
    check_string,
    check_strings,
    format_datetime,
    known_instant,
    non_negative_int,
    parse_instant,
)
from ..models import ListResponseSession, Session

DEFAULT_PAGE_SIZE = 100
"""What a walk asks for when the caller names no `limit`; the API's own default of 25 costs four times the requests."""


# Structs, as the messages are: each call makes one.
class PageQuery(msgspec.Struct, frozen=True):
    """Which page of a list, and how many rows a page. None: not given, so not sent."""

    page: int | None = None
    limit: int | None = None

    def __repr__(self) -> str:  # the values of filters may be a patient's
        return f"<{type(self).__name__} page={self.page} limit={self.limit}>"

    def replace(self, **changes: Any) -> Self:
        """The same with some arguments changed."""
        return msgspec.structs.replace(self, **changes)

    def to_query_items(self) -> list[tuple[str, str]]:
        """The query's wire form."""
        items = list[tuple[str, str]]()
        if self.page is not None:
            items.append(("page", str(self.page)))
        if self.limit is not None:
            items.append(("limit", str(self.limit)))
        return items

    def for_iteration(self) -> Self:
        """The same with a page size."""
        if self.limit == 0:
            raise ValueError("a walk needs a limit of at least 1: limit=0 asks for pages without rows")
        return self.replace(limit=DEFAULT_PAGE_SIZE) if self.limit is None else self


class FilteredQuery(PageQuery, frozen=True):
    """A page of any list, and what else its query says."""

    filters: tuple[tuple[str, str], ...] = ()

    def to_query_items(self) -> list[tuple[str, str]]:
        """The query's wire form."""
        return [*super().to_query_items(), *self.filters]


class ListQuery(PageQuery, frozen=True):
    """The arguments of `sessions.list`, checked and immutable. None: not given, so not sent."""

    required_fields: ClassVar[tuple[str, ...]] = ("timestamp", "session_id")
    """Fields that a walk cannot do without: the schema requires the one, and repeats are known by the other."""
    search_fields: tuple[str, ...] | None = None
    search_field_values: tuple[str, ...] | None = None
    order_by: str | None = None
    order_by_direction: str | None = None
    fields: tuple[str, ...] | None = None
    start_datetime: datetime | str | None = None
    end_datetime: datetime | str | None = None

    @classmethod
    def from_arguments(
        cls,
        *,
        page: int | None = None,
        limit: int | None = None,
        search_fields: Iterable[str] | None = None,
        search_field_values: Iterable[str] | None = None,
        order_by: str | None = None,
        order_by_direction: str | None = None,
        fields: Iterable[str] | None = None,
        start_datetime: datetime | str | None = None,
        end_datetime: datetime | str | None = None,
    ) -> Self:
        """Check the arguments.

        Raises:
            TypeError: an argument of another type, a str where a list of them is meant among them.
            ValueError: a negative number, a datetime without an offset, a start after its end, or search fields and
                values that do not correspond one to one.
        """
        names, values = (
            check_strings("search_fields", search_fields),
            check_strings("search_field_values", search_field_values),
        )
        if len(names or ()) != len(values or ()):
            raise ValueError("search_fields and search_field_values must have the same length: a value for each field")
        start, end = check_datetime("start_datetime", start_datetime), check_datetime("end_datetime", end_datetime)
        first = None if start is None else known_instant("start_datetime", start)
        last = None if end is None else known_instant("end_datetime", end)
        if first is not None and last is not None and first > last:
            raise ValueError("start_datetime must not be after end_datetime")
        return cls(
            non_negative_int("page", page),
            non_negative_int("limit", limit),
            names,
            values,
            check_string("order_by", order_by),
            check_string("order_by_direction", order_by_direction),
            check_strings("fields", fields),
            start,
            end,
        )

    def to_query_items(self) -> list[tuple[str, str]]:
        """The query's wire form: a list is a repeated key, a datetime ISO 8601 in UTC."""
        items = PageQuery.to_query_items(self)  # `super()` costs twice as much
        if self.search_fields is not None and self.search_field_values is not None:
            items += [("search_fields", name) for name in self.search_fields]
            items += [("search_field_values", value) for value in self.search_field_values]
        if self.order_by is not None:
            items.append(("order_by", self.order_by))
        if self.order_by_direction is not None:
            items.append(("order_by_direction", self.order_by_direction))
        if self.fields is not None:
            items += [("fields", name) for name in self.fields]
        if self.start_datetime is not None:
            items.append(("start_datetime", format_datetime(self.start_datetime)))
        if self.end_datetime is not None:
            items.append(("end_datetime", format_datetime(self.end_datetime)))
        return items

    def for_iteration(self) -> Self:
        """The same with a page size, and with the fields that a walk needs."""
        query = super().for_iteration()
        missing = tuple(name for name in self.required_fields if name not in (self.fields or ()))
        return query.replace(fields=self.fields + missing) if self.fields and missing else query

    def for_keyset(self) -> ListQuery:
        """The same by ascending timestamp, with bounds that can be compared."""
        if self.page:
            raise ValueError("snapshot and follow take no page: begin at start_datetime, or at a cursor")
        if self.order_by not in {None, "timestamp"} or self.order_by_direction not in {None, "asc"}:
            raise ValueError("snapshot and follow go by ascending timestamp: leave order_by and order_by_direction out")
        return self.for_iteration().replace(order_by="timestamp", order_by_direction="asc")

    def time_bounds(self) -> tuple[datetime | None, datetime | None]:
        """Start and end as moments that can be compared; `ValueError` where a string is none."""
        start, end = self.start_datetime, self.end_datetime
        return (
            None if start is None else parse_instant("start_datetime", start),
            None if end is None else parse_instant("end_datetime", end),
        )


class LabelQuery(ListQuery, frozen=True):
    """The arguments of `session_labels.list`: those of sessions. A label always comes with its id."""

    required_fields: ClassVar[tuple[str, ...]] = ()


FetchPage = Callable[[ListQuery], Awaitable[ListResponseSession | Page[Session, Any]]]
