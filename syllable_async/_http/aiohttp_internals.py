"""Every use of something that aiohttp does not document."""

from __future__ import annotations

import asyncio
import select
import ssl
from contextvars import ContextVar
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

from .._retry import CallState
from .connection_errors import AutomaticRetryBlocked, describe_exception


class IdleGuardProtocol(ResponseHandler):
    """aiohttp's protocol, which lets no byte that comes while it is idle reach the parser."""

    idle = False
    poll: Any = None

    def data_received(self, data: bytes) -> None:
        if self.idle and data:  # aiohttp itself calls this with nothing, to go on with what it holds
            self.abort()
        else:
            super().data_received(data)


class IdleCheckConnector(aiohttp.TCPConnector):
    """Never hands out a pooled connection on which something arrived while it was idle.

    A late answer would else become the next request's, or half of one its beginning; and a connection that the server
    has closed meanwhile is noticed before a request is written to it.
    """

    def __init__(self) -> None:
        # The client counts its own slots, so that waiting for one is no part of an attempt.
        super().__init__(limit=0)  # pyright: ignore[reportUnknownMemberType]
        self._factory: Any = partial(IdleGuardProtocol, loop=self._loop)

    async def connect(self, req: Any, traces: Any, timeout: Any) -> Any:
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol: Any = connection.protocol
            if is_reusable(protocol):
                protocol.idle = False
                current_call.get().may_have_been_sent = True
                return connection
            protocol.abort()
            connection.close()

    def _release(self, key: Any, protocol: Any, *, should_close: bool = False) -> None:
        """A connection that is not kept is aborted: a TLS peer that stalls would else hold it open for 30 s."""
        protocol.idle = True
        if should_close or protocol.should_close:
            protocol.abort()
        super()._release(key, protocol, should_close=should_close)


current_call: ContextVar[CallState] = ContextVar("CURRENT_CALL")
"""Whose request this task sends, so that the connector can say that it had a connection to be sent on."""


def is_reusable(protocol: Any) -> bool:
    """Whether a connection is new, or was as silent in the pool as it should be."""
    return not protocol.idle or not (protocol.should_close or has_unread_input(protocol))


def has_unread_input(protocol: Any) -> bool:
    """Whether bytes, or the end, wait to be read from an idle connection: the event loop may not have seen them yet."""
    if protocol.poll is None:
        sock = protocol.transport.get_extra_info("socket")
        if not hasattr(select, "poll"):  # pragma: no cover - Windows
            return bool(select.select([sock.fileno()], [], [], 0)[0])
        protocol.poll = select.poll()  # made once for each connection: half of what the question costs
        protocol.poll.register(sock.fileno(), select.POLLIN)
    return bool(protocol.poll.poll(0))


async def block_automatic_retry(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """A client middleware that leaves every repetition to the retry policy; for borrowed sessions."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        reason = describe_exception(error)
    raise AutomaticRetryBlocked(reason)


def forbid_automatic_retry(session: aiohttp.ClientSession) -> None:
    """Leave every repetition to the retry policy, as aiohttp's own test client does it.

    `no_replay` would do too, and does for borrowed sessions, but costs 5 % of a call.
    """
    session._retry_connection = False  # pyright: ignore[reportPrivateUsage]


def middlewares_of(session: aiohttp.ClientSession) -> tuple[Any, ...]:
    """The client middlewares that a borrowed session was made with."""
    theirs: tuple[Any, ...] | None = getattr(session, "_middlewares", ())
    return theirs or ()


def connection_end(response: aiohttp.ClientResponse) -> tuple[asyncio.Future[None] | None, ssl.SSLObject | None]:
    """What will tell how the connection under a response ends: a future that holds the error, and the TLS object."""
    connection: Any = response.connection
    if connection is None:
        return None, None
    transport = connection.transport
    closed: asyncio.Future[None] | None = connection.protocol.closed
    if closed is not None:
        closed.add_done_callback(_retrieve)
    return closed, transport.get_extra_info("ssl_object") if transport else None


def _retrieve(closed: asyncio.Future[None]) -> None:
    """Whoever stops reading before the end never asks how it ended: asyncio would complain in the log."""
    if not closed.cancelled():
        closed.exception()


def body_read_before(response: aiohttp.ClientResponse) -> bytes | None:
    """The whole body, where a client middleware has read it already; None where it is still to be read."""
    body: bytes | None = response._body  # pyright: ignore[reportPrivateUsage]
    return body


def end_body(response: aiohttp.ClientResponse, error: Exception) -> None:
    """Whoever reads the body, now or later, gets this error in place of the rest."""
    response.content.set_exception(error)


def raw_bytes(response: aiohttp.ClientResponse) -> int:
    """Bytes of the body as they came, before decompression.

    aiohttp's Python parser counts bytes again that it takes up again: hence never more than the whole.
    """
    seen = response.content.total_raw_bytes
    return min(seen, response.content_length or seen)
