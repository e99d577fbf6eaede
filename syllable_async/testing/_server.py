"""The fake on a socket."""

from __future__ import annotations

import asyncio
import math
import ssl
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from threading import Thread
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from ._api import (
    API,
    Echo,
    FakeApp,
    RecordingList,
    RecordingUrls,
    Settings,
    Tokens,
    Totals,
    check_key,
    check_now,
    log_entry,
)
from ._arguments import function, integer, text, wrong_type
from ._data import Bounds, Listing, Replica, ReplicatedStore, Resolution, Store
from ._fault_queue import FaultQueue
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
    403, and a projection leaves out what it does not name. What was *seen of the live API* is on unless it is switched
    off; what is only *feared* is off unless it is asked for.

    Args:
        sessions: how many sessions there are at the start.
        seed: the same seed gives the same sessions, recordings and tokens.
        api_key: the only key that is accepted; None: one made from the seed.
        host: address to bind to.
        port: 0 takes a free one.
        bounds: whether the window of `start_datetime` and `end_datetime` holds its ends: `"[)"`, `"[]"`, `"()"` or
            `"(]"`.
        token_lifetime: seconds that a recording's token, or its signed URL, is good for.
        log_limit: how many requests `requests` keeps; None: all.
        ssl_context: serve https with it.
        clock: seconds, for the log, for tokens and for a replica's lag.
        sleep: what waits in delays.
        on_answer: told of each request once its answer stands.

        numeric_ids: seen: a session's id is a number written as a string. False: UUIDs.
        refuse_sids: seen: a `CA…` SID in an id's place gets 400. False: 404, as for any other unknown id.
        hide_tests: seen: the list leaves test sessions out, unless `search_fields=is_test` with the value `true` adds
            them. False: it shows them, and that filter restricts to them.
        refuse_is_outbound: seen: `is_outbound` as a search field gets 422, although the document lists it.
        redirect_slashes: seen: a path without the slash at its end gets 307. False: 404.

        listing: feared: when a session appears in the list. `"at once"`: when it was added, whatever its timestamp;
            `"begin"` or `"end"` of it, by `now` (a call that runs shows no duration yet, one whose duration is null
            never ends, a chat takes 45 s); two numbers: so many seconds after its begin, drawn between them; a function
            of the session: so many seconds after its begin. `add_session(listed_after=)` says it for one session.
            `get_by_id` finds a session from its begin on.
        now: the moment that `listing` goes by, an aware datetime.
        replica_lag: feared: lists come from a replica that gets every write so many seconds late; `math.inf`: never,
            or by `catch_up`. Single sessions are read from where they are written.
        replica: whether the replica answers all lists (`"sticky"`) or a random half of them (`"random"`).
        totals: feared: `"null"`, or a number at which `total_count` is capped.
        bounds_resolution: feared: the window's ends are cut to `"milliseconds"` or `"seconds"`.
        timestamp_resolution: feared: the same for the times of a session that are shown; it is stored finer.
        max_limit: feared: the most sessions that a page holds; several numbers take turns, a list call each.
        page_size: what a page with fewer says: the limit that was `"served"`, or the one `"asked"` for.
        recording_urls: feared: what the list of recordings holds. `"own"`: the stream's URL under the host that the
            caller used; `"token"`: a bare token; `"public"`: that URL under `public_url`, while the caller speaks to a
            gateway; `"http"`: the same with `http:`; `"relative"`: without a host; `"signed"`: on a second origin,
            `storage_url`, which knows no key and compares every byte of path and query.
        public_url: scheme and host of the API's public name; nothing answers there.
        recording_list: feared: whether the list of recordings is the same each time (`"stable"`), begins with one and
            shows one more at each call, newest first (`"growing"`), or comes back to front every second time
            (`"reordered"`).

    Attributes:
        api_key: the key that is accepted.
        requests: what was asked, and what was answered.
        faults: what goes wrong, by route: `"*"` (every request), `"sessions.list"`, `"sessions.get_by_id"`,
            `"sessions.get_full_summary"`, `"sessions.get_transcript"`, `"sessions.get_latency"`,
            `"sessions.get_timeline"`, `"sessions.generate_recording_urls"`, `"sessions.stream_recording"`,
            `"session_labels.list"`, `"session_labels.get_by_id"`, `"session_labels.create"`,
            `"session_debug.get_by_sid"`, `"session_debug.get_by_session_id"`, `"session_debug.get_tool_result"`,
            `"storage.download"` (signed URLs). `help(syllable_async.testing.faults)` lists the faults.

    Raises:
        TypeError, ValueError: for an argument that cannot be, with its name and the reason.
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
        numeric_ids: bool = True,
        refuse_sids: bool = True,
        hide_tests: bool = True,
        refuse_is_outbound: bool = True,
        redirect_slashes: bool = True,
        listing: Listing = "at once",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        replica_lag: float = 0.0,
        replica: Replica = "sticky",
        totals: Totals = "exact",
        bounds_resolution: Resolution = "microseconds",
        timestamp_resolution: Resolution = "microseconds",
        max_limit: int | Sequence[int] | None = None,
        page_size: Echo = "served",
        recording_urls: RecordingUrls = "own",
        public_url: str = "https://api.example.com",
        recording_list: RecordingList = "stable",
    ) -> None:
        integer(sessions, "sessions", least=0)
        integer(seed, "seed")
        function(clock, "clock")
        if not callable(sleep):
            raise wrong_type(sleep, "sleep", "a function")
        check_now(now)
        if on_answer is not None:
            function(on_answer, "on_answer")
        if log_limit is not None:
            integer(log_limit, "log_limit", least=0)
        settings = Settings(
            numeric_ids=numeric_ids,
            refuse_sids=refuse_sids,
            hide_tests=hide_tests,
            refuse_is_outbound=refuse_is_outbound,
            redirect_slashes=redirect_slashes,
            bounds=bounds,
            token_lifetime=token_lifetime,
            listing=listing,
            replica_lag=replica_lag,
            replica=replica,
            totals=totals,
            bounds_resolution=bounds_resolution,
            timestamp_resolution=timestamp_resolution,
            max_limit=max_limit,
            page_size=page_size,
            recording_urls=recording_urls,
            public_url=public_url,
            recording_list=recording_list,
        )
        self.api_key: str = blake2b(repr(seed).encode(), digest_size=16).hexdigest() if api_key is None else api_key
        check_key(self.api_key)
        self.requests: RequestLog = RequestLog(log_limit)
        self.faults: FaultQueue = FaultQueue()
        make = partial(Store, seed, sessions, numeric_ids=numeric_ids, listing=listing)
        self._sessions = ReplicatedStore(make, replica_lag, replica, seed, clock)
        self._store = self._sessions.primary
        self._api = API(self._sessions, settings, Tokens(seed, token_lifetime, clock), seed, now)
        self._app = FakeApp(self._api, self.api_key, settings)
        self._listener = _Listener(text(host, "host"), integer(port, "port", least=0, most=2**16 - 1), ssl_context)
        self._storage = _Listener(host, 0, ssl_context) if recording_urls == "signed" else None
        self._clock = clock
        self._sleep = sleep
        self._on_answer = on_answer
        self._thread: _LoopThread

    def __repr__(self) -> str:
        return f"<FakeSyllable {self._listener.url or 'not running'}>"

    @property
    def url(self) -> str:
        """The base URL; `RuntimeError` while the server does not run."""
        return _running(self._listener)

    @property
    def storage_url(self) -> str:
        """The origin of signed URLs; `RuntimeError` while it does not run, or without `recording_urls="signed"`."""
        return _running(self._storage)

    # Data

    @property
    def sessions(self) -> tuple[str, ...]:
        """The ids of all sessions that have one, oldest first, whether the list shows them or not."""
        return self._store.ids()

    @property
    def listed(self) -> tuple[str, ...]:
        """The ids that the list shows now where nothing is filtered, oldest first: no test sessions, nothing late."""
        return self._api.listed()

    def session(self, session_id: str) -> dict[str, Any]:
        """A session as it is stored; `KeyError` if there is none of that id."""
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
                is by default after all other sessions, `is_test` false. Besides:

                - `summary` (text or null, or a dict of `summary` and `rating`) and `rating`;
                - `transcript` (`transcription`, `actions`, `transcript_complete`), `latency` (`timeline`, `summary`)
                  and `timeline` (`session_start`, `events`): dicts with the fields of the API's models. Lists that are
                  not given are empty, fields that may be null are null; `timeline` follows from the transcript and the
                  latency unless it is given;
                - `recordings`: a list of bytes;
                - `labels`: a list of dicts with the fields of a label but `session_id`; what is not given is made up,
                  and the last one's id is the session's `session_label_id`. The session's id must be a number;
                - `complete_after`: how often the transcript must be read before it is complete;
                - `listed_after`: seconds from its begin until the list shows it, by `now`; `math.inf`: never.

        Raises:
            TypeError: an unknown field, or a value of a wrong type; the text names the place.
            ValueError: a `session_id` that is known or that no path can hold, or a value out of range.
        """
        return self._sessions.add(fields)

    def update(self, session_id: str, /, **fields: Any) -> None:
        """Change a session; takes what `add_session` takes. `KeyError` if there is none of that id."""
        self._sessions.update(session_id, fields)

    def delete(self, session_id: str) -> None:
        """Remove a session; `KeyError` if there is none of that id."""
        self._sessions.delete(session_id)

    def catch_up(self) -> None:
        """Let the replica that is behind have every write so far."""
        self._sessions.catch_up()

    def expire_tokens(self) -> None:
        """Let every token and signed URL minted so far be expired."""
        self._api.tokens.expire()

    # Lifecycle

    async def start(self) -> None:
        """Listen, in the running loop. `async with` does it."""
        self._refuse_second_start()
        if self._storage is not None:
            await self._storage.start(partial(self._handle, self._storage))
            self._api.storage_origin = self._storage.url
        try:
            await self._listener.start(partial(self._handle, self._listener))
        except BaseException:
            await self._close_storage()
            raise

    async def aclose(self) -> None:
        """Close the socket and every connection; what is under way is cancelled."""
        await self._listener.aclose()
        await self._close_storage()

    async def _close_storage(self) -> None:
        if self._storage is not None:
            await self._storage.aclose()

    def _refuse_second_start(self) -> None:
        if self._listener.url:
            raise RuntimeError("the fake is running already")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        self._refuse_second_start()
        thread = _LoopThread()
        try:
            thread.run(self.start())
        except BaseException:
            thread.stop()
            raise
        self._thread = thread
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.run(self.aclose())
        self._thread.stop()

    # Serving

    async def _handle(self, listener: _Listener, request: web.BaseRequest) -> web.StreamResponse:
        call = self._app.parse(request, listener.origin, storage=listener is self._storage)
        entry = log_entry(request, call, self._clock())
        self.requests.append(entry)
        try:
            if request.can_read_body:
                entry.body = call.body = await request.read()
            turn = self.faults.take(call)
            if turn is None:
                return write_plain(self._app.respond(call), entry)
            entry.fault = turn.name
            answer = turn.respond(call, self._app.respond)
            return await write_response(request, answer, turn.delivery, entry, self._wait)
        finally:
            if self._on_answer is not None:
                with self.faults.watch("on_answer"):
                    self._on_answer(entry)

    async def _wait(self, seconds: float) -> None:
        with self.faults.watch("sleep"):
            await self._sleep(seconds)


def _running(listener: _Listener | None) -> str:
    if listener is None:
        raise RuntimeError('there is a storage host only with recording_urls="signed"')
    if not listener.url:
        raise RuntimeError("the fake is not running: it has a URL inside its `with` or `async with`")
    return listener.url


class _Listener:
    """One socket and the connections that came by it."""

    def __init__(self, host: str, port: int, ssl_context: ssl.SSLContext | None) -> None:
        if ssl_context is not None and not isinstance(ssl_context, ssl.SSLContext):
            raise wrong_type(ssl_context, "ssl_context", "an ssl.SSLContext")
        self._address = host, port
        self._ssl = ssl_context
        self._server: web.Server
        self._listening: asyncio.Server | None = None
        self.origin = ""
        """Scheme, host and port; they stay when it has ended, for requests that are still under way."""
        self.url = ""
        """The same while it listens."""

    async def start(self, handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        self._server = web.Server(handle, handler_cancellation=True, access_log=None)
        host, port = self._address
        self._listening = await asyncio.get_running_loop().create_server(self._server, host, port, ssl=self._ssl)
        host, port = self._listening.sockets[0].getsockname()[:2]
        scheme = "http" if self._ssl is None else "https"
        self.url = self.origin = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    async def aclose(self) -> None:
        if self._listening is None:
            return
        listening, self._listening, self.url = self._listening, None, ""
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
