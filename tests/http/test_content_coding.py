"""gzip and deflate, undone by ourselves: whole, in any pieces, with an end that can be told from a cut."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syllable_async import (
    AsyncSyllableClient,
    AuthenticationError,
    RateLimitError,
    ResponseValidationError,
    RetryPolicy,
    SyllableConnectionError,
)
from syllable_async._http.content_coding import PIECE, Decompressor, UnknownCodingError, decompressor_for
from tests.fault_server import FaultServer, reply

ONCE = RetryPolicy(max_attempts=1)


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


CODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("X-GZIP", gzip.compress),
    "members": ("gzip", lambda data: gzip.compress(data[:5]) + gzip.compress(data[5:])),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
}


@pytest.mark.parametrize("name", CODINGS)
@given(st.binary(max_size=200), st.integers(1, 30))
def test_what_was_compressed_comes_back_in_any_pieces(name: str, data: bytes, size: int) -> None:
    coding, compress = CODINGS[name]
    packed, decompressor = compress(data), decompressor_for(f" {coding} ")
    assert decompressor is not None
    pieces = [packed[start : start + size] for start in range(0, len(packed), size)]
    assert b"".join(part for piece in pieces for part in decompressor.feed(piece)) == data
    assert decompressor.finished


@given(st.binary(min_size=1, max_size=200), st.data())
def test_a_cut_is_no_end(data: bytes, draw: st.DataObject) -> None:
    packed = gzip.compress(data)
    decompressor = Decompressor("gzip")
    list(decompressor.feed(packed[: draw.draw(st.integers(0, len(packed) - 1))]))
    assert not decompressor.finished


def test_no_piece_is_large() -> None:
    packed = gzip.compress(bytes(10 * PIECE))
    assert max(map(len, Decompressor("gzip").feed(packed))) <= PIECE


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@given(st.binary(min_size=1, max_size=50))
def test_garbage_is_told(coding: str, data: bytes) -> None:
    with suppress(aiohttp.ClientPayloadError):
        list(Decompressor(coding).feed(data))


def test_what_needs_no_undoing_and_what_nobody_asked_for() -> None:
    assert decompressor_for("identity") is None
    for coding in ("br", "zstd", "gzip, gzip", "compress"):
        with pytest.raises(UnknownCodingError):
            decompressor_for(coding)


BODY = b'{"timestamp":"2026-01-01T00:00:00Z","session_id":"a"}'


def packed(body: bytes, coding: str, status: int = 200) -> list[object]:
    return [*reply(status, body, {"Content-Encoding": coding, "Retry-After": "7"})]


@pytest.fixture(params=["own", "borrowed", "borrowed with a middleware"])
async def session(request: pytest.FixtureRequest) -> AsyncIterator[aiohttp.ClientSession | None]:
    async def passes(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        response = await handler(request)
        if "middleware" in kind:
            await response.json(content_type=None)  # it may look at bodies, and sees them decompressed
        return response

    kind: str = request.param
    if kind == "own":
        yield None
        return
    async with aiohttp.ClientSession(middlewares=[passes] if "middleware" in kind else []) as made:
        yield made


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_compressed_response_is_read(session: aiohttp.ClientSession | None, coding: str) -> None:
    exchange = packed(CODINGS[coding][1](BODY), coding)
    async with (
        FaultServer([exchange]) as server,  # type: ignore[list-item]
        AsyncSyllableClient("k", base_url=server.url, session=session) as client,
    ):
        assert (await client.sessions.get_by_id("a")).session_id == "a"
        assert server.requests[0].header("Accept-Encoding") == "gzip, deflate"


async def test_the_status_wins_over_a_body_that_cannot_be_decompressed() -> None:
    script = [packed(b"\x0b\x02\x80abc\x03", "br", 401), packed(b"\x0b\x02", "br", 429)]
    async with (
        FaultServer(script) as server,  # type: ignore[arg-type]
        AsyncSyllableClient("k", base_url=server.url, retries=ONCE) as client,
    ):
        with pytest.raises(AuthenticationError):
            await client.sessions.get_by_id("a")
        with pytest.raises(RateLimitError) as caught:
            await client.sessions.get_by_id("a")
        assert (caught.value.retry_after, caught.value.body) == (7, b"")


async def test_a_coding_that_changes_nothing_is_read_as_it_is() -> None:
    async with (
        FaultServer([reply(200, b"[1]", {"Content-Encoding": "identity"})]) as server,
        AsyncSyllableClient("k", base_url=server.url) as client,
    ):
        assert (await client.request("GET", "/x")).body == b"[1]"


async def test_a_success_in_a_coding_that_nobody_asked_for_is_an_error_and_not_repeated() -> None:
    async with (
        FaultServer([packed(b"\x0b\x02", "br")]) as server,  # type: ignore[list-item]
        AsyncSyllableClient("k", base_url=server.url) as client,
    ):
        with pytest.raises(SyllableConnectionError, match="Content-Encoding that was not asked for"):
            await client.sessions.get_by_id("a")


async def test_compressed_data_without_its_end_is_no_success() -> None:
    exchange = packed(gzip.compress(b"x" * 10_000)[:-4], "gzip")
    async with (
        FaultServer([exchange]) as server,  # type: ignore[list-item]
        AsyncSyllableClient("k", base_url=server.url) as client,
    ):
        with pytest.raises(ResponseValidationError, match="its compressed data has no end"):
            await client.request("GET", "/x")
