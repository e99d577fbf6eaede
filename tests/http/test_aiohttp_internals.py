"""Each private thing of aiohttp that is used, by a test of its own: an upgrade that breaks one fails here."""

from __future__ import annotations

import asyncio
import gzip
import inspect
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler

from syllable_async import AsyncSyllableClient
from syllable_async._http.aiohttp_internals import (
    IdleCheckConnector,
    IdleGuardProtocol,
    block_automatic_retry,
    connection_end,
    current_call,
    forbid_automatic_retry,
    has_unread_input,
    is_reusable,
    middlewares_of,
    raw_bytes,
)
from syllable_async._http.connection_errors import AutomaticRetryBlocked
from syllable_async._retry import CallState
from syllable_async.testing import FakeSyllable
from tests.fault_server import Exchange, FaultServer, Fin, Head, Raw, Rst, Stall, json_reply, reply

Client = AsyncSyllableClient
GOOD = reply(200, b"good")
HELD = [Head(200, {"Content-Length": "4"}), Stall("body"), Raw(b"good")]
"""The same, but that the response still has its connection when its head is there."""


@asynccontextmanager
async def guarded(url: str) -> AsyncGenerator[tuple[aiohttp.ClientSession, CallState]]:
    """A bare session with our connector, and the call that its requests belong to."""
    call = CallState(deadline_at=None, deadline=None, may_have_been_sent=False)
    current_call.set(call)
    async with aiohttp.ClientSession(url, connector=IdleCheckConnector()) as session:
        yield session, call


async def read(session: aiohttp.ClientSession) -> None:
    async with session.get("/") as response:
        assert await response.read() == b"good"


async def protocol_after_use(session: aiohttp.ClientSession, server: FaultServer) -> Any:
    """The protocol of a connection that has gone back to the pool."""
    async with session.get("/") as response:
        connection: Any = response.connection
        protocol = connection.protocol
        await server.release("body")
        assert await response.read() == b"good"
    return protocol


async def test_factory_makes_our_protocol() -> None:
    """`TCPConnector._factory`; `connection.protocol`; `ResponseHandler`."""
    async with FaultServer([HELD]) as server, guarded(server.url) as (session, _):
        protocol = await protocol_after_use(session, server)
        assert type(protocol) is IdleGuardProtocol
        assert isinstance(protocol, ResponseHandler)


async def test_connect_marks_the_call_as_sendable() -> None:
    """`TCPConnector.connect(req, traces, timeout)`, which has a connection to send the request on."""
    assert list(inspect.signature(aiohttp.TCPConnector.connect).parameters) == ["self", "req", "traces", "timeout"]
    async with FaultServer([GOOD]) as server, guarded(server.url) as (session, call):
        assert not call.may_have_been_sent
        await read(session)
        assert call.may_have_been_sent


async def test_release_marks_a_kept_connection_idle() -> None:
    """`TCPConnector._release(key, protocol, should_close=)`; `protocol.transport` stays."""
    assert list(inspect.signature(aiohttp.TCPConnector._release).parameters) == [
        "self",
        "key",
        "protocol",
        "should_close",
    ]
    async with FaultServer([HELD]) as server, guarded(server.url) as (session, _):
        protocol = await protocol_after_use(session, server)
        assert protocol.idle
        assert protocol.transport is not None
        assert is_reusable(protocol)


async def test_release_aborts_a_connection_that_is_not_kept() -> None:
    """`protocol.should_close` is known when `_release` is called; `protocol.abort()`."""
    script: list[Exchange] = [[Head(200, {"Content-Length": "9"}), Raw(b"half"), Stall()]]
    async with FaultServer(script) as server, guarded(server.url) as (session, _):
        response = await session.get("/")
        connection: Any = response.connection
        transport = connection.transport
        response.close()
        assert transport.is_closing()
        assert await server.closed()


async def test_data_received_while_idle_aborts() -> None:
    """`ResponseHandler.data_received`, by which bytes come in; with nothing aiohttp calls it itself."""
    async with FaultServer([[*HELD, Stall("idle"), Raw(b"late")]]) as server, guarded(server.url) as (session, _):
        protocol = await protocol_after_use(session, server)
        protocol.data_received(b"")
        assert protocol.transport is not None
        await server.release("idle")
        assert protocol.transport is None


async def test_the_socket_of_an_idle_connection_can_be_polled() -> None:
    """`protocol.transport.get_extra_info("socket")`: bytes that the event loop has not seen yet."""
    async with FaultServer([[*HELD, Stall("idle"), Raw(b"late")]]) as server, guarded(server.url) as (session, _):
        protocol = await protocol_after_use(session, server)
        assert not has_unread_input(protocol)
        protocol.transport.pause_reading()  # as if the loop had no time to read
        await server.release("idle")
        assert has_unread_input(protocol)
        assert not is_reusable(protocol)


