"""What has to be known of aiohttp: its session and connections, its errors, and how a body can end."""

from __future__ import annotations

import asyncio
import os
import select
import ssl
import warnings
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from weakref import WeakSet

import aiohttp
from aiohttp.http import HttpProcessingError

from ._wire import Framing, Request
from .errors import SyllableConnectionError

POOL_SIZE = 100
FAILURES = (aiohttp.ClientError, HttpProcessingError, OSError, EOFError)
"""Everything that aiohttp was seen to raise for a broken connection or reply. `TimeoutError` is an `OSError` too."""


class _Connector(aiohttp.TCPConnector):
    """Never hands out a pooled connection on which something arrived while it was idle.

    A late answer would else become the next request's; and a connection that the server has closed meanwhile is
    noticed before a request is written to it.
    """

    def __init__(self) -> None:
        # The client counts its own slots, so that waiting for one is no part of an attempt.
        super().__init__(limit=0)  # pyright: ignore[reportUnknownMemberType]
        self._used: WeakSet[Any] = WeakSet()

    async def connect(self, req: Any, traces: Any, timeout: Any) -> Any:
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol: Any = connection.protocol
            if protocol in self._used and (protocol.should_close or _has_input(protocol.transport)):
                connection.close()
                continue
            self._used.add(protocol)
            return connection


def _has_input(transport: asyncio.Transport | None) -> bool:
    """Whether bytes, or the end, wait to be read from an idle connection: the event loop may not have seen them yet."""
    sock = transport.get_extra_info("socket") if transport is not None else None
    if sock is None or sock.fileno() < 0:
        return True
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([sock.fileno()], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))


class Replayed(aiohttp.ClientError):
    """Takes the place of an error after which aiohttp would send the request again by itself, uncounted."""


async def no_replay(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """A client middleware that leaves every repetition to the retry policy."""
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
        self.owned = session is None
        self.closed = False
        self._session = session
        self._loop: asyncio.AbstractEventLoop | None = None
        self.slots = asyncio.Semaphore(POOL_SIZE)
        self.middlewares: tuple[Any, ...] = (no_replay,)

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

    def _make(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=_Connector(),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=None),
        )

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


def failure_reason(error: BaseException) -> str:
    """What happened, without address, key or query."""
    if isinstance(error, Replayed):
        return str(error)
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    number = getattr(error, "errno", None) or getattr(error.__cause__, "errno", None)
    return f"the connection failed: {os.strerror(number)}" if isinstance(number, int) else "the connection failed"


_REASONS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (
        (aiohttp.ClientConnectorCertificateError, aiohttp.ServerFingerprintMismatch),
        "the TLS certificate is not trusted",
    ),
    (aiohttp.ClientConnectorSSLError, "the TLS handshake failed"),
    (aiohttp.ClientConnectorDNSError, "the host name could not be resolved"),
    ((aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError), "the proxy did not connect"),
    ((aiohttp.ClientPayloadError, EOFError), "the reply was cut off or is garbled"),
    (aiohttp.ServerDisconnectedError, "the server closed the connection without an answer"),
    ((aiohttp.ClientResponseError, HttpProcessingError), "the reply is not HTTP"),
    (ConnectionResetError, "the connection was reset"),
)
_UNTRUSTED = (aiohttp.ClientConnectorCertificateError, aiohttp.ServerFingerprintMismatch)
_NEVER_SENT = (aiohttp.ClientConnectorError, aiohttp.ServerFingerprintMismatch, aiohttp.ClientHttpProxyError)


def connection_error(error: BaseException, request: Request, attempts: int) -> SyllableConnectionError:
    """The error of ours for one of aiohttp's."""
    return SyllableConnectionError(
        failure_reason(error),
        method=request.method,
        path=request.template,
        attempts=attempts,
        outcome_unknown=not isinstance(error, _NEVER_SENT),
        transient=not isinstance(error, _UNTRUSTED),
    )


class Body:
    """A response's body, and the truth about its end (RFC 9112 §8)."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.framing: Framing = framing(response.headers)
        self._closed: asyncio.Future[None] | None = None
        self._tls: ssl.SSLObject | None = None
        if self.framing == "close" and response.connection is not None:
            self._watch(response.connection)

    def _watch(self, connection: Any) -> None:
        """Keep what tells a clean end from a cut; it is out of reach once aiohttp has let go of the connection."""
        self._closed = connection.protocol.closed
        self._tls = connection.transport.get_extra_info("ssl_object") if connection.transport else None

    async def read(self) -> bytes:
        """The next bytes, `b""` at the end; `ConnectionResetError` where the end of the connection is a cut."""
        chunk = await self.response.content.readany()
        if not chunk and self.framing == "close" and not self._ended_cleanly():
            raise ConnectionResetError
        return chunk

    def _ended_cleanly(self) -> bool:
        if self._closed is None or (self._closed.done() and self._closed.exception() is not None):
            return False
        if self._tls is None:
            return True
        try:
            self._tls.read(1)
        except ssl.SSLZeroReturnError:
            return True
        except ssl.SSLError:
            return False
        return False

    async def read_all(self, limit: int) -> tuple[bytes, bool]:
        """The body up to about `limit` bytes, decompressed, and whether that was all of it."""
        chunks: list[bytes] = []
        size = 0
        while chunk := await self.read():
            chunks.append(chunk)
            size += len(chunk)
            if size > limit:
                self.response.close()
                return b"".join(chunks)[:limit], False
        return (chunks[0] if len(chunks) == 1 else b"".join(chunks)), True


def framing(headers: Mapping[str, str]) -> Framing:
    """How the body's end is known (RFC 9112 §6.3)."""
    if "chunked" in headers.get("Transfer-Encoding", "").lower():
        return "chunked"
    return "length" if "Content-Length" in headers else "close"
