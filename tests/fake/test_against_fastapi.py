"""A FastAPI application with the vendor's signatures refuses bad input; the fake must refuse it alike."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from enum import Enum
from typing import Annotated, Any
from urllib.parse import urlencode

import httpx
import pytest
from fastapi import FastAPI, Query, Security
from fastapi.security import APIKeyHeader
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from syllable_sdk.models import OrderByDirection, SessionProperties

from syllable_async.testing import FakeSyllable
from syllable_async.testing._api.query_params import QueryReader

ECHOED = ("Location", "Allow")
KEY = "Syllable-API-Key"
ROOT = "/api/v1/sessions"
Key = Annotated[str, Security(APIKeyHeader(name=KEY))]
SeenLive: Any = Enum("SeenLive", {it.name: it.value for it in SessionProperties if it.value != "is_outbound"})  # type: ignore[misc]
"""The search fields that the live API was seen to take."""


def list_as(searchable: Any) -> Callable[..., None]:
    """The list's signature, as FastAPI reads it."""

    def list_sessions(
        key: Key,
        page: Annotated[int | None, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=0)] = 25,
        search_fields: Any = (),
        search_field_values: Annotated[tuple[str, ...], Query()] = (),
        order_by: SessionProperties | None = None,
        order_by_direction: OrderByDirection | None = None,
        fields: Annotated[tuple[SessionProperties, ...] | None, Query()] = (),
        start_datetime: str | None = None,
        end_datetime: str | None = None,
    ) -> None: ...

    list_sessions.__annotations__["search_fields"] = Annotated[tuple[searchable, ...], Query()]
    return list_sessions


def of_session(key: Key, session_id: str) -> None: ...


def stream(key: Key, token: str) -> None: ...


def application(searchable: Any, *, redirect_slashes: bool) -> FastAPI:
    """Routes in the order of the vendor's document."""
    app = FastAPI(redirect_slashes=redirect_slashes)
    app.get(f"{ROOT}/")(list_as(searchable))
    app.get(f"{ROOT}/{{session_id}}")(of_session)
    app.post(f"{ROOT}/recording/{{session_id}}")(of_session)
    for kind in ("transcript", "full-summary", "latency", "timeline"):
        app.get(f"{ROOT}/{kind}/{{session_id}}")(of_session)
    app.get(f"{ROOT}/recording/stream")(stream)
    return app


INTEGERS = (
    """abc|-1|-0|+1|1.0|1.|1.5|1_000|1__0|_1|0x1|1e3|٣|²|1.0000|+|-|--1|1_|inf|nan|.0|-1.0|0_1|0__1||00|-_1|true"""
)
WRONG = [
    *(urlencode({name: text}) for name in ("page", "limit") for text in INTEGERS.split("|")),
    *(urlencode({"page": text}) for text in (" 1", "1 ", "\u00a01", "1\u2028", "1\x1c", "9" * 4301, "0" * 5000, "\0")),
    "page=-1&limit=x",
    "page=1&page=x",
    "page=x&page=1",
    "search_fields=nope&search_fields=agent_id&search_fields=",
    "search_fields=is_outbound&search_field_values=true",
    "search_fields=agent_id&search_fields=is_outbound&search_field_values=1&search_field_values=true",
    "order_by=is_outbound&fields=is_outbound",
    "order_by=",
    "order_by=Timestamp&order_by_direction=ASC",
    "fields=nope&order_by=nope&limit=-5&page=z&order_by_direction=",
    "fields=%F0%9F%98%80&fields=%22%27",
    "order_by=%ff",
    "fields",
]
PATHS = [
    *(f"{ROOT}/?{query}" for query in WRONG),
    ROOT,
    f"{ROOT}?page=1&x=%20",
    "/",
    "/api",
    f"//{ROOT}/",
    f"{ROOT}//",
    f"{ROOT}//transcript/a",
    f"{ROOT}/a/",
    f"{ROOT}/a%2Fb",
    f"{ROOT}/a%2F",
    f"{ROOT}/transcript",
    f"{ROOT}/transcript/",
    f"{ROOT}/transcript/a/",
    f"{ROOT}/recording/",
    f"{ROOT}/recording/x",
    f"{ROOT}/recording/x/",
    f"{ROOT}/recording/stream",
    f"{ROOT}/recording/stream/?token=1",
]


class Both:
    """The same request to both servers, and what of the answers must be the same."""

    def __init__(self, fake: FakeSyllable, fastapi: httpx.AsyncClient, real: httpx.AsyncClient) -> None:
        self._fake = fake
        self._clients = fastapi, real

    async def agree(self, method: str, path: str, **headers: str) -> None:
        replies = [await client.request(method, f"{self._fake.url}{path}", headers=headers) for client in self._clients]
        expected, seen = (
            (reply.status_code, reply.content and json.loads(reply.content), *map(reply.headers.get, ECHOED))
            for reply in replies
        )
        # What the application accepts it does nothing with; the fake then looks for the session.
        assert seen == expected or (expected[0] == 200 and seen[0] in {200, 404}), path


@pytest.fixture(params=[True, False], ids=["seen live", "the document"])
async def both(request: pytest.FixtureRequest) -> AsyncIterator[Both]:
    live = bool(request.param)
    app = application(SeenLive if live else SessionProperties, redirect_slashes=live)
    transport = httpx.ASGITransport(app)
    async with (
        FakeSyllable(sessions=3, api_key="key", refuse_is_outbound=live, redirect_slashes=live) as fake,
        httpx.AsyncClient(transport=transport) as fastapi,
        httpx.AsyncClient() as real,
    ):
        yield Both(fake, fastapi, real)


async def test_answers_bad_requests_as_fastapi_does(both: Both) -> None:
    for path in PATHS:
        await both.agree("GET", path, **{KEY: "key"})


async def test_a_missing_key_comes_before_every_other_complaint(both: Both) -> None:
    for path in (f"{ROOT}/?limit=-1", f"{ROOT}/nobody", f"{ROOT}/recording/stream", ROOT, "/api"):
        await both.agree("GET", path)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
async def test_refuses_methods_as_fastapi_does(method: str, both: Both) -> None:
    ends = "/", "", "/a", "/recording/stream", "/recording", "/recording/x"
    for path in (f"{ROOT}{end}" for end in ends if (method, end) != ("POST", "/recording/x")):
        await both.agree(method, path, **{KEY: "key"})


@settings(max_examples=300, derandomize=True, database=None, deadline=None)
@given(st.text(alphabet="+-_.0129 \t\u00a0٣x", max_size=9))
def test_reads_integers_as_pydantic_does(text: str) -> None:
    try:
        TypeAdapter(int).validate_python(text)
        expected = None
    except ValidationError as refusal:
        [complaint] = refusal.errors()
        expected = complaint["type"], complaint["msg"]
    negative = ("greater_than_equal", "Input should be greater than or equal to 0")
    assert refused(text) == expected or (expected is None and refused(text) == negative)


def refused(text: str) -> tuple[str, str] | None:
    reader = QueryReader([("page", text)])
    reader.non_negative_int("page", 0)
    for complaint in reader.errors:
        return complaint["type"], complaint["msg"]
    return None
