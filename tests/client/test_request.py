"""`client.request`: any endpoint."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from syllable_async import AsyncSyllableClient, ListResponseSession, NotFoundError, ResponseValidationError, Session
from syllable_async.testing import FakeSyllable, faults
from tests.fault_server import FaultServer, Status
from tests.time_control import FakeTime

Client = AsyncSyllableClient
NAIVE = datetime(2026, 1, 1)
AWARE = datetime(2026, 1, 1, tzinfo=UTC)


async def test_retries_reach_the_server_and_are_counted(
    server: FakeSyllable, timeless: type[Client], fake_time: FakeTime
) -> None:
    server.faults.add("*", faults.status(503, times=2, retry_after=7), faults.drop())
    async with timeless(server.api_key, base_url=server.url) as client:
        reply = await client.request("GET", "api", "v1", "sessions", server.listed[0])
    assert reply.attempts == 4
    assert reply.decode(Session).session_id == server.listed[0]
    assert fake_time.sleeps[:2] == [7, 7]
    server.faults.assert_all_met()


async def test_any_endpoint(client: Client, server: FakeSyllable) -> None:
    query = {"limit": 2, "fields": ["session_id"], "page": None, "start_datetime": AWARE - timedelta(days=99)}
    reply = await client.request("GET", "/api/v1/sessions/", query=query)
    assert reply.status == 200
    assert len(reply.json()["items"]) == 2
    assert reply.decode(ListResponseSession).page_size == 2
    assert reply.headers["content-type"].startswith("application/json")
    assert server.requests[0].query[0] == ("limit", "2")
    with pytest.raises(NotFoundError) as caught:
        await client.request("DELETE", "api", "v1", "agents", "secret-id")
    assert caught.value.path == "/api/v1/agents/{}"
    with pytest.raises(NotFoundError) as caught:
        await client.request("POST", "/api/v1/agents/", "secret-id", json={"name": "x", "at": AWARE})
    assert caught.value.path == "/api/v1/agents/{}"
    assert server.requests[-1].headers["Content-Type"] == "application/json"
    with pytest.raises(ResponseValidationError):
        (await client.request("GET", "/api/v1/sessions/", query=[("limit", 1)])).decode(Session)


BAD_REQUESTS: dict[str, Callable[[Any], Any]] = {
    "request to nowhere": lambda c: c.request("GET"),
    "request with a strange method": lambda c: c.request("BREW", "api"),
    "request with a dot segment": lambda c: c.request("GET", "api", ".."),
    "request with a query in its path": lambda c: c.request("GET", "/api?x=1"),
    "request with an escape in its path": lambda c: c.request("GET", "/api/%2e%2e/x"),
    "request up and out": lambda c: c.request("GET", "/api/../x"),
    "request to another host": lambda c: c.request("GET", "//evil.example/x"),
    "request with an odd query": lambda c: c.request("GET", "api", query={"a": object()}),
    "request with two bodies": lambda c: c.request("POST", "api", json={}, content=b"x"),
    "request with a type of nothing": lambda c: c.request("POST", "api", content_type="text/csv"),
    "request with an odd type": lambda c: c.request("POST", "api", content=b"x", content_type="text/csv\r\nX: y"),
    "request with a type that is no text": lambda c: c.request("POST", "api", content=b"x", content_type=5),
    "request with an odd body": lambda c: c.request("POST", "api", content=5),
    "request with max_bytes=-1": lambda c: c.request("GET", "api", max_bytes=-1),
    "request with max_bytes=None": lambda c: c.request("GET", "api", max_bytes=None),
    "request with a bool as segment": lambda c: c.request("GET", "api", True),
    "request with a naive time": lambda c: c.request("GET", "api", query={"a": NAIVE}),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
async def test_invalid_requests_raise_before_a_request_is_sent(name: str, server: FakeSyllable) -> None:
    async with Client(server.api_key, base_url=server.url) as client:
        with pytest.raises((ValueError, TypeError)):
            await BAD_REQUESTS[name](client)
        assert client._transport.pool._session is None
    assert len(server.requests) == 0


async def test_content_is_sent_as_it_is_with_its_type() -> None:
    async with (
        FaultServer([[Status(204)], [Status(204)], [Status(204)]]) as raw,
        Client("key", base_url=raw.url) as other,
    ):
        await other.request("POST", "api", content=b"a;b", content_type="text/csv; charset=utf-8")
        await other.request("POST", "api", content="é")
        await other.request("POST", "api", content=memoryview(b"\0"))
    assert [request.body for request in raw.requests] == [b"a;b", "é".encode(), b"\0"]
    assert [dict(request.headers)["Content-Type"] for request in raw.requests] == [
        "text/csv; charset=utf-8",
        "text/plain; charset=utf-8",
        "application/octet-stream",
    ]


async def test_max_bytes_bounds_one_response(client: Client) -> None:
    whole = await client.request("GET", "/api/v1/sessions/")
    assert (await client.request("GET", "/api/v1/sessions/", max_bytes=len(whole.body))).body == whole.body
    with pytest.raises(ResponseValidationError, match=r"^the response cannot be read: it is larger than"):
        await client.request("GET", "/api/v1/sessions/", max_bytes=len(whole.body) - 1)


async def test_an_id_may_be_an_int(client: Client, server: FakeSyllable) -> None:
    session_id = next(iter(server.sessions))
    assert (await client.sessions.get_by_id(int(session_id))).session_id == session_id
    assert (await client.request("GET", "api", "v1", "sessions", int(session_id))).status == 200
    await client.sessions.recordings(int(session_id))
