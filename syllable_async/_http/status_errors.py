"""What an unsuccessful response says: its error class, its details, how long to wait, what the caller can do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, cast

import msgspec

from .._messages import Request
from ..errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    HTTPValidationError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ValidationError,
)
from ..models import SessionLabelProperties, SessionProperties

_ERROR_BY_STATUS: Mapping[int, type[APIError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    422: HTTPValidationError,
    429: RateLimitError,
}
_REQUEST_ID_HEADERS = (
    "x-request-id",
    "request-id",
    "x-correlation-id",
    "x-amzn-requestid",
    "x-amz-request-id",
    "cf-ray",
)
_SECONDS = re.compile(r"[0-9]{1,40}(\.[0-9]{1,40})?([eE][0-9]{1,3})?", re.ASCII)
_HTTP_DATE = re.compile(
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT"
    r"|(Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, \d\d-[A-Z][a-z]{2}-\d\d \d\d:\d\d:\d\d GMT"
    r"|(Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}",
    re.ASCII,
)
"""RFC 9110 §5.6.7: the current form and the two obsolete ones."""
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_MAX_PLACES = 5
_TAKES_PROPERTIES = frozenset({"search_fields", "order_by", "fields"})
_REQUEST_ID = re.compile(r"[!-~]{1,128}", re.ASCII)


def error_for_response(
    request: Request, status: int, headers: Mapping[str, str], body: bytes, *, attempts: int, now: float
) -> APIError:
    """The error for a status that is not a success. The body may be anything: it never hides the status."""
    error = _ERROR_BY_STATUS.get(status, InternalServerError if status >= 500 else APIError)(
        status=status,
        method=request.method,
        path=request.path_template,
        headers=plain_headers(headers),
        body=body,
        request_id=request_id(headers),
        attempts=attempts,
        retry_after=parse_retry_after(headers, now),
        hint=_slash_hint(request, headers) if 300 <= status < 400 else "",
    )
    if isinstance(error, HTTPValidationError):
        entries = _validation_entries(_detail(body))
        error.detail = tuple(entry.error() for entry in entries)
        of_label = request.path_template.startswith("/api/v1/session_labels")
        error.hint = _refused_places(entries, SessionLabelProperties if of_label else SessionProperties)
    elif isinstance(error, BadRequestError):
        detail = _detail(body)
        if isinstance(detail, str | dict):
            error.detail = cast("str | dict[str, Any]", detail)
            error.hint = "the API's reason is in the error's `detail`"  # which may quote what was asked for
    elif isinstance(error, AuthenticationError):
        error.hint = "the API key is wrong or withdrawn"
    return error


def plain_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Names in lower case; the values of a repeated header joined by commas (RFC 9110 §5.2)."""
    plain: dict[str, str] = {}
    for written, value in headers.items():
        name = written.lower()
        plain[name] = f"{plain[name]}, {value}" if name in plain else value
    return plain


def _slash_hint(request: Request, headers: Mapping[str, str]) -> str:
    """FastAPI redirects a path without its final slash; we follow no redirect with a key."""
    path = headers.get("Location", "").partition("?")[0].partition("#")[0]
    if path.endswith(f"{request.path}/"):
        return "the API has this path with a slash at its end: add the final slash"
    return ""


def request_id(headers: Mapping[str, str]) -> str | None:
    """The server's id of a request. The API documents no header for it, so the usual names are tried."""
    values = (headers.get(name, "") for name in _REQUEST_ID_HEADERS)
    return next((value for value in values if _REQUEST_ID.fullmatch(value)), None)


def _detail(body: bytes) -> object:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return cast("dict[str, object]", document).get("detail") if isinstance(document, dict) else None


class _ValidationEntry(msgspec.Struct):
    loc: tuple[str | int, ...]
    msg: str
    type: str
    input: Any = None

    def error(self) -> ValidationError:
        return ValidationError(self.loc, self.msg, self.type)


def _validation_entries(detail: object) -> list[_ValidationEntry]:
    """The entries that are as FastAPI writes them; anything else is left out."""
    entries = cast("list[object]", detail) if isinstance(detail, list) else []
    return [entry for entry in map(_validation_entry, entries) if entry is not None]


def _validation_entry(entry: object) -> _ValidationEntry | None:
    try:
        return msgspec.convert(entry, _ValidationEntry)
    except (msgspec.ValidationError, RecursionError):
        return None


def _refused_places(entries: list[_ValidationEntry], properties: Iterable[str]) -> str:
    """What the API refused, and what a misspelt property may have meant; never a value, which may be a patient's."""
    places = [f"{_place(entry.loc)}{_suggestion(entry, properties)}" for entry in entries[:_MAX_PLACES]]
    more = f" and {len(entries) - _MAX_PLACES} more" if len(entries) > _MAX_PLACES else ""
    return f"refused: {', '.join(places)}{more}" if places else ""


def _place(loc: tuple[str | int, ...]) -> str:
    return ".".join(part if _NAME.fullmatch(part := str(each)) else "?" for each in loc)


def _suggestion(entry: _ValidationEntry, properties: Iterable[str]) -> str:
    if "order_by_direction" in entry.loc:
        return " (it is 'asc' or 'desc')"
    if not isinstance(entry.input, str) or _TAKES_PROPERTIES.isdisjoint(entry.loc):
        return ""
    from difflib import get_close_matches  # noqa: PLC0415 - for this one error only

    nearest = get_close_matches(entry.input.lower(), map(str, properties), n=1)
    return f" (did you mean {nearest[0]!r}?)" if nearest and nearest[0] != entry.input else ""


def parse_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that a response asks to wait, None where it does not or where what it says has no meaning.

    Reads `retry-after-ms`, then `Retry-After` as seconds (fractions too) or as a date (RFC 9110 §10.2.3). A date means
    the time from the response's own `Date` on, as its server's clock may be wrong; without one, from `now`, our wall
    clock in seconds since the epoch. A date in the past means 0.
    """
    milliseconds = _parse_delay(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    values: list[str] = getattr(headers, "getall", _one(headers))("Retry-After", [])
    if len(values) != 1:
        return None
    seconds = _parse_delay(values[0])
    return _seconds_until(values[0], headers.get("Date", ""), now) if seconds is None else seconds


def _one(headers: Mapping[str, str]) -> Callable[[str, list[str]], list[str]]:
    return lambda name, default: [headers[name]] if name in headers else default


def _parse_delay(text: str) -> float | None:
    text = text.strip(" \t")
    number = float(text) if _SECONDS.fullmatch(text) else float("inf")
    return number if number < float("inf") else None


def _seconds_until(text: str, date: str, now: float) -> float | None:
    until, sent = _timestamp(text), _timestamp(date)
    return None if until is None else max(0.0, until - (now if sent is None else sent))


def _timestamp(text: str) -> float | None:
    if not _HTTP_DATE.fullmatch(text):
        return None
    try:
        parsed = parsedate_to_datetime(text)
        # The obsolete form without a zone is UTC, too.
        return (parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
