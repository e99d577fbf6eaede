"""The aiohttp session that requests go through, and what a pooled connection must not bring along."""

from __future__ import annotations

import asyncio
import select
import warnings
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

from .._retry.policy import Call
from .connection_errors import Replayed, failure_reason

POOL_SIZE = 100
AS_WE_SAY: dict[str, Any] = {
    "allow_redirects": False,
    "raise_for_status": False,
    "timeout": aiohttp.ClientTimeout(total=None),
}
"""For each request: what a borrowed session may have been told otherwise."""


class _Handler(ResponseHandler):
    """aiohttp's protocol, which lets no byte that comes while it is idle reach the parser."""

    idle = False
    poll: Any = None

    def data_received(self, data: bytes) -> None:
        if self.idle and data:  # aiohttp itself calls this with nothing, to go on with what it holds
            self.abort()
        else:
            super().data_received(data)


class _Connector(aiohttp.TCPConnector):
    """Never hands out a pooled connection on which something arrived while it was idle.

    A late answer would else become the next request's, or half of one its beginning; and a connection that the server
    has closed meanwhile is noticed before a request is written to it.
    """

    def __init__(self) -> None:
        # The client counts its own slots, so that waiting for one is no part of an attempt.
        super().__init__(limit=0)  # pyright: ignore[reportUnknownMemberType]
        self._factory: Any = partial(_Handler, loop=self._loop)

    async def connect(self, req: Any, traces: Any, timeout: Any) -> Any:
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol: Any = connection.protocol
            if _is_fit(protocol):
                protocol.idle = False
                CURRENT_CALL.get().connected = True
                return connection
            protocol.abort()
            connection.close()

    def _release(self, key: Any, protocol: Any, *, should_close: bool = False) -> None:
        """A connection that is not kept is aborted: a TLS peer that stalls would else hold it open for 30 s."""
        protocol.idle = True
        if should_close or protocol.should_close:
            protocol.abort()
        super()._release(key, protocol, should_close=should_close)


CURRENT_CALL: ContextVar[Call] = ContextVar("CURRENT_CALL")
"""Whose request this task sends, so that the connector can say that it had a connection to be sent on."""


def _is_fit(protocol: Any) -> bool:
    """Whether a connection is new, or was as silent in the pool as it should be."""
    return not protocol.idle or not (protocol.should_close or _has_input(protocol))


def _has_input(protocol: Any) -> bool:
    """Whether bytes, or the end, wait to be read from an idle connection: the event loop may not have seen them yet."""
    if protocol.poll is None:
        sock = protocol.transport.get_extra_info("socket")
        if not hasattr(select, "poll"):  # pragma: no cover - Windows
            return bool(select.select([sock.fileno()], [], [], 0)[0])
        protocol.poll = select.poll()  # made once for each connection: half of what the question costs
        protocol.poll.register(sock.fileno(), select.POLLIN)
    return bool(protocol.poll.poll(0))


async def no_replay(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """A client middleware that leaves every repetition to the retry policy; for borrowed sessions."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        reason = failure_reason(error)
    raise Replayed(reason)


class Connections:
    """The session that requests go through: made inside the running loop on first use, or borrowed."""

    def __init__(self, session: aiohttp.ClientSession | None) -> None:
        self.owned: bool = session is None
        self.closed: bool = False
        self._session = session
        self._loop: asyncio.AbstractEventLoop | None = None
        self.slots: asyncio.Semaphore = asyncio.Semaphore(POOL_SIZE)
        self.middlewares: tuple[Any, ...] = ()

    def session(self) -> aiohttp.ClientSession:
        """The open session; `RuntimeError` after closing or from a second event loop."""
        loop = asyncio.get_running_loop()
        if loop is self._loop and self._session is not None and not (self.closed or self._session.closed):
            return self._session
        if self.closed:
            raise RuntimeError("this AsyncSyllableClient is closed")
        if self._loop is not None and loop is not self._loop:
            raise RuntimeError("this AsyncSyllableClient belongs to another event loop: make one client for each loop")
        if self._session is not None and self._session.closed:
            raise RuntimeError("the aiohttp session of this AsyncSyllableClient was closed")
        self._loop = loop
        self._session = self._make() if self._session is None else self._borrow(self._session)
        return self._session

    def enter(self, call: Call) -> None:
        """A request of `call` is about to be sent. Of a borrowed session it cannot be known whether it left."""
        call.connected = not self.owned
        CURRENT_CALL.set(call)

    def _make(self) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(connector=_Connector(), cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
        # As aiohttp's own test client does it: every repetition is left to the retry policy. A middleware would do
        # too, and does for borrowed sessions, but costs 5 % of a call.
        session._retry_connection = False  # pyright: ignore[reportPrivateUsage]
        return session

    def _borrow(self, session: aiohttp.ClientSession) -> aiohttp.ClientSession:
        connector = session.connector
        limits = [n for n in (connector.limit, connector.limit_per_host) if n] if connector is not None else []
        self.slots = asyncio.Semaphore(min(limits, default=1_000_000))
        theirs: tuple[Any, ...] | None = getattr(session, "_middlewares", ())
        self.middlewares = (*(theirs or ()), no_replay)
        return session

    async def aclose(self) -> None:
        """Close an owned session and forget a borrowed one. Can be called twice."""
        self.closed = True
        session, self._session = self._session, None
        if session is not None and self.owned:
            with suppress(AttributeError):  # aiohttp, when garbage arrived on an idle TLS connection
                await session.close()

    def __del__(self) -> None:
        if self.owned and getattr(self, "_session", None) is not None:
            warnings.warn("an AsyncSyllableClient was not closed: use `async with` or `aclose()`", ResourceWarning, 2)
