"""Every use of something that aiohttp does not document, and the check that this aiohttp still has it.

Where one of these names is gone, a session of the client's own works without keep-alive and warns once, and a borrowed
session is refused: late bytes on an idle connection could else become another call's response.
"""

from __future__ import annotations

import asyncio
import inspect
import select
import ssl
import warnings
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp

from .._retry import CallState
from .connection_errors import AutomaticRetryBlocked, describe_exception

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
else:
    try:
        from aiohttp.client_proto import ResponseHandler
    except ImportError:  # pragma: no cover - `missing_privates` tells; a test runs it in another process
        ResponseHandler = object

_CONNECT = ("self", "req", "traces", "timeout")
_RELEASE = ("self", "key", "protocol", "should_close")
_PROTOCOL = ("data_received", "should_close", "abort", "closed")


def _takes(function: Any, names: tuple[str, ...]) -> bool:
    return callable(function) and tuple(inspect.signature(function).parameters) == names


def missing_privates() -> list[str]:
    """What this file needs of aiohttp's classes and does not find there.

    What only an object shows is looked for on the object: `_factory` and `_loop` of a connector, `_retry_connection`
    and `_middlewares` of a session.
    """
    found = {
        "client_proto.ResponseHandler": all(hasattr(ResponseHandler, name) for name in _PROTOCOL),
        "TCPConnector.connect": _takes(getattr(aiohttp.TCPConnector, "connect", None), _CONNECT),
        "BaseConnector._release": _takes(getattr(aiohttp.BaseConnector, "_release", None), _RELEASE),
        "Connection.protocol": hasattr(aiohttp.connector.Connection, "protocol"),
        "StreamReader.total_raw_bytes": hasattr(aiohttp.StreamReader, "total_raw_bytes"),
        "ClientResponse._body": hasattr(aiohttp.ClientResponse, "_body"),
    }
    return [name for name, is_there in found.items() if not is_there]


def check_borrowed(session: aiohttp.ClientSession) -> None:
    """Refuse to borrow a session of an aiohttp that lacks what makes it safe; `ValueError` names the version."""
    missing = missing_privates()
    if not hasattr(session, "_middlewares"):
        missing.append("ClientSession._middlewares")
    if missing:
        raise ValueError(
            f"a session of aiohttp {aiohttp.__version__} cannot be borrowed: it has no {', '.join(missing)}; "
            "leave `session` out, or install an aiohttp that this version of syllable_async was tested with"
        )


def make_connector() -> aiohttp.TCPConnector:
    """The connector of a session of the client's own: with keep-alive where idle connections can be guarded."""
    missing = missing_privates()
    if not missing:
        return IdleCheckConnector()
    _warn_no_keep_alive(", ".join(missing))
    return aiohttp.TCPConnector(limit=0, force_close=True)


def _warn_no_keep_alive(missing: str) -> None:
    warnings.warn(
        f"aiohttp {aiohttp.__version__} has no {missing}, or does not use it: connections are not kept alive",
        RuntimeWarning,
        stacklevel=2,
    )


class IdleGuardProtocol(ResponseHandler):
    """aiohttp's protocol, which lets no byte that comes while it is idle reach the parser."""

    idle = False
    in_use = False
    poll: Any = None

    def data_received(self, data: bytes) -> None:
        if self.idle and data:  # aiohttp itself calls this with nothing, to go on with what it holds
            self.abort()
            return
        ResponseHandler.data_received(self, data)  # `super()` costs twice as much, here and below
        # Bytes behind the response that has just ended make aiohttp close the connection, which a TLS peer that does
        # not answer would keep open for 30 s; closed twice, asyncio could no longer abort it.
        if self.idle and not self.is_connected():
            self.abort()


