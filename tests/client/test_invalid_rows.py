"""A row of a list that does not fit: told once, and no other row is lost, in every kind of walk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from syllable_async import (
    AsyncSyllableClient,
    InvalidRow,
    PaginationError,
    ResponseValidationError,
    Session,
    make_converter,
)
from syllable_async._pagination.pager import Pager
from syllable_async.testing import FakeSyllable, faults

HOUR = timedelta(hours=1)
WALKS: dict[str, Callable[[Pager], AsyncIterator[Session]]] = {
    "items": lambda pager: pager.items(),
    "items, prefetch": lambda pager: pager.items(prefetch=4),
    "snapshot": lambda pager: pager.snapshot(),
}


def spoil(wrong: dict[str, Any], session_id: str) -> faults.Fault:
    def change(page: Any) -> Any:
        for row in page["items"]:
            if row["session_id"] == session_id:
                row.update(wrong)
        return page

    return faults.edit_json(change, times=None)


@pytest.mark.filterwarnings("ignore::syllable_async.PaginationDriftWarning")
@pytest.mark.parametrize("walk", WALKS)
async def test_an_invalid_row_is_told_once_and_every_other_row_comes(
    walk: str, client: AsyncSyllableClient, server: FakeSyllable
) -> None:
    expected = set(server.listed)
    bad = sorted(expected)[len(expected) // 2]
    server.faults.add("sessions.list", spoil({"duration": {"seconds": 61}}, bad))
    with pytest.raises(ResponseValidationError, match="duration"):
        [row async for row in WALKS[walk](client.sessions.list(limit=7))]
    told = list[InvalidRow]()
    rows = [row async for row in WALKS[walk](client.sessions.list(limit=7, on_invalid_row=told.append))]
    assert sorted(row.session_id or "" for row in rows) == sorted(expected - {bad})
    assert [row.raw["session_id"] for row in told] == [bad]
    assert told[0].path == "$.duration"


async def test_one_page_leaves_the_invalid_row_out(client: AsyncSyllableClient, server: FakeSyllable) -> None:
    page = await client.sessions.list(limit=5)
    server.faults.add("sessions.list", spoil({"is_test": "perhaps"}, page.items[2].session_id or ""))
    told = list[InvalidRow]()
    again = await client.sessions.list(limit=5, on_invalid_row=told.append)
    assert [row.session_id for row in again.items] == [row.session_id for row in page.items if row != page.items[2]]
    assert [row.index for row in told] == [2]


@pytest.mark.parametrize("parallel", [1, 8])
@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_a_snapshot_goes_past_pages_of_invalid_rows_alone(
    limit: int, parallel: int, client: AsyncSyllableClient, server: FakeSyllable
) -> None:
    def change(page: Any) -> Any:
        for row in page["items"]:
            row["duration"] = {"seconds": 61}
        return page

    server.faults.add("sessions.list", faults.edit_json(change, times=None))
    told = list[InvalidRow]()
    pager = client.sessions.list(limit=limit, on_invalid_row=told.append)
    assert [row async for row in pager.snapshot(parallel=parallel)] == []
    assert sorted(row.raw["session_id"] for row in told) == sorted(server.listed)


async def test_a_page_without_a_timestamp_is_told_and_refused(
    client: AsyncSyllableClient, server: FakeSyllable
) -> None:
    def change(page: Any) -> Any:
        return {**page, "items": [5]}

    server.faults.add("sessions.list", faults.edit_json(change, times=None))
    told = list[InvalidRow]()
    walk = client.sessions.list(on_invalid_row=told.append).snapshot()
    for _ in range(2):
        with pytest.raises(PaginationError, match="no row of a page has a timestamp to go on from"):
            await anext(walk)
    assert [row.raw for row in told] == [5]


async def test_a_snapshot_goes_by_the_time_on_the_wire_whatever_a_hook_makes_of_it(server: FakeSyllable) -> None:
    converter = make_converter()
    hours = iter(range(10**6))
    converter.register_structure_hook(datetime, lambda _, __: datetime(2026, 10, 25, tzinfo=UTC) - next(hours) * HOUR)
    async with AsyncSyllableClient(server.api_key, base_url=server.url, converter=converter) as client:
        got = [row.session_id async for row in client.sessions.list(limit=4).snapshot()]
    assert sorted(map(str, got)) == sorted(server.listed)


async def test_a_snapshot_whose_function_raises_tells_the_rest_later(
    client: AsyncSyllableClient, server: FakeSyllable
) -> None:
    bad = min(server.listed)
    server.faults.add("sessions.list", spoil({"duration": "x"}, bad))
    told = list[str]()

    def tell(row: InvalidRow) -> None:
        told.append(row.raw["session_id"])
        if len(told) == 1:
            raise LookupError

    walk = client.sessions.list(limit=3, on_invalid_row=tell).snapshot()
    with pytest.raises(LookupError):
        [row async for row in walk]
    rest = [row.session_id async for row in walk]
    assert (told, bad in rest) == ([bad, bad], False)


async def test_what_the_function_raises_passes_through(client: AsyncSyllableClient, server: FakeSyllable) -> None:
    class MyError(Exception):
        pass

    def fail(_: InvalidRow) -> None:
        raise MyError

    server.faults.add("sessions.list", spoil({"duration": "x"}, min(server.listed)))
    with pytest.raises(MyError):
        [row async for row in client.sessions.list(on_invalid_row=fail)]


def test_what_is_no_plain_function_is_refused(client: AsyncSyllableClient) -> None:
    async def later(_: InvalidRow) -> None: ...

    for wrong in (5, later):
        with pytest.raises(TypeError, match="on_invalid_row"):
            client.sessions.list(on_invalid_row=wrong)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
