"""Walks by key, rule by rule: what is asked, what is refused, and where a cursor goes on."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from random import Random
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syllable_async._pagination.cursor import Cursor, CursorSpan
from syllable_async._pagination.known_ids import KnownIds
from syllable_async._pagination.pager import Pager
from syllable_async._pagination.query import ListQuery
from syllable_async._timing import Clock
from syllable_async._validators import parse_instant
from syllable_async.errors import PaginationError
from syllable_async.models import ListResponseSession, Session

from .paged_source import EPOCH, LATER, QUICK, Source, UnavailableError, at, ids, session, sessions


def pager(source: Source, **arguments: Any) -> Pager:
    return Pager(source, ListQuery.from_arguments(**arguments), QUICK, source.exists)


def starts(source: Source) -> list[float | None]:
    """Where the requests began, in seconds."""
    found = [query.start_datetime for query in source.log]
    return [None if start is None else (parse_instant("start", start) - EPOCH).total_seconds() for start in found]


async def test_it_walks_by_key_with_an_overlap_and_a_pinned_end() -> None:
    source = Source(sessions(25)[::-1])
    walk = pager(source, limit=10, fields=["agent_id"]).snapshot()
    assert ids([row async for row in walk]) == ids(sessions(25))
    assert starts(source) == [None, None, 89.0, 179.0]
    assert {(q.page, q.limit, q.order_by, q.order_by_direction, q.fields, q.end_datetime) for q in source.log} == {
        (0, 10, "timestamp", "asc", ("agent_id", "timestamp", "session_id"), LATER)
    }


async def test_the_cost_is_that_of_offsets_and_does_not_grow_with_depth() -> None:
    source = Source(sessions(4_000))
    assert len([row async for row in pager(source).snapshot()]) == 4_000
    assert len(source.log) == 42
    assert {query.page for query in source.log} == {0}


async def test_the_span_is_half_open_whatever_the_server_does() -> None:
    rows = [session(number, number) for number in range(10)]
    for after_start in (True, False):
        for before_end in (True, False):
            source = Source(rows, after_start=after_start, before_end=before_end)
            walk = pager(source, start_datetime=at(3), end_datetime=at(7).isoformat(), limit=4).snapshot()
            assert ids([row async for row in walk]) == ["s3", "s4", "s5", "s6"]


async def test_nothing_is_asked_about_an_empty_span() -> None:
    source = Source(sessions(3))
    walks = [
        pager(source, start_datetime=at(5), end_datetime=at(5)).snapshot(),
        pager(source, start_datetime=LATER + timedelta(seconds=1)).snapshot(),
        pager(source).snapshot(max_items=0),
    ]
    for walk in walks:
        assert [row async for row in walk] == []
    assert source.log == []


async def test_an_empty_list_is_asked_for_twice() -> None:
    source = Source([])
    assert [row async for row in pager(source).snapshot()] == []
    assert len(source.log) == 2


async def test_max_items_ends_early_and_the_cursor_goes_on() -> None:
    source = Source(sessions(25))
    first = pager(source, limit=10).snapshot(max_items=13)
    assert len([row async for row in first]) == 13
    assert len(source.log) == 3
    second = pager(source, limit=7).snapshot(Cursor.from_json(first.cursor.to_json()))
    assert ids([row async for row in second]) == ids(sessions(25))[13:]


@pytest.mark.parametrize("after_start", [True, False])
@pytest.mark.parametrize("size", [3, 4, 5, 6, 9, 40])
async def test_a_block_of_equal_timestamps_wider_than_a_page(size: int, after_start: bool) -> None:
    rows = [session(0, 5), session(1, 9)]
    rows += [session(number, 10) for number in range(2, 2 + size)]
    rows += [session(2 + size, 11), session(3 + size, 12)]
    for tail in (len(rows), len(rows) - 2):
        source = Source(rows[:tail], after_start=after_start)
        walk = pager(source, limit=4).snapshot()
        assert ids([row async for row in walk]) == ids(rows[:tail])


async def test_a_row_that_hides_another_twice_is_found_out() -> None:
    """Two passes that agree are not enough: a row inserted behind the reader and deleted again hides another."""
    block = [session(number, 10) for number in range(6)]
    source = Source(list(block))
    ghost = session(99, 10)

    def haunt(number: int) -> None:
        page, size = source.log[-1].page or 0, 2
        if ghost in source.rows:
            source.rows.remove(ghost)
        elif number < 8 and page == 1 and source.log[-1].limit == size:
            source.rows.insert(0, ghost)

    source.meanwhile = haunt
    walk = pager(source, limit=2).snapshot()
    assert sorted(ids([row async for row in walk])) == ids(block)


async def test_a_block_that_never_holds_still_is_given_up() -> None:
    made = iter(range(100, 10_000))
    source = Source([session(number, 10) for number in range(6)])

    def churn(number: int) -> None:
        source.rows.insert(0, session(next(made), 10))
        source.rows.pop()

    source.meanwhile = churn
    walk = pager(source, limit=2).snapshot()
    with pytest.raises(PaginationError, match="100 passes over one timestamp each gave other sessions"):
        [row async for row in walk]


async def test_an_empty_page_is_asked_for_again_unless_the_server_counts_none() -> None:
    class Hiccup(Source):
        async def __call__(self, query: ListQuery) -> ListResponseSession:
            page = await super().__call__(query)
            return attrs.evolve(page, items=()) if len(self.log) == 3 else page

    source = Hiccup(sessions(25))
    assert ids([row async for row in pager(source, limit=10).snapshot()]) == ids(sessions(25))
    assert starts(source) == [None, None, 89.0, 89.0, 179.0]


async def test_a_page_that_is_shorter_for_another_reason_does_not_end_the_walk() -> None:
    source = Source(sessions(40))
    source.meanwhile = lambda number: setattr(source, "clamp", 3 if number else None)
    assert ids([row async for row in pager(source, limit=20).snapshot()]) == ids(sessions(40))


def upside_down(source: Source, query: ListQuery) -> ListResponseSession:
    return source.answer(query.replace(order_by_direction="desc"))


def deaf_to_start(source: Source, query: ListQuery) -> ListResponseSession:
    return source.answer(query.replace(start_datetime=None))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (upside_down, "does not honour order_by"),
        (deaf_to_start, "does not honour start_datetime"),
    ],
)
async def test_a_server_that_does_not_play_along_is_told_so_before_a_row_is_lost(
    answer: Callable[[Source, ListQuery], ListResponseSession], reason: str
) -> None:
    source, calls = Source(sessions(25)), list[ListQuery]()

    async def fetch(query: ListQuery) -> ListResponseSession:
        calls.append(query)
        return answer(source, query)

    with pytest.raises(PaginationError, match=reason) as caught:
        [row async for row in Pager(fetch, ListQuery.from_arguments(limit=10), QUICK).snapshot()]
    assert caught.value.page == len(calls)


async def test_a_server_that_ignores_the_end_costs_nothing() -> None:
    source = Source(sessions(25))

    async def fetch(query: ListQuery) -> ListResponseSession:
        return source.answer(query.replace(end_datetime=None))

    walk = Pager(fetch, ListQuery.from_arguments(limit=10, end_datetime=at(120_000_000)), QUICK).snapshot()
    assert ids([row async for row in walk]) == ids(sessions(12))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"page": 1}, "take no page"),
        ({"order_by": "duration"}, "ascending timestamp"),
        ({"order_by_direction": "desc"}, "ascending timestamp"),
        ({"limit": 0}, "limit=0"),
        ({"start_datetime": "2026-01-01"}, "start_datetime must be an ISO 8601 time with an offset"),
        ({"end_datetime": "soon"}, "end_datetime must be an ISO 8601 time with an offset"),
    ],
)
async def test_queries_that_a_walk_by_key_cannot_answer(arguments: dict[str, Any], reason: str) -> None:
    source = Source(sessions(3))
    for begin in (pager(source, **arguments).snapshot, pager(source, **arguments).follow):
        with pytest.raises(ValueError, match=f"{reason}|leave end_datetime out"):
            begin()
    assert source.log == []


@pytest.mark.parametrize(
    ("arguments", "error", "reason"),
    [
        ({"max_items": -1}, ValueError, "max_items must be at least 0"),
        ({"overlap": -1.0}, ValueError, "overlap must be a number of seconds, at least 0"),
        ({"overlap": float("nan")}, ValueError, "overlap must be"),
        ({"overlap": "1"}, TypeError, "overlap must be a number of seconds, not str"),
        ({"cursor": "{}"}, TypeError, "cursor must be a Cursor, not str"),
        ({"cursor": Cursor(fingerprint="other")}, ValueError, "belongs to a query with other filters or another start"),
    ],
)
async def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        pager(Source(sessions(3))).snapshot(**arguments)


async def test_a_cursor_knows_its_query() -> None:
    source = Source(sessions(25))
    search: dict[str, Any] = {"search_fields": ["agent_id", "source"], "search_field_values": ["7", "+1 555"]}
    cursor = pager(source, **search, start_datetime=EPOCH).snapshot().cursor
    same = {"search_fields": ["source", "agent_id"], "search_field_values": ["+1 555", "7"]}
    elsewhere = EPOCH.astimezone(timezone(timedelta(hours=5))).isoformat()
    pager(source, **same, start_datetime=elsewhere, limit=3, fields=["source"], order_by="timestamp").snapshot(cursor)
    others: list[dict[str, Any]] = [
        {},
        search,
        {**search, "start_datetime": at(1)},
        {**search, "search_field_values": ["8", "+1 555"], "start_datetime": EPOCH},
    ]
    for other in others:
        with pytest.raises(ValueError, match="a query with other filters"):
            pager(source, **other).snapshot(cursor)


async def test_a_cursor_holds_the_ids_of_a_page_and_quotes_no_filter() -> None:
    source = Source(sessions(300))
    walk = pager(source, search_fields=["source"], search_field_values=["+1 555 0100"]).snapshot()
    for _ in range(250):
        await anext(walk)
    text = walk.cursor.to_json()
    assert "555" not in text
    assert walk.cursor.spans[0].known.ids == [f"s{number}" for number in range(198, 250)]
    assert "s249" not in repr(walk.cursor)


async def test_a_cursor_pins_the_end_from_the_first_request_on() -> None:
    source, clock = Source(sessions(25)), [at(125_000_000)]
    query = ListQuery.from_arguments(limit=10)
    walk = Pager(source, query, Clock(now=lambda: clock[0], sleep=QUICK.sleep)).snapshot()
    assert walk.cursor.end is None
    got = [await anext(walk) for _ in range(5)]
    clock[0] = LATER
    got += [
        row async for row in Pager(source, query, Clock(now=lambda: clock[0], sleep=QUICK.sleep)).snapshot(walk.cursor)
    ]
    assert ids(got) == ids(sessions(13))


MOMENTS = st.none() | st.datetimes(timezones=st.just(UTC))
KNOWN = st.lists(st.tuples(st.text(), st.integers(-(10**15), 10**15))).map(
    lambda pairs: KnownIds.of([key for key, _ in pairs], [micros for _, micros in pairs])
)


@st.composite
def cursors(draw: st.DrawFn) -> Cursor:
    """Any cursor that a walk could give: spans one after the other."""
    moments = sorted(draw(st.lists(st.datetimes(timezones=st.just(UTC)), min_size=2, max_size=9)))
    if draw(st.booleans()):
        open_span = (CursorSpan(floor=draw(MOMENTS), since=draw(MOMENTS), known=draw(KNOWN)),)
        return Cursor(fingerprint=draw(st.text()), kept_from=draw(MOMENTS), spans=open_span, known=draw(KNOWN))
    spans = tuple(
        CursorSpan(
            floor=begin,
            since=draw(st.datetimes(begin.replace(tzinfo=None), end.replace(tzinfo=None)).map(utc)),
            end=end,
            known=draw(KNOWN),
            is_checked=draw(st.booleans()),
        )
        for begin, end in pairwise(moments)
    )
    return Cursor(fingerprint=draw(st.text()), end=moments[-1], kept_from=draw(MOMENTS), spans=spans, known=draw(KNOWN))


def utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(cursors())
def test_a_cursor_survives_json_pickle_and_copy(cursor: Cursor) -> None:
    assert Cursor.from_json(cursor.to_json()) == cursor
    assert Cursor.from_json(cursor.to_json().encode("utf-8", "surrogatepass")) == cursor
    assert pickle.loads(pickle.dumps(cursor)) == cursor
    assert copy.deepcopy(cursor) == cursor
    assert hash(copy.copy(cursor)) == hash(cursor)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"v":2}',
        '{"v":1,"known":[]}',
        '{"v":1,"query":"x"}',
        '{"v":1,"query":"x","known":[1]}',
        '{"v":1,"query":"x","known":"ab"}',
        '{"v":1,"query":"x","known":[],"end":5}',
        '{"v":1,"query":"x","known":[],"end":"2026-01-01"}',
        b"\xff",
    ],
)
def test_what_is_no_cursor_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match="cursor"):
        Cursor.from_json(text)


async def test_timestamps_at_the_ends_of_time() -> None:
    rows = [Session(timestamp=moment.replace(tzinfo=UTC), session_id=str(moment)) for moment in (datetime.min, EPOCH)]
    source = Source(rows)
    assert [row async for row in pager(source, limit=5).snapshot()] == rows
    assert [row async for row in pager(source, limit=1).snapshot()] == rows


async def test_a_failed_request_leaves_it_where_it_was() -> None:
    source = Source(sessions(25))

    def fail(number: int) -> None:
        if number % 2 == 0:
            raise UnavailableError

    source.meanwhile = fail
    walk, got = pager(source, limit=10).snapshot(), list[Session]()
    while len(got) < 25:
        try:
            got.append(await anext(walk))
        except UnavailableError:
            continue
    assert ids(got) == ids(sessions(25))
    assert starts(source) == [None, None, None, None, 89.0, 89.0, 179.0, 179.0]


async def test_memory_is_bounded_by_the_overlap() -> None:
    walk = pager(Source([session(number, number * 10_000) for number in range(5_000)]), limit=500).snapshot()
    most = 0
    async for _ in walk:
        most = max(most, len(walk.cursor.spans[0].known) if walk.cursor.spans else 0)
    assert most <= 700


async def test_two_tasks_in_one_walk_are_told() -> None:
    makes: list[Callable[[Pager], AsyncIterator[object]]] = [
        lambda pager: pager.snapshot(),
        lambda pager: pager.items(),
        lambda pager: pager.items(prefetch=3),
        lambda pager: pager.pages(),
    ]
    for make, rest in zip(makes, [24, 24, 24, 2], strict=True):
        walk = make(pager(Source(sessions(25), delays=Random(1)), limit=10))
        got = await asyncio.gather(*(_step(walk) for _ in range(4)), return_exceptions=True)
        assert [type(one) for one in got[1:]] == [RuntimeError] * 3
        assert len([row async for row in walk]) == rest


async def _step(walk: AsyncIterator[object]) -> object:
    return await anext(walk)
