"""Plain walks, rule by rule."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from syllable_async._pagination.offset_state import MAX_STALE_PAGES
from syllable_async._pagination.pager import Pager
from syllable_async._pagination.query import ListQuery
from syllable_async.errors import PaginationDriftWarning, PaginationError
from syllable_async.models import ListResponseSession, Session

from .paged_source import QUICK, Source, UnavailableError, at, ids, session, sessions


def pager(source: Source, **arguments: Any) -> Pager:
    return Pager(source, ListQuery.from_arguments(**arguments), QUICK)


def pages_asked(source: Source) -> list[int | None]:
    return [query.page for query in source.log]


async def test_nothing_is_sent_before_it_is_asked_for() -> None:
    source = Source(sessions(3))
    plain = pager(source)
    for walk in (plain.items(), plain.items(prefetch=4), aiter(plain)):
        await walk.aclose()
    await plain.pages(prefetch=4).aclose()
    assert source.log == []


async def test_awaiting_gives_that_one_page_exactly_as_asked() -> None:
    source = Source(sessions(30))
    page = await pager(source, page=1, limit=4, fields=["agent_id"])
    assert ids(page.items) == ["s4", "s5", "s6", "s7"]
    assert source.log == [ListQuery.from_arguments(page=1, limit=4, fields=["agent_id"])]
    assert (await pager(source, limit=0)).items == ()


async def test_iterating_walks_from_that_page_on() -> None:
    source = Source(sessions(10))
    assert ids([row async for row in pager(source, page=1, limit=4)]) == [f"s{number}" for number in range(4, 10)]
    assert pages_asked(source) == [1, 2]


async def test_a_walk_asks_for_a_hundred_and_for_the_fields_that_it_needs() -> None:
    source = Source(sessions(150))
    assert len([row async for row in pager(source, fields=["session_id", "agent_id"])]) == 150
    assert [(q.limit, q.fields) for q in source.log] == [(100, ("session_id", "agent_id", "timestamp"))] * 2


@pytest.mark.parametrize(("count", "requests"), [(0, 1), (1, 1), (9, 1), (10, 2), (11, 2), (20, 3)])
async def test_totals_and_rows_that_agree_end_a_walk_unless_its_last_page_is_full(count: int, requests: int) -> None:
    """Behind a full page there may be more, whatever the total says: some servers count no further than 10,000."""
    source = Source(sessions(count))
    assert ids([row async for row in pager(source, limit=10)]) == ids(sessions(count))
    assert len(source.log) == requests


@pytest.mark.parametrize("lie", [None, 0, 7, 10**9])
@pytest.mark.parametrize("about", ["total", "total_pages"])
@pytest.mark.filterwarnings("ignore::syllable_async.errors.PaginationDriftWarning")
async def test_totals_that_contradict_the_rows_cost_a_second_look_and_no_row(about: str, lie: int | None) -> None:
    source = Source(sessions(20), **{about: lambda count: lie})  # type: ignore[arg-type]
    assert len([row async for row in pager(source, limit=10)]) == 20
    assert len(source.log) == (3 if about == "total_pages" else 4)


async def test_a_clamped_limit_loses_nothing() -> None:
    echoes: list[Callable[[int, int], int]] = [lambda asked, used: asked, lambda asked, used: used]
    for echo in echoes:
        source = Source(sessions(23), clamp=5, echo=echo)
        assert ids([row async for row in pager(source, limit=10)]) == ids(sessions(23))
        assert pages_asked(source) == [0, 1, 2, 3, 4]


async def test_the_pages_of_a_walk_and_what_comes_next() -> None:
    source = Source(sessions(23))
    walk = pager(source, limit=10).pages()
    assert walk.next_page == 0
    assert [(page.page, len(page.items), walk.next_page) async for page in walk] == [(0, 10, 1), (1, 10, 2), (2, 3, 3)]
    with pytest.raises(StopAsyncIteration):
        await anext(walk)


async def test_max_items_and_max_pages() -> None:
    for most, requests in [(0, 0), (1, 1), (10, 1), (11, 2), (99, 3)]:
        for prefetch in (0, 4):
            source = Source(sessions(23))
            walk = pager(source, limit=10).items(max_items=most, prefetch=prefetch)
            assert len([row async for row in walk]) == min(most, 23)
            assert len(source.log) == requests
    for most, requests in [(0, 0), (1, 1), (2, 2), (9, 3)]:
        for prefetch in (0, 4):
            source = Source(sessions(23))
            pages = pager(source, limit=10, page=0).pages(max_pages=most, prefetch=prefetch)
            assert len([page async for page in pages]) == requests == len(source.log)


async def test_a_failed_page_leaves_the_walk_where_it_was() -> None:
    def fail_each_page_once(number: int) -> None:
        if number % 2 == 0:
            raise UnavailableError

    for prefetch in (0, 3):
        source = Source(sessions(23), meanwhile=fail_each_page_once)
        walk, got = pager(source, limit=10).items(prefetch=prefetch), list[Session]()
        failures = 0
        while True:
            try:
                got.append(await anext(walk))
            except UnavailableError:
                failures += 1
                assert walk.next_page == len(got) // 10
            except StopAsyncIteration:
                break
        assert ids(got) == ids(sessions(23))
        assert failures == 3 or prefetch


async def test_a_closed_walk_stays_closed() -> None:
    async with pager(Source(sessions(23)), limit=10).items() as walk:
        assert ids([await anext(walk)]) == ["s0"]
    with pytest.raises(StopAsyncIteration):
        await anext(walk)
    await walk.aclose()


@pytest.mark.parametrize("call", ["items(max_items=-1)", "items(prefetch=-1)", "pages(max_pages=-1)"])
async def test_negative_numbers_are_refused_before_anything_is_sent(call: str) -> None:
    source = Source(sessions(3))
    with pytest.raises(ValueError, match="must be at least 0"):
        eval(f"walk.{call}", {"walk": pager(source)})
    assert source.log == []


async def test_a_walk_of_pages_without_sessions_is_refused() -> None:
    with pytest.raises(ValueError, match="limit=0"):
        pager(Source(sessions(3)), limit=0).items()


Answer = Callable[[int], list[Session]]


def scripted(answer: Answer, total: int | None = None, size: int = 2) -> Pager:
    """A server whose page n is `answer(n)`."""

    async def fetch(query: ListQuery) -> ListResponseSession:
        page = query.page or 0
        return ListResponseSession(items=tuple(answer(page)), page=page, page_size=size, total_count=total)

    return Pager(fetch, ListQuery.from_arguments(limit=size), QUICK)


@pytest.mark.parametrize("period", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("total", [None, 10**9])
async def test_a_server_that_goes_round_in_circles_is_found_out(period: int, total: int | None) -> None:
    walk = scripted(lambda page: [session(2 * (page % period)), session(2 * (page % period) + 1)], total).items()
    got = list[Session]()
    with (  # noqa: PT012, PT031
        pytest.warns(PaginationDriftWarning, match="rows came twice"),
        pytest.raises(PaginationError, match="repeats") as caught,
    ):
        async for row in walk:
            got.append(row)
    assert ids(got) == ids(sessions(2 * period))
    assert caught.value.page == MAX_STALE_PAGES * period


async def test_a_circle_longer_than_the_memory_is_found_out_too() -> None:
    period = 7_000
    walk = scripted(lambda page: [session(2 * (page % period)), session(2 * (page % period) + 1)]).pages()
    with pytest.raises(PaginationError, match="repeats") as caught:
        async for _ in walk:
            pass
    assert caught.value.page < 4 * period


async def test_rows_without_an_id_are_left_out_only_where_the_list_was_pushed_on() -> None:
    rows = [Session(timestamp=at(number)) for number in (0, 1, 1, 2, 2, 2, 1, 0)]
    walk = scripted(lambda page: rows[2 * page : 2 * page + 2])
    assert [row async for row in walk] == rows
    source = Source([*rows])
    source.meanwhile = lambda number: source.rows.insert(0, Session(timestamp=at(9))) if number == 1 else None
    assert [row async for row in pager(source, limit=2)] == rows
    with pytest.warns(PaginationDriftWarning), pytest.raises(PaginationError, match="repeats"):
        [row async for row in scripted(lambda page: rows[:2])]


async def test_an_endless_server_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syllable_async._pagination.offset_state.MAX_PAGES", 50)
    with pytest.raises(PaginationError, match="does not end"):
        [row async for row in scripted(lambda page: [session(2 * page), session(2 * page + 1)])]


@pytest.mark.parametrize("prefetch", [0, 2])
async def test_rows_that_come_in_first_push_others_on_and_cost_nothing(prefetch: int) -> None:
    source = Source(sessions(20))
    source.meanwhile = lambda number: source.rows.insert(0, session(99)) if number == 1 else None
    assert ids([row async for row in pager(source, limit=10).items(prefetch=prefetch)]) == ids(sessions(20))


@pytest.mark.parametrize("prefetch", [0, 2])
async def test_a_row_that_goes_is_told_at_the_users_line(prefetch: int) -> None:
    source = Source(sessions(25))
    source.meanwhile = lambda number: source.rows.__delitem__(0) if number == 1 else None
    with pytest.warns(PaginationDriftWarning, match=r"page 1: the total moved; rows may be missing\. Pager") as caught:
        got = ids([row async for row in pager(source, limit=10).items(prefetch=prefetch)])
    assert got == [name for name in ids(sessions(25)) if name != "s10"]
    assert [Path(warning.filename) for warning in caught] == [Path(__file__)]


async def test_pages_leave_out_what_came_before() -> None:
    source = Source(sessions(20))
    source.meanwhile = lambda number: source.rows.insert(0, session(99)) if number == 1 else None
    pages = [page async for page in pager(source, limit=10).pages()]
    assert [len(page.items) for page in pages] == [10, 9, 1]


async def test_drift_is_told_once_and_a_repeat_alone_is_drift() -> None:
    rows = sessions(7)
    layout = [[0, 1], [1, 2], [2, 3], [1, 4], [3, 5]]
    with pytest.warns(PaginationDriftWarning, match="page 3: rows came twice") as caught:
        got = [row async for row in scripted(lambda page: [rows[n] for n in layout[page]] if page < 5 else [])]
    assert ids(got) == ["s0", "s1", "s2", "s3", "s4", "s5"]
    assert len(caught) == 1


async def test_an_empty_page_before_the_total_ends_with_a_warning() -> None:
    rows = sessions(8)
    with pytest.warns(PaginationDriftWarning, match="page 1: the total says that more is there"):
        got = [row async for row in scripted(lambda page: [] if page == 1 else rows[2 * page : 2 * page + 2], total=8)]
    assert ids(got) == ["s0", "s1"]


async def test_a_warning_turned_into_an_error_loses_no_row() -> None:
    source = Source(sessions(20))
    source.meanwhile = lambda number: source.rows.append(session(20)) if number == 1 else None
    walk, got = pager(source, limit=10).items(), list[Session]()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(PaginationDriftWarning):  # noqa: PT012
            async for row in walk:
                got.append(row)
        async for row in walk:
            got.append(row)
    assert ids(got) == ids(sessions(21))


async def test_as_many_new_rows_as_a_page_holds_are_no_circle() -> None:
    source = Source(sessions(30))

    def ten_more_in_front(number: int) -> None:
        if number == 1:
            source.rows[:0] = [session(number) for number in range(100, 110)]

    source.meanwhile = ten_more_in_front
    assert ids([row async for row in pager(source, limit=10)]) == ids(sessions(30))
    assert pages_asked(source) == [0, 1, 2, 3, 4]
