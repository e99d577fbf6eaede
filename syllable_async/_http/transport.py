"""One call and one attempt: a slot, limits, the key, one exchange; and back a response, or an error of ours."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, NoReturn, TypeVar

import aiohttp
import attrs

from .._messages import Request, Response
from .._retry import CallState, Retrier, Retries
from .._timing import Clock, Timeout
from ..errors import APIError, ResponseValidationError, SyllableError, SyllableTimeoutError
from .auth import API_KEY_HEADER, ApiKey, forget_locals
from .body import ResponseBody
from .connection_errors import TRANSPORT_EXCEPTIONS, error_for_exception
from .pool import FORCED_REQUEST_OPTIONS, ConnectionPool
from .requests import build_url
from .spans import CallSpan
from .status_errors import error_for_response

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

MAX_ERROR_BODY = 64 * 2**10
"""Bytes that are kept of the body of a response that is no success."""
T = TypeVar("T")
Exchange = Callable[[aiohttp.ClientSession, str], Awaitable[T | SyllableError]]
"""What is done with a session and the key within one attempt."""
logger = logging.getLogger("syllable_async")


@attrs.frozen(eq=False, repr=False)
class Transport:
    """The one way to the network. It knows addresses and the key, and nothing of models.

    Failures travel as values through every frame that has the key in a local variable, and are raised above them:
    a traceback keeps its frames alive.
    """

    base: str
    key: ApiKey
    pool: ConnectionPool
    retrier: Retrier
    timeout: float | None
    headers: Mapping[str, str]
    tracer: Tracer | None = None

    def __reduce__(self) -> NoReturn:
        raise TypeError("what holds the API key and connections cannot be pickled: make a client where it is needed")

    @property
    def clock(self) -> Clock:
        """The client's clock."""
        return self.retrier.clock

    def with_policy(self, retries: Retries) -> Transport:
        """The same with another policy."""
        return attrs.evolve(self, retrier=self.retrier.with_policy(retries))

    def send(self, request: Request, retries: Retries = None) -> Awaitable[Response]:
        """The whole response of a successful call; anything else is raised."""
        retrier = self.retrier.with_policy(retries)
        if self.tracer is None:
            return retrier.run(partial(self.send_once, request), request)
        return self._send_traced(self.tracer, retrier, request)

    async def _send_traced(self, tracer: Tracer, retrier: Retrier, request: Request) -> Response:
        span, calls = CallSpan.start(tracer, self.base, request), list[CallState]()

        def attempt(call: CallState) -> Awaitable[Response]:
            calls[:] = [call]
            return self.send_once(request, call)

        try:
            response = await retrier.run(attempt, request)
        except BaseException as error:
            span.end(calls[0] if calls else CallState(), None, error)
            raise
        span.end(calls[0], response.status, None)
        return response

    def send_once(self, request: Request, call: CallState) -> Awaitable[Response]:
        """The whole response of one attempt."""
        return self.attempt(request, call, partial(self._send_and_read, request, call))

    async def attempt(
        self,
        request: Request,
        call: CallState,
        exchange: Exchange[T],
        *,
        with_key: bool = True,
        keep_slot: bool = False,
    ) -> T:
        """One attempt, within its limits and with one of the connections.

        Args:
            request: what is sent, for errors and logs.
            call: the call that the attempt belongs to.
            exchange: sends, and reads as much as it wants to; gives back its result, or an error as a value.
            with_key: False: `exchange` is given `""` in place of the key.
            keep_slot: a result goes on using the connection, and gives its slot back to the pool by itself.
        """
        session = self.pool.session()

        def once(key: str) -> Awaitable[T | SyllableError]:
            return self._within_limits(request, call, partial(exchange, session, key), keep_slot=keep_slot)

        try:
            outcome = await (self.key.send(once) if with_key else once(""))
        except BaseException as error:
            forget_locals(error)
            raise
        if isinstance(outcome, SyllableError):
            raise outcome
        return outcome

    async def _within_limits(
        self,
        request: Request,
        call: CallState,
        exchange: Callable[[], Awaitable[T | SyllableError]],
        *,
        keep_slot: bool,
    ) -> T | SyllableError:
        if not await self.pool.acquire_slot(self._time_left(call)):  # pragma: no cover - run; 3.11's tracer misses it
            call.may_have_been_sent = False
            return self._timeout_error(request, call, "deadline", self._deadline(call))
        limit, seconds = self._attempt_limit(call)
        started = self.clock.monotonic()
        call.requests_sent += 1
        self.pool.mark_sending(call)
        kept = False
        outcome: T | SyllableError
        try:
            with Timeout(seconds):
                outcome = await exchange()
            kept = keep_slot and not isinstance(outcome, SyllableError)
        except TimeoutError:
            outcome = self._timeout_error(request, call, limit, seconds)
        except TRANSPORT_EXCEPTIONS as error:
            outcome = error_for_exception(error, request, call.requests_sent)
        except SyllableError as error:
            outcome = error.with_traceback(None)
        finally:
            if not kept:
                self.pool.release_slot()
        self._log_attempt(request, call, outcome, started)
        return outcome

    async def _send_and_read(
        self, request: Request, call: CallState, session: aiohttp.ClientSession, key: str
    ) -> Response | SyllableError:
        response = await session.request(
            request.method,
            build_url(self.base, request),
            headers=self._request_headers(request, key),
            data=request.body,
            auto_decompress=True,
            middlewares=self.pool.middlewares,
            **FORCED_REQUEST_OPTIONS,
        )
        if not 200 <= response.status < 300:
            return await self.read_error(response, request, call)
        try:
            body = await ResponseBody(response).read_json(request.max_bytes)
        except BaseException:
            response.close()
            raise
        if body is None:
            return ResponseValidationError("reply", "$", f"larger than {request.max_bytes} bytes")
        return Response(status=response.status, headers=response.headers, body=body, attempts=call.requests_sent)

    def _request_headers(self, request: Request, key: str) -> dict[str, str]:
        content = {} if request.body is None else {"Content-Type": request.content_type}
        return {**self.headers, **content, API_KEY_HEADER: key}

    async def read_error(self, response: aiohttp.ClientResponse, request: Request, call: CallState) -> APIError:
        """The error for a response that is no success. A body that breaks off does not hide the status."""
        body = b""
        try:
            body = await ResponseBody(response).read_excerpt(MAX_ERROR_BODY)
        except TRANSPORT_EXCEPTIONS:
            pass
        finally:
            response.close()
        now = self.clock.now().timestamp()
        return error_for_response(
            request, response.status, response.headers, body, attempts=call.requests_sent, now=now
        )

    def _deadline(self, call: CallState) -> float | None:
        """Seconds that a call has in all. A recording has them anew for each of its openings."""
        return self.retrier.effective_policy.deadline if call.deadline_at is None else call.deadline

    def _time_left(self, call: CallState) -> float | None:
        if call.deadline_at is None:
            return self._deadline(call)
        return max(0.0, call.deadline_at - self.clock.monotonic())

    def _attempt_limit(self, call: CallState) -> tuple[str, float | None]:
        """Which limit would end this attempt first, and in how many seconds."""
        left = self._time_left(call)
        if left is None or (self.timeout is not None and self.timeout <= left):
            return "timeout", self.timeout
        return "deadline", left

    def _timeout_error(
        self, request: Request, call: CallState, limit: str, seconds: float | None
    ) -> SyllableTimeoutError:
        seconds = self._deadline(call) if limit == "deadline" else seconds
        where = {"method": request.method, "path": request.path_template}
        return SyllableTimeoutError(
            limit, seconds or 0.0, attempts=call.requests_sent, outcome_unknown=call.may_have_been_sent, **where
        )

    def _log_attempt(self, request: Request, call: CallState, outcome: object, started: float) -> None:
        """One line an attempt, of nothing that could identify anybody."""
        if not logger.isEnabledFor(logging.DEBUG):
            return
        result = getattr(outcome, "status", None) or type(outcome).__name__
        milliseconds = (self.clock.monotonic() - started) * 1000
        logger.debug(
            "%s %s: %s in %.1f ms, attempt %d",
            request.method, request.path_template, result, milliseconds, call.requests_sent,
        )  # fmt: skip
