"""aiohttp's exceptions as errors."""

from __future__ import annotations

import aiohttp
import pytest

from syllable_async import AsyncSyllableClient, RetryPolicy, SyllableConnectionError

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
