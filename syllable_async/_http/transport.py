"""One call and one attempt: a slot, limits, the key, one exchange; and back a response, or an error of ours."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, NoReturn, TypeVar, cast

import aiohttp
import attrs
from yarl import URL

from .._messages import Request, Response
from .._retry import CallState, Retrier, Retries, RetryPolicy
from .._timing import CatchingTimeout, Clock, Timeout
from ..errors import (
    APIError,
    RateLimitError,
    RecordingError,
    ResponseValidationError,
    SyllableConnectionError,
    SyllableError,
    SyllableTimeoutError,
)
from .auth import API_KEY_HEADER, NO_KEY, ApiKey, Secret
from .body import ResponseBody
from .connection_errors import TRANSPORT_EXCEPTIONS, error_for_bug, error_for_exception, without_frames
from .pace import Gate, Gates, Patience, Turn
from .pool import FORCED_REQUEST_OPTIONS, ConnectionPool, Grant, Slots, closed_error
from .requests import build_url
from .spans import CallSpan
from .status_errors import error_for_response
from .url_safety import same_origin

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

MAX_ERROR_BODY = 64 * 2**10
"""Bytes that are kept of the body of a response that is no success."""
MAX_ERROR_SECONDS = 2.0
"""What comes later of such a body is not waited for."""
T = TypeVar("T")
Exchange = Callable[[aiohttp.ClientSession, Secret], Awaitable[T | SyllableError]]
"""What is done with a session and the key within one attempt."""
Send = Callable[[Secret], Awaitable[T | SyllableError]]
"""The same with its session."""
_NO_API_KEY = ApiKey(NO_KEY)
logger = logging.getLogger("syllable_async")


def _parse_base(transport: Transport) -> URL:
    return URL(transport.base, encoded=True)


def _added_headers(transport: Transport) -> Mapping[str, str]:
    added_by_session = transport.pool.headers
    return {name: value for name, value in transport.headers.items() if added_by_session.get(name) != value}


@attrs.frozen(eq=False, repr=False)
class Transport:
    """The one way to the network. It knows addresses and the key, and nothing of models.

    Failures travel as values through every frame below which the key is in a local variable, and are raised above them:
    a traceback keeps its frames alive.
    """

    base: str
    key: ApiKey
    pool: ConnectionPool
    gates: Gates
    retrier: Retrier
    timeout: float | None
    headers: Mapping[str, str]
    tracer: Tracer | None = None
    base_url: URL = attrs.field(init=False, default=attrs.Factory(_parse_base, takes_self=True))
    added_headers: Mapping[str, str] = attrs.field(init=False, default=attrs.Factory(_added_headers, takes_self=True))
    """Those of `headers` that the session does not add by itself: each one that is given costs 2,000 instructions."""

    @property
    def clock(self) -> Clock:
        """The client's clock; its sleeps end when the client is closed."""
        return self.pool.clock

    def __reduce__(self) -> NoReturn:
        raise TypeError("this object holds a key and connections and cannot be pickled: make a client in each process")

    def with_policy(self, retries: Retries) -> Transport:
        """The same with another policy."""
        return attrs.evolve(self, retrier=self.retrier.with_policy(retries))

    def send(self, request: Request, retries: Retries = None) -> Awaitable[Response]:
        """The whole response of a successful call; anything else is raised."""
        retrier = self.retrier if retries is None else self.retrier.with_policy(retries)
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
        origin: str = "",
    ) -> T:
        """One attempt, with one of the connections, in its turn, and within its limits.

        Args:
            request: what is sent, for errors and logs.
            call: the call that the attempt belongs to.
            exchange: sends, and reads as much as it wants to; gives back its result, or an error as a value.
            with_key: False: `exchange` is given `NO_KEY`.
            keep_slot: a result goes on using the connection, and gives its slot back to the pool by itself.
            origin: where the request goes, where that is not the API.
        """
        pool = self.pool
        session, slots, began = pool.session(), pool.streams if keep_slot else pool.calls, pool.clock.monotonic()
        if not slots.try_acquire():
            await self._wait_for_slot(slots, request, call)
        kept = False
        try:
            gate, key = self.gates.of(origin) if origin else self.gates.api, self.key if with_key else _NO_API_KEY
            outcome = await self._send_in_turn(request, call, partial(exchange, session), key, gate, began)
            kept = keep_slot and not isinstance(outcome, Exception)
        finally:
            if not kept:
                slots.release()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _wait_for_slot(self, slots: Slots, request: Request, call: CallState) -> None:
        """A call that has not begun waits as long as it takes: those before it have deadlines of their own."""
        grant: Grant = "filled"
        if slots is self.pool.streams or not self.pool.is_filled_by_streams:
            left = None if call.deadline_at is None else max(0.0, call.deadline_at - self.clock.monotonic())
            grant = await slots.acquire(left)
        self._check_grant(grant, slots, request, call)

    def _check_grant(self, grant: Grant, slots: Slots, request: Request, call: CallState) -> None:
        if grant == "closed":
            raise closed_error()
        if grant == "late":
            call.may_have_been_sent = False
            raise self._timeout_error(request, call, "deadline", None)
        if grant == "filled":
            size = slots.shared.size if slots.shared is not None else slots.size
            raise SyllableConnectionError(
                f"open recordings hold all {size} connections of the borrowed session's pool",
                method=request.method, path=request.path_template, attempts=call.requests_sent,
                outcome_unknown=False, transient=False,
            )  # fmt: skip

    async def _send_in_turn(  # noqa: PLR0917
        self, request: Request, call: CallState, send: Send[T], key: ApiKey, gate: Gate, began: float
    ) -> T | Exception:
        """One exchange; another one where a 429 refused the first, or where a 401 did and there is a newer key."""
        secret, renewed = key.fixed, False
        tickets: dict[Gate, int] = {}
        while True:
            if gate.active or tickets:
                await self._wait_for_turn(tickets, gate, request, call, began)
            if call.deadline_at is None and call.deadline is not None:
                call.deadline_at = self.pool.clock.monotonic() + call.deadline
            if secret is None:
                secret = await self._current_key(key, request, call)
            outcome = await self._within_limits(request, call, send, secret, gate)
            if not isinstance(outcome, APIError):
                return outcome
            if outcome.status == 429:
                refuser = self.gates.of(call.refused_by)
                if not self._may_knock_again(refuser, outcome, call, began):
                    return outcome
                self._log_refusal(request, call, refuser)
                tickets.setdefault(refuser, refuser.ticket())
                secret = key.fixed
            elif outcome.status == 401 and not renewed and key.fixed is None:
                newer, renewed = await self._current_key(key, request, call), True
                if newer.value == secret.value:
                    return outcome
                secret = newer
            else:
                return outcome

    async def _wait_for_turn(
        self, tickets: dict[Gate, int], gate: Gate, request: Request, call: CallState, began: float
    ) -> None:
        """Pass the gate of where the request goes, and that of a host it was redirected to and refused by."""
        tickets.setdefault(gate, gate.ticket())
        for each, ticket in tickets.items():
            turn = await each.enter(ticket, self._patience(call, began))
            self._check_turn(turn, each, request, call)

    def _check_turn(self, turn: Turn, gate: Gate, request: Request, call: CallState) -> None:
        if turn == "closed":
            raise closed_error()
        if turn == "paused":
            raise self._pause_error(gate, request, call)
        if turn == "late":
            call.may_have_been_sent = False
            raise self._timeout_error(request, call, "deadline", None)

    def _patience(self, call: CallState, began: float) -> Patience:
        policy = self.retrier.effective_policy
        return Patience(
            deadline_at=call.deadline_at, began=began, seconds=policy.deadline, longest=policy.max_retry_after
        )

    def _pause_error(self, gate: Gate, request: Request, call: CallState) -> RateLimitError:
        """Nothing is sent: an earlier 429 has asked for more time than this call has."""
        left = gate.pace.paused_until - self.clock.monotonic()
        return RateLimitError(
            status=429, method=request.method, path=request.path_template, attempts=call.requests_sent, retry_after=left
        )

    def _may_knock_again(self, gate: Gate, error: APIError, call: CallState, began: float) -> bool:
        """Whether a refused call waits for its next turn: no attempt, no quota, only the deadline ends it."""
        policy = self.retrier.policy
        if not isinstance(policy, RetryPolicy) or policy.max_attempts == 1 or 429 not in policy.statuses:
            return False
        if error.retry_after is not None and error.retry_after > policy.max_retry_after:
            return False
        return self._patience(call, began).bears(gate.pace, self.clock.monotonic())

    async def _current_key(self, key: ApiKey, request: Request, call: CallState) -> Secret:
        """The key that the user's function gives, within this attempt's limits; what it raises passes."""
        limit, seconds = self._attempt_limit(call, self.clock.monotonic())
        timer = Timeout(seconds)
        try:
            with timer:
                self.pool.lifetime.running.add(timer)
                return await key.current()
        except TimeoutError:
            if not timer.expired:  # the function's own
                raise
        finally:
            self.pool.lifetime.running.discard(timer)
        if self.pool.lifetime.closed:
            raise closed_error()
        call.may_have_been_sent = False
        raise self._timeout_error(request, call, limit, seconds, doing="waiting for the api_key function")

    async def _within_limits(
        self, request: Request, call: CallState, send: Send[T], secret: Secret, gate: Gate
    ) -> T | Exception:
        pool = self.pool
        started = pool.clock.monotonic()
        limit, seconds = self._attempt_limit(call, started)
        call.requests_sent += 1
        call.limit = timer = CatchingTimeout(seconds, pool.lifetime.attempts)
        pool.mark_sending(call)
        outcome: T | Exception | None = None
        with timer:
            outcome = await send(secret)
        call.limit = None  # its task's context holds the call: a circle, in which a page would stay for the collector
        if outcome is None:
            outcome = self._outcome_of(timer, limit, seconds, request, call)
        if pool.is_gone:  # we ended it, whatever it looks like: a body that only the connection's end marks looks whole
            outcome = closed_error()
        if gate.active or isinstance(outcome, APIError):
            self._learn(gate, outcome, started, call)
        if logger.isEnabledFor(logging.DEBUG):
            self._log_attempt(request, call, outcome, started)
        return outcome

    def _outcome_of(
        self, timer: CatchingTimeout, limit: str, seconds: float | None, request: Request, call: CallState
    ) -> Exception:
        """An exception as a value, without a frame that has seen the key. A cancellation is raised, without frames."""
        error = cast("Exception | asyncio.CancelledError", timer.error)
        timer.error = None
        if isinstance(error, asyncio.CancelledError):
            raise without_frames(error)
        if timer.expired:
            return self._timeout_error(request, call, limit, seconds)
        if isinstance(error, SyllableError):
            return error.with_traceback(None)
        if isinstance(error, TRANSPORT_EXCEPTIONS):
            return error_for_exception(error, request, call.requests_sent)
        return error_for_bug(error, request, call.requests_sent) or without_frames(error)

    def _learn(self, gate: Gate, outcome: object, sent_at: float, call: CallState) -> None:
        """Tell the gate what the server said to our pace. A connection that failed says nothing."""
        if not isinstance(outcome, APIError):
            if not isinstance(outcome, Exception) or isinstance(outcome, ResponseValidationError | RecordingError):
                gate.accepted(sent_at)
            return
        refuser = self.gates.of(call.refused_by)
        after = outcome.retry_after
        if after is not None and after > self.retrier.effective_policy.max_retry_after:
            return  # not obeyed: the error is raised with what was asked for, and so is that of the next call
        if outcome.status == 429 or (outcome.status == 503 and after):  # a pause of 0 s is none
            refuser.refused(sent_at, after)
        elif refuser.active:
            refuser.accepted(sent_at)

    async def _send_and_read(
        self, request: Request, call: CallState, session: aiohttp.ClientSession, secret: Secret
    ) -> Response | SyllableError:
        content = {} if request.body is None else {"Content-Type": request.content_type}
        response = await session.request(
            request.method,
            build_url(self.base_url, request),
            headers={**self.added_headers, **content, API_KEY_HEADER: secret.value},
            data=request.body,
            auto_decompress=self.pool.auto_decompress,
            middlewares=self.pool.middlewares,
            **FORCED_REQUEST_OPTIONS,
        )
        if not 200 <= response.status < 300:
            return await self.read_error(response, request, call)
        try:
            body = await ResponseBody(response, decompressed=self.pool.auto_decompress).read_json(request.max_bytes)
        except BaseException:
            response.close()
            raise
        if body is None:
            return ResponseValidationError("response", "$", f"it is larger than {request.max_bytes} bytes")
        return Response(status=response.status, headers=response.headers, body=body, attempts=call.requests_sent)

    async def read_error(self, response: aiohttp.ClientResponse, request: Request, call: CallState) -> APIError:
        """The error for a response that is no success. A body that breaks off or stalls does not hide the status."""
        left = None if call.limit is None else call.limit.left()
        seconds = MAX_ERROR_SECONDS if left is None else min(MAX_ERROR_SECONDS, left / 2)
        try:
            decompressed = self.pool.auto_decompress
            body = await ResponseBody(response, decompressed=decompressed).read_excerpt(MAX_ERROR_BODY, seconds)
        finally:
            response.close()
        origin = response.url.origin()
        call.refused_by = "" if same_origin(origin, self.base_url) else str(origin)
        now = self.clock.now().timestamp()
        return error_for_response(
            request, response.status, response.headers, body, attempts=call.requests_sent, now=now
        )

    def _deadline(self, call: CallState) -> float | None:
        """Seconds that a call has in all. A recording has them anew for each of its openings."""
        return self.retrier.effective_policy.deadline if call.deadline is None else call.deadline

    def _attempt_limit(self, call: CallState, now: float) -> tuple[str, float | None]:
        """Which limit would end this attempt first, and in how many seconds."""
        left = self._deadline(call) if call.deadline_at is None else call.deadline_at - now
        if left is None or (self.timeout is not None and self.timeout <= left):
            return "timeout", self.timeout
        return "deadline", max(0.0, left)

    def _timeout_error(
        self, request: Request, call: CallState, limit: str, seconds: float | None, doing: str = ""
    ) -> SyllableTimeoutError:
        seconds = self._deadline(call) if limit == "deadline" else seconds
        where = {"method": request.method, "path": request.path_template}
        return SyllableTimeoutError(
            limit, seconds or 0.0, attempts=call.requests_sent, outcome_unknown=call.may_have_been_sent, doing=doing,
            **where,
        )  # fmt: skip

    def _log_refusal(self, request: Request, call: CallState, gate: Gate) -> None:
        pause = gate.pace.paused_until - self.clock.monotonic()
        logger.info(
            "%s %s: request %d was refused with a 429; it is sent again in its turn, after %.3f s",
            request.method, request.path_template, call.requests_sent, pause,
        )  # fmt: skip

    def _log_attempt(self, request: Request, call: CallState, outcome: object, started: float) -> None:
        """One line an attempt, of nothing that could identify anybody."""
        result = getattr(outcome, "status", None) or type(outcome).__name__
        milliseconds = (self.clock.monotonic() - started) * 1000
        logger.debug(
            "%s %s: %s in %.1f ms, attempt %d",
            request.method, request.path_template, result, milliseconds, call.requests_sent,
        )  # fmt: skip
