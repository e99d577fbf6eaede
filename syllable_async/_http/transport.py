"""The road of a request: key, deadline, retry, one attempt; and back: a reply, or an error of ours."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from inspect import isawaitable
from typing import TypeVar

import aiohttp
import attrs
from yarl import URL

from .._messages import Reply, Request
from .._retry import Call, Retrier, Retries
from .._timing import Clock, Limit
from ..errors import (
    APIError,
    AuthenticationError,
    ResponseValidationError,
    SyllableError,
    SyllableTimeoutError,
)
from .auth import KEY_HEADER, KeyFunction, KeySource, key_problem
from .body import Body
from .connection_errors import FAILURES, connection_error
from .pool import AS_WE_SAY, Connections
from .requests import _encode
from .status_errors import status_error

MAX_JSON = 64 * 2**20
MAX_ERROR_BODY = 64 * 2**10
T = TypeVar("T")
logger = logging.getLogger("syllable_async")


@attrs.frozen(eq=False, repr=False)
class Transport:
    """The one way to the network. It knows addresses and the key, and nothing of models.

    Failures travel as values through every frame that has the key in a local variable, and are raised above them:
    a traceback keeps its frames alive.
    """

    base: str
    key: KeySource
    connections: Connections
    retrier: Retrier
    timeout: float | None
    headers: Mapping[str, str]
    wall_clock: Clock = time.time

    def send(self, request: Request, retries: Retries = None) -> Awaitable[Reply]:
        """The whole reply of a successful call; anything else is raised."""
        return self.retrier.using(retries).run(partial(self._attempt, request), request)

    def by(self, retries: Retries) -> Transport:
        """The same with another policy."""
        return attrs.evolve(self, retrier=self.retrier.using(retries))

    async def _attempt(self, request: Request, call: Call) -> Reply:
        session = self.connections.session()
        outcome = await self.with_key(partial(self._exchange, session, request, call))
        if isinstance(outcome, SyllableError):
            raise outcome
        return outcome

    def with_key(self, exchange: Callable[[str], Awaitable[T]]) -> Awaitable[T]:
        """One exchange; a second one after a 401 if a callable key has changed meanwhile."""
        return exchange(self.key) if isinstance(self.key, str) else self._with_keys(self.key, exchange)

    async def _with_keys(self, source: KeyFunction, exchange: Callable[[str], Awaitable[T]]) -> T:
        key = await self._ask_key(source)
        outcome = await exchange(key)
        if isinstance(outcome, AuthenticationError):
            newer = await self._ask_key(source)
            if newer != key:
                outcome = await exchange(newer)
        return outcome

    async def _ask_key(self, source: KeyFunction) -> str:
        answer = source()
        key = await answer if isawaitable(answer) else answer
        problem = key_problem(key)
        if problem is None:
            return key
        del answer, key  # frames show what a wrong key looks like, too
        raise problem

    async def _exchange(
        self, session: aiohttp.ClientSession, request: Request, call: Call, key: str
    ) -> Reply | SyllableError:
        """One request and its whole reply, within the attempt's limits."""
        if not await self.take_slot(self._left(call)):  # pragma: no cover - it is run; Python 3.11's tracer misses it
            call.connected = False
            return self.timed_out(request, call, "deadline", call.deadline)
        limit, seconds = self._limit(call)
        started = self.retrier.throttle.clock()
        call.sent += 1
        self.connections.enter(call)
        outcome: Reply | SyllableError
        try:
            with Limit(seconds):
                outcome = await self._send(session, request, call, key)
        except TimeoutError:
            outcome = self.timed_out(request, call, limit, call.deadline if limit == "deadline" else seconds)
        except FAILURES as error:
            outcome = connection_error(error, request, call.sent)
        finally:
            self.connections.slots.release()
        self.log(request, call, outcome, started)
        return outcome

    async def _send(
        self, session: aiohttp.ClientSession, request: Request, call: Call, key: str
    ) -> Reply | SyllableError:
        response = await session.request(
            request.method,
            self.url(request),
            headers=self._request_headers(request, key),
            data=request.body,
            auto_decompress=True,
            middlewares=self.connections.middlewares,
            **AS_WE_SAY,
        )
        if not 200 <= response.status < 300:
            return await self.failure(response, request, call)
        try:
            body, whole = await Body(response).read_all(MAX_JSON)
        except BaseException:
            response.close()
            raise
        if not whole:
            return ResponseValidationError("reply", "$", f"larger than {MAX_JSON} bytes")
        return Reply(status=response.status, headers=response.headers, body=body, attempts=call.sent)

    def _request_headers(self, request: Request, key: str) -> dict[str, str]:
        content = {} if request.body is None else {"Content-Type": "application/json"}
        return {**self.headers, **content, KEY_HEADER: key}

    async def failure(self, response: aiohttp.ClientResponse, request: Request, call: Call) -> APIError:
        """The error for a reply that is no success. A body that breaks off does not hide the status."""
        body = b""
        try:
            body, _ = await Body(response).read_all(MAX_ERROR_BODY)
        except FAILURES:
            pass
        finally:
            response.close()
        return status_error(request, response.status, response.headers, body, attempts=call.sent, now=self.wall_clock())

    def url(self, request: Request) -> URL:
        """The request's address. Path segments come encoded; the query is encoded here."""
        query = "&".join([f"{_encode(name)}={_encode(value)}" for name, value in request.query])
        return URL(f"{self.base}{request.path}{'?' if query else ''}{query}", encoded=True)

    def take_slot(self, seconds: float | None) -> Awaitable[bool]:
        """Wait for a free connection. This counts against the deadline, not against the timeout."""
        slots = self.connections.slots
        return self._wait_for_slot(seconds) if slots.locked() else slots.acquire()

    async def _wait_for_slot(self, seconds: float | None) -> bool:
        try:
            with Limit(seconds):
                return await self.connections.slots.acquire()
        except TimeoutError:
            return False

    def _left(self, call: Call) -> float | None:
        return None if call.deadline_at is None else max(0.0, call.deadline_at - self.retrier.throttle.clock())

    def _limit(self, call: Call) -> tuple[str, float | None]:
        """Which limit would end this attempt first, and in how many seconds."""
        left = self._left(call)
        if left is None or (self.timeout is not None and self.timeout <= left):
            return "timeout", self.timeout
        return "deadline", left

    def timed_out(self, request: Request, call: Call, limit: str, seconds: float | None) -> SyllableTimeoutError:
        """The error for a limit that has passed."""
        where = {"method": request.method, "path": request.template}
        return SyllableTimeoutError(limit, seconds or 0.0, attempts=call.sent, outcome_unknown=call.connected, **where)

    def log(self, request: Request, call: Call, outcome: object, started: float) -> None:
        """One line an attempt, of nothing that could identify anybody."""
        if not logger.isEnabledFor(logging.DEBUG):
            return
        result = getattr(outcome, "status", None) or type(outcome).__name__
        milliseconds = (self.retrier.throttle.clock() - started) * 1000
        logger.debug(
            "%s %s: %s in %.1f ms, attempt %d", request.method, request.template, result, milliseconds, call.sent
        )
