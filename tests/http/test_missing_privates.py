"""An aiohttp that renames what we use of its privates: nothing unsafe happens, and somebody is told."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import connector as aiohttp_connector
from aiohttp.client_proto import ResponseHandler

from syllable_async import AsyncSyllableClient, RetryPolicy, SyllableConnectionError
from syllable_async._http import aiohttp_internals
from tests.fault_server import FaultServer, Fin, Raw, json_reply, reply

GOOD = {"timestamp": "2026-01-05T00:00:00Z", "session_id": "mine"}
LATE = b'{"timestamp": "2026-01-05T00:00:00Z", "session_id": "of another patient"}'
LATE_RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(LATE), LATE)
Patch = pytest.MonkeyPatch


def rename_release(patch: Patch) -> None:
    """`BaseConnector._release` gets another name, and aiohttp's own connections use that."""
    base: Any = aiohttp.BaseConnector
    patch.setattr(base, "_give_back", base._release, raising=False)
    patch.delattr(base, "_release")
    bypass_release(patch)


def bypass_release(patch: Patch) -> None:
    """`_release` is still there and nobody calls it."""
    base: Any = aiohttp.BaseConnector
    original = getattr(base, "_release", None) or base._give_back
    patch.setattr(base, "_give_back", original, raising=False)

    def end(how: dict[str, bool]) -> Callable[[Any], None]:
        def close(self: Any) -> None:
            self._notify_release()
            if self._protocol is not None:
                self._connector._give_back(self._key, self._protocol, **how)
                self._protocol = None

        return close

    patch.setattr(aiohttp_connector.Connection, "close", end({"should_close": True}))
    patch.setattr(aiohttp_connector.Connection, "release", end({}))


def rename_connect_arguments(patch: Patch) -> None:
    original = aiohttp.TCPConnector.connect

    async def connect(self: Any, request: Any, traces: Any, timeout: Any) -> Any:
        return await original(self, request, traces, timeout)

    patch.setattr(aiohttp.TCPConnector, "connect", connect)


def rename_factory(patch: Patch) -> None:
    """A connector that makes its protocols by `_new_protocol`."""
    base: Any = aiohttp.BaseConnector
    original = base.__init__

    def init(self: Any, *args: Any, **options: Any) -> None:
        original(self, *args, **options)
        self._new_protocol = self.__dict__.pop("_factory")

    patch.setattr(base, "__init__", init)
    patch.setattr(
        aiohttp.TCPConnector,
        "_wrap_create_connection",
        _with_factory(aiohttp.TCPConnector._wrap_create_connection),  # pyright: ignore[reportPrivateUsage, reportUnknownMemberType]
    )


def _with_factory(create: Any) -> Any:
    async def wrapped(self: Any, _: Any, *args: Any, **options: Any) -> Any:
        return await create(self, self._new_protocol, *args, **options)

    return wrapped


def rename_retry_flag(patch: Patch) -> None:
    """`ClientSession._retry_connection` is there for aiohttp's own `_request` alone."""

    def flag(_: object) -> bool:
        frame: Any = inspect.currentframe()
        if frame.f_back.f_code.co_name != "_request":
            raise AttributeError
        return True

    renamed = property(flag, lambda _, __: None)
    patch.setattr(aiohttp.ClientSession, "_retry_connection", renamed, raising=False)


def without_protocol_class(patch: Patch) -> None:
    patch.setattr(aiohttp_internals, "ResponseHandler", object)


def without(owner: Any, name: str) -> Callable[[Patch], None]:
    return lambda patch: patch.delattr(owner, name)


def rename_release_and_retry_flag(patch: Patch) -> None:
    rename_release(patch)
    rename_retry_flag(patch)


OWNED: dict[str, tuple[Callable[[Patch], None], str]] = {
    "_release renamed": (rename_release, "BaseConnector._release"),
    "_release bypassed": (bypass_release, "BaseConnector._release"),
    "connect with other arguments": (rename_connect_arguments, "TCPConnector.connect"),
    "_factory renamed": (rename_factory, "TCPConnector._factory"),
    "ResponseHandler gone": (without_protocol_class, "client_proto.ResponseHandler"),
    "_retry_connection renamed": (rename_retry_flag, "ClientSession._retry_connection"),
    "both": (rename_release_and_retry_flag, "BaseConnector._release"),
    "_body gone": (without(aiohttp.ClientResponse, "_body"), "ClientResponse._body"),
    "closed gone": (without(ResponseHandler, "closed"), "client_proto.ResponseHandler"),
}


async def three_reads(url: str) -> None:
    async with AsyncSyllableClient("key", base_url=url, retries=RetryPolicy(max_attempts=1)) as client:
        for _ in range(3):
            assert (await client.sessions.get_by_id("mine")).session_id == "mine"
            await asyncio.sleep(0)


@pytest.mark.parametrize("name", OWNED)
async def test_an_own_session_hands_no_late_response_to_anybody_and_warns_once(name: str, monkeypatch: Patch) -> None:
    rename, told = OWNED[name]
    body = json_reply(GOOD)
    async with FaultServer([[*body, Raw(LATE_RESPONSE)], body, body]) as server:
        with monkeypatch.context() as patch:
            rename(patch)
            with pytest.warns(RuntimeWarning, match=re.escape(told)) as warned:
                await three_reads(server.url)
    assert len(warned) == 1


async def test_nothing_is_sent_twice_where_the_retry_flag_is_renamed(monkeypatch: Patch) -> None:
    async with FaultServer([[Fin()]]) as server:
        with monkeypatch.context() as patch:
            rename_retry_flag(patch)
            with pytest.warns(RuntimeWarning, match="_retry_connection"), pytest.raises(SyllableConnectionError):
                await three_reads(server.url)
    assert len(server.requests) == 1


async def test_where_nobody_tells_how_a_connection_ends_its_end_is_not_believed(monkeypatch: Patch) -> None:
    script = [reply(200, json.dumps(GOOD).encode(), framing="close")]
    async with FaultServer(script) as server:
        with monkeypatch.context() as patch:
            without(ResponseHandler, "closed")(patch)
            with pytest.warns(RuntimeWarning, match="ResponseHandler"), pytest.raises(SyllableConnectionError):
                await three_reads(server.url)
    assert len(server.requests) == 1


BORROWED = {
    "Connection.protocol": without(aiohttp_connector.Connection, "protocol"),
    "StreamReader.total_raw_bytes": without(aiohttp.StreamReader, "total_raw_bytes"),
    "ClientResponse._body": without(aiohttp.ClientResponse, "_body"),
    "BaseConnector._release": rename_release,
}


@pytest.mark.parametrize("name", BORROWED)
async def test_a_borrowed_session_is_refused_with_the_version(name: str, monkeypatch: Patch) -> None:
    async with aiohttp.ClientSession() as session:
        with monkeypatch.context() as patch:
            BORROWED[name](patch)
            with pytest.raises(ValueError, match=f"aiohttp {aiohttp.__version__}.*{name}"):
                AsyncSyllableClient("key", session=session)
        assert AsyncSyllableClient("key", session=session)


async def test_a_borrowed_session_without_middlewares_is_refused() -> None:
    async with aiohttp.ClientSession() as session:
        middlewares = session.__dict__.pop("_middlewares")
        with pytest.raises(ValueError, match=r"ClientSession\._middlewares"):
            AsyncSyllableClient("key", session=session)
        session.__dict__["_middlewares"] = middlewares


def test_this_aiohttp_lacks_nothing() -> None:
    assert aiohttp_internals.missing_privates() == []
