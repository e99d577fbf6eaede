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

from .._messages import Request, Response
from .._retry import CallState, Retrier, Retries
from .._timing import Clock, Timeout
from ..errors import (
    APIError,
    AuthenticationError,
    ResponseValidationError,
    SyllableError,
    SyllableTimeoutError,
)
from .auth import API_KEY_HEADER, KeyFunction, KeySource, api_key_error
from .body import ResponseBody
from .connection_errors import TRANSPORT_EXCEPTIONS, error_for_exception
from .pool import FORCED_REQUEST_OPTIONS, ConnectionPool
from .requests import _encode
from .status_errors import error_for_response

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
    connections: ConnectionPool
    retrier: Retrier
    timeout: float | None
    headers: Mapping[str, str]
    wall_clock: Clock = time.time

    def send(self, request: Request, retries: Retries = None) -> Awaitable[Response]:
        """The whole reply of a successful call; anything else is raised."""
        return self.retrier.with_policy(retries).run(partial(self._attempt, request), request)

    def with_policy(self, retries: Retries) -> Transport:
        """The same with another policy."""
        return attrs.evolve(self, retrier=self.retrier.with_policy(retries))

    async def _attempt(self, request: Request, call: CallState) -> Response:
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
        problem = api_key_error(key)
        if problem is None:
            return key
        del answer, key  # frames show what a wrong key looks like, too
        raise problem

    async def _exchange(
        self, session: aiohttp.ClientSession, request: Request, call: CallState, key: str
    ) -> Response | SyllableError:
        """One request and its whole reply, within the attempt's limits."""
        if not await self.take_slot(
            self._time_left(call)
        ):  # pragma: no cover - it is run; Python 3.11's tracer misses it
            call.may_have_been_sent = False
            return self._timeout_error(request, call, "deadline", call.deadline)
        limit, seconds = self._attempt_limit(call)
        started = self.retrier.throttle.clock()
        call.requests_sent += 1
        self.connections.mark_sending(call)
        outcome: Response | SyllableError
        try:
            with Timeout(seconds):
                outcome = await self._send_and_read(session, request, call, key)
        except TimeoutError:
            outcome = self._timeout_error(request, call, limit, call.deadline if limit == "deadline" else seconds)
        except TRANSPORT_EXCEPTIONS as error:
            outcome = error_for_exception(error, request, call.requests_sent)
        finally:
            self.connections.slots.release()
        self._log_attempt(request, call, outcome, started)
        return outcome

    async def _send_and_read(
        self, session: aiohttp.ClientSession, request: Request, call: CallState, key: str
    ) -> Response | SyllableError:
        response = await session.request(
            request.method,
            self.url(request),
            headers=self._request_headers(request, key),
            data=request.body,
            auto_decompress=True,
            middlewares=self.connections.middlewares,
            **FORCED_REQUEST_OPTIONS,
        )
        if not 200 <= response.status < 300:
            return await self.read_error(response, request, call)
        try:
            body, whole = await ResponseBody(response).read_all(MAX_JSON)
        except BaseException:
            response.close()
            raise
        if not whole:
            return ResponseValidationError("reply", "$", f"larger than {MAX_JSON} bytes")
        return Response(status=response.status, headers=response.headers, body=body, attempts=call.requests_sent)

    def _request_headers(self, request: Request, key: str) -> dict[str, str]:
        content = {} if request.body is None else {"Content-Type": "application/json"}
        return {**self.headers, **content, API_KEY_HEADER: key}

    async def read_error(self, response: aiohttp.ClientResponse, request: Request, call: CallState) -> APIError:
        """The error for a reply that is no success. A body that breaks off does not hide the status."""
        body = b""
        try:
            body, _ = await ResponseBody(response).read_all(MAX_ERROR_BODY)
        except TRANSPORT_EXCEPTIONS:
            pass
        finally:
            response.close()
        return error_for_response(
            request, response.status, response.headers, body, attempts=call.requests_sent, now=self.wall_clock()
        )

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
            with Timeout(seconds):
                return await self.connections.slots.acquire()
        except TimeoutError:
            return False

    def _time_left(self, call: CallState) -> float | None:
        return None if call.deadline_at is None else max(0.0, call.deadline_at - self.retrier.throttle.clock())

    def _attempt_limit(self, call: CallState) -> tuple[str, float | None]:
        """Which limit would end this attempt first, and in how many seconds."""
        left = self._time_left(call)
        if left is None or (self.timeout is not None and self.timeout <= left):
            return "timeout", self.timeout
        return "deadline", left

    def _timeout_error(
        self, request: Request, call: CallState, limit: str, seconds: float | None
    ) -> SyllableTimeoutError:
        """The error for a limit that has passed."""
        where = {"method": request.method, "path": request.path_template}
        return SyllableTimeoutError(
            limit, seconds or 0.0, attempts=call.requests_sent, outcome_unknown=call.may_have_been_sent, **where
        )

    def _log_attempt(self, request: Request, call: CallState, outcome: object, started: float) -> None:
        """One line an attempt, of nothing that could identify anybody."""
        if not logger.isEnabledFor(logging.DEBUG):
            return
        result = getattr(outcome, "status", None) or type(outcome).__name__
        milliseconds = (self.retrier.throttle.clock() - started) * 1000
        logger.debug(
            "%s %s: %s in %.1f ms, attempt %d",
            request.method,
            request.path_template,
            result,
            milliseconds,
            call.requests_sent,
        )
