"""The fake on a socket."""

from __future__ import annotations

import asyncio
import math
import ssl
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from hashlib import blake2b
from threading import Thread
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from ._api import API, Answer, Call, FakeApp, Tokens, log_entry
from ._data import Bounds, Store
from ._fault_queue import Fault, FaultQueue
from ._request_log import LoggedRequest, RequestLog
from ._response_writer import write_plain, write_response

_TURNS = 5
"""Of the loop, from an accepted connection to its protocol and some more."""
_CLOSING = 0.1
"""Seconds that requests under way get at the end before they are cancelled."""


class FakeSyllable:
    """A server that behaves like the sessions part of the Syllable API, with data of its own.

    `async with FakeSyllable(sessions=1000) as server:` serves in the running loop; `with` instead of `async with`
    serves in a thread of its own, for tests that are not async or must not share their loop. Data, faults and log may
    be used from any thread.

    What the API leaves undocumented is answered so: the newest session comes first, an `order_by` without a direction
    ascends, nulls sort last, filters compare exactly, unequal search lists are a 400, an unknown or expired token is a
    403, and a projection leaves out what it does not name.

    Args:
        sessions: how many sessions there are at the start.
        seed: the same seed gives the same sessions, recordings and tokens.
        api_key: the only key that is accepted; None: one made from the seed.
        host: address to bind to.
        port: 0 takes a free one.
        bounds: whether the window of `start_datetime` and `end_datetime` holds its ends.
        token_lifetime: seconds that a recording's token is good for.
        log_limit: how many requests `requests` keeps; None: all.
        ssl_context: serve https with it.
        clock: seconds, for the log and for tokens.
        sleep: what waits in delays.
        on_answer: told of each request once its answer stands.

    Attributes:
        url: the base URL, once the server runs.
        api_key: the key that is accepted.
        requests: what was asked, and what was answered.
        faults: what goes wrong; see `syllable_async.testing.faults`.
    """

    def __init__(
        self,
        sessions: int = 100,
        seed: int = 0,
        api_key: str | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        bounds: Bounds = "[)",
        token_lifetime: float = math.inf,
        log_limit: int | None = None,
        ssl_context: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_answer: Callable[[LoggedRequest], None] | None = None,
    ) -> None:
        if sessions < 0:
            raise ValueError("sessions must not be negative")
        own = blake2b(repr(seed).encode(), digest_size=16).hexdigest()
        self.api_key: str = own if api_key is None else api_key
        self.requests: RequestLog = RequestLog(log_limit)
        self.faults: FaultQueue = FaultQueue()
        self.url: str = ""
        self._store = Store(seed, sessions)
        self._api = API(self._store, Tokens(seed, token_lifetime, clock), seed, bounds)
        self._app = FakeApp(self._api, self.api_key)
        self._address = host, port
        self._ssl = ssl_context
        self._scheme = "http" if ssl_context is None else "https"
        self._clock = clock
        self._sleep = sleep
        self._on_answer = on_answer
        self._server: web.Server
        self._listening: asyncio.Server | None = None
        self._thread: _LoopThread

    def __repr__(self) -> str:
        return f"<FakeSyllable {self.url or 'not running'}>"

    # Data

    @property
    def sessions(self) -> tuple[str, ...]:
        """The ids of all sessions that have one, oldest first."""
        return self._store.ids()

    def session(self, session_id: str) -> dict[str, Any]:
        """A session as the API shows it; `KeyError` if there is none of that id."""
        with self._store.lock:
            return dict(self._store.row(self._store.existing(session_id)))

    def recordings(self, session_id: str) -> list[bytes]:
        """The bytes of a session's recordings, as the stream serves them; `KeyError` as above."""
        with self._store.lock:
            return list(self._api.recordings(self._store.existing(session_id)))

    def add_session(self, **fields: Any) -> str:
        """Add a session and return its id: empty where `session_id=None` was given.

        Args:
            fields: fields of a session; others are made up. `timestamp` (a datetime, or text that is shown as it is)
                is by default after all other sessions. Besides: `summary`, `rating`, `recordings` (a list of bytes)
                and `complete_after` (how often the transcript must be read before it is complete).

        Raises:
            TypeError: an unknown field, or a value of a wrong type.
            ValueError: a known `session_id`, or a duration out of range.
        """
        return self._store.add(fields)

    def update(self, session_id: str, /, **fields: Any) -> None:
        """Change a session; takes what `add_session` takes. `KeyError` if there is none of that id."""
        self._store.update(session_id, fields)

    def delete(self, session_id: str) -> None:
        """Remove a session; `KeyError` if there is none of that id."""
        self._store.delete(session_id)

    def expire_tokens(self) -> None:
        """Let every token minted so far be expired."""
        self._api.tokens.expire()

    # Lifecycle

    async def start(self) -> None:
        """Listen, in the running loop. `async with` does it."""
        if self._listening is not None:
            raise RuntimeError("the fake is running already")
        self._server = web.Server(self._handle, handler_cancellation=True, access_log=None)
        host, port = self._address
        self._listening = await asyncio.get_running_loop().create_server(self._server, host, port, ssl=self._ssl)
        host, port = self._listening.sockets[0].getsockname()[:2]
        self.url = f"{self._scheme}://[{host}]:{port}" if ":" in host else f"{self._scheme}://{host}:{port}"

    async def aclose(self) -> None:
        """Close the socket and every connection; what is under way is cancelled."""
        if self._listening is None:
            return
        listening, self._listening = self._listening, None
        # asyncio leaks a connection that was accepted before the server was closed and meets its protocol afterwards.
        with suppress(NotImplementedError, RuntimeError):  # other loops than asyncio's own
            for listener in listening.sockets:
                asyncio.get_running_loop().remove_reader(listener)
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        listening.close()
        self._server.pre_shutdown()
        await self._server.shutdown(_CLOSING)
        await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        self._thread = _LoopThread()
        try:
            self._thread.run(self.start())
        except BaseException:
            self._thread.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.run(self.aclose())
        self._thread.stop()

    # Serving

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        call = self._app.parse(request, self.url)
        entry = log_entry(request, call, self._clock())
        self.requests.append(entry)
        try:
            fault = self.faults.take(call)
            if fault is None:
                return write_plain(self._app.respond(call), entry)
            entry.fault = fault.name
            return await write_response(request, self._faulty(call, fault), fault.delivery, entry, self._sleep)
        finally:
            if self._on_answer is not None:
                self._on_answer(entry)

    def _faulty(self, call: Call, fault: Fault) -> Answer:
        for hook in fault.before:
            answer = hook(call)
            if answer is not None:
                return answer
        call.adjust = fault.query
        answer = self._app.respond(call)
        for change in fault.after:
            answer = change(answer)
        return answer


class _LoopThread:
    """An event loop that runs in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="fake-syllable", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
