"""Spans side by side, and cursors that go on: from each other's walks, past their end, and where the list is behind."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from itertools import groupby
from random import Random
from typing import Any

import attrs
import pytest
from msgspec.structs import replace

from syllable_async._pagination.cursor import Cursor, CursorSpan, fingerprint
from syllable_async._pagination.keyset import SnapshotIterator
from syllable_async._pagination.known_ids import KnownIds
from syllable_async._pagination.pager import Pager
from syllable_async._pagination.query import ListQuery
from syllable_async._timing import Clock
from syllable_async.errors import ClientClosedError, PaginationError
from syllable_async.models import ListResponseSession

from .paged_source import LATER, QUICK, Source, UnavailableError, at, ids, session, sessions


def walk(source: Source, cursor: Cursor | None = None, *, clock: Clock = QUICK, **arguments: Any) -> SnapshotIterator:
    bounds = {name: arguments.pop(name) for name in ("start_datetime", "end_datetime") if name in arguments}
    query = ListQuery.from_arguments(limit=10, **bounds)
    return Pager(source, query, clock, source.exists).snapshot(cursor, **arguments)


def through_json(cursor: Cursor) -> Cursor:
    return Cursor.from_json(cursor.to_json())


async def test_spans_are_read_side_by_side() -> None:
    source = Source(sessions(1_000), delays=Random(3))
    got = [row async for row in walk(source, parallel=8)]
    assert sorted(ids(got)) == sorted(ids(source.rows))
    assert source.most_in_flight == 8
    alone = Source(sessions(1_000))
    assert len([row async for row in walk(alone)]) == 1_000
    assert len(source.log) <= 1.1 * len(alone.log)


async def test_a_request_leaves_before_the_caller_works_on_the_rows_of_other_spans() -> None:
    source = Source(sessions(1_000))
    sent = [len(source.log) async for _ in walk(source, parallel=8)]
    without = [len(list(rows)) for _, rows in groupby(sent)]
    assert max(without[1:]) <= 3 * 10, "eight pages were read out before the next request left"


@pytest.mark.parametrize("hidden", [1, 5, 9])
@pytest.mark.parametrize("parallel", [1, 8])
async def test_a_first_page_that_leaves_out_its_first_sessions_loses_none(parallel: int, hidden: int) -> None:
    """Of every question by key that was not asked before; a replica that is being built answers so."""
    source, asked = Source(sessions(1_000)), set[object]()

    async def fetch(query: ListQuery) -> ListResponseSession:
        page = await source(query)
        is_new = query.start_datetime not in asked
        asked.add(query.start_datetime)
        return attrs.evolve(page, items=source.answer(query.replace(limit=20)).items[hidden:10]) if is_new else page

    rows = Pager(fetch, ListQuery.from_arguments(limit=10), QUICK, source.exists).snapshot(parallel=parallel)
    assert sorted([row.session_id or "" async for row in rows]) == sorted(ids(source.rows))


@pytest.mark.parametrize("seed", [70, 103, 149])
async def test_a_span_that_is_empty_takes_over_what_its_neighbour_gives_back_meanwhile(seed: int) -> None:
    source = Source([session(number, number * 7_300_000) for number in range(120)], clamp=4, delays=Random(seed))
    got = [row async for row in walk(source, start_datetime=at(0), end_datetime=at(960_000_000), parallel=8)]
    assert sorted(ids(got)) == sorted(ids(source.rows))


async def test_each_span_comes_oldest_first_and_one_span_in_order() -> None:
    source = Source(sessions(300))
    assert ids([row async for row in walk(source)]) == ids(source.rows)


@pytest.mark.parametrize("later", [1, 3, 8, 100])
async def test_a_cursor_of_eight_spans_goes_on_with_any_number(later: int) -> None:
    source = Source(sessions(500))
    first = walk(source, parallel=8)
    got = [await anext(first) for _ in range(137)]
    cursor = through_json(first.cursor)
    assert len(cursor.spans) > 1
    await first.aclose()
    got += [row async for row in walk(source, cursor, parallel=later)]
    assert sorted(ids(got)) == sorted(ids(source.rows))


@pytest.mark.parametrize("parallel", [1, 8])
async def test_a_finished_cursor_gives_what_is_new_and_late_ones(parallel: int) -> None:
    now = at(10_000_000_000)
    source = Source(sessions(1_000))
    first = walk(source, clock=replace(QUICK, now=lambda: now), parallel=parallel)
    assert len([row async for row in first]) == 1_000
    source.rows += [session(2_000, 9_000_000_001), session(2_001, 11_000_000_000)]
    second = walk(source, through_json(first.cursor), parallel=parallel)
    assert sorted(ids([row async for row in second])) == ["s2000", "s2001"]
    third = walk(source, through_json(second.cursor), parallel=parallel)
    assert [row async for row in third] == []


async def test_an_unfinished_cursor_keeps_its_end_unless_it_moves_later() -> None:
    source = Source(sessions(100))
    for parallel in (1, 8):
        first = walk(source, end_datetime=at(500_000_000), parallel=parallel)
        got = [await anext(first) for _ in range(3)]
        cursor = through_json(first.cursor)
        await first.aclose()
        kept = [row async for row in walk(source, cursor, parallel=parallel)]
        assert sorted(ids(got + kept)) == sorted(ids(source.rows[:50]))
        moved = [row async for row in walk(source, cursor, end_datetime=at(700_000_000), parallel=parallel)]
        assert sorted(ids(got + moved)) == sorted(ids(source.rows[:70]))


async def test_an_end_that_moves_later_is_a_span_of_its_own_where_the_last_one_is_done() -> None:
    source, query = Source(sessions(100)), ListQuery.from_arguments(limit=10, end_datetime=at(700_000_000))
    left = CursorSpan(floor=None, since=None, end=at(250_000_000))
    cursor = Cursor(fingerprint=fingerprint(query), kept_from=None, spans=(left,), end=at(500_000_000))
    rest = Pager(source, query, QUICK, source.exists).snapshot(cursor)
    assert ids([row async for row in rest]) == ids([*source.rows[:25], *source.rows[50:70]])


async def test_a_cursor_of_the_first_release_is_read() -> None:
    source = Source(sessions(100))
    query = ListQuery.from_arguments(start_datetime=at(0), end_datetime=at(500_000_000))
    text = json.dumps(
        {
            "v": 1,
            "query": "07ac7ce6d6fd97d5",
            "end": at(500_000_000).isoformat(),
            "reached": at(200_000_000).isoformat(),
            "since": at(199_000_000).isoformat(),
            "known": ["s20"],
        }
    )
    rest = Pager(source, query, QUICK, source.exists).snapshot(Cursor.from_json(text))
    assert ids([row async for row in rest]) == ids(source.rows[21:50])


@pytest.mark.parametrize("parallel", [1, 8])
async def test_a_list_that_is_behind_is_refused_and_forget_goes_on(parallel: int) -> None:
    source = Source(sessions(300))

    async def there(_: str) -> bool:
        return True

    pager = Pager(source, ListQuery.from_arguments(limit=10), QUICK, there)
    first = pager.snapshot(parallel=parallel)
    got = [await anext(first) for _ in range(25)]
    hidden, source.rows = source.rows, [session(500, 2_995_000_000)]
    with pytest.raises(PaginationError, match=r"behind.*cursor\.forget\(\)"):  # noqa: PT012
        while True:
            got.append(await anext(first))
    refused = first.cursor
    await first.aclose()
    with pytest.raises(PaginationError):
        [row async for row in pager.snapshot(through_json(refused))]
    rest = [row async for row in pager.snapshot(through_json(refused.forget()))]
    assert ids(rest) == ["s500"]
    source.rows = hidden
    again = [row async for row in pager.snapshot(through_json(refused.forget()))]
    assert sorted(ids(got + again)) == sorted(ids(hidden))


async def test_sessions_that_are_deleted_are_asked_for_by_id_and_then_gone_on_from() -> None:
    source, asked, naps = Source(sessions(100)), list[str](), list[float]()

    async def exists(name: str) -> bool:
        asked.append(name)
        return await source.exists(name)

    async def sleep(seconds: float) -> None:
        naps.append(seconds)

    def purge(number: int) -> None:
        if number == 3:
            del source.rows[:45]

    source.meanwhile = purge
    pager = Pager(source, ListQuery.from_arguments(limit=10), replace(QUICK, sleep=sleep), exists)
    got = ids([row async for row in pager.snapshot()])
    assert got == ids(sessions(100))[: got.index("s45")] + ids(source.rows)
    assert (asked, naps) == ([got[got.index("s45") - 1]], [1.0, 2.0])


@pytest.mark.parametrize("parallel", [1, 8])
async def test_a_failed_page_leaves_its_span_where_it_was(parallel: int) -> None:
    def fail(number: int) -> None:
        if number % 3 == 1:
            raise UnavailableError

    source = Source(sessions(200), meanwhile=fail)
    rows, got = walk(source, parallel=parallel), list[str | None]()
    while len(got) < 200:
        try:
            got.append((await anext(rows)).session_id)
        except UnavailableError:
            continue
    assert sorted(map(str, got)) == sorted(ids(source.rows))
    source.meanwhile = None
    with pytest.raises(StopAsyncIteration):
        await anext(rows)


@pytest.mark.parametrize("kind", ["snapshot", "parallel", "follow", "follow, asleep"])
async def test_aclose_ends_what_is_in_flight_and_tells_the_reader(kind: str) -> None:
    stalled = asyncio.Event()

    async def never(_: object) -> ListResponseSession:
        await stalled.wait()
        raise AssertionError

    source = Source(sessions(2))
    pager = Pager(source if kind.endswith("asleep") else never, ListQuery.from_arguments(), Clock(), source.exists)
    rows = pager.follow() if kind.startswith("follow") else pager.snapshot(parallel=8 if kind == "parallel" else 1)

    async def read() -> None:
        async for _ in rows:
            pass

    reader = asyncio.create_task(read())
    await asyncio.sleep(0.01)
    with pytest.raises(RuntimeError, match="two tasks"):
        await anext(rows)
    await rows.aclose()
    await rows.aclose()
    with pytest.raises(ClientClosedError):
        await reader
    with pytest.raises(StopAsyncIteration):  # this task closed it, and knows
        await anext(rows)
    assert len(asyncio.all_tasks()) == 1


async def test_a_walk_that_its_own_reader_closes_just_ends() -> None:
    rows = walk(Source(sessions(300)), parallel=8)
    async for _ in rows:
        await rows.aclose()
    assert [row async for row in rows] == []


async def test_a_walk_that_is_dropped_ends_what_is_in_flight() -> None:
    async for _ in walk(Source(sessions(300), delays=Random(1)), parallel=8):
        break
    for _ in range(3):
        await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1


async def test_max_items_leaves_the_rest_before_the_cursor() -> None:
    source = Source(sessions(300))
    first = walk(source, max_items=33, parallel=8)
    got = [row async for row in first]
    assert len(got) == 33
    got += [row async for row in walk(source, through_json(first.cursor), parallel=2)]
    assert sorted(ids(got)) == sorted(ids(source.rows))


async def test_a_cursor_shares_what_it_knows_with_the_walk() -> None:
    """Reading it after each row of a wide block costs no copy of what was read before."""
    source = Source([session(number, 5) for number in range(2_000)])
    rows = Pager(source, ListQuery.from_arguments(limit=1_000), QUICK).snapshot()
    cursors = list[Cursor]()
    async for _ in rows:
        cursors.append(rows.cursor)
    inside = [cursor.spans[0].known for cursor in cursors[:-1]]
    assert [len(known) for known in inside[:1_500]] == [*range(1, 1_501)]
    assert len({id(known._ids) for known in inside}) == 1


def test_known_ids_hide_what_they_hold() -> None:
    known = KnownIds.of(["a", "b"], [1, 2])
    assert (repr(known), list(known), known == ["a", "b"]) == ("<2 ids>", ["a", "b"], False)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"parallel": 0}, ValueError),
        ({"parallel": -1}, ValueError),
        ({"parallel": 10**6}, ValueError),
        ({"parallel": True}, TypeError),
        ({"parallel": 2.0}, TypeError),
        ({"overlap": -1.0}, ValueError),
        ({"overlap": float("nan")}, ValueError),
        ({"overlap": float("inf")}, ValueError),
        ({"overlap": 367 * 86400.0}, ValueError),
    ],
)
def test_numbers_out_of_range_are_refused(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(arguments))):
        walk(Source([]), **arguments)
    if "overlap" in arguments:
        with pytest.raises(error, match="overlap"):
            Pager(Source([]), ListQuery.from_arguments()).follow(**arguments)


def damaged(**changes: Any) -> str:
    """A cursor with other fields; those of its span begin with `s_`."""
    span: dict[str, Any] = {
        "floor": None,
        "since": at(0).isoformat(),
        "end": LATER.isoformat(),
        "known": [["a"], [1]],
        "check": True,
    }
    span |= {name[2:]: value for name, value in changes.items() if name.startswith("s_")}
    fields: dict[str, Any] = {
        "v": 2,
        "query": "x",
        "end": LATER.isoformat(),
        "kept_from": None,
        "spans": [span],
        "known": [[], []],
    }
    return json.dumps(fields | {name: value for name, value in changes.items() if not name.startswith("s_")})


DAMAGES: list[dict[str, Any]] = [
    {"v": True},
    {"v": 3},
    {"query": 1},
    {"spans": []},
    {"spans": [1]},
    {"spans": {}},
    {"end": None},
    {"end": at(1).isoformat()},
    {"known": [["a"], []]},
    {"known": [[1], [1]]},
    {"known": [["a"], [True]]},
    {"known": [["a"], [10**30]]},
    {"known": [["a"], [10**18]]},
    {"s_known": [[]]},
    {"s_check": 1},
    {"s_since": (LATER + timedelta(seconds=1)).isoformat()},
    {"s_floor": "2026-01-01"},
    {"spans": [{"floor": None, "since": None, "end": at(5).isoformat(), "known": [[], []], "check": True}] * 2},
]


@pytest.mark.parametrize("changes", DAMAGES, ids=str)
def test_a_damaged_cursor_is_refused(changes: dict[str, Any]) -> None:
    Cursor.from_json(damaged())
    with pytest.raises(ValueError, match="cursor"):
        Cursor.from_json(damaged(**changes))


def test_an_end_before_its_start_is_refused() -> None:
    fields: dict[str, Any] = {
        "v": 1,
        "query": "x",
        "known": [],
        "since": at(5).isoformat(),
        "reached": None,
        "end": at(4).isoformat(),
    }
    with pytest.raises(ValueError, match="end is before its start"):
        Cursor.from_json(json.dumps(fields))
