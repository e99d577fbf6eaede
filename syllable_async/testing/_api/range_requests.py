"""Range requests as RFC 9110 §14 has them, for bodies that lie in memory."""

from __future__ import annotations

import re
from hashlib import sha256

from .response import Answer, error

_SINGLE = re.compile(r"bytes=[ \t]*(\d*)-(\d*)[ \t]*", re.ASCII | re.IGNORECASE)


def etag_of(body: bytes) -> str:
    """A strong validator."""
    return f'"{sha256(body).hexdigest()[:32]}"'


def ranged(body: bytes, content_type: str, wanted: str | None, if_range: str | None, etag: str | None = None) -> Answer:
    """The body, the part of it that `Range` wants, or a 416."""
    etag = etag or etag_of(body)
    headers = {"Content-Type": content_type, "Accept-Ranges": "bytes", "ETag": etag}
    span = _span(wanted, len(body)) if _holds(if_range, etag) else None
    if span is None:
        return Answer(200, headers, body)
    first, last = span
    if first > last:
        refusal = error(416, "Requested range not satisfiable")
        return refusal.with_headers({"Content-Range": f"bytes */{len(body)}", "ETag": etag})
    headers["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
    return Answer(206, headers, body[first : last + 1])


def _holds(if_range: str | None, etag: str) -> bool:
    """Only a strong tag can match (RFC 9110 §13.1.5); a date cannot, for no `Last-Modified` was sent."""
    return if_range is None or (if_range == etag and not etag.startswith("W/"))


def _span(wanted: str | None, size: int) -> tuple[int, int] | None:
    """First and last offset; None where the header is absent, malformed or asks for several parts."""
    match = _SINGLE.fullmatch(wanted) if wanted else None
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return (max(0, size - int(last)), size - 1) if int(last) else (size, size - 1)
    if last and int(last) < int(first):
        return None
    return (int(first), min(int(last), size - 1) if last else size - 1)
