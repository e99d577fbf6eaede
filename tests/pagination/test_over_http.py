"""Walks through client and fake on a socket: what a server says of its pages, failures midway, data that moves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Final

import pytest

from syllable_async import (
    AsyncSyllableClient,
    Cursor,
    InternalServerError,
    PaginationDriftWarning,
    PaginationError,
    RetryPolicy,
    Session,
    SyllableConnectionError,
)
from syllable_async.testing import FakeSyllable, Fault, faults
from tests.time_control import FakeTime, timeless_client

COUNT, LIMIT = 45, 10
ONCE = RetryPolicy(max_attempts=1)
ROUTE: Final = "sessions.list"


@pytest.fixture
def fake() -> Iterator[FakeSyllable]:
    """In a thread of its own, so that every task of this loop is the client's or the test's."""
    with FakeSyllable(sessions=COUNT, hide_tests=False) as server:
        yield server
        server.faults.assert_all_met()


def client(server: FakeSyllable) -> AsyncSyllableClient:
    """Its pauses take no time."""
    return timeless_client(FakeTime())(server.api_key, base_url=server.url, retries=ONCE)


def names(rows: list[Session]) -> list[str]:
    return [row.session_id or "" for row in rows]


def pages_asked(server: FakeSyllable) -> list[str | None]:
    return [request.param("page") for request in server.requests]


def said(**values: Any) -> Fault:
    """The server says this about every page."""
    return faults.edit_json(lambda page: {**page, **values}, times=None)


def twice(page: dict[str, Any]) -> dict[str, Any]:
    return {**page, "items": [*page["items"][:1], *page["items"]]}


def emptied(page: dict[str, Any]) -> dict[str, Any]:
    return {**page, "items": []}


SAYINGS: dict[str, tuple[Fault, int]] = {
    # what the server does all the time, and the requests of a plain walk then: 5, and two more where nothing else
    # than an empty page can be the end, which is asked for twice
    "another page number": (said(page=99), 5),
    "total_pages 0": (said(total_pages=0), 6),
    "total_pages 10^9": (said(total_pages=10**9), 6),
    "total_pages null": (said(total_pages=None), 5),
    "total_count too small": (said(total_count=7), 7),
    "total_count 0": (said(total_count=0), 7),
    "total_count 10^9": (said(total_count=10**9), 7),
    "total_count null": (said(total_count=None), 7),
    "both null": (faults.null_totals(times=None), 7),
    "page_size 0": (said(page_size=0), 5),
    "limit clamped": (faults.clamp_limit(4, times=None), 12),
    "limit clamped, echoed as asked": (faults.clamp_limit(4, echo_asked=True, times=None), 13),
    "ids repeated": (faults.edit_json(twice, times=None), 7),
}


@pytest.mark.filterwarnings("ignore::syllable_async.PaginationDriftWarning")
@pytest.mark.parametrize("prefetch", [0, 3])
@pytest.mark.parametrize("saying", SAYINGS)
async def test_whatever_a_server_says_of_its_pages_no_row_is_lost_or_doubled(
    fake: FakeSyllable, saying: str, prefetch: int
) -> None:
    fault, requests = SAYINGS[saying]
    fake.faults.add(ROUTE, fault)
    async with client(fake) as api:
        async with api.sessions.list(limit=LIMIT).items(prefetch=prefetch) as walk:
            got = names([row async for row in walk])
        assert len(asyncio.all_tasks()) == 1
    assert got == list(reversed(fake.sessions))
    assert len(fake.requests) == requests or prefetch


@pytest.mark.parametrize("saying", SAYINGS)
async def test_a_snapshot_needs_nothing_that_a_server_says(fake: FakeSyllable, saying: str) -> None:
    fake.faults.add(ROUTE, SAYINGS[saying][0])
    async with client(fake) as api:
        got = names([row async for row in api.sessions.list(limit=LIMIT).snapshot()])
    assert got == list(fake.sessions)


@pytest.mark.parametrize("prefetch", [0, 3])
async def test_a_server_that_shows_one_page_for_ever_is_left(fake: FakeSyllable, prefetch: int) -> None:
    fake.faults.add(ROUTE, faults.repeat_page(0, times=None))
    got = list[Session]()
    async with client(fake) as api:
        async with api.sessions.list(limit=LIMIT).items(prefetch=prefetch) as walk:
            with (  # noqa: PT012, PT031
                pytest.warns(PaginationDriftWarning, match="page 1: rows came twice"),
                pytest.raises(PaginationError, match="page 4: the server repeats"),
            ):
                async for row in walk:
                    got.append(row)
        assert len(asyncio.all_tasks()) == 1
    assert names(got) == list(reversed(fake.sessions))[:LIMIT]
    assert len(fake.requests) == 9 or prefetch


@pytest.mark.parametrize("prefetch", [0, 3])
async def test_a_page_repeated_once_is_asked_for_again(fake: FakeSyllable, prefetch: int) -> None:
    fake.faults.add(ROUTE, faults.repeat_page(), when=lambda call: ("page", "2") in call.params)
    async with client(fake) as api:
        got = [row async for row in api.sessions.list(limit=LIMIT).items(prefetch=prefetch)]
    assert names(got) == list(reversed(fake.sessions))
    assert sorted(map(str, pages_asked(fake))) == ["0", "1", "2", "2", "3", "4"]


@pytest.mark.parametrize("prefetch", [0, 3])
@pytest.mark.parametrize("page", range(5))
async def test_a_page_that_comes_empty_once_is_asked_for_again(fake: FakeSyllable, page: int, prefetch: int) -> None:
    fake.faults.add(ROUTE, faults.edit_json(emptied), when=lambda call: ("page", str(page)) in call.params)
    async with client(fake) as api:
        got = [row async for row in api.sessions.list(limit=LIMIT).items(prefetch=prefetch)]
    assert names(got) == list(reversed(fake.sessions))
    assert len(fake.requests) == 6


async def test_a_page_that_stays_empty_ends_the_walk_with_a_warning(fake: FakeSyllable) -> None:
    fake.faults.add(ROUTE, faults.edit_json(emptied, times=None), when=lambda call: ("page", "2") in call.params)
    async with client(fake) as api:
        with pytest.warns(PaginationDriftWarning, match="page 2: the total says that more is there"):
            got = [row async for row in api.sessions.list(limit=LIMIT)]
    assert names(got) == list(reversed(fake.sessions))[: 2 * LIMIT]
    assert pages_asked(fake) == ["0", "1", "2", "2"]


@pytest.mark.parametrize("page", range(5))
@pytest.mark.parametrize("prefetch", [0, 3])
async def test_a_page_that_fails_after_its_retries_is_gone_on_from(
    fake: FakeSyllable, page: int, prefetch: int
) -> None:
    fake.faults.add(ROUTE, faults.status(503), when=lambda call: ("page", str(page)) in call.params)
    async with client(fake) as api:
        walk = api.sessions.list(limit=LIMIT).items(prefetch=prefetch)
        got = [await anext(walk) for _ in range(page * LIMIT)]
        with pytest.raises(InternalServerError):
            await anext(walk)
        assert walk.next_page == page
        got += [row async for row in walk]
    assert names(got) == list(reversed(fake.sessions))
    assert len(fake.requests) == 6


@pytest.mark.parametrize("request_number", range(5))
async def test_a_snapshot_goes_on_after_a_failed_request_too(fake: FakeSyllable, request_number: int) -> None:
    if request_number:
        fake.faults.add(ROUTE, faults.pass_through(times=request_number))
    fake.faults.add(ROUTE, faults.drop(reset=True))
    async with client(fake) as api:
        walk, got, failures = api.sessions.list(limit=LIMIT).snapshot(), list[Session](), 0
        while len(got) < COUNT:
            try:
                got.append(await anext(walk))
            except SyllableConnectionError:
                failures += 1
    assert (names(got), failures) == (list(fake.sessions), 1)


def restless(server: FakeSyllable, moments: list[str]) -> tuple[Fault, set[str]]:
    """Before every request one session is inserted, late ones too, and another deleted."""
    deleted = set[str]()
    calls = iter(range(10_000))

    def move(_: object) -> None:
        number = next(calls)
        server.add_session(timestamp=moments[number * 7 % len(moments)])
        victim = server.sessions[number * 11 % len(server.sessions)]
        deleted.add(victim)
        server.delete(victim)

    return Fault(name="restless data", times=None, before=(move,)), deleted


@pytest.mark.parametrize("bounds", ["[)", "[]", "(]", "()"])
@pytest.mark.parametrize("tie", [0, 7, 35])
async def test_a_snapshot_is_exact_over_restless_data_with_ties(bounds: Any, tie: int) -> None:
    with FakeSyllable(sessions=COUNT, bounds=bounds, hide_tests=False) as server:
        moments = [server.session(name)["timestamp"] for name in server.sessions]
        for _ in range(tie):
            server.add_session(timestamp=moments[20])
        there = set(server.sessions)
        # Where the block is wider than a page it must hold still for two passes.
        fault, deleted = restless(server, [moment for moment in moments if moment != moments[20]])
        server.faults.add(ROUTE, fault)
        async with client(server) as api:
            walk = api.sessions.list(limit=LIMIT, end_datetime="2099-01-01T00:00:00Z").snapshot()
            got = names([await anext(walk) for _ in range(25)])
            await walk.aclose()
            rest = api.sessions.list(limit=LIMIT, end_datetime="2099-01-01T00:00:00Z").snapshot(
                Cursor.from_json(walk.cursor.to_json())
            )
            got += names([row async for row in rest])
        assert deleted
        assert there - deleted - set(got) == set()
        assert len(got) == len(set(got))


async def test_a_plain_walk_over_the_same_data_loses_rows_and_says_so() -> None:
    with FakeSyllable(sessions=COUNT, hide_tests=False) as server:
        there = set(server.sessions)
        deleted = set[str]()

        def take_the_newest(_: object) -> None:
            if len(deleted) < 20:
                for victim in server.sessions[-3:]:
                    deleted.add(victim)
                    server.delete(victim)

        server.faults.add(ROUTE, Fault(name="deleted", times=None, before=(take_the_newest,)))
        async with client(server) as api:
            with pytest.warns(PaginationDriftWarning, match="the total moved"):
                got = names([row async for row in api.sessions.list(limit=LIMIT)])
    assert there - deleted - set(got) != set()
