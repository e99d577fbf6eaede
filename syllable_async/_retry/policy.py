"""When to try again: the policy, the errors that it repeats, and the calls that may be sent again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
from attrs import validators as v

from .._messages import Request
from .._validators import non_negative_seconds
from ..errors import APIError, SyllableConnectionError, SyllableError

if TYPE_CHECKING:
    from tenacity import AsyncRetrying

OnRetry = Callable[[int, SyllableError, float], object]
"""Plain or async: what it returns is awaited where it can be."""


def _check_seconds(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    non_negative_seconds(attribute.name, value)


def _check_optional_seconds(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None:
        non_negative_seconds(attribute.name, value)


@attrs.frozen
class RetryPolicy:
    """How often and how patiently a call is tried again. All times are in seconds.

    Set it for a client, for a view of the client, or for one call:

    ```python
    import asyncio

    from syllable_async import AsyncSyllableClient, RetryPolicy

    IMPATIENT = RetryPolicy(deadline=5)
    PATIENT = RetryPolicy(max_attempts=8, deadline=600, on_retry=print)  # print(attempt, error, delay)


    async def main() -> None:
        async with AsyncSyllableClient(retries=IMPATIENT, timeout=2) as client:
            nightly = client.with_options(retries=PATIENT)  # shares the connections
            await nightly.sessions.list(limit=1)
            await client.sessions.list(limit=1, retries=RetryPolicy(max_attempts=1))  # never again


    asyncio.run(main())
    ```

    ## Rules

    - Retried are connection errors, timeouts, responses that are cut off or garbled, and `statuses`, for every call
      that is safe to repeat: the GETs and `client.sessions.generate_recording_urls`. Any other call is sent again only
      where the API certainly did not act on it: it never arrived, or a 429 refused it.
    - Before the next attempt the client sleeps a random time up to `min(maximum, initial * 2 ** n)` ("full jitter"), or
      as long as the server's `Retry-After` asks.
    - A 429 is no failure. The client pauses, the refused call keeps its place, and it costs neither an attempt nor
      quota. Only the deadline limits it. After the pause calls leave at the pace that the API accepts. So 1,000 calls
      at once to an API that takes 100 a second all succeed.
    - All calls of a client and of its views share a quota of retries: 1,000 calls to a dead server send at most 1,100
      requests.
    - A tenacity `AsyncRetrying` is accepted in place of a policy. Its attempts, its wait and its condition are used;
      the quota, the pace and a deadline of 60 s stay.

    Attributes:
        max_attempts: attempts in all; 1 means never again, not after a 429 either.
        initial: upper bound of the first sleep.
        maximum: upper bound of any sleep that the server did not ask for.
        deadline: for everything together, from when the call first has a connection and its turn: attempts, sleeps,
            pauses, the key function. None: no bound.
        max_retry_after: a longer `Retry-After` is not obeyed; the error is raised at once and carries it.
        statuses: HTTP statuses worth another attempt.
        on_retry: a plain or async function, called as `on_retry(attempt, error, delay)` before each sleep; `attempt` is
            the failed one, from 1. Within the deadline.
    """

    max_attempts: int = attrs.field(default=4, validator=[v.instance_of(int), v.ge(1)])
    initial: float = attrs.field(default=0.5, validator=_check_seconds)
    maximum: float = attrs.field(default=8.0, validator=_check_seconds)
    deadline: float | None = attrs.field(default=60.0, validator=_check_optional_seconds)
    max_retry_after: float = attrs.field(default=60.0, validator=_check_seconds)
    statuses: frozenset[int] = attrs.field(default=frozenset({408, 429, 500, 502, 503, 504}), converter=frozenset)
    on_retry: OnRetry | None = attrs.field(default=None, repr=False)


def check_policy(policy: object) -> RetryPolicy | AsyncRetrying:
    """A user's policy; `TypeError` where it is none."""
    if isinstance(policy, RetryPolicy):
        return policy
    from tenacity import AsyncRetrying  # noqa: PLC0415

    if isinstance(policy, AsyncRetrying):
        return policy
    raise TypeError(
        f"retries must be a RetryPolicy, such as RetryPolicy(max_attempts=3), or a tenacity AsyncRetrying, "
        f"not {type(policy).__name__}"
    )


def should_retry(error: SyllableError, rules: RetryPolicy, request: Request) -> bool:
    """Whether another attempt is worth it and safe."""
    return is_transient(error, rules) and is_safe_to_repeat(error, request)


def is_transient(error: SyllableError, rules: RetryPolicy) -> bool:
    """Whether another attempt may end otherwise."""
    if isinstance(error, APIError):
        return error.status in rules.statuses
    return isinstance(error, SyllableConnectionError) and error.transient and getattr(error, "limit", "") != "deadline"


def is_safe_to_repeat(error: SyllableError, request: Request) -> bool:
    """Whether sending again can do no harm: the call is safe to repeat, or it certainly was not acted upon."""
    if request.idempotent:
        return True
    if isinstance(error, APIError):
        return error.status == 429  # it refused the request; any other status, 503 too, may come from behind the deed
    return isinstance(error, SyllableConnectionError) and not error.outcome_unknown