async def test_bytes_on_an_idle_connection_discard_it() -> None:
    """All of the above, through the client."""
    late = {"timestamp": "2020-01-01T00:00:00Z", "session_id": "late"}
    good = {"timestamp": "2026-01-01T00:00:00Z", "session_id": "good"}
    script = [[*json_reply(good), Stall("idle"), *json_reply(late)], json_reply(good)]
    async with FaultServer(script) as server, Client("k", base_url=server.url) as client:
        assert (await client.sessions.get_by_id("x")).session_id == "good"
        await server.release("idle")
        assert (await client.sessions.get_by_id("x")).session_id == "good"
        assert len(server.connections) == 2


@pytest.mark.parametrize("forbidden", [False, True])
async def test_retry_connection_is_what_makes_aiohttp_send_twice(forbidden: bool) -> None:
    """`ClientSession._retry_connection`: without our word aiohttp repeats a GET by itself."""
    script: list[Exchange] = [GOOD, [Rst()], *([] if forbidden else [GOOD])]
    async with FaultServer(script) as server, aiohttp.ClientSession(server.url) as session:
        if forbidden:
            forbid_automatic_retry(session)
        await read(session)
        with pytest.raises(aiohttp.ClientOSError) if forbidden else nullcontext():
            await read(session)
        assert len(server.requests) == len(script)


async def test_a_middleware_blocks_the_automatic_retry() -> None:
    """`ClientSession.request(middlewares=)`: what it raises is nothing that aiohttp repeats."""
    async with (
        FaultServer([GOOD, [Rst()]]) as server,
        aiohttp.ClientSession(server.url, middlewares=[block_automatic_retry]) as session,
    ):
        await read(session)
        with pytest.raises(AutomaticRetryBlocked):
            await read(session)
        assert len(server.requests) == 2


async def test_middlewares_of_a_borrowed_session_still_run(server: FakeSyllable) -> None:
    """`ClientSession._middlewares`."""
    seen: list[str] = []

    async def note(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        seen.append(request.method)
        return await handler(request)

    async with (
        aiohttp.ClientSession(middlewares=[note]) as session,
        Client(server.api_key, base_url=server.url, session=session) as client,
    ):
        assert [*middlewares_of(session)] == [note]
        await client.sessions.list()
    assert seen == ["GET"]


@pytest.mark.parametrize(("end", "clean"), [(Fin(), True), (Rst(), False)], ids=["FIN", "RST"])
async def test_closed_tells_how_a_connection_ended(end: Fin | Rst, clean: bool) -> None:
    """`protocol.closed`, a future that holds the error."""
    script: list[Exchange] = [[Head(200, {"Connection": "close"}), Raw(b"to the end"), Stall("end"), end]]
    async with FaultServer(script) as server, aiohttp.ClientSession(server.url) as session:
        response = await session.get("/")
        closed, tls = connection_end(response)
        assert closed is not None
        assert tls is None
        await server.release("end")
        await asyncio.wait([closed])
        assert (closed.exception() is None) is clean
        response.close()
        assert connection_end(response) == (None, None)


async def test_a_cancelled_wait_for_the_end_of_a_connection_is_not_complained_of() -> None:
    """aiohttp itself waits for `protocol.closed` where a session is closed, and may be cancelled."""
    problems = list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    async with FaultServer([HELD]) as server, aiohttp.ClientSession(server.url) as session:
        response = await session.get("/")
        closed, _ = connection_end(response)
        assert closed is not None
        closed.cancel()
        await server.release("body")
        assert await response.read() == b"good"
    assert problems == []


async def test_ssl_object_of_a_connection(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    """`connection.transport.get_extra_info("ssl_object")`: it knows whether a close_notify came."""
    async with (
        FaultServer([HELD], tls=server_tls) as server,
        aiohttp.ClientSession(server.url, connector=aiohttp.TCPConnector(ssl=client_tls)) as session,
        session.get("/") as response,
    ):
        assert isinstance(connection_end(response)[1], ssl.SSLObject)
        await server.release("body")
        await response.read()


async def test_total_raw_bytes_counts_before_decompression() -> None:
    """`response.content.total_raw_bytes`."""
    packed = gzip.compress(bytes(100_000))
    script = [reply(200, packed, {"Content-Encoding": "gzip"})]
    async with (
        FaultServer(script) as server,
        aiohttp.ClientSession(server.url) as session,
        session.get("/") as response,
    ):
        assert len(await response.read()) == 100_000
        assert raw_bytes(response) == len(packed)
