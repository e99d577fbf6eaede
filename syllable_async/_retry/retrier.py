"""Trying again by a policy: one plain attempt, and tenacity only for what failed."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import attrs

from .._messages import Request
from .._timing import Clock
from ..errors import APIError, RateLimitError, SyllableError, SyllableTimeoutError
from .policy import RetryPolicy, check_policy, is_safe_to_repeat, should_retry
from .quota import RateLimitPause, RetryQuota

if TYPE_CHECKING:
    from tenacity import AsyncRetrying, RetryCallState

T = TypeVar("T")
logger = logging.getLogger("syllable_async")
Retries: TypeAlias = "RetryPolicy | AsyncRetrying | None"


@attrs.define(slots=True)
class CallState:
    """One call while it runs, or one recording with all its connections and renewed URLs."""

    deadline_at: float | None = None
    """When the deadline passes, on the monotonic clock; None: never."""
    deadline: float | None = None
    """The deadline in seconds, for errors."""
    requests_sent: int = 0
    may_have_been_sent: bool = True
    """Whether the last request could leave, so that a failure leaves open whether the server acted upon it."""


Attempt = Callable[[CallState], Awaitable[T]]


@attrs.frozen
class Retrier:
    """Runs attempts by a policy. A first attempt that succeeds pays for none of this; the rest is tenacity's."""

    policy: RetryPolicy | AsyncRetrying
    quota: RetryQuota
    pause: RateLimitPause
    clock: Clock

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
            call = self._new_call()
        if failure is None:
            try:
                result = await self._attempt_after_pause(attempt, call, request)
            except SyllableError as error:
                failure = error
            else:
                self.quota.release()
                return result
        if isinstance(self.policy, RetryPolicy) and not should_retry(failure, self.policy, request):
            raise failure
        return await self._retry(attempt, call, request, failure)

    def _new_call(self) -> CallState:
        seconds = self.effective_policy.deadline
        return CallState(None if seconds is None else self.clock.monotonic() + seconds, seconds)

    def with_policy(self, policy: Retries) -> Retrier:
        """The same brakes with another policy; None: this one."""
        return self if policy is None else attrs.evolve(self, policy=check_policy(policy))

    @property
    def effective_policy(self) -> RetryPolicy:
        """Deadline and Retry-After stay ours where the policy is a tenacity object."""
        return self.policy if isinstance(self.policy, RetryPolicy) else _DEFAULT

    async def _attempt_after_pause(self, attempt: Attempt[T], call: CallState, request: Request) -> T:
        """One attempt, after the pause that a 429 has asked of the whole client."""
        while (now := self.clock.monotonic()) < self.pause.until:
            if call.deadline_at is not None and self.pause.until > call.deadline_at:
                raise SyllableTimeoutError(
                    "deadline",
                    call.deadline or 0.0,
                    method=request.method,
                    path=request.path_template,
                    attempts=call.requests_sent,
                    outcome_unknown=False,
                )
            await self.clock.sleep(self.pause.until - now)
        try:
            return await attempt(call)
        except RateLimitError as error:
            if error.retry_after is not None and error.retry_after <= self.effective_policy.max_retry_after:
                self.pause.extend(error.retry_after)
            raise

    async def _retry(self, attempt: Attempt[T], call: CallState, request: Request, failure: SyllableError) -> T:
        first: SyllableError | None = failure

        async def attempts() -> T:
            nonlocal first
            if first is not None:  # the attempt that was made before tenacity was needed
                error, first = first, None
                raise error
            return await self._attempt_after_pause(attempt, call, request)

        rules = _TenacityRules(self, call, request)
        result = cast("T", await self._build_retrying(rules)(attempts))
        self.quota.release(self.quota.COST * rules.retries)
        return result

    def _build_retrying(self, rules: _TenacityRules) -> AsyncRetrying:
        # Imported by the first retry: it is a fifteenth of the package's import, and most calls never fail.
        from tenacity import AsyncRetrying, stop_after_attempt, wait_random_exponential  # noqa: PLC0415

        options: dict[str, Any] = {
            "sleep": self.clock.sleep,
            "before_sleep": rules.before_sleep,
            "reraise": True,
            "retry_error_callback": None,
        }
        if not isinstance(self.policy, RetryPolicy):
            users = self.policy
            rules.users_before_sleep = users.before_sleep
            return users.copy(
                stop=rules.stop(users.stop), wait=rules.wait(users.wait), retry=rules.retry(users.retry), **options
            )
        return AsyncRetrying(
            stop=rules.stop(stop_after_attempt(self.policy.max_attempts)),
            wait=rules.wait(wait_random_exponential(self.policy.initial, self.policy.maximum)),
            retry=rules.retry(None),
            **options,
        )


