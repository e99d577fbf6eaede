"""Schedules: a list of sessions, what happens to it before each request, and how a server answers for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from random import Random
from typing import TypeAlias

import attrs
from hypothesis import strategies as st

from syllable_async._pagination.query import ListQuery
from syllable_async.models import ListResponseSession, Session

from .paged_source import Lie, Source, UnavailableError, at, honest, ids, session

Move: TypeAlias = tuple[int, str, int]
"""Before which request; `"insert"` at a microsecond, `"delete"` the n-th row, or `"fail"`, `"empty"`, `"repeat"`."""

TOTALS: dict[str, Lie] = {
    "honest": honest,
    "null": lambda count: None,
    "huge": lambda count: 10**9,
    "zero": lambda count: 0,
    "half": lambda count: count // 2,
}


@attrs.frozen
class Schedule:
    """One story. Times are microseconds, all near zero; `span` are the bounds of the walk."""

    times: list[int]
    moves: list[Move]
    span: tuple[int | None, int]
    limit: int
    clamp: int | None
    later_clamp: tuple[int, int] | None
    """From that request on, another clamp: a server that is replaced while it works. Honest servers only."""
    total: str
    after_start: bool
    before_end: bool
    shuffled: int | None
    """Seed of an order of ties that is another each time."""
    echo_asked: bool
    overlap: float
    stops: list[int]
    """After how many sessions to go through a cursor's JSON."""

    @property
    def query(self) -> ListQuery:
        start, end = self.span
        return ListQuery.from_arguments(
            limit=self.limit, start_datetime=None if start is None else at(start), end_datetime=at(end)
        )


