"""What a client may be given: settings, and what its `repr` and its pickle show of them."""

from __future__ import annotations

import logging
import pickle
from datetime import datetime
from typing import Any

import aiohttp
import pytest

from syllable_async import AsyncSyllableClient, Session, make_converter
from syllable_async.testing import FakeSyllable

KEY = "CANARY-key-0123456789"
Client = AsyncSyllableClient


BAD_SETTINGS: dict[str, dict[str, Any]] = {
    "empty key": {"api_key": ""},
    "key with CR LF": {"api_key": f"{KEY}\r\nX: y"},
    "key with NUL": {"api_key": f"{KEY}\0"},
    "key with a space": {"api_key": f"{KEY} "},
    "key not ASCII": {"api_key": f"{KEY}é"},
    "key of a megabyte": {"api_key": KEY * 50_000},
    "key of bytes": {"api_key": KEY.encode()},
    "http elsewhere": {"base_url": "http://api.example.com"},
    "no scheme": {"base_url": "api.example.com"},
    "ftp": {"base_url": "ftp://api.example.com"},
    "userinfo": {"base_url": f"https://user:{KEY}@api.example.com"},
    "query": {"base_url": f"https://api.example.com/?key={KEY}"},
    "fragment": {"base_url": f"https://api.example.com/#{KEY}"},
    "space in the address": {"base_url": "https://api.example .com"},
    "no host": {"base_url": "https://"},
    "bad port": {"base_url": "https://api.example.com:x"},
    "empty address": {"base_url": ""},
    "timeout of 0": {"timeout": 0},
    "negative timeout": {"timeout": -1.0},
    "timeout that is no number": {"timeout": "30"},
    "endless timeout": {"timeout": float("inf")},
    "rate of 0": {"rate": 0},
    "endless rate": {"rate": float("inf")},
    "rate that is no number": {"rate": "20"},
    "rate that is a bool": {"rate": True},
    "no connections": {"max_connections": 0},
    "any number of connections": {"max_connections": None},
    "any number of streams": {"max_streams": None},
    "retries of another kind": {"retries": 3},
    "session of another kind": {"session": object()},
    "converter of another kind": {"converter": object()},
    "header with CR LF": {"headers": {"X-A": f"{KEY}\r\nX: y"}},
    "header name with a space": {"headers": {"X A": KEY}},
    "the key as a header": {"headers": {"Syllable-API-Key": KEY}},
    "header that is no text": {"headers": {"X-A": 5}},
}


@pytest.mark.parametrize("name", BAD_SETTINGS)
def test_invalid_settings_raise_without_secrets(name: str) -> None:
    settings: dict[str, Any] = {"api_key": "key", **BAD_SETTINGS[name]}
    with pytest.raises((ValueError, TypeError)) as caught:
        Client(**settings)
    assert KEY not in f"{caught.value} {caught.value!r}"
    assert str(caught.value)


def test_repr_shows_no_key_and_pickling_raises() -> None:
    client = Client(KEY)
    assert KEY not in f"{client} {client!r} {client._transport!r} {client.sessions!r} {client.sessions.list()!r}"
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(client)


def test_the_address_comes_from_the_argument_then_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYLLABLE_BASE_URL", raising=False)
    assert "https://api.syllable.cloud" in repr(Client(KEY))
    monkeypatch.setenv("SYLLABLE_BASE_URL", "http://127.0.0.1:8765")
    assert "http://127.0.0.1:8765" in repr(Client(KEY))
    assert "https://gateway.example" in repr(Client(KEY, base_url="https://gateway.example"))


@pytest.mark.parametrize("address", ["", f"https://user:{KEY}@api.example.com", "http://api.example.com", "x"])
def test_a_wrong_address_in_the_environment_is_told_by_its_variable(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYLLABLE_BASE_URL", address)
    with pytest.raises(ValueError, match="SYLLABLE_BASE_URL") as caught:
        Client("key")
    assert KEY not in str(caught.value)


def test_the_logger_of_the_library_says_nothing_unless_it_is_asked() -> None:
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("syllable_async").handlers)


async def test_a_users_converter_decodes_every_response(server: FakeSyllable) -> None:
    converter = make_converter()
    converter.register_structure_hook(datetime, lambda value, _: f"at {value}")
    async with Client(server.api_key, base_url=server.url, converter=converter) as client:
        listed = (await client.sessions.list(limit=1)).items[0]
        raw = await client.request("GET", "api", "v1", "sessions", server.listed[0])
        assert str(listed.timestamp).startswith("at 20")
        assert str(raw.decode(Session).timestamp).startswith("at 20")


@pytest.mark.parametrize("given", ["https://x.example/v/", "https://x.example/v"])
def test_base_url_is_the_address_without_a_slash_at_its_end(given: str) -> None:
    client = Client(KEY, base_url=given)
    assert client.base_url == client.with_options(timeout=5).base_url == "https://x.example/v"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_two_ways_to_authorize_are_refused_with_the_session_and_not_with_each_request() -> None:
    auth = aiohttp.BasicAuth("me", "secret-of-mine")
    async with aiohttp.ClientSession(auth=auth) as session:
        with pytest.raises(ValueError, match="give only one of them") as caught:
            AsyncSyllableClient("k" * 20, session=session, headers={"authorization": "Bearer secret-of-mine"})
    assert "secret-of-mine" not in repr(caught.value)
