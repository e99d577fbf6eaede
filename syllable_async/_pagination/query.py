"""What a list can be asked for: the arguments, checked once, and their form on the wire."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import ClassVar, Self

import attrs

from .._validators import (
    check_datetime,
    check_string,
    check_strings,
    format_datetime,
    known_instant,
    non_negative_int,
    parse_instant,
)
from ..models import ListResponseSession

DEFAULT_PAGE_SIZE = 100
"""What a walk asks for when the caller names no `limit`; the API's own default of 25 costs four times the requests."""


@attrs.frozen
class PageQuery:
    """Which page of a list, and how many rows a page. None: not given, so not sent."""

    page: int | None = None
    limit: int | None = None

    def to_query_items(self) -> list[tuple[str, str]]:
        """The query's wire form."""
        items = (("page", self.page), ("limit", self.limit))
        return [(name, str(number)) for name, number in items if number is not None]

    def for_iteration(self) -> Self:
        """The same with a page size."""
        if self.limit == 0:
            raise ValueError("limit=0 asks for pages without rows, so a walk would never get on")
        return attrs.evolve(self, limit=DEFAULT_PAGE_SIZE) if self.limit is None else self


@attrs.frozen
class FilteredQuery(PageQuery):
    """A page of any list, and what else its query says."""

    filters: tuple[tuple[str, str], ...] = attrs.field(default=(), repr=False)

    def to_query_items(self) -> list[tuple[str, str]]:
        """The query's wire form."""
        return [*super().to_query_items(), *self.filters]


@attrs.frozen
class ListQuery(PageQuery):
    """The arguments of `sessions.list`, checked and immutable. None: not given, so not sent."""

    required_fields: ClassVar[tuple[str, ...]] = ("timestamp", "session_id")
    """Fields that a walk cannot do without: the schema requires the one, and repeats are known by the other."""
    search_fields: tuple[str, ...] | None = None
    search_field_values: tuple[str, ...] | None = attrs.field(default=None, repr=False)
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
            raise ValueError("search_fields and search_field_values must correspond one to one")
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
        items = super().to_query_items()
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
        return attrs.evolve(query, fields=self.fields + missing) if self.fields and missing else query

    def for_keyset(self) -> ListQuery:
        """The same by ascending timestamp, with bounds that can be compared."""
        if self.page:
            raise ValueError("a walk by key has no pages to begin at; start_datetime or a cursor says where")
        if self.order_by not in {None, "timestamp"} or self.order_by_direction not in {None, "asc"}:
            raise ValueError("a walk by key goes by ascending timestamp; order_by and order_by_direction must agree")
        return attrs.evolve(self.for_iteration(), order_by="timestamp", order_by_direction="asc")

    def time_bounds(self) -> tuple[datetime | None, datetime | None]:
        """Start and end as moments that can be compared; `ValueError` where a string is none."""
        start, end = self.start_datetime, self.end_datetime
        return (
            None if start is None else parse_instant("start_datetime", start),
            None if end is None else parse_instant("end_datetime", end),
        )


@attrs.frozen
class LabelQuery(ListQuery):
    """The arguments of `session_labels.list`: those of sessions. A label always comes with its id."""

    required_fields: ClassVar[tuple[str, ...]] = ()


FetchPage = Callable[[ListQuery], Awaitable[ListResponseSession]]
