"""aiohttp's exceptions as errors."""

from __future__ import annotations

import aiohttp
import pytest

from syllable_async import AsyncSyllableClient, RetryPolicy, SyllableConnectionError
from syllable_async.testing import FakeSyllable

AT_ONCE = RetryPolicy(initial=0, maximum=0)
Client = AsyncSyllableClient


async def test_connection_refused() -> None:
    async with Client("k", base_url="http://127.0.0.1:9") as client:
        with pytest.raises(SyllableConnectionError) as caught:
            await client.sessions.get_by_id("secret-id", retries=AT_ONCE)
    assert caught.value.attempts == 4
    assert not caught.value.outcome_unknown
    assert "secret-id" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


async def test_connection_refused_on_a_borrowed_session_has_a_known_outcome(unused_tcp_port: int) -> None:
    async with (
        aiohttp.ClientSession() as session,
        AsyncSyllableClient(
            "key", base_url=f"http://127.0.0.1:{unused_tcp_port}", session=session, retries=RetryPolicy(max_attempts=1)
        ) as client,
    ):
        with pytest.raises(SyllableConnectionError) as caught:
            await client.request("POST", "api", "v1", "x", json={})
    assert not caught.value.outcome_unknown


async def test_what_a_middleware_of_a_borrowed_session_raises_passes_without_frames(server: FakeSyllable) -> None:
    own = LookupError("no tenant")

    async def refuse(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        raise own

    async with (
        aiohttp.ClientSession(middlewares=[refuse]) as session,
        Client(server.api_key, base_url=server.url, session=session) as client,
    ):
        with pytest.raises(LookupError) as caught:
            await client.sessions.list()
    assert caught.value is own
    assert any("the frames are left out" in note for note in own.__notes__)
    assert len(server.requests) == 0


async def test_a_request_that_aiohttp_cannot_write_is_not_repeated(server: FakeSyllable) -> None:
    async with (
        aiohttp.ClientSession(headers={"X-Team": "blue\ngreen"}) as session,
        Client(server.api_key, base_url=server.url, session=session, retries=AT_ONCE) as client,
    ):
        with pytest.raises(SyllableConnectionError, match="could not be sent: ValueError in aiohttp") as caught:
            await client.sessions.list()
    assert (caught.value.attempts, caught.value.transient) == (1, False)
    assert len(server.requests) == 0
