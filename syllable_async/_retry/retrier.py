"""Trying again by a policy: one plain attempt, and tenacity only for what failed."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import msgspec

from .._messages import Request
from .._timing import CatchingTimeout, Clock, Timeout
from ..errors import APIError, RateLimitError, SyllableError, SyllableTimeoutError
from .policy import RetryPolicy, check_policy, is_safe_to_repeat, should_retry
from .quota import RetryQuota

if TYPE_CHECKING:
    from tenacity import AsyncRetrying, RetryCallState

T = TypeVar("T")
logger = logging.getLogger("syllable_async")
Retries: TypeAlias = "RetryPolicy | AsyncRetrying | None"


class CallState(msgspec.Struct, eq=False):
    """One call while it runs, or one recording with all its connections and renewed URLs."""

    deadline: float | None = None
    """Seconds from the first request's turn on; None: no bound, or, for a recording, one for each opening."""
    deadline_at: float | None = None
    """When the deadline passes, on the monotonic clock; None: it has not begun, or never passes."""
    requests_sent: int = 0
    may_have_been_sent: bool = True
    """Whether the last request could leave, so that a failure leaves open whether the server acted upon it."""
    refused_by: str = ""
    """The origin of the last response that was no success; `""`: the API's."""
    limit: CatchingTimeout | None = None
    """What ends the request that is under way."""


Attempt = Callable[[CallState], Awaitable[T]]


_DEFAULT = RetryPolicy()


class Retrier:
    """Runs attempts by a policy. A first attempt that succeeds pays for none of this; the rest is tenacity's."""

    __slots__ = ("clock", "effective_policy", "policy", "quota")

    def __init__(self, policy: RetryPolicy | AsyncRetrying, quota: RetryQuota, clock: Clock) -> None:
        self.policy: RetryPolicy | AsyncRetrying = policy
        self.quota: RetryQuota = quota
        self.clock: Clock = clock
        self.effective_policy: RetryPolicy = policy if isinstance(policy, RetryPolicy) else _DEFAULT
        """Deadline and Retry-After stay ours where the policy is a tenacity object."""

    async def run(
        self,
        attempt: Attempt[T],
        request: Request,
        *,
        call: CallState | None = None,
        failure: SyllableError | None = None,
    ) -> T:
        """Call `attempt` until it succeeds or the policy gives up; then its last error is raised.

        Args:
            attempt: one request and its response.
            request: what is sent, for the rules and for logs.
            call: the state to go on with, for a recording: it has no deadline, as streams have limits of their own.
                None: a new one, under the policy's deadline.
            failure: the error that an attempt made before has ended with; it counts as the first one.
        """
        if call is None:
            call = CallState(self.effective_policy.deadline)
        if failure is None:
            try:
                result = await attempt(call)
            except SyllableError as error:
                failure = error
            else:
                if self.quota.available < RetryQuota.CAPACITY:
                    self.quota.release()
                return result
        if self.is_final(failure, request):
            self._note_healthy(failure)
            raise failure
        return await self._retry(attempt, call, request, failure)

    def is_final(self, failure: SyllableError, request: Request) -> bool:
        """Whether our own policy ends here. A 429 that comes this far has outlasted the call's patience."""
        if not isinstance(self.policy, RetryPolicy):
            return False
        return isinstance(failure, RateLimitError) or not should_retry(failure, self.policy, request)

    def _note_healthy(self, failure: BaseException | None) -> None:
        """A response whose status the policy would not retry comes from a server that works: it refills the quota."""
        if isinstance(failure, APIError) and failure.status not in self.effective_policy.statuses:
            self.quota.release()

    def with_policy(self, policy: Retries) -> Retrier:
        """The same brakes with another policy; None: this one."""
        return self if policy is None else Retrier(check_policy(policy), self.quota, self.clock)

    async def _retry(self, attempt: Attempt[T], call: CallState, request: Request, failure: SyllableError) -> T:
        first: SyllableError | None = failure

        async def attempts() -> T:
            nonlocal first
            if first is not None:  # the attempt that was made before tenacity was needed
                error, first = first, None
                raise error
            return await attempt(call)

        retrying, hooks = self._build_retrying(call, request)
        try:
            result = cast("T", await retrying(attempts))
        except SyllableError as error:
            self._note_healthy(error)
            raise
        self.quota.release(self.quota.COST * hooks.retries)
        return result

    def _build_retrying(self, call: CallState, request: Request) -> tuple[AsyncRetrying, _TenacityRules]:
        # Imported by the first retry: it is a fifteenth of the package's import, and most calls never fail.
        from tenacity import (  # noqa: PLC0415
            AsyncRetrying,
            retry_if_exception_type,
            stop_after_attempt,
            wait_random_exponential,
        )

        users = self.policy
        if isinstance(users, RetryPolicy):
            backoff = wait_random_exponential(users.initial, users.maximum)
            users = AsyncRetrying(stop=stop_after_attempt(users.max_attempts), wait=backoff)
        hooks = _TenacityRules(self, call, request, users)
        condition = cast("Any", users.retry)
        if type(condition) is retry_if_exception_type and condition.exception_types is Exception:
            hooks.users_retry = None  # tenacity's default, every `Exception`, names no error: a 404 is not repeated
        retrying = users.copy(
            sleep=self.clock.sleep, stop=hooks.stop, wait=hooks.wait, retry=hooks.retry,
            before_sleep=hooks.before_sleep, reraise=True, retry_error_callback=None,
        )  # fmt: skip
        return retrying, hooks


