"""The rules of resuming a recording: what to ask for, and what a response is worth. Pure: nothing here waits.

Equal bytes are the proof that two responses are of one recording, and ETags are not: "strong" ones can be made of a
file's second and size, and two nodes can give one file two of them. So a part that continues a recording has to repeat
the last bytes delivered, and a body that begins anew is compared whole, by its sha256.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import Literal, Protocol

from msgspec import Struct

from .._messages import Framing, StreamedResponse
from ..errors import RecordingChangedError, RecordingError

Verified = Literal["length", "chunked", "none"]
"""What stood behind "whole": a length that was announced, a last chunk, or nothing but a connection that closed."""

OVERLAP = 64 * 1024
"""Bytes at the end of what was delivered that a continuing part has to repeat."""
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


class Delivered(Struct, frozen=True, kw_only=True):
    """What is certain about a recording: how much of it was delivered, and as part of what."""

    offset: int = 0
    total: int | None = None
    etag: str | None = None
    """A strong ETag, or None."""


class RangeRequest(Struct, frozen=True, kw_only=True):
    """One request: from `start` to the end, as a range or not."""

    delivered: Delivered
    start: int = 0
    ranged: bool = False

    @property
    def headers(self) -> Mapping[str, str]:
        """`Range` and `If-Range` (RFC 9110 §13.1.5, §14.2): the part, or all of it if it is another recording."""
        if not self.ranged or self.delivered.etag is None:
            return {}
        return {"Range": f"bytes={self.start}-", "If-Range": self.delivered.etag}


def next_request(delivered: Delivered, overlap: int, *, ranged: bool) -> RangeRequest:
    """What to ask for next; `overlap` bytes are asked for again, all of them where parts cannot be trusted."""
    if not ranged or delivered.etag is None:
        return RangeRequest(delivered=delivered)
    return RangeRequest(delivered=delivered, start=max(0, delivered.offset - overlap), ranged=True)


def smaller_overlap(overlap: int, compared: int) -> int:
    """The overlap to try after a cut inside it, so that a connection of the same length would bring something new."""
    return max(SMALLEST_OVERLAP, compared // 2) if compared else overlap


class BodySpan(Struct, frozen=True, kw_only=True):
    """What a response says it brings. `end` is where its bytes stop, None when only the body's end can tell."""

    start: int
    end: int | None
    total: int | None
    etag: str | None
    framing: Framing


def span_of(request: RangeRequest, response: StreamedResponse) -> BodySpan | None:
    """What a response brings; None refuses it, and the next request must be without Range.

    Raises:
        RecordingError: the body is encoded, or is no recording, or is a part although all was asked for.
    """
    # Nobody offered a coding (`Accept-Encoding: identity`, no TE): such bytes are not the recording's, and their end
    # proves nothing about it.
    if _codings(response.headers, "Content-Encoding") - {"identity", "twice"}:
        raise RecordingError("the server encoded the recording although it was asked not to")
    if _codings(response.headers, "Transfer-Encoding") not in _FRAMINGS_WITHOUT_CODING:
        raise RecordingError("the server sent the recording in a transfer coding that was not offered")
    if response.status == 200:
        total, etag = _length(response), strong_etag(response.headers.get("ETag"))
        return BodySpan(start=0, end=total, total=total, etag=etag, framing=response.framing)
    if response.status != 206:
        raise RecordingError(f"HTTP {response.status} is not the answer to a request for a recording")
    span = _partial_span(request, response)
    if span is None and not request.ranged:
        raise RecordingError("the server sent a part of the recording although all of it was asked for")
    return span


_FRAMINGS_WITHOUT_CODING = (set[str](), {"chunked"}, {"identity"})
"""RFC 9112 §6.1: exactly `chunked`; `identity` is what RFC 2616 said for no coding."""


def _codings(headers: Mapping[str, str], name: str) -> set[str]:
    """The codings that a header lists, in however many lines; twice the same counts as one more, named `twice`."""
    every_line: Callable[[str, list[str]], list[str]] | None = getattr(headers, "getall", None)
    lines = [headers.get(name, "")] if every_line is None else every_line(name, [])
    listed = list[str]()
    for coding in ",".join(lines).lower().split(","):
        if coding.strip():
            listed.append(coding.strip())
    return {*listed, *(["twice"] if len(set(listed)) < len(listed) else [])}


def _length(response: StreamedResponse) -> int | None:
    value = response.headers.get("Content-Length", "")
    return int(value) if response.framing == "length" and value.isascii() and value.isdigit() else None


