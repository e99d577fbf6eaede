"""From the first call to the last: what is opened when, what a borrowed session goes through, who closes."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from syllable_async import AsyncSyllableClient, ClientClosedError, NotFoundError, RetryPolicy, SyllableConnectionError
from syllable_async.testing import FakeSyllable

Client = AsyncSyllableClient


async def test_nothing_is_opened_before_the_first_call(server: FakeSyllable) -> None:
    client = Client(server.api_key, base_url=server.url)
    pager = client.sessions.list()
    stream = client.sessions.stream_recording("token")
    assert client._transport.pool._session is None
    await client.aclose()
    await client.aclose()
    assert (pager, stream, len(server.requests)) == (pager, stream, 0)


def test_a_client_made_outside_a_loop_works_in_the_first_and_says_so_in_a_second() -> None:
    with FakeSyllable(sessions=3) as server:
        client = Client(server.api_key, base_url=server.url)

        async def one() -> int:
            return len((await client.sessions.list()).items)

        async def one_and_close() -> int:
            async with client:
                return await one()

        loop = asyncio.new_event_loop()
        assert loop.run_until_complete(one()) == 3
        with pytest.raises(RuntimeError, match="another event loop"):
            asyncio.run(one())
        assert loop.run_until_complete(one_and_close()) == 3
        loop.close()
        with pytest.raises(ClientClosedError, match="closed"):
            asyncio.run(one())


async def test_a_borrowed_session_is_neither_closed_nor_changed(server: FakeSyllable) -> None:
    async with aiohttp.ClientSession() as session:
        before = dict(session.headers)
        async with Client(server.api_key, base_url=server.url, session=session) as client:
            assert (await client.sessions.list()).items
        assert not session.closed
        assert dict(session.headers) == before
        with pytest.raises(ClientClosedError, match="closed"):
            await client.sessions.list()
    client = Client(server.api_key, base_url=server.url, session=session)
    with pytest.raises(ClientClosedError, match="session of this AsyncSyllableClient was closed"):
        await client.sessions.list()


async def test_a_client_that_was_not_closed_warns(server: FakeSyllable) -> None:
    client = Client(server.api_key, base_url=server.url)
    await client.sessions.list()
    session = client._transport.pool._session
    assert session is not None
    with pytest.warns(ResourceWarning, match="AsyncSyllableClient was not closed"):
        del client
    await session.close()


async def test_a_proxy_of_the_environment_is_used_by_a_session_that_trusts_it(
    server: FakeSyllable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fake stands in for the proxy of a host that does not exist; it knows no such path, but it was asked."""
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, server.url)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    settings: Any = {
        "base_url": "http://api.invalid",
        "allow_insecure_http": True,
        "retries": RetryPolicy(max_attempts=1),
    }
    async with (
        aiohttp.ClientSession(trust_env=True) as session,
        Client(server.api_key, session=session, **settings) as through_proxy,
        Client(server.api_key, **settings) as directly,
    ):
        with pytest.raises(NotFoundError):
            await through_proxy.sessions.list(limit=1)
        with pytest.raises(SyllableConnectionError):
            await directly.sessions.list(limit=1)
    assert [request.path for request in server.requests] == ["http://api.invalid/api/v1/sessions/"]
