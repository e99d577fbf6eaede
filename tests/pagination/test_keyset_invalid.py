"""Rows that do not fit their model in a walk by key: each is told once, and every other row comes once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

import attrs
import pytest
from msgspec.structs import replace

from syllable_async._messages import Page, page_of
from syllable_async._pagination.cursor import Cursor
from syllable_async._pagination.keyset_page import KeysetPage, row_key
from syllable_async._pagination.pager import Pager
from syllable_async._pagination.query import ListQuery
from syllable_async.errors import PaginationError
from syllable_async.models import InvalidRow, Session

from .paged_source import LATER, QUICK, Source, at, ids, session


@attrs.define
class Poisoned:
    """A source of which some rows do not fit; of some of those the timestamp cannot be read."""

    source: Source
    invalid: set[str]
    unplaced: set[str] = attrs.Factory(set[str])
    told: list[str] = attrs.Factory(list[str])
    """In the order in which a walk told them; a pager tells each once."""

    async def fetch(self, query: ListQuery) -> Page[Session, InvalidRow]:
        response = await self.source(query)
        bad = [
            (InvalidRow(index=index, path="$.duration", problem="", raw={"session_id": row.session_id}), row.timestamp)
            for index, row in enumerate(response.items)
            if row.session_id in self.invalid
        ]
        return page_of(
            attrs.evolve(response, items=tuple(row for row in response.items if row.session_id not in self.invalid)),
            invalid=tuple(row for row, _ in bad),
            invalid_instants=tuple(None if row_key(row) in self.unplaced else moment for row, moment in bad),
        )

    def pager(self, limit: int) -> Pager:
        here = set[str]()

        def tell(rows: tuple[InvalidRow, ...]) -> None:
            self.told += [key for row in rows if (key := row_key(row)) not in here]
            here.update(map(row_key, rows))

        query = ListQuery.from_arguments(limit=limit, end_datetime=LATER)
        return Pager(self.fetch, query, QUICK, self.source.exists, tell_invalid=tell)


def rows_at(*micros: int) -> list[Session]:
    return [session(number, moment) for number, moment in enumerate(micros)]


SECOND = 1_000_000
APART = [number * 10 * SECOND for number in range(40)]
TIED = [0, 1, *[2 * SECOND] * 9, 3 * SECOND, 40 * SECOND]
LISTS: dict[str, tuple[list[int], set[int]]] = {
    # when the sessions are, and which of them do not fit
    "the first page": (APART, set(range(8))),
    "the last page": (APART, set(range(32, 40))),
    "pages in the middle": (APART, set(range(9, 30))),
    "all": (APART, set(range(40))),
    "valid and invalid of one instant": (TIED, {2, 5, 6, 10}),
    "all of one instant": (TIED, set(range(2, 11))),
    "all but one of one instant": (TIED, {*range(2, 7), *range(8, 11)}),
}


@pytest.mark.parametrize("stop", [None, 0, 1, 3])
@pytest.mark.parametrize("parallel", [1, 8])
@pytest.mark.parametrize("limit", [1, 2, 4, 100])
@pytest.mark.parametrize("name", LISTS)
async def test_a_walk_goes_past_pages_of_invalid_rows(name: str, limit: int, parallel: int, stop: int | None) -> None:
    times, bad = LISTS[name]
    poisoned = Poisoned(Source(rows_at(*times)), {f"s{number}" for number in bad})
    cursor, got = None, list[Session]()
    if stop is not None:
        first = poisoned.pager(limit).snapshot(parallel=parallel, max_items=stop)
        got = [row async for row in first]
        cursor = Cursor.from_json(first.cursor.to_json())
    last = poisoned.pager(limit).snapshot(cursor, parallel=parallel)
    got += [row async for row in last]
    expected = [f"s{number}" for number in range(len(times)) if number not in bad]
    assert (sorted(ids(got)), sorted(poisoned.told)) == (sorted(expected), sorted(poisoned.invalid))
    if parallel == 1:
        assert ids(got) == expected
    again = poisoned.pager(limit).snapshot(Cursor.from_json(last.cursor.to_json()))
    assert [row async for row in again] == []
    assert len(poisoned.told) == len(bad)


@pytest.mark.parametrize("parallel", [1, 8])
async def test_a_row_without_a_timestamp_has_the_place_of_its_neighbour(parallel: int) -> None:
    poisoned = Poisoned(Source(rows_at(*APART)), {"s0", "s7", "s8", "s39"}, {"s0", "s8", "s39"})
    got = [row async for row in poisoned.pager(4).snapshot(parallel=parallel)]
    assert sorted(ids(got)) == sorted(set(ids(poisoned.source.rows)) - poisoned.invalid)
    assert sorted(poisoned.told) == sorted(poisoned.invalid)


@pytest.mark.parametrize("parallel", [1, 8])
async def test_a_page_of_rows_without_a_timestamp_is_told_and_refused(parallel: int) -> None:
    bad = {f"s{number}" for number in range(20, 28)}
    poisoned = Poisoned(Source(rows_at(*APART)), bad, bad)
    walk, got = poisoned.pager(4).snapshot(parallel=parallel), list[Session]()
    for _ in range(3 if parallel == 1 else 20):
        with pytest.raises(PaginationError, match="no row of a page has a timestamp to go on from"):  # noqa: PT012
            async for row in walk:
                got.append(row)
    assert len(set(ids(got))) == len(got)
    assert set(ids(got)) >= {f"s{number}" for number in range(20)}
    assert set(poisoned.told) <= bad
    assert len(set(poisoned.told)) == len(poisoned.told) >= 4


async def test_a_row_outside_the_span_is_not_told() -> None:
    poisoned = Poisoned(Source(rows_at(0, 10 * SECOND, 10 * SECOND + 5, 20 * SECOND)), {"s0", "s1", "s2", "s3"})
    query = ListQuery.from_arguments(limit=2, start_datetime=at(1), end_datetime=at(10 * SECOND + 5))
    told = list[InvalidRow]()
    walk = Pager(poisoned.fetch, query, QUICK, poisoned.source.exists, tell_invalid=told.extend).snapshot()
    assert [row async for row in walk] == []
    assert [row_key(row) for row in told] == ["s1"]


def test_what_an_invalid_row_is_known_by() -> None:
    def key(raw: object) -> str:
        return row_key(InvalidRow(index=0, path="$", problem="", raw=raw))

    assert (key({"session_id": "a"}), key({"session_id": 7})) == ("a", "7")
    contents: list[object] = [{"session_id": True}, {"session_id": ""}, {"session_id": None}, {}, [1], 5, "\ud800"]
    assert all(key(raw).startswith("sha256:") for raw in contents)
    assert len({key(raw) for raw in contents}) == len(contents)


def story(seed: int) -> tuple[list[str], list[str], Poisoned]:
    """What came and what was told of random rows, some of them late, by a walk that is thrown away now and then."""
    chance = Random(seed)
    width = chance.choice([1, 30, 40 * SECOND, 3_600 * SECOND])
    rows = [session(number, chance.randint(0, width)) for number in range(chance.randrange(40))]
    share = chance.choice([0.1, 0.5, 0.9, 1.0])
    poisoned = Poisoned(
        Source(rows, after_start=chance.random() < 0.5),
        {name for name in ids(rows) if chance.random() < share},
    )

    async def walk() -> list[str]:
        cursor, got = None, list[Session]()
        for stop in (*(chance.randrange(20) for _ in range(chance.randrange(3))), None):
            part = poisoned.pager(chance.randint(1, 8)).snapshot(cursor, stop, parallel=chance.choice([1, 8]))
            got += [row async for row in part]
            cursor = Cursor.from_json(part.cursor.to_json())
        return ids(got)

    return asyncio.run(walk()), poisoned.told, poisoned


def is_exact(seed: int) -> bool:
    try:
        got, told, poisoned = story(seed)
    except PaginationError:
        return False
    valid = set(ids(poisoned.source.rows)) - poisoned.invalid
    return sorted(got) == sorted(valid) and set(told) == poisoned.invalid


@pytest.mark.parametrize("count", [150, pytest.param(5_000, marks=pytest.mark.long)])
def test_each_row_comes_or_is_told_once_in_random_stories(count: int, counted: Callable[[str, int], None]) -> None:
    for seed in range(count):
        assert is_exact(seed), seed
    counted("stories of invalid rows", count)


def test_the_same_stories_catch_a_walk_that_leaves_invalid_rows_out(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = KeysetPage.of

    def of(page: Page[Session, InvalidRow]) -> KeysetPage:
        return whole(replace(page, invalid=(), invalid_instants=()))

    monkeypatch.setattr(KeysetPage, "of", of)
    assert sum(not is_exact(seed) for seed in range(100)) > 80
