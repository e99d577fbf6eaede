"""The contract between the rooms: what is asked, and what came back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, Literal, Protocol, TypeVar

import msgspec

Framing = Literal["length", "chunked", "close"]
"""How a body's end is known (RFC 9112 §6.3): Content-Length, last chunk, or only by the connection's end."""


# Structs, because each call makes one of each: a frozen attrs class takes ten times as long to make.
class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One call of the API. What could identify a patient or hold a token is kept out of `repr`."""

    method: str
    path_template: str
    """The path for logs and errors, ids left as names."""
    path: str
    """The path to send, each segment percent-encoded."""
    query: Sequence[tuple[str, str]] = ()
    body: bytes | None = None
    content_type: str = "application/json"
    """The media type of `body`."""
    max_bytes: int = 64 * 2**20
    """Bytes of the decompressed response at most."""
    idempotent: bool = True
    """Whether sending it twice does no harm (RFC 9110 §9.2.2, and the POST that mints recording URLs)."""

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.path_template}>"


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A whole response, read to its end. Its headers and its body are kept out of `repr`."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    attempts: int = 1

    def __repr__(self) -> str:
        return f"<Response {self.status}>"


class StreamedResponse(Protocol):
    """A response whose body is read piece by piece."""

    status: int
    headers: Mapping[str, str]
    framing: Framing

    async def read(self) -> bytes:
        """The next bytes, as they come; `b""` at the end. A cut body raises `SyllableConnectionError`.

        With `framing == "close"` the end may be a cut that looks clean: `b""` only says that the connection
        ended without an error (no RST, and with TLS a close_notify).
        """
        ...

    async def aclose(self) -> None:
        """Give the connection back, or close it if the body was not read to its end. Can be called twice."""
        ...


R = TypeVar("R")
I = TypeVar("I")  # noqa: E741 - R for the rows that fit, I for those that are invalid


class Page(msgspec.Struct, Generic[R, I], frozen=True, kw_only=True):
    """One page of a list, as the engines see it: its rows, and their instants on the wire."""

    response: Any
    """The decoded envelope, as `await pager` gives it."""
    rows: tuple[R, ...]
    """The rows that fit, in the server's order."""
    raw: tuple[Any, ...] = ()
    """The JSON of each of `rows`, where a user's hook may have made anything of it; else empty."""
    instants: tuple[datetime | None, ...] = ()
    """When each of `rows` is by its JSON, UTC, None where that cannot be read; empty where the rows say it."""
    invalid: tuple[I, ...] = ()
    """The rows that did not fit, where `on_invalid_row` was given."""
    invalid_instants: tuple[datetime | None, ...] = ()
    """When each of `invalid` is, None where that cannot be read."""
    page_size: int = 0
    total_pages: int | None = None
    total_count: int | None = None

    @property
    def row_count(self) -> int:
        """How many rows the server sent, the invalid ones among them."""
        return len(self.rows) + len(self.invalid)

    def with_response(self, response: Any) -> Page[R, I]:
        """The same with another form of its envelope."""
        return msgspec.structs.replace(self, response=response)

    def __repr__(self) -> str:
        return f"<Page of {self.row_count} rows>"


def page_of(response: Any, **parts: Any) -> Page[Any, Any]:
    """The page that a decoded envelope is; `parts` are what the envelope does not say."""
    return Page(
        response=response,
        rows=response.items,
        page_size=response.page_size,
        total_pages=response.total_pages,
        total_count=response.total_count,
        **parts,
    )
