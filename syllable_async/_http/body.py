"""A response's body: read with a limit, and the truth about its end."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable
from contextlib import suppress

import aiohttp
from aiohttp.hdrs import CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING

from .._messages import Framing
from .._timing import Timeout
from ..errors import ResponseValidationError
from .aiohttp_internals import body_read_before, connection_end, raw_bytes
from .connection_errors import TRANSPORT_EXCEPTIONS
from .content_coding import decompressor_for

BOMB_SIZE = 8 * 2**20
BOMB_RATIO = 100
"""JSON of sessions compresses to about a tenth; a hundredth is no JSON of sessions."""


class ResponseBody:
    """A response's body, and the truth about its end (RFC 9112 §8)."""

    def __init__(self, response: aiohttp.ClientResponse, *, decompressed: bool = False) -> None:
        """`decompressed`: aiohttp has undone the Content-Encoding."""
        lengths = response.headers.getall(CONTENT_LENGTH, ())
        if len(lengths) > 1 and len(set(lengths)) > 1:  # pragma: no cover - aiohttp's Python parser lets it pass
            response.close()
            raise aiohttp.ClientPayloadError("two lengths")
        self.response = response
        self.framed_by: Framing = _framing_of(response, has_length=bool(lengths))
        # What tells a clean end from a cut is out of reach once aiohttp has let go of the connection.
        self._closed, self._tls = connection_end(response) if self.framed_by == "close" else (None, None)
        self._decompressed = decompressed
        self._read_before = body_read_before(response)

    def read(self) -> Awaitable[bytes]:
        """The next bytes, `b""` at the end; `ConnectionResetError` where the end of the connection is a cut."""
        if self.framed_by == "close" or self._read_before is not None:
            return self._read_with_care()
        return self.response.content.readany()

    async def _read_with_care(self) -> bytes:
        if self._read_before is not None:  # by a borrowed session's middleware, to an end that satisfied aiohttp
            chunk, self._read_before = self._read_before, b""
            return chunk
        chunk = await self.response.content.readany()
        if not chunk and not self._ended_cleanly():
            raise ConnectionResetError
        return chunk

    def _ended_cleanly(self) -> bool:
        if self._closed is None or (self._closed.done() and self._closed.exception() is not None):
            return False
        if self._tls is None:
            return True
        try:
            self._tls.read(1)
        except ssl.SSLZeroReturnError:
            return True
        except ssl.SSLError:
            pass
        return False

    async def read_json(self, limit: int) -> bytes | None:
        """The whole decompressed body; None, and the connection closed, where it is larger than `limit` or a bomb."""
        coding = None if self._decompressed else self.response.headers.get(CONTENT_ENCODING)
        if coding is not None:
            return await self._read_coded(coding, limit)
        chunks: list[bytes] = []
        size = 0
        while chunk := await self.read():
            chunks.append(chunk)
            size += len(chunk)
            if (size > limit or size > BOMB_SIZE) and self._is_too_large(size, limit):
                return None
            if self.framed_by != "close" and self.response.content.at_eof():
                break  # without asking once more for nothing
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def _read_coded(self, coding: str, limit: int) -> bytes | None:
        decompressor = decompressor_for(coding)
        if decompressor is None:
            self._decompressed = True
            return await self.read_json(limit)
        pieces: list[bytes] = []  # a bytearray that grows is copied, and needs twice its size for a moment
        size = 0
        while chunk := await self.read():
            for piece in decompressor.feed(chunk):
                pieces.append(piece)
                size += len(piece)
                if self._is_too_large(size, limit):
                    return None
        if size and not decompressor.finished:
            # The framing is complete, so it was cut before it was sent: asking again brings the same.
            raise ResponseValidationError("response", "$", "its compressed data has no end")
        return b"".join(pieces)

    def _is_too_large(self, size: int, limit: int) -> bool:
        if size <= limit and not self._is_decompression_bomb(size):
            return False
        self.response.close()
        return True

    async def read_excerpt(self, limit: int, seconds: float | None) -> bytes:
        """The first `limit` bytes of the decompressed body, or all of it, within so many seconds.

        A body that breaks off, stalls or has an unknown coding gives what came: it must not hide the status.
        """
        excerpt = bytearray()
        with suppress(*TRANSPORT_EXCEPTIONS), Timeout(seconds):
            coding = "" if self._decompressed else self.response.headers.get(CONTENT_ENCODING, "")
            decompressor = decompressor_for(coding)
            while len(excerpt) <= limit and (chunk := await self.read()):
                for piece in decompressor.feed(chunk) if decompressor is not None else (chunk,):
                    excerpt += piece
                    if len(excerpt) > limit:
                        break
        return bytes(excerpt[:limit])

    def _is_decompression_bomb(self, size: int) -> bool:
        if size <= BOMB_SIZE:
            return False
        return size > BOMB_RATIO * raw_bytes(self.response)


def _framing_of(response: aiohttp.ClientResponse, *, has_length: bool) -> Framing:
    """How the body's end is known (RFC 9112 §6.3)."""
    if response.status in {204, 304} or response.method == "HEAD":
        return "length"  # of nothing
    if "chunked" in response.headers.get(TRANSFER_ENCODING, "").lower():
        return "chunked"
    return "length" if has_length else "close"
