"""Trying again by a policy: one plain attempt, and tenacity only for what failed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import attrs

from .._messages import Request
from .._timing import Sleep
from ..errors import APIError, RateLimitError, SyllableError, SyllableTimeoutError
from .policy import RetryPolicy, check_policy, is_safe_to_repeat, should_retry
from .quota import RetryQuota

if TYPE_CHECKING:
    from tenacity import AsyncRetrying, RetryCallState

T = TypeVar("T")
logger = logging.getLogger("syllable_async")
Retries: TypeAlias = "RetryPolicy | AsyncRetrying | None"


@attrs.define(slots=True)
class CallState:
    """One call while it runs: its limit in time, the requests it has sent, and whether the last one could leave."""

    deadline_at: float | None
    deadline: float | None
    requests_sent: int = 0
    may_have_been_sent: bool = True


Attempt = Callable[[CallState], Awaitable[T]]


@attrs.frozen
class Retrier:
    """Runs attempts by a policy. A first attempt that succeeds pays for none of this; the rest is tenacity's."""

    policy: RetryPolicy | AsyncRetrying
    throttle: RetryQuota
    sleep: Sleep = asyncio.sleep

    async def run(self, attempt: Attempt[T], request: Request, *, deadline: bool = True) -> T:
        """Call `attempt` until it succeeds or the policy gives up; then its last error is raised.

        `deadline=False` leaves the policy's deadline out: for streams, which have limits of their own.
        """
        seconds = self.effective_policy.deadline if deadline else None
        call = CallState(None if seconds is None else self.throttle.clock() + seconds, seconds)
        try:
            result = await self._attempt_after_pause(attempt, call, request)
        except SyllableError as error:
            failure = error
        else:
            self.throttle.release()
            return result
        if isinstance(self.policy, RetryPolicy) and not should_retry(failure, self.policy, request):
            raise failure
        return await self._retry(attempt, call, request, failure)

    def with_policy(self, policy: Retries) -> Retrier:
        """The same brakes with another policy; None: this one."""
        return self if policy is None else attrs.evolve(self, policy=check_policy(policy))

    @property
    def effective_policy(self) -> RetryPolicy:
        """Deadline and Retry-After stay ours where the policy is a tenacity object."""
        return self.policy if isinstance(self.policy, RetryPolicy) else _DEFAULT

    async def _attempt_after_pause(self, attempt: Attempt[T], call: CallState, request: Request) -> T:
        """One attempt, after the pause that a 429 has asked of the whole client."""
        while (now := self.throttle.clock()) < self.throttle.paused_until:
            if call.deadline_at is not None and self.throttle.paused_until > call.deadline_at:
                raise SyllableTimeoutError(
                    "deadline",
                    call.deadline or 0.0,
                    method=request.method,
                    path=request.path_template,
                    attempts=call.requests_sent,
                    outcome_unknown=False,
                )
            await self.sleep(self.throttle.paused_until - now)
        try:
            return await attempt(call)
        except RateLimitError as error:
            if error.retry_after is not None and error.retry_after <= self.effective_policy.max_retry_after:
                self.throttle.pause(error.retry_after)
            raise

    async def _retry(self, attempt: Attempt[T], call: CallState, request: Request, failure: SyllableError) -> T:
        first: SyllableError | None = failure

        async def attempts() -> T:
            nonlocal first
            if first is not None:  # the attempt that was made before tenacity was needed
                error, first = first, None
                raise error
            return await self._attempt_after_pause(attempt, call, request)

        judge = _TenacityRules(self.effective_policy, self.throttle, call, request)
        result = cast("T", await self._build_retrying(judge)(attempts))
        self.throttle.release(self.throttle.COST * judge.retries)
        return result

    def _build_retrying(self, judge: _TenacityRules) -> AsyncRetrying:
        # Imported by the first retry: it is a fifteenth of the package's import, and most calls never fail.
        from tenacity import AsyncRetrying, stop_after_attempt, wait_random_exponential  # noqa: PLC0415

        rules: dict[str, Any] = {"sleep": self.sleep, "reraise": True, "retry_error_callback": None}
        if not isinstance(self.policy, RetryPolicy):
            users = self.policy
            judge._users_before_sleep = users.before_sleep
            return users.copy(
                stop=judge.stop(users.stop),
                wait=judge.wait(users.wait),
                retry=judge.retry(users.retry),
                before_sleep=judge.before_sleep,
                **rules,
            )
        return AsyncRetrying(
            stop=judge.stop(stop_after_attempt(self.policy.max_attempts)),
            wait=judge.wait(wait_random_exponential(self.policy.initial, self.policy.maximum)),
            retry=judge.retry(None),
            before_sleep=judge.before_sleep,
            **rules,
        )


