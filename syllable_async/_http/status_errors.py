"""What an unsuccessful reply says: its error class, its details, how long to wait."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
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
_REQUEST_ID = re.compile(r"[!-~]{1,128}", re.ASCII)


def error_for_response(
    request: Request, status: int, headers: Mapping[str, str], body: bytes, *, attempts: int, now: float
) -> APIError:
    """The error for a status that is not a success. The body may be anything: it never hides the status."""
    error = _ERROR_BY_STATUS.get(status, InternalServerError if status >= 500 else APIError)(
        status=status,
        method=request.method,
        path=request.path_template,
        headers={name.lower(): value for name, value in headers.items()},
        body=body,
        request_id=request_id(headers),
        attempts=attempts,
        retry_after=parse_retry_after(headers, now),
    )
    if isinstance(error, HTTPValidationError):
        error.detail = _validation_errors(_detail(body))
    elif isinstance(error, BadRequestError):
        detail = _detail(body)
        error.detail = cast("str | dict[str, Any]", detail) if isinstance(detail, str | dict) else None
    return error


def request_id(headers: Mapping[str, str]) -> str | None:
    """The server's id of a request. The API documents no header for it, so the usual names are tried."""
    values = (headers.get(name, "") for name in _REQUEST_ID_HEADERS)
    return next((value for value in values if _REQUEST_ID.fullmatch(value)), None)


def _detail(body: bytes) -> object:
    try:
        reply = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return cast("dict[str, object]", reply).get("detail") if isinstance(reply, dict) else None


def _validation_errors(detail: object) -> tuple[ValidationError, ...]:
    entries = cast("list[object]", detail) if isinstance(detail, list) else []
    return tuple(error for error in map(_validation_error, entries) if error is not None)


def _validation_error(entry: object) -> ValidationError | None:
    """One entry as FastAPI writes it; anything else is left out."""
    try:
        return msgspec.convert(entry, _ValidationEntry).error()
    except (msgspec.ValidationError, RecursionError):
        return None


class _ValidationEntry(msgspec.Struct):
    loc: tuple[str | int, ...]
    msg: str
    type: str

    def error(self) -> ValidationError:
        return ValidationError(self.loc, self.msg, self.type)


def parse_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that a reply asks to wait, None where it does not or where what it says has no meaning.

    Reads `retry-after-ms`, then `Retry-After` as seconds (fractions too) or as a date (RFC 9110 §10.2.3). A date in
    the past means 0. `now` is the wall clock, seconds since the epoch.
    """
    milliseconds = _parse_delay(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    values: list[str] = getattr(headers, "getall", _one(headers))("Retry-After", [])
    if len(values) != 1:
        return None
    seconds = _parse_delay(values[0])
    return _seconds_until(values[0], now) if seconds is None else seconds


def _one(headers: Mapping[str, str]) -> Callable[[str, list[str]], list[str]]:
    return lambda name, default: [headers[name]] if name in headers else default


def _parse_delay(text: str) -> float | None:
    text = text.strip(" \t")
    number = float(text) if _SECONDS.fullmatch(text) else float("inf")
    return number if number < float("inf") else None


def _seconds_until(text: str, now: float) -> float | None:
    if not _HTTP_DATE.fullmatch(text):
        return None
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
