"""The aiohttp session that requests go through, and what a pooled connection must not bring along."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

import aiohttp

from .._retry import CallState
from .._timing import Timeout
from .aiohttp_internals import (
    IdleCheckConnector,
    block_automatic_retry,
    check_borrowed,
    current_call,
    forbid_automatic_retry,
    make_connector,
    middlewares_of,
)

POOL_SIZE = 100
FORCED_REQUEST_OPTIONS: dict[str, Any] = {
    "allow_redirects": False,
    "raise_for_status": False,
    "timeout": aiohttp.ClientTimeout(total=None),
}
"""For each request: what a borrowed session may have been told otherwise."""


class ConnectionPool:
    """The session that requests go through: made inside the running loop on first use, or borrowed."""

    def __init__(self, session: aiohttp.ClientSession | None) -> None:
        self.owned: bool = session is None
        self.closed: bool = False
        self._session = session
        self._loop: asyncio.AbstractEventLoop | None = None
        self.slots: asyncio.Semaphore = asyncio.Semaphore(POOL_SIZE)
        self.middlewares: tuple[Any, ...] = ()
        self._sees_connections = False
        if session is not None:
            check_borrowed(session)

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
        self._session = self._create_session() if self._session is None else self._adopt_session(self._session)
        return self._session

    def acquire_slot(self, seconds: float | None) -> Awaitable[bool]:
        """Wait for one of the connections, at most so long; whether there is one."""
        return self._wait_for_slot(seconds) if self.slots.locked() else self.slots.acquire()

    async def _wait_for_slot(self, seconds: float | None) -> bool:
        try:
            with Timeout(seconds):
                return await self.slots.acquire()
        except TimeoutError:
            return False

    def release_slot(self) -> None:
        """Give one connection back."""
        self.slots.release()

    def mark_sending(self, call: CallState) -> None:
        """A request of `call` is about to be sent.

        Only a connector of ours tells whether it got a connection to leave by; elsewhere it may have left.
        """
        call.may_have_been_sent = not self._sees_connections
        current_call.set(call)

    def _create_session(self) -> aiohttp.ClientSession:
        connector = make_connector()
        session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
        # What instruments a process adds its hooks to every session: they would be handed tokens and patients' numbers.
        session.trace_configs.clear()
        self._sees_connections = isinstance(connector, IdleCheckConnector)
        self.middlewares = forbid_automatic_retry(session)
        return session

    def _adopt_session(self, session: aiohttp.ClientSession) -> aiohttp.ClientSession:
        connector = session.connector
        limits = [n for n in (connector.limit, connector.limit_per_host) if n] if connector is not None else []
        self.slots = asyncio.Semaphore(min(limits, default=1_000_000))
        self.middlewares = (*middlewares_of(session), block_automatic_retry)
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
