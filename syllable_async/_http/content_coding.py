"""Decompressing a body: gzip and deflate, in pieces, with an end that can be told from a cut (RFC 9110 §8.4.1).

aiohttp's own decompression fails the whole response, status included, where the server used a coding for which no
package is installed.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import aiohttp

ACCEPT_ENCODING = "gzip, deflate"
PIECE = 2**18
"""Bytes that are decompressed at once, whatever they come from."""


class UnknownCodingError(aiohttp.ClientPayloadError):
    """The server used a coding that was not asked for."""


class Decompressor:
    """One compressed body.

    Attributes:
        finished: whether the compressed data has had its end; else the body was cut.
    """

    def __init__(self, coding: str) -> None:
        self._gzip = coding in {"gzip", "x-gzip"}
        self._zlib: Any = None
        self.finished = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The pieces that these bytes stand for; `ClientPayloadError` where they are garbled."""
        while data:
            decompressor = self._decompressor(data[0])
            try:
                piece = decompressor.decompress(data, PIECE)
            except zlib.error:
                raise aiohttp.ClientPayloadError("the compressed body is garbled") from None
            self.finished = decompressor.eof
            data = decompressor.unconsumed_tail or decompressor.unused_data
            if self.finished:
                self._zlib = None if self._gzip else decompressor
                data = data if self._gzip else b""  # a gzip body may have several members (RFC 1952 §2.2)
            yield piece

    def _decompressor(self, first: int) -> Any:
        """Deflate comes with zlib's header or, from some servers, without."""
        if self._zlib is None:
            self._zlib = zlib.decompressobj(wbits=31 if self._gzip else 15 if first & 15 == 8 else -15)
        return self._zlib


def decompressor_for(coding: str) -> Decompressor | None:
    """The decompressor for a Content-Encoding; None where there is none to undo.

    Raises:
        UnknownCodingError: neither gzip nor deflate.
    """
    coding = coding.strip().lower()
    if coding in {"", "identity"}:
        return None
    if coding not in {"gzip", "x-gzip", "deflate"}:
        raise UnknownCodingError
    return Decompressor(coding)
