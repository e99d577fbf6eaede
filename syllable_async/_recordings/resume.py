"""The rules of resuming a recording: what to ask for, and what an answer is worth. Pure: nothing here waits.

An answer is worth nothing until it was compared with what is held. "Strong" ETags can be made of a file's second and
size, so a part that continues a recording must repeat the last bytes held; and where no strong ETag ties two answers
together, only the whole prefix, read again and hashed, does.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Mapping
from typing import Literal, Protocol

import attrs

from .._messages import Framing, StreamedResponse
from ..errors import RecordingChangedError, RecordingError

Verified = Literal["length", "chunked", "none"]
"""What stood behind "whole": a length that was announced, a last chunk, or nothing but a connection that closed."""

OVERLAP = 64 * 1024
"""Bytes at the end of what is held that a continuing part has to repeat."""
SMALLEST_OVERLAP = 16
"""Where shrinking ends; two recordings that agree in so many bytes by chance are not expected."""


class Hash(Protocol):
    """What is used of a hashlib object."""

    def update(self, data: bytes, /) -> None:
        """Hash more bytes."""
        ...

    def digest(self) -> bytes:
        """Of all bytes so far."""
        ...


_STRONG = re.compile(r'"[\x21\x23-\x7e]{0,512}"')
_PART = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII | re.IGNORECASE)
_UNSATISFIED = re.compile(r"bytes \*/(\d{1,18})", re.ASCII | re.IGNORECASE)


def strong_etag(etag: str | None) -> str | None:
    """The ETag if it is a strong validator (RFC 9110 §8.8.3) that can safely be sent back, else None."""
    return etag if etag is not None and _STRONG.fullmatch(etag) else None


@attrs.frozen(kw_only=True)
class Delivered:
    """What is certain about a recording: how much of it was delivered, and as part of what."""

    offset: int = 0
    total: int | None = None
    etag: str | None = None
    """A strong ETag, or None."""


@attrs.frozen(kw_only=True)
class RangeRequest:
    """One request: from `start` to the end, as a range or not."""

    held: Delivered
    start: int = 0
    ranged: bool = False

    @property
    def headers(self) -> Mapping[str, str]:
        """`Range` and `If-Range` (RFC 9110 §13.1.5, §14.2): the part, or all of it if it is another recording."""
        if not self.ranged or self.held.etag is None:
            return {}
        return {"Range": f"bytes={self.start}-", "If-Range": self.held.etag}


def next_request(held: Delivered, overlap: int, *, ranged: bool) -> RangeRequest:
    """What to ask for next; `overlap` bytes are asked for again, all of them where parts cannot be trusted."""
    if not ranged or held.etag is None:
        return RangeRequest(held=held)
    return RangeRequest(held=held, start=max(0, held.offset - overlap), ranged=True)


def smaller_overlap(overlap: int, compared: int) -> int:
    """The overlap to try after a cut inside it, so that a connection of the same length would bring something new."""
    return max(SMALLEST_OVERLAP, compared // 2) if compared else overlap


@attrs.frozen(kw_only=True)
class BodySpan:
    """What an answer says it brings. `end` is where its bytes stop, None when only the body's end can tell."""

    start: int
    end: int | None
    total: int | None
    etag: str | None
    framing: Framing


def span_of(asked: RangeRequest, reply: StreamedResponse) -> BodySpan | None:
    """What a reply offers; None refuses it, and the next request must be without Range.

    Raises:
        RecordingError: the body is encoded, or is no recording, or is a part although all was asked for.
    """
    encoding = reply.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"identity", ""}:
        raise RecordingError("the server encoded the recording although it was asked not to")
    if reply.status == 200:
        total = _length(reply)
        return BodySpan(
            start=0, end=total, total=total, etag=strong_etag(reply.headers.get("ETag")), framing=reply.framing
        )
    if reply.status != 206:
        raise RecordingError(f"HTTP {reply.status} is not the answer to a request for a recording")
    offer = _partial_span(asked, reply)
    if offer is None and not asked.ranged:
        raise RecordingError("the server sent a part of the recording although all of it was asked for")
    return offer


def _length(reply: StreamedResponse) -> int | None:
    value = reply.headers.get("Content-Length", "")
    return int(value) if reply.framing == "length" and value.isascii() and value.isdigit() else None


