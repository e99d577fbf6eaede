"""Following: sessions as they appear, each once, through late rows, failures and restarts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syllable_async import _timing
from syllable_async._pagination.cursor import Cursor
from syllable_async._pagination.keyset import FollowIterator
from syllable_async._pagination.known_ids import TIMESTAMP_RESOLUTION
from syllable_async._pagination.pager import Pager
from syllable_async._pagination.query import FetchPage, ListQuery
from syllable_async.errors import (
    APIError,
    AuthenticationError,
    InternalServerError,
    PaginationError,
    RateLimitError,
    SyllableConnectionError,
    SyllableTimeoutError,
)
from syllable_async.models import ListResponseSession, Session

from .paged_source import EPOCH, Source, at, ids, session, sessions


class EnoughError(Exception):
    """The test has seen what it wanted."""


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self, then: Callable[[int], object] = int, most: int = 3) -> None:
        self.time = EPOCH + timedelta(hours=1)
        self.naps: list[float] = []
        self._then = then
        self._most = most

    def now(self) -> datetime:
        return self.time

    async def sleep(self, seconds: float) -> None:
        if seconds < 30:  # before a second look at a doubtful page
            self.time += timedelta(seconds=seconds)
            return
        if len(self.naps) == self._most:
            raise EnoughError
        self.naps.append(seconds)
        self.time += timedelta(seconds=seconds)
        self._then(len(self.naps))


def follow(
    fetch: FetchPage, clock: Clock, cursor: Cursor | None = None, *, limit: int = 10, overlap: float = 14400.0
) -> FollowIterator:
    exists = fetch.exists if isinstance(fetch, Source) else None
    query, time = ListQuery.from_arguments(limit=limit), _timing.Clock(now=clock.now, sleep=clock.sleep)
    pager = Pager(fetch, query, time, exists)
    return pager.follow(cursor, interval=30.0, overlap=overlap)


async def until_enough(walk: FollowIterator) -> list[Session]:
    got = list[Session]()
    with pytest.raises(EnoughError):  # noqa: PT012
        async for row in walk:
            got.append(row)
    return got


def micros(clock: Clock, seconds: float) -> int:
    return round((clock.time - EPOCH).total_seconds() * 1e6 + seconds * 1e6)


async def test_sessions_come_as_they_appear() -> None:
    source = Source(sessions(25))
    clock = Clock(lambda naps: source.rows.append(session(100 + naps, micros(clock, -5))))
    assert ids(await until_enough(follow(source, clock))) == [*ids(sessions(25)), "s101", "s102", "s103"]
    assert clock.naps == [30.0, 30.0, 30.0]


async def test_a_quiet_interval_costs_one_request() -> None:
    source = Source(sessions(25))
    clock = Clock(most=10)
    await until_enough(follow(source, clock))
    assert len(source.log) == 4 + 10


async def test_a_late_session_comes_at_the_next_poll_or_within_ten_minutes() -> None:
    source = Source(sessions(25))

    def late(naps: int) -> None:
        seconds = {1: 299, 2: 14_399 - 3_600, 5: 3_600, 30: 14_399}.get(naps)
        if seconds is not None:
            source.rows.append(session(100 + naps, micros(clock, -seconds)))
        came.append(len(got))

    got, came = list[Session](), list[int]()
    clock = Clock(late, most=60)
    walk = follow(source, clock)
    with suppress(EnoughError):
        while True:
            got.append(await anext(walk))
    assert sorted(ids(got)) == sorted(ids(source.rows))
    assert [came.index(number) for number in (26, 28, 29)] == [1, 20, 40]


async def test_a_session_later_than_the_overlap_is_not_looked_for() -> None:
    source = Source(sessions(25))

    def late(naps: int) -> None:
        source.rows.append(session(100 + naps, micros(clock, -700)))

    clock = Clock(late, most=60)
    got = ids(await until_enough(follow(source, clock, overlap=60.0)))
    assert got == ids(sessions(25))


async def test_a_session_dated_in_the_future_comes_when_its_time_does() -> None:
    source = Source([session(0, 0), session(1, 3_600_000_000 + 50_000_000)])
    clock = Clock(lambda naps: source.rows.append(session(10 + naps, micros(clock, -1))))
    assert ids(await until_enough(follow(source, clock))) == ["s0", "s11", "s1", "s12", "s13"]


async def test_it_goes_on_from_the_cursor_of_a_snapshot_or_of_its_own() -> None:
    source = Source(sessions(25))

    def appear(naps: int) -> None:
        source.rows.append(session(100 + naps, micros(clock, -5)))

    clock = Clock(appear, most=1)
    snapshot = Pager(source, ListQuery.from_arguments(limit=10), _timing.Clock(now=clock.now)).snapshot()
    got = [row async for row in snapshot]
    walk = follow(source, clock, Cursor.from_json(snapshot.cursor.to_json()))
    got += await until_enough(walk)
    assert ids(got) == [*ids(sessions(25)), "s101"]
    source.rows.append(session(200, micros(clock, -1)))
    clock.time += timedelta(seconds=1)
    again = follow(source, clock, Cursor.from_json(walk.cursor.to_json()))
    assert (await anext(again)).session_id == "s200"


PASSING = [
    SyllableConnectionError("refused"),
    SyllableTimeoutError("timeout", 30.0),
    InternalServerError(status=503),
    RateLimitError(status=429),
    APIError(status=408),
]


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
async def test_an_error_that_passes_is_logged_and_tried_again(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    source = Source(sessions(25))

    def fail(number: int) -> None:
        if number in {0, 2}:
            raise error

    source.meanwhile = fail
    clock = Clock(most=2)
    with caplog.at_level(logging.WARNING, "syllable_async"):
        assert ids(await until_enough(follow(source, clock))) == ids(sessions(25))
    said = f"follow: a poll failed, the next one is in 30 s: {error}"
    assert [record.getMessage() for record in caplog.records] == [said] * 2


async def test_retry_after_is_obeyed_where_it_is_longer() -> None:
    source = Source(sessions(3))

    def fail(number: int) -> None:
        if number < 2:
            raise RateLimitError(status=429, retry_after=[7.0, 120.0][number])

    source.meanwhile = fail
    clock = Clock(most=2)
    assert ids(await until_enough(follow(source, clock))) == ["s0", "s1", "s2"]
    assert clock.naps == [30.0, 120.0]


@pytest.mark.parametrize("error", [AuthenticationError(status=401), APIError(status=418), PaginationError("x", page=1)])
async def test_an_error_that_stays_is_raised_and_anext_again_goes_on(error: Exception) -> None:
    source = Source(sessions(3))

    def fail(number: int) -> None:
        if number == 0:
            raise error

    source.meanwhile = fail
    walk = follow(source, Clock())
    with pytest.raises(type(error)):
        await anext(walk)
    assert (await anext(walk)).session_id == "s0"


async def test_a_clock_that_is_set_back_only_waits() -> None:
    source = Source(sessions(25))
    clock = Clock()
    walk = follow(source, clock)
    for _ in range(25):
        await anext(walk)
    clock.time = EPOCH
    assert await until_enough(walk) == []


async def test_wrong_arguments() -> None:
    source = Source(sessions(3))
    pager = Pager(source, ListQuery.from_arguments(end_datetime=at(5)))
    with pytest.raises(ValueError, match="leave end_datetime out"):
        pager.follow()
    with pytest.raises(ValueError, match="interval must be a number of seconds, at least 0"):
        Pager(source, ListQuery.from_arguments()).follow(interval=float("inf"))
    assert source.log == []


def followed(seed: int, limit: int) -> None:
    """Rows appear at random, some late; each that is not deleted comes once, in whatever process."""
    chance = Random(seed)
    source = Source([], after_start=chance.random() < 0.5, before_end=chance.random() < 0.5)
    newest = EPOCH
    made = 0

    def happen(naps: int) -> None:
        nonlocal newest, made
        for _ in range(chance.randrange(2 * limit)):
            late = timedelta(microseconds=chance.choice([0, 1, 400_000, 1_000_000]))
            new = max(newest, clock.time - timedelta(seconds=29)) + chance.choice(
                [TIMESTAMP_RESOLUTION, 999 * TIMESTAMP_RESOLUTION, 800_000 * TIMESTAMP_RESOLUTION]
            )
            moment = newest - late if chance.random() < 0.5 else new
            newest = max(newest, moment)
            source.rows.append(session(made, round((moment - EPOCH) / TIMESTAMP_RESOLUTION)))
            made += 1
        if len(source.rows) > 1 and chance.random() < 0.3:
            source.rows.pop(chance.randrange(len(source.rows)))

    clock = Clock(happen, most=12)
    got, cursor = list[Session](), None

    async def run(most: int | None) -> Cursor:
        walk = follow(source, clock, cursor, limit=limit)
        with suppress(EnoughError):
            while most is None or len(got) < most:
                got.append(await anext(walk))
        return walk.cursor

    while len(clock.naps) < 12:
        cursor = Cursor.from_json(asyncio.run(run(chance.choice([None, len(got) + chance.randrange(1, 9)]))).to_json())
    asyncio.run(run(None))
    assert len(ids(got)) == len(set(ids(got)))
    assert set(ids(source.rows)) - set(ids(got)) == set()


@settings(derandomize=True, max_examples=100, deadline=None, database=None)
@given(st.integers(0), st.integers(1, 8))
def test_each_session_comes_once_whatever_happens(seed: int, limit: int) -> None:
    followed(seed, limit)


@pytest.mark.long
@settings(max_examples=5_000, deadline=None, database=None)
@given(st.integers(0), st.integers(1, 8))
def test_each_session_comes_once_whatever_happens_at_length(seed: int, limit: int) -> None:
    followed(seed, limit)


async def test_a_page_is_fetched_by_the_callable_alone() -> None:
    async def fetch(query: ListQuery) -> ListResponseSession:
        return ListResponseSession(items=(session(0, 0),), page=0, page_size=10, total_count=1)

    assert (await anext(follow(fetch, Clock()))).session_id == "s0"
