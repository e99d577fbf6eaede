"""The aiohttp session that requests go through, the slots for its connections, and what ends when it is closed."""

from __future__ import annotations

import asyncio
import logging
import threading
import warnings
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Literal, Protocol, cast
from weakref import WeakSet

import aiohttp
from msgspec import Struct
from msgspec.structs import replace

from .._retry import CallState
from .._timing import Clock, SharedTimer, Timeout
from ..errors import ClientClosedError
from .aiohttp_internals import (
    IdleCheckConnector,
    block_automatic_retry,
    check_borrowed,
    current_call,
    forbid_automatic_retry,
    make_connector,
    middlewares_of,
)

logger = logging.getLogger("syllable_async")
PATIENCE = 30.0
"""Seconds of waiting for a slot after which the log says so."""
FORCED_REQUEST_OPTIONS: dict[str, Any] = {
    "allow_redirects": False,
    "raise_for_status": False,
    "timeout": aiohttp.ClientTimeout(total=None),
}
"""For each request: what a borrowed session may have been told otherwise."""
Grant = Literal["granted", "late", "filled", "closed"]
"""How waiting for a slot ended; `filled`: open recordings hold all connections of a borrowed session."""


class Slots:
    """So many at once, in the order in which they came.

    Attributes:
        free: slots that nobody holds.
    """

    def __init__(self, setting: str, size: int, shared: Slots | None = None) -> None:
        """`shared`: slots of which each holder takes one too: the connections of a borrowed session."""
        self._setting = setting
        self.size: int = size
        self.free: int = size
        self.shared: Slots | None = shared
        self._waiters: deque[asyncio.Future[Grant]] = deque()
        self._waiters_there: set[asyncio.Future[Grant]] = set()  # those of ours that wait for `shared`
        self._warned = False

    def try_acquire(self) -> bool:
        """Take a slot that is free, where nobody waits for one. Without a coroutine: it is on each call's way."""
        if self.free and not self._waiters and (self.shared is None or self.shared.try_acquire()):
            self.free -= 1
            return True
        return False

    async def acquire(self, seconds: float | None) -> Grant:
        """Wait for a slot, at most so long."""
        try:
            with Timeout(seconds):
                return await self._wait()
        except TimeoutError:
            return "late"

    async def _wait(self) -> Grant:
        grant = await self._wait_in_line()
        if grant != "granted" or self.shared is None or self.shared.try_acquire():
            return grant
        try:
            grant = await self.shared._wait_in_line(self._waiters_there)
        except BaseException:
            self._give_back()
            raise
        if grant != "granted":
            self._give_back()
        return grant

    async def _wait_in_line(self, known: set[asyncio.Future[Grant]] | None = None) -> Grant:
        if self.free and not self._waiters:
            self.free -= 1
            return "granted"
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Grant] = loop.create_future()
        self._waiters.append(waiter)
        if known is not None:
            known.add(waiter)
        reminder = loop.call_later(PATIENCE, self._warn)
        try:
            return await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.result() == "granted":
                self._give_back()  # it came in the same moment as the cancellation
            raise
        finally:
            reminder.cancel()
            if known is not None:
                known.discard(waiter)

    def release(self) -> None:
        """Give a slot back; from the loop's thread."""
        if self.shared is not None:
            self.shared.release()
        self._give_back()

    def _give_back(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result("granted")
                return
        self.free += 1
        self._warned = False

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            text = "a call has waited for %g s for one of the %d connections of %s"
            logger.warning(text, PATIENCE, self.size, self._setting)

    def end_waiting(self, grant: Grant) -> None:
        """Nobody who came through these slots waits any more."""
        for waiter in (*self._waiters, *self._waiters_there):
            if not waiter.done():
                waiter.set_result(grant)


class Lifetime:
    """What runs now, and ends when the client is closed: requests under way, and sleeps."""

    def __init__(self, clock: Clock) -> None:
        self.closed: bool = False
        self.attempts: SharedTimer = SharedTimer()
        self.running: set[Timeout] = set()
        """What is no attempt: sleeps, and the user's key function."""
        self._clock = clock

    async def sleep(self, seconds: float) -> None:
        """The clock's sleep; `ClientClosedError` once the client is closed."""
        timer = Timeout(None)
        try:
            with suppress(TimeoutError), timer:
                self.running.add(timer)
                await self._clock.sleep(seconds)
        finally:
            self.running.discard(timer)
        if self.closed:
            raise closed_error()

    def end(self) -> None:
        """End all that runs, but the task that closes the client."""
        self.closed = True
        task = asyncio.current_task()
        self.attempts.cancel()
        for timer in (*self.running, *self.attempts.blocks):
            if timer.task is not task:
                timer.expire()


class OpenStream(Protocol):
    """A response that is read piece by piece, and what ends it."""

    def abort(self) -> None:
        """The client is closed: end it, and tell whoever reads it."""
        ...


class PoolLimits(Struct, frozen=True):
    """How many connections are used at once."""

    max_connections: int = 100
    max_streams: int = 100


class ConnectionPool:
    """The session that requests go through: made inside the running loop on first use, or borrowed."""

    def __init__(
        self,
        session: aiohttp.ClientSession | None,
        clock: Clock,
        limits: PoolLimits | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """`headers`: what a session of our own adds to each request that does not say otherwise."""
        limits = limits or PoolLimits()
        self.owned: bool = session is None
        self.headers: Mapping[str, str] = headers or {} if self.owned else {}
        self.lifetime: Lifetime = Lifetime(clock)
        self.clock: Clock = replace(clock, sleep=self.lifetime.sleep)
        """The client's clock; its sleeps end when the client is closed."""
        self.calls: Slots = Slots("`max_connections`", limits.max_connections)
        self.streams: Slots = Slots("`max_streams`", limits.max_streams)
        self.open_streams: WeakSet[OpenStream] = WeakSet()
        self.middlewares: tuple[Any, ...] = ()
        self.auto_decompress: bool = False
        """Whether aiohttp decompresses: for a borrowed session's middlewares, which may read bodies."""
        self.on_close: list[Callable[[], None]] = []
        self._session = session
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._sees_connections = False
        if session is not None:
            check_borrowed(session)

    def session(self) -> aiohttp.ClientSession:
        """The open session.

        Raises:
            ClientClosedError: the client was closed, or the session that it borrowed.
            RuntimeError: another event loop runs than at the first call.
        """
        loop = asyncio.get_running_loop()
        if loop is self._loop and self._session is not None and not self.is_gone:
            return self._session
        if self.lifetime.closed:
            raise closed_error()
        if self._loop is not None and loop is not self._loop:
            raise RuntimeError(
                "this AsyncSyllableClient belongs to another event loop: make one client for each loop, inside the "
                "function that asyncio.run() runs"
            )
        if self._session is not None and self._session.closed:
            raise ClientClosedError("the aiohttp session of this AsyncSyllableClient was closed")
        self._loop, self._thread = loop, threading.get_ident()
        self._session = self._create_session() if self._session is None else self._adopt_session(self._session)
        return self._session

    @property
    def borrowed(self) -> aiohttp.ClientSession | None:
        """The session that is not ours, if there is one."""
        return None if self.owned else self._session

    @property
    def is_filled_by_streams(self) -> bool:
        """Whether a call would wait for our own open recordings: they hold all connections of a borrowed session."""
        shared = self.streams.shared
        return shared is not None and len(self.open_streams) >= shared.size

    def stream_opened(self, stream: OpenStream) -> None:
        """A stream holds a connection from now on. A call that would wait for it might wait for its own task."""
        self.open_streams.add(stream)
        if self.is_filled_by_streams:
            self.calls.end_waiting("filled")

    @property
    def is_gone(self) -> bool:
        """Whether we, or the owner of a borrowed session, closed it while something ran."""
        return self.lifetime.closed or (not self.owned and self._session is not None and self._session.closed)

    def mark_sending(self, call: CallState) -> None:
        """A request of `call` is about to be sent.

        Only a connector of ours tells whether it got a connection to leave by; elsewhere it may have left.
        """
        call.may_have_been_sent = not self._sees_connections
        current_call.set(call)

    def run_in_loop(self, callback: Callable[[], None]) -> None:
        """Call it in the event loop's thread: the garbage collector runs in any. Not where the loop is closed."""
        if threading.get_ident() == self._thread:
            callback()
        else:
            with suppress(RuntimeError):
                cast("asyncio.AbstractEventLoop", self._loop).call_soon_threadsafe(callback)

    def _create_session(self) -> aiohttp.ClientSession:
        connector = make_connector()
        session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, headers=self.headers
        )
        # What instruments a process adds its hooks to every session: they would be handed tokens and patients' numbers.
        session.trace_configs.clear()
        self._sees_connections = isinstance(connector, IdleCheckConnector)
        self.middlewares = forbid_automatic_retry(session)
        return session

    def _adopt_session(self, session: aiohttp.ClientSession) -> aiohttp.ClientSession:
        connector = session.connector
        limits = [n for n in (connector.limit, connector.limit_per_host) if n] if connector is not None else []
        if limits:
            # aiohttp's own queue would count as part of an attempt, and streams and calls share its connections.
            self.calls.shared = self.streams.shared = Slots("the borrowed session's connector", min(limits))
        theirs = middlewares_of(session)
        self.auto_decompress = bool(theirs)
        self.middlewares = (*theirs, block_automatic_retry)
        return session

    async def aclose(self) -> None:
        """End all that runs, close an owned session and forget a borrowed one. Can be called twice."""
        for close in self.on_close:
            close()
        for slots in (self.calls, self.streams):
            slots.end_waiting("closed")
        self.lifetime.end()
        for stream in list(self.open_streams):
            stream.abort()
        session, self._session = self._session, None
        if session is not None and self.owned:
            with suppress(AttributeError):  # aiohttp, when garbage arrived on an idle TLS connection
                await session.close()

    def __del__(self) -> None:
        loop: asyncio.AbstractEventLoop | None = getattr(self, "_loop", None)
        if self.owned and self._session is not None and loop is not None:
            text = "an AsyncSyllableClient was not closed: use `async with` or `aclose()`"
            warnings.warn(text, ResourceWarning, 2)  # which Python does not show by default
            # The log, where aiohttp complains of a session that the user never made.
            loop.call_exception_handler({"message": text})


def closed_error() -> ClientClosedError:
    """What a call, a walk or a recording ends with when its client is closed."""
    return ClientClosedError("this AsyncSyllableClient is closed: make its calls inside its `async with`")
