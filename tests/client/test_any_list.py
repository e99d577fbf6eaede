"""`client.list` and `session_labels.list`: any page/limit list as a pager of any model."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from typing import Any, TypedDict

import attrs
import msgspec
import pytest
import pytest_asyncio

from syllable_async import (
    AsyncSyllableClient,
    InvalidRow,
    ListResponse,
    ListResponseSessionLabel,
    NotFoundError,
    OffsetPager,
    ResponseDriftWarning,
    ResponseValidationError,
    Session,
    SessionLabel,
    make_converter,
)
from syllable_async.testing import FakeSyllable, faults

LABELS = "/api/v1/session_labels/"


@attrs.frozen
class Attrs:
    id: int
    code: str


@dataclasses.dataclass
class Data:
    id: int
    code: str


class Typed(TypedDict):
    id: int
    code: str


class Struct(msgspec.Struct):
    id: int
    code: str


@pytest_asyncio.fixture
async def labelled() -> AsyncIterator[FakeSyllable]:
    async with FakeSyllable(sessions=0) as server:
        for number in range(3):
            server.add_session(session_id=str(800 + number), labels=[{"code": f"C{n}"} for n in range(4)])
        yield server


@pytest_asyncio.fixture
async def client(labelled: FakeSyllable) -> AsyncIterator[AsyncSyllableClient]:
    async with AsyncSyllableClient(labelled.api_key, base_url=labelled.url) as running:
        yield running


def plain(row: Any) -> tuple[Any, Any]:
    return _field(row, "id"), _field(row, "code")


def _field(row: Any, name: str) -> Any:
    try:
        return row[name]
    except TypeError:  # no mapping
        return getattr(row, name)


@pytest.mark.parametrize("cls", [dict, Attrs, Data, Typed, Struct, SessionLabel])
async def test_rows_are_of_the_class_that_was_asked_for(
    cls: type[Any], client: AsyncSyllableClient, labelled: FakeSyllable
) -> None:
    expected = [plain(label) async for label in client.session_labels.list()]
    assert len(expected) == 12
    for prefetch in (0, 3):
        rows = [row async for row in client.list(LABELS, cls, limit=5).items(prefetch=prefetch)]
        assert [plain(row) for row in rows] == expected
        assert {type(row) for row in rows} == {dict if cls is Typed else cls}
    page = await client.list(LABELS, cls, page=1, limit=5)
    assert type(page) is ListResponse
    assert ([plain(row) for row in page.items], page.page, page.total_count) == (expected[5:10], 1, 12)
    pages = [found async for found in client.list(LABELS, cls, limit=5).pages()]
    assert [len(found.items) for found in pages] == [5, 5, 2]


async def test_what_is_asked_for_is_sent(client: AsyncSyllableClient, labelled: FakeSyllable) -> None:
    query = {"search_fields": ["code"], "search_field_values": ["C1"]}
    pager = client.list(LABELS, query=query)
    assert isinstance(pager, OffsetPager)
    assert repr(pager) == "<OffsetPager of /api/v1/session_labels/ by search_fields, search_field_values, not awaited>"
    assert [*labelled.requests] == []
    assert len((await pager).items) == 3
    assert len([row async for row in pager]) == 3
    filters = [("search_fields", "code"), ("search_field_values", "C1")]
    assert [request.query for request in labelled.requests] == [filters, [("page", "0"), ("limit", "100"), *filters]]


async def test_a_walk_over_labels_sends_no_field_of_sessions(
    client: AsyncSyllableClient, labelled: FakeSyllable
) -> None:
    labels = client.session_labels.list(fields=["code"], limit=5)
    assert type(await labels) is ListResponseSessionLabel
    assert len([label async for label in labels]) == 12
    assert {request.param("fields") for request in labelled.requests} == {"code"}


def spoil(page: Any) -> Any:
    return {**page, "items": [{**row, "code": [5]} if row["code"] == "C2" else row for row in page["items"]]}


@pytest.mark.parametrize("kind", ["labels", "any"])
async def test_an_invalid_row_is_told_once_and_every_other_row_comes(
    kind: str, client: AsyncSyllableClient, labelled: FakeSyllable
) -> None:
    told = list[InvalidRow]()

    def pager(**options: Any) -> OffsetPager[Any]:
        if kind == "labels":
            return client.session_labels.list(limit=5, **options)
        return client.list(LABELS, Attrs, limit=5, **options)

    labelled.faults.add("session_labels.list", faults.edit_json(spoil, times=None))
    with pytest.raises(ResponseValidationError, match="code"):
        [row async for row in pager()]
    walked = pager(on_invalid_row=told.append)
    assert len([row async for row in walked]) == 9
    assert [row.path for row in told] == ["$.code"] * 3
    assert len([row async for row in walked.items(prefetch=2)]) == 9
    assert len(told) == 3


async def test_a_page_of_invalid_rows_alone_is_not_the_end_and_is_told_once_though_asked_for_twice(
    timeless: type[AsyncSyllableClient], labelled: FakeSyllable
) -> None:
    async with timeless(labelled.api_key, base_url=labelled.url) as client:
        whole = [label.id async for label in client.session_labels.list()]

        def spoil_the_middle(page: Any) -> Any:
            return {**page, "items": [{**row, "code": None} for row in page["items"]]}

        labelled.faults.add(
            "session_labels.list",
            faults.edit_json(spoil_the_middle, times=None),
            when=lambda call: ("page", "1") in call.params,
        )
        told = list[InvalidRow]()
        got = [label.id async for label in client.session_labels.list(limit=4, on_invalid_row=told.append)]
    assert got == whole[:4] + whole[8:]
    assert [row.raw["id"] for row in told] == whole[4:8]


async def test_rows_that_are_alike_are_told_one_by_one(client: AsyncSyllableClient, labelled: FakeSyllable) -> None:
    told = list[InvalidRow]()
    labelled.faults.add("session_labels.list", faults.edit_json(lambda page: {**page, "items": [5, 5, None]}))
    assert (await client.session_labels.list(on_invalid_row=told.append)).items == ()
    assert [(row.index, row.raw) for row in told] == [(0, 5), (1, 5), (2, None)]


async def test_what_a_lenient_reading_repairs_is_repaired_here_too(
    client: AsyncSyllableClient, labelled: FakeSyllable
) -> None:
    def drift(page: Any) -> Any:
        return {**page, "total_count": "12", "items": [{**row, "id": str(row["id"])} for row in page["items"]]}

    labelled.faults.add("session_labels.list", faults.edit_json(drift, times=None))
    with pytest.warns(ResponseDriftWarning):
        assert [type(row.id) async for row in client.list(LABELS, Attrs)] == [int] * 12


async def test_a_users_hook_makes_a_model_of_any_class(labelled: FakeSyllable) -> None:
    class Mine:
        def __init__(self, code: str) -> None:
            self.code = code

    converter = make_converter()
    converter.register_structure_hook(Mine, lambda row, _: Mine(row["code"]))
    async with AsyncSyllableClient(labelled.api_key, base_url=labelled.url, converter=converter) as client:
        assert {row.code async for row in client.list(LABELS, Mine)} == {"C0", "C1", "C2", "C3"}


@pytest.mark.parametrize(
    ("path", "query", "problem"),
    [
        (5, {}, "path must be a str, not int"),
        ("api/v1/agents/", {}, "path must begin with a slash"),
        (LABELS, {"limit": 5}, "query must not name page or limit"),
        (LABELS, [("page", "1")], "query must not name page or limit"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_sent(path: Any, query: Any, problem: str) -> None:
    with pytest.raises((TypeError, ValueError), match=problem):
        AsyncSyllableClient("key").list(path, query=query)


@pytest.mark.parametrize("cls", [5, "Label", int, list[str]])
def test_a_class_that_is_no_model_is_refused(cls: Any) -> None:
    with pytest.raises(TypeError, match="cls must be a model"):
        AsyncSyllableClient("key").list(LABELS, cls)


async def test_what_is_no_list_is_refused(client: AsyncSyllableClient, labelled: FakeSyllable) -> None:
    with pytest.raises(ResponseValidationError, match="ListResponsedict: Object missing"):
        await client.list(f"{LABELS}{(await client.session_labels.list(limit=1)).items[0].id}")
    with pytest.raises(NotFoundError):
        await client.list("/api/v1/nothing/")


async def test_sessions_are_known_by_their_id_here_too(client: AsyncSyllableClient) -> None:
    rows = [row async for row in client.list("/api/v1/sessions/", Session, limit=2)]
    assert [row.session_id for row in rows] == [row.session_id async for row in client.sessions.list()]