class World:
    """A schedule as it happens."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        rows = [session(number, micros) for number, micros in enumerate(schedule.times)]
        self._made = len(rows)
        self._steady = set(ids(rows))
        self._before: ListResponseSession | None = None
        self._fair = True
        self.source = Source(
            rows,
            clamp=schedule.clamp,
            total=TOTALS[schedule.total],
            total_pages=TOTALS[schedule.total],
            echo=(lambda asked, used: asked) if schedule.echo_asked else (lambda asked, used: used),
            after_start=schedule.after_start,
            before_end=schedule.before_end,
            ties=None if schedule.shuffled is None else Random(schedule.shuffled),
        )

    async def __call__(self, query: ListQuery) -> ListResponseSession:
        number = len(self.source.log)
        assert number < 20_000, "the walk does not end"
        moves = [(kind, value) for when, kind, value in self.schedule.moves if when == number]
        for kind, value in moves:
            self._move(kind, value)
        later = self.schedule.later_clamp
        if later is not None and self.schedule.total == "honest" and number >= later[0]:
            self.source.clamp = later[1]
        page = await self.source(query)
        kinds = [kind for kind, _ in moves]
        if "fail" in kinds:
            raise UnavailableError
        before, self._before = self._before, page
        # Of two answers one at least is fair: nobody can tell a server that is always empty from an empty list.
        self._fair = not (self._fair and {"repeat", "empty"} & set(kinds))
        if not self._fair and "repeat" in kinds:
            return before or page
        if not self._fair:
            # An empty page is believed where its own total says that nothing is there, so this one does not say so.
            total = len(self.source.matching(query)) if page.total_count is not None else None
            return attrs.evolve(page, items=(), total_count=total)
        return page

    def _move(self, kind: str, value: int) -> None:
        rows = self.source.rows
        if kind == "insert":
            # The place in the list decides among equal timestamps.
            rows.insert(value * 7 % (len(rows) + 1), session(self._made, value))
            self._made += 1
        elif kind == "delete" and rows:
            self._steady.difference_update(ids([rows.pop(value % len(rows))]))

    @property
    def steady(self) -> set[str]:
        """The sessions of the span that were there all the time."""
        start, end = self.schedule.span
        first = at(0 if start is None else start)
        here = {row.session_id or "" for row in self.source.rows if first <= row.timestamp < at(end)}
        return self._steady & here


Walker: TypeAlias = Callable[[World], Coroutine[None, None, list[Session]]]


def outcome(schedule: Schedule, walker: Walker) -> tuple[set[str], set[str], World]:
    """The sessions that a walk lost and those that it gave twice."""
    world = World(schedule)
    rows = asyncio.run(walker(world))
    got = ids(rows)
    doubled = {name for name in got if got.count(name) > 1} if len(set(got)) < len(got) else set[str]()
    return world.steady - set(got), doubled, world


async def naive(world: World) -> list[Session]:
    """What most clients do: page after page by offset until one is short."""
    query, rows, page = world.schedule.query, list[Session](), 0
    while True:
        ask = query.replace(page=page, order_by="timestamp", order_by_direction="asc")
        try:
            answer = await world(ask)
        except UnavailableError:
            continue
        rows.extend(answer.items)
        page += 1
        if len(answer.items) < world.schedule.limit:
            return rows


async def patient(rows: AsyncIterator[Session], into: list[Session], most: int | None = None) -> bool:
    """Take rows, trying again after each failure; whether the walk came to its end."""
    while most is None or len(into) < most:
        try:
            into.append(await anext(rows))
        except UnavailableError:
            continue
        except StopAsyncIteration:
            return True
    return False


def schedules(*, faults: bool = True) -> st.SearchStrategy[Schedule]:
    """Any story: dense and sparse times, ties narrower and wider than a page, and every oddity of a server."""
    return st.sampled_from([2, 12, 400, 10_000_000]).flatmap(lambda width: _within(width, faults=faults))


def _within(width: int, *, faults: bool) -> st.SearchStrategy[Schedule]:
    time = st.integers(0, width)
    kinds = ["insert", "insert", "delete", "delete", *(["fail", "empty", "repeat"] if faults else [])]
    move = st.tuples(st.integers(0, 20), st.sampled_from(kinds), time)
    small = st.integers(1, 8)
    return st.builds(
        Schedule,
        times=st.lists(time, max_size=25),
        moves=st.lists(move, max_size=30),
        span=st.tuples(st.none() | st.integers(0, width // 2), st.integers(width // 2, width + 1)),
        limit=small,
        clamp=st.none() | small,
        later_clamp=st.none() | st.tuples(st.integers(1, 6), small),
        total=st.sampled_from(sorted(TOTALS)),
        after_start=st.booleans(),
        before_end=st.booleans(),
        shuffled=st.none() | st.integers(0, 99),
        echo_asked=st.booleans(),
        overlap=st.sampled_from([0.0, 0.000_003, 1.0]),
        stops=st.lists(st.integers(0, 40), max_size=3),
    )


def drawn(chance: Random, *, faults: bool = True) -> Schedule:
    """A story without hypothesis, for tens of thousands of them."""
    width = chance.choice([1, 2, 12, 400, 10_000_000])
    kinds = ["insert", "insert", "delete", "delete", *(["fail", "empty", "repeat"] if faults else [])]
    moves = [
        (chance.randrange(chance.choice([4, 40])), chance.choice(kinds), chance.randint(0, width))
        for _ in range(chance.randrange(40))
    ]
    return Schedule(
        times=[chance.randint(0, width) for _ in range(chance.randrange(chance.choice([8, 40])))],
        moves=moves,
        span=(chance.choice([None, chance.randint(0, width // 2)]), chance.randint(width // 2, width + 1)),
        limit=chance.randint(1, 8),
        clamp=chance.choice([None, chance.randint(1, 8)]),
        later_clamp=chance.choice([None, None, (chance.randint(1, 6), chance.randint(1, 8))]),
        total=chance.choice(sorted(TOTALS)),
        after_start=chance.random() < 0.5,
        before_end=chance.random() < 0.5,
        shuffled=chance.choice([None, None, 1]),
        echo_asked=chance.random() < 0.5,
        overlap=chance.choice([0.0, 0.000_003, 1.0]),
        stops=sorted(chance.randint(0, 40) for _ in range(chance.randrange(4))),
    )
