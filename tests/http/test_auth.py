"""The API key: where it comes from, and when a callable is asked for it."""

from __future__ import annotations

import pytest

from syllable_async import AsyncSyllableClient, AuthenticationError
from syllable_async.testing import FakeSyllable

Client = AsyncSyllableClient


def test_a_missing_key_names_the_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYLLABLESDK_API_KEY_HEADER", raising=False)
    with pytest.raises(ValueError, match="SYLLABLESDK_API_KEY_HEADER"):
        Client()


async def test_the_key_from_the_environment(server: FakeSyllable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYLLABLESDK_API_KEY_HEADER", server.api_key)
    async with Client(base_url=server.url) as client:
        assert (await client.sessions.list()).items


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_a_callable_key_is_asked_each_time_and_once_more_after_a_401(server: FakeSyllable, kind: str) -> None:
    keys = iter([server.api_key, "old", server.api_key, "old", "old"])

    def plain() -> str:
        return next(keys)

    async def asynchronous() -> str:
        return next(keys)

    async with Client(plain if kind == "plain" else asynchronous, base_url=server.url) as client:
        await client.sessions.list()
        await client.sessions.list()
        assert [request.status for request in server.requests] == [200, 401, 200]
        with pytest.raises(AuthenticationError):
            await client.sessions.list()
    assert len(server.requests) == 4


async def test_an_invalid_key_of_a_callable_raises_before_a_request_is_sent(server: FakeSyllable) -> None:
    async with Client(lambda: "bad key", base_url=server.url) as client:
        with pytest.raises(ValueError, match="printable ASCII"):
            await client.sessions.list()
    assert len(server.requests) == 0
