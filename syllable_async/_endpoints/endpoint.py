"""What all endpoints share: a transport under a policy, and a request whose response is decoded."""

from __future__ import annotations

from typing import Self, TypeVar

from .._decoding import Converter, decode
from .._http import Transport, encode_path_segment
from .._messages import Request
from .._retry import Retries

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
        raise ValueError(f"{name} must be a number from 0 on, below 2 ** 63, or its digits as a str")
    return text
