"""Requests: path segments, queries and URLs, encoded once."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import starmap
from typing import Any, NamedTuple, cast
from urllib.parse import quote, quote_plus

import msgspec
from yarl import URL

from .._messages import Request
from .._validators import check_datetime, check_text, format_datetime

_is_plain_segment = re.compile(r"[A-Za-z0-9_-]+", re.ASCII).fullmatch


def encode_path_segment(value: str | int, name: str = "path segment") -> str:
    """One path segment, percent-encoded so that it can reach no other endpoint; `ValueError` where it could.

    An int is written in decimal digits; a bool is no id.

    A slash is refused although it could be encoded: servers decode `%2F` before they look for the route.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(int(value))
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str or an int, not {type(value).__name__}")
    if _is_plain_segment(value):  # what ids look like; the rest of this costs 8 us for one of 36 characters
        return value
    if value in {"", ".", ".."}:
        raise ValueError(f"{name} must not be empty, '.' or '..'")
    if "/" in value or "\\" in value:
        raise ValueError(f"{name} must not hold slashes or backslashes")
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in value):
        raise ValueError(f"{name} must not hold control characters or lone surrogates")
    return quote(value, safe="")


_MEDIA_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+(;[\t -~]*)?", re.ASCII)
_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


_LITERAL = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@/-]*", re.ASCII)


MAX_JSON = 64 * 2**20
"""Bytes of a decompressed response, where the caller names no other limit."""
Query = Mapping[str, object] | Iterable[tuple[str, object]] | None


class Body(NamedTuple):
    """What a request sends, and its media type."""

    data: bytes
    content_type: str

    @classmethod
    def from_arguments(
        cls, json: Any, content: bytes | bytearray | memoryview | str | None, content_type: str | None
    ) -> Body | None:
        """The body of `AsyncSyllableClient.request`; None for none.

        Raises:
            TypeError: `content` is neither bytes nor str, `content_type` is no str, or JSON has no form for a value.
            ValueError: both `json` and `content`, a `content_type` without `content` or that HTTP does not allow, text
                that UTF-8 cannot carry, or JSON that is nested too deeply.
        """
        if content is None:
            if content_type is not None:
                raise ValueError("content_type goes with content: leave it out, or give content in place of json")
            return None if json is None else cls(_encode_json(json), "application/json")
        if json is not None:
            raise ValueError("give json or content, not both: a request has one body")
        if not isinstance(content, bytes | bytearray | memoryview | str):
            raise TypeError(f"content must be bytes or a str, not {type(content).__name__}")
        if content_type is not None and not isinstance(content_type, str):
            raise TypeError(f"content_type must be a str, not {type(content_type).__name__}")
        default = "text/plain; charset=utf-8" if isinstance(content, str) else "application/octet-stream"
        media_type = default if content_type is None else content_type
        if not _MEDIA_TYPE.fullmatch(media_type):
            raise ValueError("content_type must be a media type, for example 'text/csv' (RFC 9110 §8.3.1)")
        return cls(check_text("content", content).encode() if isinstance(content, str) else bytes(content), media_type)


def _encode_json(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        problem = "must not hold lone surrogates"
    except RecursionError:
        problem = "is nested too deeply"
    raise ValueError(f"json {problem}")  # out here, because a context would hold the value


def build_request(
    method: str, segments: Sequence[str | int], query: Query, body: Body | None = None, max_bytes: int = MAX_JSON
) -> Request:
    """A request for any endpoint; `AsyncSyllableClient.request` says what the arguments mean."""
    if method not in _METHODS:
        raise ValueError(f"method must be one of {', '.join(sorted(_METHODS))}")
    if not segments:
        raise ValueError("a path needs at least one segment")
    literal, rest = "", segments
    first = segments[0]
    if isinstance(first, str) and first.startswith("/"):
        literal, rest = _check_literal_path(first), segments[1:]
    encoded = [encode_path_segment(part) for part in rest]
    named = 0 if literal else 3  # `/api/v1/agents/{}`: what follows may be an id, and stays out of logs and errors
    start = literal.rstrip("/") if rest else literal
    return Request(
        method=method,
        path_template="/".join([start, *(part if i < named else "{}" for i, part in enumerate(encoded))]),
        path="/".join([start, *encoded]),
        query=tuple(_encode_query(query)),
        body=None if body is None else body.data,
        content_type="application/json" if body is None else body.content_type,
        max_bytes=max_bytes,
        idempotent=method in _SAFE_METHODS,
    )


def _check_literal_path(path: str) -> str:
    parts = path[1:].split("/")
    if not _LITERAL.fullmatch(path) or {".", ".."} & set(parts) or "" in parts[:-1]:
        raise ValueError("a path with slashes must be plain segments between single slashes, without query or escapes")
    return path


def _encode_query(query: Query) -> Iterator[tuple[str, str]]:
    items = cast("Iterable[tuple[str, object]]", query.items() if isinstance(query, Mapping) else query or ())
    for name, value in items:
        many = cast("Iterable[object]", value) if isinstance(value, list | tuple | set | frozenset) else (value,)
        for one in many:
            if one is not None:
                yield check_text("a name in a query", name), _encode_query_value(one)


def _encode_query_value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        check_datetime("a datetime in a query", value)
        return format_datetime(value)
    if isinstance(value, str):
        return check_text("a value in a query", value)
    if isinstance(value, int | float):
        return str(value)
    raise TypeError(f"a query value cannot be a {type(value).__name__}")


def build_url(base: URL, request: Request) -> URL:
    """The request's address under the API's. Path segments come encoded; the query is encoded here.

    From its parts: to put them together as a text, for yarl to take it apart again, costs 5 % of a call.
    """
    return URL.build(
        scheme=base.scheme,
        authority=base.raw_authority,
        path=base.raw_path.rstrip("/") + request.path,
        query_string="&".join(starmap(_encode_pair, request.query)) if request.query else "",
        encoded=True,
    )


def _encode_pair(name: str, value: str) -> str:
    """As `urlencode` does it; most pairs need nothing, and finding that out costs a tenth."""
    return f"{name}={value}" if _is_unreserved(name + value) else f"{quote_plus(name)}={quote_plus(value)}"


_is_unreserved = re.compile(r"[A-Za-z0-9_.~-]*", re.ASCII).fullmatch