_DEFAULT = RetryPolicy()
_Rule = Callable[["RetryCallState"], Any]


class _TenacityRules:
    """The policy as tenacity's rules for one call: `retry`, `wait`, `stop`, `before_sleep`."""

    def __init__(self, retrier: Retrier, call: CallState, request: Request) -> None:
        self.policy = retrier.effective_policy
        self.quota = retrier.quota
        self.clock = retrier.clock
        self.call = call
        self.request = request
        self.retries = 0
        self.users_before_sleep: Any = None

    def retry(self, users: Any) -> _Rule:
        """Whether another attempt is worth it and safe; a user's own condition is asked only where it is safe."""

        async def retry(state: RetryCallState) -> bool:
            error = _error_of(state)
            if users is None:
                return isinstance(error, SyllableError) and should_retry(error, self.policy, self.request)
            if not isinstance(error, SyllableError) or not is_safe_to_repeat(error, self.request):
                return False
            return bool(await _call_rule(users, state))

        return retry

    def wait(self, backoff: Any) -> _Rule:
        """Seconds before the next attempt: what the server asked for, else the back-off."""

        async def wait(state: RetryCallState) -> float:
            asked = _retry_after(state)
            return float(await _call_rule(backoff, state)) if asked is None else asked

        return wait

    def stop(self, limit: Any) -> _Rule:
        """Whether it is over: by the user's limit, a `Retry-After` that is too long, or the deadline."""

        async def stop(state: RetryCallState) -> bool:
            asked = _retry_after(state)
            over = await _call_rule(limit, state) or (asked is not None and asked > self.policy.max_retry_after)
            if over or self._too_late(state.upcoming_sleep):
                self._log_giving_up(state)
                return True
            return False

        return stop

    def _too_late(self, delay: float) -> bool:
        return self.call.deadline_at is not None and self.clock.monotonic() + delay >= self.call.deadline_at

    async def before_sleep(self, state: RetryCallState) -> None:
        """Pay for the retry, log, and call the user's hooks; where the quota is empty the attempt's error is raised."""
        error, delay = cast("SyllableError", _error_of(state)), state.upcoming_sleep
        if not self.quota.acquire():
            self._log_giving_up(state)
            raise error
        self.retries += 1
        logger.info(
            "%s %s: attempt %d failed: %s; next in %.3f s",
            self.request.method, self.request.path_template, state.attempt_number, _reason_for_log(state), delay,
        )  # fmt: skip
        if self.policy.on_retry is not None:
            self.policy.on_retry(state.attempt_number, error, delay)
        if self.users_before_sleep is not None:
            await _call_rule(self.users_before_sleep, state)

    def _log_giving_up(self, state: RetryCallState) -> None:
        logger.warning(
            "%s %s: giving up after attempt %d: %s",
            self.request.method, self.request.path_template, state.attempt_number, _reason_for_log(state),
        )  # fmt: skip


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


async def _call_rule(rule: Any, state: RetryCallState) -> Any:
    """Rules of tenacity's may be plain or async."""
    answer = rule(state)
    return await answer if isawaitable(answer) else answer


def _retry_after(state: RetryCallState) -> float | None:
    return getattr(_error_of(state), "retry_after", None)


def _reason_for_log(state: RetryCallState) -> str:
    error = _error_of(state)
    return f"HTTP {error.status}" if isinstance(error, APIError) else getattr(error, "reason", type(error).__name__)
