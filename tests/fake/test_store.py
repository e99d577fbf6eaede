"""The data of the fake: made of a seed, changed while it runs, and searched exactly like a plain list of rows."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from syllable_async.testing import FakeSyllable
from syllable_async.testing._api.query_params import PROPERTIES
from syllable_async.testing._data.query import Bounds, ListQuery
from syllable_async.testing._data.seeded import SeededSessions, instant_of
from syllable_async.testing._data.store import Store

Row = dict[str, Any]
START = datetime(2026, 1, 5, 13, tzinfo=UTC)


def moment(row: Row) -> int:
    return instant_of(datetime.fromisoformat(row["timestamp"]))


def cell(row: Row, name: str) -> Any:
    return moment(row) if name == "timestamp" else row[name]


def searched(rows: list[Row], query: ListQuery) -> list[str]:
    """What the store must find in rows that are sorted by time: written as plainly as can be."""
    found = [
        row
        for row in rows
        if (query.start is None or moment(row) > query.start or (moment(row) == query.start and query.bounds[0] == "["))
        and (query.end is None or moment(row) < query.end or (moment(row) == query.end and query.bounds[1] == "]"))
        and all(cell(row, name) == wanted for name, wanted in query.search)
        and (query.tests or not row["is_test"])
    ]
    name = query.order_by or "timestamp"
    nulls = [row for row in found if cell(row, name) is None]
    found = sorted((row for row in found if cell(row, name) is not None), key=lambda row: cell(row, name)) + nulls
    return [row["session_id"] for row in (reversed(found) if query.descending else found)]


def shown(store: Store, query: ListQuery) -> list[str]:
    indices, count = store.page(query)
    assert count == len(indices) or query.limit < count
    return [store.row(index)["session_id"] for index in indices]


ROWS = [SeededSessions(1)[index] for index in range(60)]
moments = st.one_of(st.none(), st.sampled_from([moment(row) for row in ROWS]), st.just(instant_of(START)))
searches = st.sampled_from(PROPERTIES).flatmap(
    lambda name: st.tuples(st.just(name), st.sampled_from([cell(row, name) for row in ROWS if row[name] is not None]))
)
queries = st.builds(
    ListQuery,
    limit=st.just(10_000),
    search=st.lists(searches, max_size=2).map(tuple),
    order_by=st.one_of(st.none(), st.sampled_from(PROPERTIES)),
    descending=st.booleans(),
    start=moments,
    end=moments,
    bounds=st.sampled_from(["[)", "[]", "()", "(]"]),
    tests=st.booleans(),
)


@settings(max_examples=200, derandomize=True, database=None, deadline=None)
@given(queries)
def test_a_seed_is_searched_like_a_list(query: ListQuery) -> None:
    assert shown(Store(1, 60), query) == searched(ROWS, query)


@settings(max_examples=60, derandomize=True, database=None, deadline=None)
@given(queries, st.integers(1, 13))
def test_pages_cut_the_whole(query: ListQuery, limit: int) -> None:
    store = Store(1, 60)
    pages: list[str] = []
    for page in range(60 // limit + 2):
        indices, _ = store.page(replace(query, page=page, limit=limit))
        pages += [store.row(index)["session_id"] for index in indices]
    assert pages == shown(store, query)


class Changes(RuleBasedStateMachine):
    """Sessions added, changed and deleted in any order: the store agrees with a plain list after each step."""

    ids = Bundle("ids")

    @initialize(target=ids)
    def begin(self) -> Any:
        self.store = Store(1, 12)
        self.rows = [dict(row) for row in ROWS[:12]]
        self.number = 0
        return multiple(*(row["session_id"] for row in self.rows))

    @rule(
        target=ids,
        offset=st.integers(-3, 20),
        name=st.sampled_from(["Front Desk", None, "New Agent"]),
        test=st.sampled_from([True, False, None]),
    )
    def add(self, offset: int, name: str | None, test: bool | None) -> str:
        at = START + timedelta(minutes=offset)
        session_id = self.store.add({"timestamp": at, "agent_name": name, "is_test": test})
        index = self.store.existing(session_id)
        self.rows.append(dict(self.store.row(index)))
        assert self.rows[-1]["agent_name"] == name
        self.rows.sort(key=lambda row: (moment(row), self.store.existing(row["session_id"])))
        return session_id

    @rule(
        session_id=ids,
        offset=st.integers(-3, 20),
        duration=st.sampled_from([None, 1.0, 7.5]),
        test=st.booleans(),
    )
    def change(self, session_id: str, offset: int, duration: float | None, test: bool) -> None:
        at = (START + timedelta(minutes=offset)).isoformat()
        changes = {"timestamp": at, "duration": duration, "is_test": test}
        row = next((row for row in self.rows if row["session_id"] == session_id), None)
        if row is None:
            with pytest.raises(KeyError):
                self.store.update(session_id, changes)
            return
        self.store.update(session_id, changes)
        row.update(changes)
        self.rows.sort(key=lambda row: (moment(row), self.store.existing(row["session_id"])))

    @rule(target=ids, session_id=ids)
    def rename(self, session_id: str) -> str:
        self.number += 1
        name = f"renamed {self.number}"
        for row in self.rows:
            if row["session_id"] == session_id:
                self.store.update(session_id, {"session_id": name})
                row["session_id"] = name
        return name

    @rule(session_id=ids)
    def delete(self, session_id: str) -> None:
        if any(row["session_id"] == session_id for row in self.rows):
            self.store.delete(session_id)
            self.rows = [row for row in self.rows if row["session_id"] != session_id]
        else:
            with pytest.raises(KeyError):
                self.store.delete(session_id)

    @rule(query=queries)
    def search(self, query: ListQuery) -> None:
        assert shown(self.store, query) == searched(self.rows, query)

    @invariant()
    def agrees(self) -> None:
        assert self.store.ids() == tuple(row["session_id"] for row in self.rows)
        assert all(self.store.find(row["session_id"]) is not None for row in self.rows)


TestChanges = Changes.TestCase
TestChanges.settings = settings(max_examples=40, stateful_step_count=25, derandomize=True, database=None, deadline=None)


def test_a_seed_describes_the_same_sessions_however_many_there_are() -> None:
    few, many, other = FakeSyllable(10, seed=4), FakeSyllable(10_000, seed=4), FakeSyllable(10, seed=5)
    assert few.sessions == many.sessions[:10]
    assert [few.session(name) for name in few.sessions] == [many.session(name) for name in few.sessions]
    assert not set(few.sessions) & set(other.sessions)


def test_the_data_is_realistic() -> None:
    rows = [SeededSessions(0)[index] for index in range(4_000)]
    moments = [moment(row) for row in rows]
    assert moments == sorted(moments)
    assert 10 < len(rows) - len(set(moments)) < 400
    assert len({row["session_id"] for row in rows}) == len(rows)
    assert [row["session_id"] for row in rows] != sorted(row["session_id"] for row in rows)
    numbers = [str(row[name]) for row in rows for name in ("source", "target") if str(row[name]).startswith("+")]
    assert all(re.fullmatch(r"\+1\d{3}55501\d\d", number) for number in numbers)
    others = {str(row[name]) for row in rows for name in ("source", "target")} - set(numbers)
    assert all(other.endswith("example.com") for other in others - {"None"})
    for name in ("duration", "source", "experiment_id", "user_terminated", "override_timestamp", "prompt_version"):
        assert 0 < sum(row[name] is None for row in rows) < len(rows), name
    for name in ("is_test", "is_legacy", "is_outbound"):
        assert 0 < sum(row[name] for row in rows) < len(rows), name
    assert 200 < sum(row["is_test"] for row in rows) < 300


@pytest.mark.parametrize("numeric_ids", [True, False], ids=["numbers", "UUIDs"])
def test_a_hundred_thousand_sessions_are_there_at_once_and_found_by_id(numeric_ids: bool) -> None:
    rows = SeededSessions(3, numeric_ids=numeric_ids)
    for index in (0, 1, 77, 99_999):
        assert rows.index(rows.session_id(index)) == index
        assert rows.session_id(index).isdigit() is numeric_ids
    for name in (
        "",
        "nobody",
        f"{rows.session_id(5)}x",
        rows.session_id(5).replace("-", "") + "A",
        "00000000-0000",
        "0",
        "-1",
        "007",
        "9" * 30,
    ):
        assert rows.index(name) is None
    store = Store(3, 100_000, numeric_ids=numeric_ids)
    assert store.find(rows.session_id(99_999)) == 99_999
    assert store.find(rows.session_id(100_000)) is None


def test_text_and_row_are_one() -> None:
    rows = SeededSessions(9)
    for index in range(300):
        assert json.loads(rows.text(index)) == rows[index]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"sesion_id": "x"}, TypeError),
        ({"duration": "long"}, TypeError),
        ({"duration": True}, TypeError),
        ({"is_test": 1}, TypeError),
        ({"agent_name": 5}, TypeError),
        ({"timestamp": None}, TypeError),
        ({"timestamp": "yesterday"}, ValueError),
        ({"complete_after": 0}, ValueError),
        *(({"session_id": each}, ValueError) for each in ("", ".", "..", "a/b", "a\\b", "a\n", "\ud800")),
    ],
)
def test_wrong_fields_are_refused_and_change_nothing(fields: Row, error: type[Exception]) -> None:
    server = FakeSyllable(sessions=3)
    before = server.sessions
    with pytest.raises(error):
        server.add_session(**fields)
    with pytest.raises(error):
        server.update(before[0], **fields)
    assert server.sessions == before


def test_an_id_cannot_be_given_twice() -> None:
    server = FakeSyllable(sessions=3)
    first, second, _ = server.sessions
    server.add_session(session_id="mine")
    for name in (first, "mine"):
        with pytest.raises(ValueError, match="exists already"):
            server.add_session(session_id=name)
        with pytest.raises(ValueError, match="exists already"):
            server.update(second, session_id=name)
    server.update("mine", session_id="mine", duration=3.0)
    assert server.session("mine")["duration"] == 3.0


def test_a_session_is_by_default_newer_than_all_others() -> None:
    server = FakeSyllable(sessions=2)
    added = [server.add_session() for _ in range(3)]
    assert server.sessions[2:] == tuple(added)


def test_a_timestamp_given_as_text_is_shown_as_it_is() -> None:
    server = FakeSyllable(sessions=0)
    for text in ("2026-02-03T04:05:06", "2026-02-03T04:05:06+02:00"):
        assert server.session(server.add_session(timestamp=text))["timestamp"] == text


BOUNDS: tuple[Bounds, ...] = ("[)", "[]", "()", "(]")


def test_bounds_hold_their_ends_or_not() -> None:
    store = Store(0, 0)
    for minute in range(3):
        store.add({"timestamp": START + timedelta(minutes=minute)})
    window = ListQuery(start=instant_of(START), end=instant_of(START + timedelta(minutes=2)))
    found = [store.page(replace(window, bounds=bounds))[0] for bounds in BOUNDS]
    assert found == [[0, 1], [0, 1, 2], [1], [1, 2]]
