"""What all endpoints share: a transport under a policy, and a request whose response is decoded."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Self, TypeVar, cast

from .._decoding import Converter, check_invalid_row_hook, decode, decode_page, to_json
from .._http import Transport, encode_path_segment
from .._messages import Page, Request
from .._pagination import Identity
from .._retry import Retries
from ..models import InvalidRow

T = TypeVar("T")


class Endpoint:
    """A group of operations of the API."""

    def __init__(self, transport: Transport, converter: Converter) -> None:
        self._transport = transport
        self._converter = converter

    def _with_policy(self, retries: Retries) -> Self:
        """The same with another policy; None: this one."""
        return self if retries is None else type(self)(self._transport.with_policy(retries), self._converter)

    async def _fetch(self, request: Request, cls: type[T]) -> T:
        """Send a request, and decode its response."""
        response = await self._transport.send(request)
        return decode(response.body, cls, self._converter)

    async def _fetch_rows(self, request: Request, cls: Any, tell: InvalidRowHook | None) -> Page[Any, InvalidRow]:
        """A page of a list; with `tell` it lacks the rows that do not fit, and each of them is told once."""
        response = await self._transport.send(request)
        page = decode_page(response.body, cls, self._converter, keep_invalid=tell is not None)
        if tell is not None:
            tell.page(page.invalid)
        return page


class InvalidRowHook:
    """Calls a user's function once for each invalid row, however often a walk meets it."""

    def __init__(self, call: Callable[[InvalidRow], object]) -> None:
        self._call = call
        self._told: set[bytes] = set()

    @classmethod
    def from_argument(cls, on_invalid_row: Callable[[InvalidRow], object] | None) -> Self | None:
        """What `on_invalid_row` stands for; None: nobody asked to be told.

        Raises:
            TypeError: it cannot be called, or is async.
        """
        if on_invalid_row is None:
            return None
        check_invalid_row_hook(on_invalid_row)
        return cls(on_invalid_row)

    def page(self, rows: tuple[InvalidRow, ...]) -> None:
        """Tell the rows of a page that were not told yet. Rows that are alike on one page are several rows."""
        alike = Counter[bytes]()
        for row in rows:
            mark = hashlib.sha256(to_json([row_id(row.raw) or row.raw])).digest()
            alike[mark] += 1
            mark += alike[mark].to_bytes(4)
            if mark not in self._told:
                self._call(row)
                self._told.add(mark)


def row_id(row: Any) -> str | int | None:
    """The id of a row of any list, of its JSON or its model: `session_id` of a session, `id` elsewhere."""
    get = cast("dict[str, Any]", row).get if isinstance(row, dict) else partial(getattr, row)
    for name in ("id", "session_id"):
        value = get(name, None)
        if isinstance(value, str | int) and not isinstance(value, bool):
            return value
    return None


ROW_IDENTITY = Identity[Any](row_id, to_json)
"""Of the rows of any list."""


def get_request(template: str, **segments: str) -> Request:
    """A GET of a path template, its names replaced by encoded segments."""
    path = template
    for name, value in segments.items():
        path = path.replace(f"{{{name}}}", encode_path_segment(value, name))
    return Request(method="GET", path_template=template, path=path)


def id_number(name: str, value: int | str) -> str:
    """An id that the API takes as a number: an int, or its digits as a str, as other models have it."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError(f"{name} must be an int or its digits as a str, not {type(value).__name__}")
    text = str(value) if isinstance(value, str) or 0 <= value < 2**63 else ""
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise ValueError(f"{name} must be a number from 0 to 2 ** 63 - 1, or its digits as a str")
    return text
