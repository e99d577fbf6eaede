"""A list of sessions held in memory that answers like the API, and as unhelpfully as the API is allowed to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from random import Random

import attrs

from syllable_async._pagination.query import ListQuery
from syllable_async._timing import Clock
from syllable_async._validators import parse_instant
from syllable_async.models import ListResponseSession, Session

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
LATER = EPOCH + timedelta(days=365)
Lie = Callable[[int], int | None]


async def no_time(_: float) -> None:
    """A pause that is over at once."""


QUICK = Clock(now=lambda: LATER, sleep=no_time)
"""A clock that stands a year after the sessions, and never waits."""


def honest(count: int) -> int | None:
    return count


def at(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


def session(number: int, micros: int | None = None) -> Session:
    return Session(timestamp=at(number * 10_000_000 if micros is None else micros), session_id=f"s{number}")


def sessions(count: int) -> list[Session]:
    return [session(number) for number in range(count)]


def ids(rows: Iterable[Session]) -> list[str]:
    return [row.session_id or "" for row in rows]


class UnavailableError(Exception):
    """A page that could not be had."""


@attrs.define
class Source:
    """Call it with a query, as an endpoint. Each answer sees the rows of one instant."""

    rows: list[Session]
    clamp: int | None = None
    total: Lie = honest
    total_pages: Lie = honest
    echo: Callable[[int, int], int] = lambda asked, used: used
    after_start: bool = False
    """Whether `start_datetime` is exclusive."""
    before_end: bool = True
    """Whether `end_datetime` is exclusive."""
    ties: Random | None = None
    """Equal timestamps come in another order each time."""
    meanwhile: Callable[[int], None] | None = None
    """Called with the number of each request before it is answered: moves the data, or raises."""
    delays: Random | None = None
    """Answers come after a random number of turns of the loop, so in any order."""
    log: list[ListQuery] = attrs.Factory(list[ListQuery])
    in_flight: int = 0
    most_in_flight: int = 0

    async def __call__(self, query: ListQuery) -> ListResponseSession:
        self.log.append(query)
        number = len(self.log) - 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            for _ in range(self.delays.randrange(6) if self.delays else 0):
                await asyncio.sleep(0)
            if self.meanwhile is not None:
                self.meanwhile(number)
            return self.answer(query)
        finally:
            self.in_flight -= 1

    async def exists(self, session_id: str) -> bool:
        """As the endpoint of one session: it knows what the list has, and no more."""
        return any(row.session_id == session_id for row in self.rows)

    def answer(self, query: ListQuery) -> ListResponseSession:
        rows = self.matching(query)
        asked = 25 if query.limit is None else query.limit
        used = asked if self.clamp is None else min(asked, self.clamp)
        page = query.page or 0
        return ListResponseSession(
            items=tuple(rows[page * used : (page + 1) * used]),
            page=page,
            page_size=self.echo(asked, used),
            total_count=self.total(len(rows)),
            total_pages=self.total_pages(-(-len(rows) // used) if used else 0),
        )

    def matching(self, query: ListQuery) -> list[Session]:
        rows = self.rows
        if query.start_datetime is not None:
            start = parse_instant("start", query.start_datetime)
            rows = [r for r in rows if r.timestamp > start or (r.timestamp == start and not self.after_start)]
        if query.end_datetime is not None:
            end = parse_instant("end", query.end_datetime)
            rows = [r for r in rows if r.timestamp < end or (r.timestamp == end and not self.before_end)]
        if query.order_by != "timestamp":
            return rows
        if self.ties is not None:
            rows = self.ties.sample(rows, len(rows))
        return sorted(rows, key=lambda row: row.timestamp, reverse=query.order_by_direction == "desc")
