"""The client's own pace: what a 429 teaches, and `rate=`; one gate for each origin.

1. A 429, and a 503 that asks for a pause, shuts the gate for that time, or for 0.5, 1, 2 … 8 s without one; refusals of
   requests that were under way belong to the same event.
2. Calls pass in the order in which they came; after a pause they leave 10 ms apart for one second, and a single event
   costs nothing more.
3. A second event within a minute sets the pace to 0.8 of what the server accepted in its last whole second, or, after a
   pause of 2 s and more, of what it accepted since the pause before; what that pause saved up may leave at once.
4. The pace is back at what was accepted in 10 s, stays near it, then climbs ever faster; a calm minute forgets it.
5. A pause after which nothing was accepted says nothing about the pace: it stays, and the next pauses grow to 8 s.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from heapq import heappop, heappush
from itertools import count
from typing import Literal

from msgspec import Struct

from .._timing import Clock, Timeout

logger = logging.getLogger("syllable_async")
SPACING = 0.01
"""Seconds between two calls in the first second after a pause."""
SHARE = 0.8
SEEK = 10.0
"""Seconds in which the pace comes back to what was accepted."""
POWER = 5
MEMORY = 60.0
"""Seconds without an event after which the pace is forgotten."""
OWN_PAUSE, LONGEST_OWN_PAUSE = 0.5, 8.0
LATENESS = 0.05
"""Seconds that the event loop may be late; what leaves late does not move those behind it."""
MAX_EMPTY_ROUNDS = 10
"""Pauses after which nothing was accepted, in a row, until a call without a deadline gives up: about a minute."""
PATIENCE = 30.0
"""Seconds of waiting for a turn after which the log says so."""


class Pace:
    """The five rules, without a queue. All times are on the monotonic clock of `clock`."""

    def __init__(self, clock: Clock, step: float = 0.0) -> None:
        self._clock = clock
        self._step = step
        self._next_at = 0.0
        self.paused_until: float = 0.0
        self.accepted_at: float = 0.0
        """When the server last accepted something."""
        self.empty_rounds: int = 0
        """Events in a row with nothing accepted between them."""
        self._event_at: float | None = None
        self.learning: bool = False
        self.forget()

    def forget(self) -> None:
        """No event is remembered."""
        self.learning = self._resuming = False
        self._since: float | None = None  # when the last pause ended
        self._base = self._top = 0.0  # the pace right after it, and the one it seeks; 0: none
        self._refused_at = 0.0  # the pace at the event
        self._accepted = 0
        self._credit = 0.0
        self._second, self._in_second, self._in_second_before = 0.0, 0, 0

    def refused(self, sent_at: float, retry_after: float | None) -> None:
        """The server refused a request that was sent at `sent_at`."""
        now = self._clock.monotonic()
        first = self._event_at is None or (sent_at >= self._event_at and sent_at >= self.paused_until)
        if first:
            self._event_at = now
            self.empty_rounds += 1
            if not self._resuming:
                self._refused_at = self._pace()
            self.learning = self._resuming = True
        own = min(LONGEST_OWN_PAUSE, OWN_PAUSE * 2.0 ** max(self.empty_rounds - 1, 0))
        if retry_after is not None:  # rule 5: where nothing comes through at all, we wait longer than we are asked to
            own = max(retry_after, own if self.empty_rounds > 2 else 0.0)
        self.paused_until = max(self.paused_until, now + own)

    def accepted(self, sent_at: float) -> None:
        """The server accepted a request, with whatever status."""
        now = self.accepted_at = self._clock.monotonic()
        self.empty_rounds = 0
        if self._since is None or sent_at < self._since:
            return
        self._accepted += 1
        if now >= self._second + 1:
            self._in_second_before = self._in_second if now < self._second + 2 else 0
            self._second, self._in_second = now, 0
        self._in_second += 1
        if not self._resuming and now > self._since + MEMORY:
            self.forget()

    def opens_at(self) -> float:
        """When the next call may leave."""
        return max(self.paused_until, self._next_at)

    def leave(self, *, waited: bool = False) -> None:
        """A call leaves now; the next one `_gap` later. `waited`: it is late only because the event loop was."""
        if self._resuming:
            self._resume()
        now = self._clock.monotonic()
        planned = self._next_at if waited and now - LATENESS <= self._next_at else now
        self._next_at = planned + max(self._step, self._gap(now))

    def _resume(self) -> None:
        """The first call to leave after a pause sets the pace."""
        if self._since is not None and self._accepted:
            self._set_pace(self._since, self.paused_until - (self._event_at or 0.0))
        self._resuming = False
        self._since = self._second = self.paused_until
        self._accepted = self._in_second = self._in_second_before = 0

    def _set_pace(self, since: float, pause: float) -> None:
        if pause < 2.0:  # a window of a second: its best second is what the server takes
            accepted = float(max(self._in_second, self._in_second_before))
        else:  # a longer window, which that pause belongs to; less the second by which servers round up
            accepted = self._accepted / max(self.paused_until - since - 1.0, 0.1)
        if self._refused_at:  # more was refused, whatever one lucky second took
            accepted = min(accepted, self._refused_at)
        self._top = max(0.5, accepted)
        self._base = SHARE * self._top
        self._credit = max(0.0, pause - 1.0) * self._base

    def _pace(self) -> float:
        """Calls a second; 0: no pace."""
        if not self._base or self._since is None:
            return 0.0
        return self._top - (self._top - self._base) * (1 - (self._clock.monotonic() - self._since) / SEEK) ** POWER

    def _gap(self, now: float) -> float:
        pace = self._pace()
        if not pace:
            return SPACING if self._since is not None and now < self._since + 1 else 0.0
        if self._credit >= 1:
            self._credit -= 1
            return min(SPACING, 1 / pace)
        return 1 / pace


Turn = Literal["now", "paused", "late", "closed"]
"""How waiting at the gate ended.

