"""Cutting a span into windows that can be walked side by side."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from syllable_async._pagination.query import ListQuery
from syllable_async._pagination.windows import TimeWindow, WindowIterator, windows
from syllable_async.errors import PaginationError
from syllable_async.models import ListResponseSession

from .paged_source import EPOCH, Source, UnavailableError, at, session, sessions

END = at(1_000_000_000)


async def cut(source: Source, most: int, start: datetime = EPOCH, end: datetime = END) -> list[TimeWindow]:
    return [window async for window in windows(source, start, end, most)]


def follow_on(found: list[TimeWindow], start: datetime = EPOCH, end: datetime = END) -> bool:
    edges = [start, *(window.end for window in found)]
    return edges == [*(window.start for window in found), end]


async def test_a_span_with_few_sessions_is_one_window() -> None:
    source = Source(sessions(100))
    assert await cut(source, 100) == [TimeWindow(EPOCH, END, 100)]
    assert [(q.limit, q.page, q.end_datetime) for q in source.log] == [(1, 0, END)]


async def test_windows_are_consecutive_and_hold_no_more_than_wished() -> None:
    source = Source(sessions(100))
    found = await cut(source, 20)
    assert follow_on(found)
    assert all(window.count <= 20 for window in found)
    assert sum(window.count for window in found) >= 100
    assert len(found) == 8


async def test_empty_stretches_join_their_neighbour() -> None:
    source = Source([session(number, 700_000_000 + number) for number in range(30)])
    found = await cut(source, 10)
    assert follow_on(found)
    assert sum(window.count == 0 for window in found) == 0


async def test_neighbours_that_fit_together_exactly_are_one_window() -> None:
    quarters = [(6, 100_000_000), (5, 300_000_000), (5, 600_000_000), (6, 900_000_000)]
    rows = [session(place + number, place + number) for many, place in quarters for number in range(many)]
    assert [window.count for window in await cut(Source(rows), 10)] == [6, 10, 6]


@pytest.mark.parametrize("before_end", [True, False])
@pytest.mark.parametrize("after_start", [True, False])
async def test_an_instant_with_more_is_one_window_and_says_so(after_start: bool, before_end: bool) -> None:
    rows = [session(number, 500) for number in range(30)]
    source = Source(rows, after_start=after_start, before_end=before_end)
    found = await cut(source, 10)
    assert follow_on(found)
    [crowded] = [window for window in found if window.start <= at(500) < window.end]
    assert crowded.count == 30
    assert crowded.end - crowded.start == timedelta(microseconds=1)


async def test_the_bounds_may_be_written_in_any_zone() -> None:
    source = Source(sessions(10))
    [window] = [w async for w in windows(source, "2026-01-01T02:00:00+02:00", END, 10)]
    assert (window.start, window.end) == (EPOCH, END)
    assert window.start.tzinfo is UTC


async def test_an_empty_span_has_no_windows_and_sends_nothing() -> None:
    source = Source(sessions(10))
    assert await cut(source, 5, EPOCH, EPOCH) == []
    assert source.log == []


async def test_a_failed_count_leaves_it_where_it_was() -> None:
    source = Source(sessions(100))

    def fail(number: int) -> None:
        if number % 2:
            raise UnavailableError

    whole = await cut(source, 20)
    source.meanwhile = fail
    found, walk = list[TimeWindow](), windows(source, EPOCH, END, 20)
    while True:
        try:
            found.append(await anext(walk))
        except UnavailableError:
            continue
        except StopAsyncIteration:
            break
    assert found == whole


async def test_it_can_be_closed() -> None:
    async with windows(Source(sessions(100)), EPOCH, END, 20) as walk:
        assert isinstance(walk, WindowIterator)
        await anext(walk)
    with pytest.raises(StopAsyncIteration):
        await anext(walk)


async def test_a_server_without_totals_cannot_be_cut_up() -> None:
    with pytest.raises(PaginationError, match="does not count"):
        await cut(Source(sessions(100), total=lambda count: None), 20)


async def test_totals_that_ignore_the_bounds_are_refused_instead_of_halving_for_ever() -> None:
    source = Source(sessions(100), total=lambda count: 100)
    with pytest.raises(PaginationError, match="totals do not follow the bounds") as caught:
        await cut(source, 20)
    assert caught.value.page == len(source.log) < 100


async def test_sessions_that_come_while_windows_are_found_are_no_nonsense() -> None:
    source = Source(sessions(3))
    many = [session(number, 500_000_000 + number) for number in range(10, 6_000)]
    source.meanwhile = lambda number: source.rows.extend(many) if number == 4 else None
    assert follow_on(await cut(source, 2))


async def test_the_whole_is_counted_again_before_totals_are_called_nonsense() -> None:
    """1,024 windows of 2, although the whole once had 3: each came just before it was counted."""
    wholes = 0

    async def fetch(query: ListQuery) -> ListResponseSession:
        nonlocal wholes
        start, end = query.time_bounds()
        assert start is not None
        assert end is not None
        width = round((end - start).total_seconds())
        wholes += width == 1024
        total = 2 if width == 1 else 2048 if (width, wholes) == (1024, 2) else 3
        return ListResponseSession(items=(), page=0, page_size=1, total_count=total)

    found = [window async for window in windows(fetch, EPOCH, EPOCH + timedelta(seconds=1024), 2)]
    assert [window.count for window in found] == [2] * 1024
    assert wholes == 2


@pytest.mark.parametrize(
    ("arguments", "error", "reason"),
    [
        ({"start": END, "end": EPOCH}, ValueError, "must not be after"),
        ({"start": datetime(2026, 1, 1)}, ValueError, "start_datetime has no time zone"),
        ({"end": "2026-01-01"}, ValueError, "end_datetime must be an ISO 8601 time with an offset"),
        ({"end": None}, TypeError, "both a start and an end"),
        ({"max_sessions": 0}, ValueError, "max_sessions must be at least 1"),
        ({"max_sessions": 2.5}, TypeError, "max_sessions must be an int"),
    ],
)
async def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception], reason: str) -> None:
    source = Source(sessions(3))
    given: dict[str, Any] = {"start": EPOCH, "end": END, "max_sessions": 10} | arguments
    with pytest.raises(error, match=reason):
        windows(source, **given)
    assert source.log == []