def _partial_span(asked: RangeRequest, reply: StreamedResponse) -> BodySpan | None:
    """A 206 that is exactly what was asked for, of exactly the recording that is held; else None."""
    match = _PART.fullmatch(reply.headers.get("Content-Range", "").strip())
    if match is None or reply.headers.get("Content-Type", "").lower().startswith("multipart/"):
        return None
    start, last, total = map(int, match.groups())
    etag = strong_etag(reply.headers.get("ETag"))
    coherent = start == asked.start and start <= last < total and _length(reply) in {None, last - start + 1}
    same = asked.held.offset == 0 or (etag == asked.held.etag and asked.held.total in {None, total})
    if not coherent or not same or total < asked.held.offset:
        return None
    return BodySpan(start=start, end=last + 1, total=total, etag=etag, framing=reply.framing)


def is_complete_by_416(headers: Mapping[str, str], held: Delivered) -> bool:
    """Whether a 416 says that all is held; False when it says nothing (RFC 9110 §15.5.17).

    Raises:
        RecordingChangedError: the recording has another length now.
    """
    match = _UNSATISFIED.fullmatch(headers.get("content-range", "").strip())
    if match is None:
        return False
    if int(match[1]) != held.offset or held.total not in {None, held.offset}:
        raise RecordingChangedError(f"the recording is {match[1]} bytes long now, {held.offset} were delivered")
    return True


def completeness(held: Delivered, offer: BodySpan, position: int) -> Verified | None:
    """What a body that ended without an error at `position` proves; None when it was cut short.

    Raises:
        RecordingChangedError: the body is complete and shorter than what was delivered.
    """
    if position < held.offset:
        if offer.start == 0 and offer.end is None and offer.framing == "chunked":
            raise RecordingChangedError(f"the recording is {position} bytes long now, {held.offset} were delivered")
        return None
    if held.total is not None:
        return "length" if position == held.total else None
    return "chunked" if offer.framing == "chunked" else "none"


class TailBuffer:
    """The last bytes delivered, `OVERLAP` of them or all; kept as the chunks that came, not as copies."""

    __slots__ = ("_chunks", "_size")

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._size = 0

    def add(self, chunk: bytes) -> None:
        """Remember a chunk and forget those that are no longer needed."""
        self._chunks.append(chunk)
        self._size += len(chunk)
        while self._size - len(self._chunks[0]) >= OVERLAP:
            self._size -= len(self._chunks.popleft())

    def last(self, count: int) -> bytes:
        """The last `count` bytes, at most `OVERLAP`."""
        return b"".join(self._chunks)[max(0, self._size - min(count, OVERLAP)) :]


class PrefixCheck:
    """Whether the bytes of an offer are those held, up to where new ones begin."""

    def __init__(self, held: Delivered, offer: BodySpan, tail: TailBuffer, digest: bytes | None) -> None:
        """Decide what has to be equal; `digest` is the sha256 of all that was delivered, where it is known.

        Raises:
            RecordingChangedError: the offer is shorter than what was delivered, or nothing could prove it the same.
        """
        if offer.total is not None and offer.total < held.offset:
            raise RecordingChangedError(f"the recording is {offer.total} bytes long now, {held.offset} were delivered")
        same_etag = offer.etag is not None and offer.etag == held.etag
        trusted = same_etag and (offer.total is None or held.total in {None, offer.total})
        self._tail = tail.last(held.offset - offer.start)
        if not trusted and digest is None and len(self._tail) < held.offset:
            raise RecordingChangedError("the server's recording has another ETag or length than the one begun")
        self.position = offer.start
        self.compared = 0
        self._until = held.offset
        self._digest = digest if offer.start == 0 else None
        self.sha256: Hash | None = hashlib.sha256() if offer.start == 0 and (digest or offer.etag is None) else None
        """Of the prefix, where it was read: a running hash can go on from it."""

    @property
    def finished(self) -> bool:
        """Whether all that is held was seen again, the same."""
        return self.position == self._until

    def feed(self, chunk: bytes) -> bytes:
        """Compare a chunk; what is left of it is new.

        Raises:
            RecordingChangedError: the bytes are not those delivered.
        """
        known = chunk[: self._until - self.position]
        into_tail = self.position - (self._until - len(self._tail))
        same = self._tail.startswith(known[max(0, -into_tail) :], max(0, into_tail))
        self.position += len(known)
        self.compared += len(known)
        if self.sha256 is not None:
            self.sha256.update(known)
        if self._digest is not None and self.sha256 is not None and self.finished:
            same = same and self.sha256.digest() == self._digest
        if not same:
            raise RecordingChangedError("the server's recording no longer begins with the bytes that were delivered")
        return chunk[len(known) :]
