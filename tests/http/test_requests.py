"""Path segments and queries, encoded once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from syllable_async import AsyncSyllableClient, NotFoundError
from syllable_async._http.requests import build_url
from syllable_async._messages import Request
from syllable_async.testing import FakeSyllable

Client = AsyncSyllableClient


async def test_an_id_is_one_path_segment_whatever_it_holds(client: Client, server: FakeSyllable) -> None:
    for name in ("recording", "%2e%2e", "%2F", "a?b", "a#b", "x" * 300, "😀", "a b+c"):
        with pytest.raises(NotFoundError):
            await client.sessions.get_by_id(name)
    assert {request.operation for request in server.requests} == {"sessions.get_by_id"}


async def test_a_naive_datetime_in_a_query_raises_before_a_request_is_sent(
    client: AsyncSyllableClient, server: FakeSyllable
) -> None:
    with pytest.raises(ValueError, match="must be aware"):
        await client.request("GET", "api", "v1", "agents", query={"since": datetime(2026, 5, 1)})
    assert len(server.requests) == 0


async def test_a_bool_in_a_query_is_written_as_in_json(client: AsyncSyllableClient, server: FakeSyllable) -> None:
    with pytest.raises(NotFoundError):
        await client.request("GET", "api", "v1", "agents", query={"active": True, "deleted": False})
    assert server.requests[0].query == [("active", "true"), ("deleted", "false")]
    assert repr(server.requests) == "<RequestLog of 1>"


BASES = ("https://api.example", "http://127.0.0.1:8765", "https://gateway.example:444/v2/syllable", "http://[::1]:81")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def check_url(build: Callable[[URL, Request], URL], base: str, segment: str, query: list[tuple[str, str]]) -> None:
    """An address built from its parts is the one that its text says."""
    path = f"/api/{quote(segment, safe='')}"
    text = f"{base}{path}?{urlencode(query)}" if query else f"{base}{path}"
    url = build(URL(base, encoded=True), Request(method="GET", path_template=path, path=path, query=query))
    assert (url, str(url)) == (URL(text, encoded=True), text)
    assert (url.raw_host, url.port) == (URL(text).raw_host, URL(text).port)


@given(st.sampled_from(BASES), TEXT, st.lists(st.tuples(TEXT, TEXT), max_size=3))
def test_an_address_is_the_base_url_the_path_and_the_encoded_query(
    base: str, segment: str, query: list[tuple[str, str]]
) -> None:
    check_url(build_url, base, segment, query)


@pytest.mark.parametrize(
    ("base", "segment", "query"), [(BASES[2], "a", []), (BASES[0], "%2F", []), (BASES[0], "a", [("b", "2+2 %")])]
)
def test_a_naive_address_loses_the_base_urls_path_or_an_escape(
    base: str, segment: str, query: list[tuple[str, str]]
) -> None:
    def naive(base: URL, request: Request) -> URL:
        return base.with_path(request.path).with_query("&".join(f"{name}={value}" for name, value in request.query))

    check_url(build_url, base, segment, query)
    with pytest.raises(AssertionError):
        check_url(naive, base, segment, query)


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "arguments",
    [
        {"query": {"source": "+15550100\ud800"}},
        {"query": {"+15550100\ud800": "x"}},
        {"content": "+15550100\ud800"},
        {"json": {"source": "+15550100\ud800"}},
        {"json": nested(100_000)},
    ],
    ids=["value", "name", "content", "json", "nested"],
)
async def test_what_cannot_be_written_is_refused_without_its_value(
    arguments: dict[str, Any], client: AsyncSyllableClient, server: FakeSyllable
) -> None:
    with pytest.raises(ValueError, match=r"must not hold lone surrogates|is nested too deeply") as caught:
        await client.request("POST", "api", "v1", "agents", **arguments)
    assert (type(caught.value), caught.value.__context__, caught.value.__cause__) == (ValueError, None, None)
    assert "5550100" not in repr(caught.value)
    assert len(server.requests) == 0