The call may leave; the pause is too long for it; its deadline passed in the queue; the client was closed.
"""


class Patience(Struct, frozen=True, kw_only=True):
    """How long a pause one call bears.

    Attributes:
        deadline_at: of a call that has begun; None: it has not, or has no deadline.
        began: when it began to wait.
        seconds: its deadline, of which nothing passes while the server accepts other calls; None: no deadline.
        longest: the policy's `max_retry_after`.
    """

    deadline_at: float | None
    began: float
    seconds: float | None
    longest: float

    def bears(self, pace: Pace, now: float) -> bool:
        """Whether the pause ends in time."""
        if pace.paused_until <= now:
            return True
        if pace.paused_until - now > self.longest:
            return False
        if self.deadline_at is not None:
            return pace.paused_until < self.deadline_at
        if self.seconds is not None:
            return pace.paused_until <= max(self.began, pace.accepted_at) + self.seconds
        return pace.empty_rounds < MAX_EMPTY_ROUNDS


class _Waiter(Struct, frozen=True, eq=False):
    future: asyncio.Future[Turn]
    patience: Patience


class Gate:
    """What stands between a slot and the wire, for one origin. A gate that is not `active` costs one look at it."""

    def __init__(self, clock: Clock, rate: float | None = None) -> None:
        self._clock = clock
        self._has_rate = rate is not None
        self.active: bool = self._has_rate
        self.pace: Pace = Pace(clock, 0.0 if rate is None else 1 / rate)
        self._queue: list[tuple[int, _Waiter]] = []
        self._tickets = count()
        self._doorman: asyncio.Task[None] | None = None
        self._warned = False

    @property
    def is_forgotten(self) -> bool:
        """Whether another gate in its place would do the same."""
        return not self.pace.learning and not self._queue

    def ticket(self) -> int:
        """A place in the queue, which a call keeps until it is through."""
        return next(self._tickets)

    def refused(self, sent_at: float, retry_after: float | None) -> None:
        """The server refused: nobody leaves for a while, and who cannot wait so long is told at once."""
        self.active = True
        self.pace.refused(sent_at, retry_after)
        now = self._clock.monotonic()
        for _, waiter in self._queue:
            if not waiter.patience.bears(self.pace, now):
                _settle(waiter, "paused")

    def accepted(self, sent_at: float) -> None:
        """The server accepted a request."""
        self.pace.accepted(sent_at)
        self.active = self._has_rate or self.pace.learning or bool(self._queue)

    async def enter(self, ticket: int, patience: Patience) -> Turn:
        """Wait for this call's turn."""
        now = self._clock.monotonic()
        if not patience.bears(self.pace, now):
            return "paused"
        if not self._queue and self.pace.opens_at() <= now:
            self.pace.leave()
            return "now"
        waiter = _Waiter(asyncio.get_running_loop().create_future(), patience)
        heappush(self._queue, (ticket, waiter))
        if self._doorman is None:
            self._doorman = asyncio.create_task(self._let_in())
        reminder = waiter.future.get_loop().call_later(PATIENCE, self._warn)
        try:
            with Timeout(None if patience.deadline_at is None else patience.deadline_at - now):
                return await waiter.future
        except TimeoutError:
            return "late"
        finally:
            reminder.cancel()
            waiter.future.cancel()
            self._dismiss()

    async def _let_in(self) -> None:
        """One after the other, in the order of their tickets."""
        while self._queue:
            if self._queue[0][1].future.done():
                heappop(self._queue)
                continue
            delay = self.pace.opens_at() - self._clock.monotonic()
            if delay > 0:
                await self._clock.sleep(delay)
                continue
            self.pace.leave(waited=True)
            _settle(heappop(self._queue)[1], "now")
        self._doorman = None
        self._warned = False

    def _dismiss(self) -> None:
        """Nobody sleeps for callers who are gone."""
        if self._doorman is not None and all(waiter.future.done() for _, waiter in self._queue):
            self._doorman.cancel()
            self._doorman = None
            self._queue.clear()
            self._warned = False

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            cause = "the server's 429" if self.pace.learning else "the setting `rate`"
            logger.warning("a call has waited for %g s for its turn: %s sets the pace", PATIENCE, cause)

    def close(self) -> None:
        """The client is closed: nobody waits any more."""
        for _, waiter in self._queue:
            _settle(waiter, "closed")


def _settle(waiter: _Waiter, turn: Turn) -> None:
    if not waiter.future.done():
        waiter.future.set_result(turn)


class Gates:
    """The gates of a client: the API's, and one for each foreign origin that has refused something."""

    def __init__(self, clock: Clock, rate: float | None = None) -> None:
        self._clock = clock
        self._rate = rate
        self.api: Gate = Gate(clock, rate)
        self._foreign: dict[str, Gate] = {}

    def of(self, origin: str) -> Gate:
        """The gate of an origin; `""` is the API's."""
        if not origin:
            return self.api
        for name in [name for name, gate in self._foreign.items() if gate.is_forgotten and name != origin]:
            del self._foreign[name]
        return self._foreign.setdefault(origin, Gate(self._clock, self._rate))

    def close(self) -> None:
        """The client is closed."""
        gates: Collection[Gate] = (self.api, *self._foreign.values())
        for gate in gates:
            gate.close()
