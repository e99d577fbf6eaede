"""The API key: where it comes from, and when a callable is asked for it."""

from __future__ import annotations

import asyncio
import pickle

import pytest

from syllable_async import (
    AsyncSyllableClient,
    AuthenticationError,
    ClientClosedError,
    RetryPolicy,
    SyllableTimeoutError,
)
from syllable_async._http.auth import ApiKey, Secret
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


@pytest.mark.parametrize("holder", [Secret("key"), ApiKey.from_argument("key"), ApiKey.from_argument(lambda: "key")])
def test_a_key_is_not_pickled(holder: object) -> None:
    with pytest.raises(TypeError, match="an API key cannot be pickled"):
        pickle.dumps(holder)


async def test_a_timeout_that_the_function_raises_is_its_own(server: FakeSyllable) -> None:
    own = TimeoutError("the vault does not answer")

    def key() -> str:
        raise own

    async with Client(key, base_url=server.url) as client:
        with pytest.raises(TimeoutError) as caught:
            await client.sessions.list()
    assert caught.value is own
    assert len(server.requests) == 0


async def test_a_function_that_takes_too_long_is_a_timeout_and_nothing_is_sent(server: FakeSyllable) -> None:
    async def key() -> str:
        await asyncio.Event().wait()
        return server.api_key

    once = RetryPolicy(max_attempts=1)
    async with Client(key, base_url=server.url, timeout=0.01, retries=once) as client:
        with pytest.raises(SyllableTimeoutError, match="waiting for the api_key function") as caught:
            await client.sessions.list()
    assert not caught.value.outcome_unknown
    assert len(server.requests) == 0


async def test_a_function_may_close_the_client_that_asks_it(server: FakeSyllable) -> None:
    async def key() -> str:
        await client.aclose()
        return server.api_key

    client = Client(key, base_url=server.url)
    with pytest.raises(ClientClosedError):
        await client.sessions.list()
    assert len(server.requests) == 0
