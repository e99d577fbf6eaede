"""Where a recording's bytes come from: a connection that lasts, or the next one, and never two recordings."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping

from .._messages import StreamedResponse
from ..errors import (
    APIError,
    ClientClosedError,
    IncompleteRecordingError,
    RateLimitError,
    RecordingChangedError,
    RecordingError,
    SyllableConnectionError,
)
from . import resume
from .media_types import HEAD_SIZE, is_page, is_text
from .resume import Verified
from .stall import StallDetector

Opener = Callable[[Mapping[str, str]], Awaitable[StreamedResponse]]
"""One request for the recording with these extra headers; an `APIError` for every status from 400 on."""
Digest = Callable[[], Awaitable[bytes]]
"""The sha256 of everything delivered so far."""

MAX_BYTES = 4 * 2**30
MAX_POOR_CONNECTIONS = 64
"""Connections that may bring less than `ENOUGH` new bytes each; those that bring more are not counted."""
ENOUGH = 64 * 1024
_PAGE = "the server sent a page or a text in place of the recording"
EXPIRED_STATUSES = frozenset({400, 401, 403, 404, 410, 422})
"""How servers say that a URL is worth nothing any more; storage hosts say 400."""


class ResumableDownload:
    """One recording, read once.

    `open` and `read` are attempts for a retry policy. A cut raises; the next attempt opens again, compares, and brings
    what lies beyond the highest offset delivered. So attempts are counted anew after each new byte.
    """

    def __init__(
        self, open_: Opener, renew: Callable[[], Awaitable[Opener]] | None, stall: StallDetector, max_bytes: int
    ) -> None:
        self.offset = 0
        """Bytes given out by `read`."""
        self.buffered = 0
        """Of those, how many the caller has not got yet."""
        self.total: int | None = None
        self.etag: str | None = None
        self.content_type: str | None = None
        self.verified: Verified | None = None
        self.had_response = False
        self.closed = False
        self._open = open_
        self._renew = renew
        self._may_renew = True
        self._url_expired = False
        self._stall = stall
        self._max_bytes = max_bytes
        self._limit = max_bytes
        self._poor_connections = 0
        self._offset_at_request = 0
        self._last_failure = "nothing new came"
        self._response: StreamedResponse | None = None
        self._span = resume.BodySpan(start=0, end=None, total=None, etag=None, framing="close")
        self._headers: Mapping[str, str] = {}
        self._prefix_check: resume.PrefixCheck | None = None
        self._overlap = resume.OVERLAP
        self._ranged = True
        self._end_unproven = False
        self._tail = resume.TailBuffer()
        self._sha256: resume.Hash | None = None
        self._digest: Digest | None = None
        self._head: bytes | None = None
        """The first bytes of what calls itself text, kept until they show whether it is audio all the same."""

    def use_digest(self, digest: Digest) -> None:
        """Let another hash what is delivered, so that it is hashed once."""
        self._digest = digest
        self._sha256 = None

    async def open(self) -> None:
        """Have a response, so that its headers are known."""
        while self._response is None and self.verified is None:
            await self._connect()

    async def read(self) -> bytes:
        """The next bytes never delivered before; `b""` when the recording is whole."""
        try:
            while self.verified is None:
                # At the beginning, after a cut, and after a part that ended as announced: ask for what is missing.
                if self._response is None:
                    await self._connect()
                # The body ended, cleanly or not: what was announced and proved decides what that means.
                elif not (chunk := await self._receive(self._response)):
                    await self._on_end_of_body()
                # Bytes: those that repeat what was delivered are compared and dropped, and the loop goes on.
                elif fresh := self._accept_chunk(chunk):
                    return fresh
            return b""
        except RecordingChangedError as error:
            changed = error
        # A page in place of the rest, such as one to sign in, is no other version of the recording.
        if is_text(self._headers.get("Content-Type")) and not is_text(self.content_type):
            raise RecordingError(_PAGE)
        raise changed

    async def release(self) -> None:
        """Close the connection, if there is one."""
        self._stall.reset()
        self._head = None
        response, self._response = self._response, None
        if response is not None:
            await response.aclose()

    @property
    def connected(self) -> bool:
        """Whether the next bytes are expected from a response that is there."""
        return self._response is not None

    @property
    def received(self) -> int:
        """Bytes that the caller has got."""
        return self.offset - self.buffered

    @property
    def _delivered(self) -> resume.Delivered:
        return resume.Delivered(offset=self.offset, total=self.total, etag=resume.strong_etag(self.etag))

    @property
    def _position(self) -> int:
        if self._prefix_check is not None:
            return self._prefix_check.position
        return self.offset if self._head is None else self.offset + len(self._head)

    async def _connect(self) -> None:
        ranged = self._ranged and (self.offset > 0 or self._end_unproven)
        request = resume.next_request(self._delivered, self._overlap, ranged=ranged)
        self._response = response = await self._request(request)
        # `aclose` came while the response was on its way: whoever reads must not get bytes of it.
        if self.closed:
            raise _closed_error()
        # A 416 has said what it had to say.
        if response is None:
            return
        span = resume.span_of(request, response)
        # A part that was not asked for: parts of this server are not believed again.
        if span is None:
            self._ranged = False
            await self.release()
        # Asked whether more follows, it sent all again without a length: a second end by closing proves no more.
        elif self._end_unproven and self.offset and self.total is None and span.end is None and span.framing == "close":
            self.verified = "none"
            await self.release()
        # A part that continues what was delivered, or all of it again: its bytes have to show that it is the same.
        else:
            await self._accept(span, response.headers)

    async def _request(self, request: resume.RangeRequest) -> StreamedResponse | None:
        """Send a request, with a new URL if the old one expired. None: a 416 was the answer, and was understood."""
        self._count_connection()
        # The URL is known to have expired, and minting another failed: only that is tried again.
        if self._url_expired and self._renew is not None:
            self._open = await self._renew()
            self._url_expired = self._may_renew = False
        try:
            return await self._open(request.headers)
        except APIError as error:
            failure = error
        # Only a range can be unsatisfiable; the length that comes with it says whether the end was reached.
        if failure.status == 416 and request.ranged:
            self._on_416(failure, request)
            return None
        # Once between two new bytes: a fresh URL that is refused as well is refused for another reason.
        if failure.status in EXPIRED_STATUSES and self._renew is not None and self._may_renew:
            self._url_expired = True
            return await self._request(request)
        # A busy server brings nothing, and is no bad connection.
        if isinstance(failure, RateLimitError):
            self._poor_connections -= 1
        raise failure

    def _count_connection(self) -> None:
        # The last one brought enough, so it does not count: a long recording may take any number of such connections.
        if self.offset - self._offset_at_request >= ENOUGH:
            self._poor_connections -= 1
        self._offset_at_request = self.offset
        self._poor_connections += 1
        # Attempts are counted anew after each new byte, so one byte a connection would go on for ever.
        if self._poor_connections > MAX_POOR_CONNECTIONS:
            message = f"gave up after {MAX_POOR_CONNECTIONS} requests that brought little; of the last: "
            raise IncompleteRecordingError(message + self._last_failure, received=self.received, total=self.total)

    def _on_416(self, failure: APIError, request: resume.RangeRequest) -> None:
        answer = resume.judge_416(failure.headers, request)
        # Without a length it is a refusal like any other.
        if answer == "silent":
            raise failure
        # It denies a range that its own length allows: ask for all, and compare.
        if answer == "contradictory":
            self._ranged = False
        # Its length is the offset: nothing lies behind what was delivered.
        else:
            self.verified = "length"

    async def _accept(self, span: resume.BodySpan, headers: Mapping[str, str]) -> None:
        # Before the first byte, so that no disk is filled for nothing.
        if span.total is not None and span.total > self._max_bytes:
            raise RecordingError(f"a recording of {span.total} bytes is above the limit of {self._max_bytes}")
        self._headers = headers
        resume.check_total(self._delivered, span)
        self._span = span
        self._stall.reset()
        # Nothing is believed of a second response before its bytes were seen to be the same.
        if self.offset:
            digest: bytes | None = None
            # The file's writer hashes what it writes, so the bytes are hashed once.
            if span.start == 0 and self._digest is not None:
                digest = await self._digest()
            elif span.start == 0 and self._sha256 is not None:
                digest = self._sha256.digest()
            self._prefix_check = resume.PrefixCheck(self._delivered, span, self._tail, digest)
        # Nothing was delivered, so this response may be of another version than an earlier one: it begins anew.
        else:
            self.total = None
            # A cut will be resumed by a range: what is only iterated is not hashed.
            resumable = headers.get("Accept-Ranges", "").strip().lower() == "bytes"
            resumable = resumable and resume.strong_etag(headers.get("ETag")) is not None
            self._sha256 = None if resumable or self._digest is not None else hashlib.sha256()
            self._trust_response()
            self._head = b"" if is_text(self.content_type) else None

    def _trust_response(self) -> None:
        """Believe the response: all that was delivered was compared, or nothing was delivered."""
        self.had_response = True
        self.etag = self._headers.get("ETag")
        self.content_type = self._headers.get("Content-Type")
        self.total = self.total if self._span.total is None else self._span.total
        self._limit = self._max_bytes if self.total is None else self.total
        # A part ends where it said, however long the recording is.
        if self._span.end is not None:
            self._limit = self._span.end

    async def _receive(self, response: StreamedResponse) -> bytes:
        # All that was announced is here: a body that never closes is not waited for.
        if self._position == self._span.end:
            return b""
        failure: SyllableConnectionError | None = None
        chunk = b""
        try:
            chunk = await self._stall.read(response)
        except SyllableConnectionError as error:
            failure = error
        # What we ended ourselves is neither a cut nor an end, however the body looks.
        if self.closed:
            raise _closed_error()
        # A cut: the next connection resumes, and knows why this one ended.
        if failure is not None:
            await self._abandon_connection(failure.reason)
            raise failure
        return chunk

    def _accept_chunk(self, chunk: bytes) -> bytes:
        """What is new in a chunk; it counts as delivered from here on."""
        # It calls itself text: nothing of it is given out before its first bytes have shown that it is audio.
        if self._head is not None:
            chunk = self._head + chunk
            self._head = chunk
            if len(chunk) < HEAD_SIZE:
                return b""
            if is_page(self.content_type, chunk[:HEAD_SIZE]):
                raise RecordingError(_PAGE)
            self._head = None
        # A second response: what it repeats has to be equal, and then it is believed.
        elif self._prefix_check is not None:
            chunk = self._compare(self._prefix_check, chunk)
        # It repeated what was delivered, and brought nothing that is new.
        if not chunk:
            return chunk
        # More than was announced or is allowed: what is handed on ends there, or nothing is.
        if self.offset + len(chunk) > self._limit:
            chunk = self._cut_to_length(chunk)
        self.offset += len(chunk)
        self._may_renew = True
        self._tail.add(chunk)
        if self._sha256 is not None:
            self._sha256.update(chunk)
        return chunk

    def _compare(self, check: resume.PrefixCheck, chunk: bytes) -> bytes:
        chunk = check.feed(chunk)
        # All that was delivered was found to be equal, so this is the same recording.
        if check.finished:
            self._trust_response()
            # The prefix was hashed anew on the way, so the hash of the whole goes on from there.
            if check.sha256 is not None and self._digest is None:
                self._sha256 = check.sha256
        # It stays until new bytes come: a part without any is a cut, or its like would be asked for again and again.
        if chunk:
            self._prefix_check = None
        return chunk

    def _cut_to_length(self, chunk: bytes) -> bytes:
        """Bytes beyond the announced end are nobody's."""
        # The response itself said where it ends.
        if self._span.end is not None:
            return chunk[: self._limit - self.offset]
        # An earlier one said so, and this one goes on: they are not of one recording.
        if self.total is not None:
            raise RecordingChangedError(f"the recording is longer now than the {self.total} bytes announced before")
        # Nobody announced an end, so the limit is what is left.
        raise RecordingError(f"the recording is above the limit of {self._max_bytes} bytes")

    async def _on_end_of_body(self) -> None:
        """The body ended: whole, or cut, or a part that another part has to follow."""
        verified = resume.completeness(self._delivered, self._span, self._position)
        # It called itself text, and is too short to be audio.
        if verified is not None and self._head is not None:
            raise RecordingError(_PAGE if self._head else "the server sent an empty text in place of the recording")
        # Only the closing connection says that this is the end, and a range can find out whether it is.
        if verified == "none" and self._ranged and not self._end_unproven and resume.strong_etag(self.etag):
            await self._probe_for_more()
        # The framing, or a total, says that this is the end.
        elif verified is not None:
            self.verified = verified
            await self.release()
        # A part as long as it said, with new bytes in it, of a recording that is longer: the next part is asked for.
        elif self._position == self._span.end and self._prefix_check is None:
            await self.release()
        # It ended before anything said that it would.
        else:
            await self._abandon_connection("the recording ended before its announced length")
            raise SyllableConnectionError(self._last_failure)

    async def _probe_for_more(self) -> None:
        """Ask once whether anything lies behind an end that only a closing connection marked."""
        self._end_unproven = True
        await self.release()
        try:
            await self._connect()
        # A server that refuses the question leaves what was known before it: it ended as such bodies end.
        except (APIError, SyllableConnectionError):
            self.verified = "none"

    async def _abandon_connection(self, reason: str) -> None:
        self._last_failure = reason
        # A cut inside the overlap: the next one is smaller, or such a connection would never bring anything.
        if self._prefix_check is not None:
            self._overlap = resume.smaller_overlap(self._overlap, self._prefix_check.compared)
        self._prefix_check = None
        await self.release()


def _closed_error() -> ClientClosedError:
    return ClientClosedError("the recording was closed while it was read")