def _partial_span(request: RangeRequest, response: StreamedResponse) -> BodySpan | None:
    """A 206 that is exactly what was asked for, of exactly the recording that was begun; else None."""
    match = _PART.fullmatch(response.headers.get("Content-Range", "").strip())
    if match is None or response.headers.get("Content-Type", "").lower().startswith("multipart/"):
        return None
    start, last, total = map(int, match.groups())
    etag, delivered = strong_etag(response.headers.get("ETag")), request.delivered
    coherent = start == request.start and start <= last < total and _length(response) in {None, last - start + 1}
    same = delivered.offset == 0 or (etag == delivered.etag and delivered.total in {None, total})
    if not coherent or not same or total < delivered.offset:
        return None
    return BodySpan(start=start, end=last + 1, total=total, etag=etag, framing=response.framing)


Unsatisfied = Literal["complete", "contradictory", "silent"]


def judge_416(headers: Mapping[str, str], request: RangeRequest) -> Unsatisfied:
    """What a 416 says about the recording (RFC 9110 §15.5.17).

    Raises:
        RecordingChangedError: the recording ends before the range begins, so it has another length now.
    """
    match, delivered = _UNSATISFIED.fullmatch(headers.get("content-range", "").strip()), request.delivered
    if match is None:
        return "silent"
    length = int(match[1])
    # A range that begins below the length can be satisfied (§14.1.2), so this 416 is no word about the recording.
    if length > request.start:
        return "contradictory"
    # Nothing lies behind what was delivered; as a range overlaps it, that can only be said of an empty recording.
    if length == delivered.offset and delivered.total in {None, length}:
        return "complete"
    raise RecordingChangedError(f"the recording is {length} bytes long now, {delivered.offset} were delivered")


def check_total(delivered: Delivered, span: BodySpan) -> None:
    """Refuse a length that is smaller than what was delivered or announced: it proves no end.

    Raises:
        RecordingChangedError: the total shrank, and the response does not say that it is of another recording, which
            would be as good as long as nothing was delivered.
    """
    known = delivered.offset if delivered.total is None else delivered.total
    if span.total is None or span.total >= known:
        return
    if delivered.offset or delivered.etag is None or span.etag in {None, delivered.etag}:
        how = "delivered" if delivered.total is None else "announced"
        raise RecordingChangedError(f"the recording is {span.total} bytes long now, {known} were {how}")


def completeness(delivered: Delivered, span: BodySpan, position: int) -> Verified | None:
    """What a body that ended without an error at `position` proves; None when it was cut short.

    Raises:
        RecordingChangedError: the body is complete and shorter than what was delivered.
    """
    if position < delivered.offset:
        # A last chunk ends the whole, so the recording is shorter now; any other end in the overlap is a cut.
        if span.start == 0 and span.end is None and span.framing == "chunked":
            raise RecordingChangedError(
                f"the recording is {position} bytes long now, {delivered.offset} were delivered"
            )
        return None
    # A length that was announced once decides, whatever frames the body that ended.
    if delivered.total is not None:
        return "length" if position == delivered.total else None
    return "chunked" if span.framing == "chunked" else "none"


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
    """Whether the bytes of a response are those delivered, up to where new ones begin."""

    def __init__(self, delivered: Delivered, span: BodySpan, tail: TailBuffer, digest: bytes | None) -> None:
        """Decide what has to be equal; `digest` is the sha256 of all that was delivered, where it is known.

        Raises:
            RecordingChangedError: nothing could prove the recording the same.
        """
        self._tail = tail.last(delivered.offset - span.start)
        # A part is tied to what was delivered by ETag and total. All of it again is worth only what is compared of it.
        if span.start == 0 and digest is None and len(self._tail) < delivered.offset:
            raise RecordingChangedError("the server began the recording anew, and its first bytes cannot be compared")
        self.position = span.start
        self.compared = 0
        self.finished = False
        """Whether all that was delivered was seen again, the same."""
        self._until = delivered.offset
        self._digest = digest if span.start == 0 else None
        self.sha256: Hash | None = hashlib.sha256() if span.start == 0 else None
        """Of the prefix, where it is read: a running hash can go on from it."""

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
        self.finished = self.position == self._until
        if self.sha256 is not None:
            self.sha256.update(known)
            if self._digest is not None and self.finished:
                same = same and self.sha256.digest() == self._digest
        if not same:
            raise RecordingChangedError("the server's recording no longer begins with the bytes that were delivered")
        return chunk[len(known) :]