class IdleCheckConnector(aiohttp.TCPConnector):
    """Never hands out a pooled connection on which something arrived while it was idle.

    A late response would else become the next request's, or half of one its beginning; and a connection that the server
    has closed meanwhile is noticed before a request is written to it.
    """

    def __init__(self) -> None:
        # The client counts its own slots, so that waiting for one is no part of an attempt.
        super().__init__(limit=0)  # pyright: ignore[reportUnknownMemberType]
        self._keeps_alive = True
        missing = [f"TCPConnector.{name}" for name in ("_factory", "_loop") if not hasattr(self, name)]
        self._factory: Any = partial(IdleGuardProtocol, loop=asyncio.get_running_loop())
        if missing:
            self.stop_keeping_alive(", ".join(missing))

    def stop_keeping_alive(self, missing: str) -> None:
        """Close each connection after its response from now on: something that guards idle ones is missing."""
        if self._keeps_alive:
            self._keeps_alive = False
            _warn_no_keep_alive(missing)

    async def connect(self, req: Any, traces: Any, timeout: Any) -> Any:
        while True:
            connection = await aiohttp.TCPConnector.connect(self, req, traces, timeout)
            protocol: Any = connection.protocol
            guarded = isinstance(protocol, IdleGuardProtocol)
            if guarded and protocol.in_use:
                # It came back without `_release`, so nothing guarded it while it was idle.
                self.stop_keeping_alive("BaseConnector._release")
            elif not guarded or is_reusable(protocol):
                if guarded:
                    protocol.idle, protocol.in_use = False, True
                else:
                    self.stop_keeping_alive("TCPConnector._factory")
                current_call.get().may_have_been_sent = True
                return connection
            protocol.abort()
            connection.close()

    def _release(self, key: Any, protocol: Any, *, should_close: bool = False) -> None:
        """A connection that is not kept is aborted: a TLS peer that stalls would else hold it open for 30 s."""
        if isinstance(protocol, IdleGuardProtocol):
            protocol.idle, protocol.in_use = True, False
        should_close = should_close or not self._keeps_alive
        if should_close or protocol.should_close:
            protocol.abort()
        aiohttp.TCPConnector._release(self, key, protocol, should_close=should_close)


current_call: ContextVar[CallState] = ContextVar("current_call")
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


def forbid_automatic_retry(session: aiohttp.ClientSession) -> tuple[Any, ...]:
    """Leave every repetition to the retry policy, as aiohttp's own test client does it; the middlewares that it needs.

    `block_automatic_retry` would do too, and does for borrowed sessions, but costs 5 % of a call.
    """
    if hasattr(session, "_retry_connection"):
        session._retry_connection = False  # pyright: ignore[reportPrivateUsage]
        return ()
    if isinstance(session.connector, IdleCheckConnector):
        session.connector.stop_keeping_alive("ClientSession._retry_connection")
    return (block_automatic_retry,)


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
    # Where aiohttp no longer tells, the end counts as unclean: it is looked into, and not believed.
    closed: asyncio.Future[None] | None = getattr(getattr(connection, "protocol", None), "closed", None)
    if closed is not None:
        closed.add_done_callback(_retrieve)
    return closed, transport.get_extra_info("ssl_object") if transport else None


def _retrieve(closed: asyncio.Future[None]) -> None:
    """Whoever stops reading before the end never asks how it ended: asyncio would complain in the log."""
    if not closed.cancelled():
        closed.exception()


def body_read_before(response: aiohttp.ClientResponse) -> bytes | None:
    """The whole body, where a client middleware has read it already; None where it is still to be read."""
    # Where aiohttp no longer tells, only our own sessions are used, and those have no middleware that could read.
    body: bytes | None = getattr(response, "_body", None)
    return body


def end_body(response: aiohttp.ClientResponse, error: Exception) -> None:
    """Whoever reads the body, now or later, gets this error in place of the rest."""
    response.content.set_exception(error)


def raw_bytes(response: aiohttp.ClientResponse) -> int:
    """Bytes of the body as they came, before decompression.

    aiohttp's Python parser counts bytes again that it takes up again: hence never more than the whole.
    """
    seen: int = getattr(response.content, "total_raw_bytes", 0)
    return min(seen, response.content_length or seen)