@attrs.frozen
class StreamRetrier:
    """The attempts of one recording: by the same policy and brakes, without a limit on the whole."""

    retrier: Retrier
    request: Request

    async def run(self, attempt: Callable[[int], Awaitable[T]]) -> T:
        """`attempt(1)`, and after an error that may pass `attempt(2)` and so on; the last error is raised."""
        number = 0

        async def next_attempt(_: CallState) -> T:
            nonlocal number
            number += 1
            return await attempt(number)

        return await self.retrier.run(next_attempt, self.request, deadline=False)


_DEFAULT = RetryPolicy()
_Rule = Callable[["RetryCallState"], Any]


class _TenacityRules:
    """tenacity's questions about one call, answered: is it worth it, how long to wait, is it over."""

    def __init__(self, rules: RetryPolicy, throttle: RetryQuota, call: CallState, request: Request) -> None:
        self.rules = rules
        self.throttle = throttle
        self.call = call
        self.request = request
        self.retries = 0
        self._users_before_sleep: Any = None

    def retry(self, users: Any) -> _Rule:
        async def retry(state: RetryCallState) -> bool:
            error = state.outcome.exception() if state.outcome else None
            if users is None:
                return isinstance(error, SyllableError) and should_retry(error, self.rules, self.request)
            if not isinstance(error, SyllableError) or not is_safe_to_repeat(error, self.request):
                return False
            return bool(await _call_rule(users, state))

        return retry

    def wait(self, backoff: Any) -> _Rule:
        async def wait(state: RetryCallState) -> float:
            asked = _retry_after(state)
            return float(await _call_rule(backoff, state)) if asked is None else asked

        return wait

    def stop(self, limit: Any) -> _Rule:
        async def stop(state: RetryCallState) -> bool:
            asked = _retry_after(state)
            over = await _call_rule(limit, state) or (asked is not None and asked > self.rules.max_retry_after)
            over = over or self._too_late(state.upcoming_sleep) or not self.throttle.acquire()
            if over:
                logger.warning(
                    "%s %s: giving up after attempt %d: %s",
                    self.request.method, self.request.path_template, state.attempt_number, _reason_for_log(state),
                )  # fmt: skip
            return bool(over)

        return stop

    def _too_late(self, delay: float) -> bool:
        return self.call.deadline_at is not None and self.throttle.clock() + delay >= self.call.deadline_at

    async def before_sleep(self, state: RetryCallState) -> None:
        """Before a sleep: log, and call the user's hooks."""
        self.retries += 1
        error, delay = cast("SyllableError", state.outcome and state.outcome.exception()), state.upcoming_sleep
        logger.info(
            "%s %s: attempt %d failed: %s; next in %.3f s",
            self.request.method, self.request.path_template, state.attempt_number, _reason_for_log(state), delay,
        )  # fmt: skip
        if self.rules.on_retry is not None:
            self.rules.on_retry(state.attempt_number, error, delay)
        if self._users_before_sleep is not None:
            await _call_rule(self._users_before_sleep, state)


async def _call_rule(rule: Any, state: RetryCallState) -> Any:
    """Rules of tenacity's may be plain or async."""
    answer = rule(state)
    return await answer if isawaitable(answer) else answer


def _retry_after(state: RetryCallState) -> float | None:
    return getattr(state.outcome.exception() if state.outcome else None, "retry_after", None)


def _reason_for_log(state: RetryCallState) -> str:
    error = state.outcome.exception() if state.outcome else None
    return f"HTTP {error.status}" if isinstance(error, APIError) else getattr(error, "reason", type(error).__name__)
