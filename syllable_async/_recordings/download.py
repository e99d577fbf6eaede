"""Where a recording's bytes come from: a connection that lasts, or the next one, and never two recordings."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping

from .._messages import StreamedResponse
from ..errors import (
    APIError,
    IncompleteRecordingError,
    RecordingChangedError,
    RecordingError,
    SyllableConnectionError,
)
from . import resume
from .resume import Verified
from .stall import StallDetector

Opener = Callable[[Mapping[str, str]], Awaitable[StreamedResponse]]
"""One request for the recording with these extra headers; an `APIError` for every status from 400 on."""
Digest = Callable[[], Awaitable[bytes]]
"""The sha256 of everything delivered so far."""

MAX_BYTES = 4 * 2**30
MAX_REQUESTS = 64
"""For one recording, however much each of them brought."""


class ResumableDownload:
    """One recording, read once.

    `open` and `advance` are attempts for a `Retrier`. A cut raises; the next attempt opens again, compares, and brings
    what lies beyond the highest offset delivered. So attempts are counted anew after each new byte.
    """

    def __init__(
        self, open_: Opener, renew: Callable[[], Awaitable[Opener]] | None, pace: StallDetector, max_bytes: int
    ) -> None:
        self.offset = 0
        self.total: int | None = None
        self.etag: str | None = None
        self.content_type: str | None = None
        self.verified: Verified | None = None
        self.had_response = False
        self.closed = False
        self._open = open_
        self._renew = renew
        self._may_renew = True
        self._pace = pace
        self._max_bytes = max_bytes
        self._limit = max_bytes
        self._requests = 0
        self._last_failure = "nothing new came"
        self._reply: StreamedResponse | None = None
        self._offer = resume.BodySpan(start=0, end=None, total=None, etag=None, framing="close")
        self._headers: Mapping[str, str] = {}
        self._comparison: resume.PrefixCheck | None = None
        self._overlap = resume.OVERLAP
        self._ranged = True
        self._end_unproven = False
        self._tail = resume.TailBuffer()
        self._sha256: resume.Hash | None = None
        self._digest: Digest | None = None

    def use_digest(self, digest: Digest) -> None:
        """Let another hash what is delivered, so that it is hashed once."""
        self._digest = digest
        self._sha256 = None

    async def open(self) -> None:
        """Have an answer, so that its headers are known."""
        while self._reply is None and self.verified is None:
            await self._connect()

    async def read(self) -> bytes:
        """The next bytes never delivered before; `b""` when the recording is whole."""
        while self.verified is None:
            if self._reply is None:
                await self._connect()
            elif not (chunk := await self._receive(self._reply)):
                await self._on_end_of_body()
            elif fresh := self._accept_chunk(chunk):
                return fresh
        return b""

    async def release(self) -> None:
        """Close the connection, if there is one."""
        self._pace.reset()
        reply, self._reply = self._reply, None
        if reply is not None:
            await reply.aclose()

    @property
    def connected(self) -> bool:
        """Whether the next bytes are expected from an answer that is there."""
        return self._reply is not None

    @property
    def _held(self) -> resume.Delivered:
        return resume.Delivered(offset=self.offset, total=self.total, etag=resume.strong_etag(self.etag))

    @property
    def _position(self) -> int:
        return self.offset if self._comparison is None else self._comparison.position

    async def _connect(self) -> None:
        ranged = self._ranged and (self.offset > 0 or self._end_unproven)
        asked = resume.next_request(self._held, self._overlap, ranged=ranged)
        self._reply = reply = await self._request(asked)
        if self.closed:
            raise RecordingError("the recording was closed while it was read")
        if reply is None:
            self.verified = "length"
            return
        offer = resume.span_of(asked, reply)
        if offer is None:
            self._ranged = False
            await self.release()
        elif (
            self._end_unproven and self.offset and self.total is None and offer.end is None and offer.framing == "close"
        ):
            self.verified = "none"
            await self.release()
        else:
            await self._accept(offer, reply.headers)

    async def _request(self, asked: resume.RangeRequest) -> StreamedResponse | None:
        """Ask, with a newly minted opener if the old one expired. None: a 416 said that nothing is missing."""
        self._requests += 1
        if self._requests > MAX_REQUESTS:
            message = f"gave up after {MAX_REQUESTS} requests; of the last: {self._last_failure}"
            raise IncompleteRecordingError(message, received=self.offset, total=self.total)
        try:
            return await self._open(asked.headers)
        except APIError as error:
            failure = error
        if failure.status == 416 and asked.ranged and resume.is_complete_by_416(failure.headers, asked.held):
            return None
        if failure.status in {401, 403, 404} and self._renew is not None and self._may_renew:
            self._open = await self._renew()
            self._may_renew = False
            return await self._request(asked)
        raise failure

    async def _accept(self, offer: resume.BodySpan, headers: Mapping[str, str]) -> None:
        if offer.total is not None and offer.total > self._max_bytes:
            raise RecordingError(f"a recording of {offer.total} bytes is above the limit of {self._max_bytes}")
        self._offer = offer
        self._headers = headers
        self._pace.reset()
        if self.offset:
            digest = await self._prefix() if offer.start == 0 else None
            self._comparison = resume.PrefixCheck(self._held, offer, self._tail, digest)
        else:
            self.total = self._sha256 = None
            self._trust_response()

    async def _prefix(self) -> bytes | None:
        if self._digest is not None:
            return await self._digest()
        return None if self._sha256 is None else self._sha256.digest()

    def _trust_response(self) -> None:
        """Believe the answer: all that is held was compared, or nothing is held."""
        self.had_response = True
        self.etag = self._headers.get("ETag")
        self.content_type = self._headers.get("Content-Type")
        self.total = self.total if self._offer.total is None else self._offer.total
        self._limit = self._max_bytes if self.total is None else self.total
        if self._offer.end is not None:
            self._limit = self._offer.end
        if self._digest is None and self._sha256 is None and self._offer.etag is None:
            self._sha256 = self._comparison.sha256 if self._comparison is not None else hashlib.sha256()

    async def _receive(self, reply: StreamedResponse) -> bytes:
        if self._position == self._offer.end:
            return b""
        try:
            return await self._pace.read(reply)
        except SyllableConnectionError as error:
            await self._abandon_connection(error.reason)
            raise

    def _accept_chunk(self, chunk: bytes) -> bytes:
        """What is new in a chunk; it counts as delivered from here on."""
        if self._comparison is not None:
            chunk = self._comparison.feed(chunk)
            if self._comparison.finished:
                self._trust_response()
            if not chunk:
                return chunk
            self._comparison = None
        if self.offset + len(chunk) > self._limit:
            chunk = self._cut_to_length(chunk)
        self.offset += len(chunk)
        self._may_renew = True
        self._tail.add(chunk)
        if self._sha256 is not None:
            self._sha256.update(chunk)
        return chunk

    def _cut_to_length(self, chunk: bytes) -> bytes:
        """Bytes beyond the announced end are nobody's."""
        if self._offer.end is not None:
            return chunk[: self._limit - self.offset]
        if self.total is not None:
            raise RecordingChangedError(f"the recording is longer now than the {self.total} bytes announced before")
        raise RecordingError(f"the recording is above the limit of {self._max_bytes} bytes")

    async def _on_end_of_body(self) -> None:
        """The body ended: whole, or cut, or a part that another part has to follow."""
        verified = resume.completeness(self._held, self._offer, self._position)
        if verified == "none" and self._ranged and not self._end_unproven and resume.strong_etag(self.etag):
            await self._probe_for_more()
        elif verified is not None:
            self.verified = verified
            await self.release()
        elif self._position == self._offer.end and self._comparison is None:
            await self.release()
        else:
            await self._abandon_connection("the recording ended before its announced length")
            raise SyllableConnectionError(self._last_failure)

    async def _probe_for_more(self) -> None:
        """Ask once whether anything lies behind an end that only a closing connection marked."""
        self._end_unproven = True
        await self.release()
        try:
            await self._connect()
        except (APIError, SyllableConnectionError):
            self.verified = "none"

    async def _abandon_connection(self, reason: str) -> None:
        self._last_failure = reason
        if self._comparison is not None:
            self._overlap = resume.smaller_overlap(self._overlap, self._comparison.compared)
        await self.release()
