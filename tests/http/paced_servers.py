"""A client's slots, gate and retries in virtual time, against servers that limit it. Nothing is sent over a socket."""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import attrs

from syllable_async import (
    APIError,
    AsyncSyllableClient,
    InternalServerError,
    RateLimitError,
    RetryPolicy,
    SyllableConnectionError,
    SyllableError,
)
from syllable_async._messages import Request, Response
from syllable_async._retry import CallState
from syllable_async._timing import Clock
from tests.time_control import TimelessLoop

T = TypeVar("T")
GET = Request(method="GET", path_template="/x", path="/x")
Answer = tuple[int, float | None]
"""A status, 0 for a connection that failed, and what `Retry-After` says."""
Decide = Callable[[float], Answer]


def now() -> float:
    return asyncio.get_running_loop().time()


# --- servers -------------------------------------------------------------------------------------------------------


class Windows:
    """So many in each second; `limit` may change with time."""

    def __init__(self, limit: float | Callable[[float], float], after: float | None = 1.0, phase: float = 0.37) -> None:
        self.limit, self.after, self.phase = limit, after, phase
        self.window, self.taken = -1, 0

    def __call__(self, at: float) -> Answer:
        number = math.floor(at + self.phase)
        if number != self.window:
            self.window, self.taken = number, 0
        if self.taken >= (self.limit(at) if callable(self.limit) else self.limit):
            return 429, self.after
        self.taken += 1
        return 200, None


class Bucket:
    """A token bucket; it refuses with `status`."""

    def __init__(self, rate: float, burst: float, after: float | None = None, status: int = 429) -> None:
        self.rate, self.burst, self.refusal = rate, burst, (status, after)
        self.tokens, self.at = burst, 0.0

    def __call__(self, at: float) -> Answer:
        self.tokens, self.at = min(self.burst, self.tokens + (at - self.at) * self.rate), at
        if self.tokens < 1:
            return self.refusal
        self.tokens -= 1
        return 200, None


class Sliding:
    """So many in any `window` seconds; it says when the next one is free."""

    def __init__(self, limit: int, window: float) -> None:
        self.limit, self.window, self.log = limit, window, deque[float]()

    def __call__(self, at: float) -> Answer:
        while self.log and self.log[0] <= at - self.window:
            self.log.popleft()
        if len(self.log) < self.limit:
            self.log.append(at)
            return 200, None
        return 429, max(1, math.ceil(self.log[0] + self.window - at))


class Once:
    """One refusal, and never again."""

    def __init__(self, at: float, after: float | None) -> None:
        self.at, self.after, self.done = at, after, False

    def __call__(self, at: float) -> Answer:
        if self.done or at < self.at:
            return 200, None
        self.done = True
        return 429, self.after


class Moody:
    """Another server's answers, and now and then a fault."""

    def __init__(self, server: Decide, chance: float, faults: tuple[Answer, ...], seed: int) -> None:
        self.server, self.chance, self.faults, self.random = server, chance, faults, random.Random(seed)

    def __call__(self, at: float) -> Answer:
        return self.random.choice(self.faults) if self.random.random() < self.chance else self.server(at)


def error_for(status: int, after: float | None, attempts: int) -> SyllableError:
    if not status:
        return SyllableConnectionError("the connection was reset", attempts=attempts)
    cls: type[APIError] = {429: RateLimitError, 503: InternalServerError}.get(status, APIError)
    return cls(status=status, retry_after=after, attempts=attempts)


# --- the client ----------------------------------------------------------------------------------------------------


class LoopClient(AsyncSyllableClient):
    _clock = Clock(lambda: asyncio.get_running_loop().time(), asyncio.sleep)


@attrs.define
class Load:
    """A client and a server in one loop, and what came of it."""

    decide: Decide
    client: AsyncSyllableClient
    latency: tuple[float, float] = (0.02, 0.2)
    seed: int = 1
    sent: list[float] = attrs.field(factory=list[float])
    refusals: list[tuple[float, float | None]] = attrs.field(factory=list[tuple[float, float | None]])
    """When a refusal reached the client, and what it asked for."""
    waits: list[tuple[float, float]] = attrs.field(factory=list[tuple[float, float]])
    """Of each success: when the call was made, and how long it took."""
    failures: list[SyllableError] = attrs.field(factory=list[SyllableError])
    _random: random.Random = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._random = random.Random(self.seed)

    async def call(self, policy: RetryPolicy | None = None) -> None:
        transport, began = self.client._transport, now()

        async def attempt(call: CallState) -> Response:
            async def exchange(_: object, __: object) -> Response | SyllableError:
                return await self._serve(call)

            return await transport.attempt(GET, call, exchange)

        try:
            await transport.retrier.with_policy(policy).run(attempt, GET)
        except SyllableError as error:
            self.failures.append(error)
        else:
            self.waits.append((began, now() - began))

    async def _serve(self, call: CallState) -> Response | SyllableError:
        self.sent.append(now())
        call.refused_by = ""
        delay = self._random.uniform(*self.latency)
        await asyncio.sleep(delay * 0.4)
        status, after = self.decide(now())
        await asyncio.sleep(delay * 0.6)
        if status == 200:
            return Response(status=200, headers={}, body=b"")
        if status == 429:
            self.refusals.append((now(), after))
        return error_for(status, after, call.requests_sent)

    # what is asked of it

    async def burst(self, calls: int) -> None:
        await asyncio.gather(*(self.call() for _ in range(calls)))

    async def workers(self, number: int, seconds: float) -> None:
        until = now() + seconds

        async def work() -> None:
            while now() < until:
                await self.call()

        await asyncio.gather(*(work() for _ in range(number)))

    async def steady(self, rate: float, seconds: float) -> None:
        chance, until = random.Random(4), now() + seconds
        async with asyncio.TaskGroup() as group:
            while now() < until:
                group.create_task(self.call())
                await asyncio.sleep(chance.expovariate(rate))

    # what came of it

    def succeeded(self, begin: float, end: float) -> float:
        """Successes a second in a span of time."""
        return sum(begin <= at + took < end for at, took in self.waits) / (end - begin)

    def sent_within(self, begin: float, end: float) -> int:
        return sum(begin <= at < end for at in self.sent)


def in_virtual_time(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run it in a loop whose clock jumps; somebody who waits for nobody is an error."""
    loop = TimelessLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        result = runner.run(main())
    assert loop.problems == []
    return result


def loaded(
    decide: Decide, work: Callable[[Load], Coroutine[Any, Any, None]], *, phase: float = 0.0, **settings: Any
) -> Load:
    """The work done by a new client."""

    async def main() -> Load:
        await asyncio.sleep(phase)
        async with LoopClient("key", base_url="http://127.0.0.1:9", **settings) as client:
            load = Load(decide, client)
            await work(load)
            pool = client._transport.pool
            assert (pool.calls.free, pool.streams.free) == (pool.calls.size, pool.streams.size)
            assert 0 <= client._transport.retrier.quota.available <= 500
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return load

    return in_virtual_time(main)
