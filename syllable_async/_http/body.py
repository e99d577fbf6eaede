"""A response's body: read with a limit, and the truth about its end."""

from __future__ import annotations

import ssl

import aiohttp

from .._messages import Framing
from .aiohttp_internals import connection_end, raw_bytes

BOMB_SIZE = 8 * 2**20
BOMB_RATIO = 100
"""JSON of sessions compresses to about a tenth; a hundredth is no JSON of sessions."""


class ResponseBody:
    """A response's body, and the truth about its end (RFC 9112 §8)."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        lengths = response.headers.getall("Content-Length", ())
        if len(lengths) > 1 and len(set(lengths)) > 1:  # pragma: no cover - aiohttp's Python parser lets it pass
            response.close()
            raise aiohttp.ClientPayloadError("two lengths")
        self.response = response
        self.framing: Framing = framing_of(response)
        # What tells a clean end from a cut is out of reach once aiohttp has let go of the connection.
        self._closed, self._tls = connection_end(response) if self.framing == "close" else (None, None)

    async def read(self) -> bytes:
        """The next bytes, `b""` at the end; `ConnectionResetError` where the end of the connection is a cut."""
        chunk = await self.response.content.readany()
        if not chunk and self.framing == "close" and not self._ended_cleanly():
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
        chunks: list[bytes] = []
        size = 0
        while chunk := await self.read():
            chunks.append(chunk)
            size += len(chunk)
            if size > limit or self._is_decompression_bomb(size):
                self.response.close()
                return None
            if self.framing != "close" and self.response.content.at_eof():
                break  # without asking once more for nothing
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def read_excerpt(self, limit: int) -> bytes:
        """The first `limit` bytes of the decompressed body, or all of it; the rest is left unread."""
        excerpt = bytearray()
        while len(excerpt) <= limit and (chunk := await self.read()):
            excerpt += chunk
        return bytes(excerpt[:limit])

    def _is_decompression_bomb(self, size: int) -> bool:
        if size <= BOMB_SIZE:
            return False
        return size > BOMB_RATIO * raw_bytes(self.response)


def framing_of(response: aiohttp.ClientResponse) -> Framing:
    """How the body's end is known (RFC 9112 §6.3)."""
    if response.status in {204, 304} or response.method == "HEAD":
        return "length"  # of nothing
    if "chunked" in response.headers.get("Transfer-Encoding", "").lower():
        return "chunked"
    return "length" if "Content-Length" in response.headers else "close"