class _TenacityRules:
    """The policy as tenacity's rules for one call. `wait` is asked before `stop` and `before_sleep`."""

    def __init__(self, retrier: Retrier, call: CallState, request: Request, users: AsyncRetrying) -> None:
        self.policy = retrier.effective_policy
        self.is_final = retrier.is_final
        self.quota = retrier.quota
        self.clock = retrier.clock
        self.call = call
        self.request = request
        self.retries = 0
        self.error: BaseException | None = None
        """What the last attempt ended with."""
        self.asked: float | None = None
        """The seconds that its response asked to wait."""
        self.users_stop: Any = users.stop
        self.users_wait: Any = users.wait
        self.users_retry: Any = users.retry
        self.users_before_sleep: Any = users.before_sleep

    async def retry(self, state: RetryCallState) -> bool:
        """Whether another attempt is worth it and safe; a user's own condition is asked only where it is safe."""
        error = state.outcome.exception() if state.outcome else None
        if not isinstance(error, SyllableError) or self.is_final(error, self.request):
            return False
        if self.users_retry is None:
            return should_retry(error, self.policy, self.request)
        return is_safe_to_repeat(error, self.request) and bool(await _call_rule(self.users_retry, state))

    async def wait(self, state: RetryCallState) -> float:
        """Seconds before the next attempt: what the server asked for, else the back-off."""
        self.error = state.outcome.exception() if state.outcome else None
        self.asked = getattr(self.error, "retry_after", None)
        return float(await _call_rule(self.users_wait, state)) if self.asked is None else self.asked

    async def stop(self, state: RetryCallState) -> bool:
        """Whether it is over: by the user's limit, a `Retry-After` that is too long, or the deadline."""
        too_long = self.asked is not None and self.asked > self.policy.max_retry_after
        over, until = await _call_rule(self.users_stop, state) or too_long, self.call.deadline_at
        if over or (until is not None and self.clock.monotonic() + state.upcoming_sleep >= until):
            self._log_giving_up(state)
            return True
        return False

    async def before_sleep(self, state: RetryCallState) -> None:
        """Pay for the retry, log, and call the user's hooks; where the quota is empty the attempt's error is raised."""
        error, delay = cast("SyllableError", self.error), state.upcoming_sleep
        if not self.quota.acquire():
            self._log_giving_up(state)
            raise error
        self.retries += 1
        logger.info(
            "%s %s: attempt %d failed: %s; next in %.3f s",
            self.request.method, self.request.path_template, state.attempt_number, _reason_for_log(self.error), delay,
        )  # fmt: skip
        if self.policy.on_retry is not None:
            told = self.policy.on_retry(state.attempt_number, error, delay)
            if isawaitable(told):
                await self._within_deadline(told)
        if self.users_before_sleep is not None:
            await _call_rule(self.users_before_sleep, state)

    async def _within_deadline(self, told: Awaitable[object]) -> None:
        """A hook that hangs ends with the call; a `TimeoutError` of its own passes, as whatever else it raises."""
        until = self.call.deadline_at
        timer = Timeout(None if until is None else max(0.0, until - self.clock.monotonic()))
        try:
            with timer:
                await told
        except TimeoutError:
            if not timer.expired:
                raise
        if timer.expired:  # raised out here, so that it has no context
            raise SyllableTimeoutError(
                "deadline", cast("float", self.call.deadline), doing="on_retry ran", method=self.request.method,
                path=self.request.path_template, attempts=self.call.requests_sent,
                outcome_unknown=self.call.may_have_been_sent,
            )  # fmt: skip

    def _log_giving_up(self, state: RetryCallState) -> None:
        logger.warning(
            "%s %s: giving up after attempt %d: %s",
            self.request.method, self.request.path_template, state.attempt_number, _reason_for_log(self.error),
        )  # fmt: skip


async def _call_rule(rule: Any, state: RetryCallState) -> Any:
    """Rules of tenacity's may be plain or async."""
    result = rule(state)
    return await result if isawaitable(result) else result


def _reason_for_log(error: BaseException | None) -> str:
    return f"HTTP {error.status}" if isinstance(error, APIError) else getattr(error, "reason", type(error).__name__)
