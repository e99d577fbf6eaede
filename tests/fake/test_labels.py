"""Labels and debug data: what is seeded, filtered and made, refused as a FastAPI application refuses it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from syllable_async.testing import FakeSyllable, faults
from tests.fake.vendor_document import DEBUG, LABELS

JSON = "application/json"
GOOD: dict[str, Any] = {"session_id": 7, "type": "human-rating", "code": "BAD", "user_email": "a@example.com"}
LABELLED: list[dict[str, Any]] = [
    {"code": "GOOD", "timestamp": "2026-02-01T10:00:00Z", "issue_categories": ["Too slow"]},
    {"code": "BAD", "timestamp": "2026-02-01T11:00:00Z", "user_email": "b@example.com"},
]


@pytest.fixture
def server() -> Iterator[FakeSyllable]:
    with FakeSyllable(sessions=0, api_key="key", now=lambda: datetime(2026, 3, 1, tzinfo=UTC)) as running:
        running.add_session(session_id="7", labels=LABELLED, source=None)
        running.add_session(session_id="8", labels=[{"id": 5, "timestamp": "2026-02-02T10:00:00Z"}])
        running.add_session(session_id="9", labels=[])
        yield running


@pytest.fixture
def client(server: FakeSyllable) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers={"Syllable-API-Key": "key"}) as running:
        yield running


def codes(client: httpx.Client, **query: Any) -> list[str]:
    return [f"{it['session_id']}{it['code']}" for it in client.get(f"{LABELS}/", params=query).json()["items"]]


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        ("session_id", "7", ["7BAD", "7GOOD"]),
        ("session_id_list", "7, 8,5", ["8GOOD", "7BAD", "7GOOD"]),
        ("session_id_list", "9", []),
        ("type", "human-rating", ["8GOOD", "7BAD", "7GOOD"]),
        ("code", "BAD", ["7BAD"]),
        ("user_email", "b@example.com", ["7BAD"]),
        ("issue_categories", "Too slow", ["7GOOD"]),
        ("timestamp", "2026-02-01T12:00:00+02:00", ["7GOOD"]),
    ],
)
def test_filters(client: httpx.Client, field: str, value: str, found: list[str]) -> None:
    assert codes(client, search_fields=field, search_field_values=value) == found


def test_orders_pages_windows_and_projections(client: httpx.Client) -> None:
    assert codes(client) == ["8GOOD", "7BAD", "7GOOD"]
    assert codes(client, order_by="timestamp") == ["7GOOD", "7BAD", "8GOOD"]
    assert codes(client, order_by="session_id_list", order_by_direction="desc")[0] == "8GOOD"
    assert codes(client, order_by="issue_categories", limit=2, page=1) == ["7GOOD"]
    window = {"start_datetime": "2026-02-01T10:00:00Z", "end_datetime": "2026-02-01T11:00:00Z"}
    assert codes(client, **window) == ["7GOOD"]
    page = client.get(f"{LABELS}/", params={"fields": "code", "limit": 2}).json()
    assert set(page["items"][0]) == {"session_id", "type", "code", "user_email", "id", "timestamp"}
    assert (page["page"], page["page_size"], page["total_pages"], page["total_count"]) == (0, 2, 2, 3)


@pytest.mark.parametrize("query", ["search_fields=code", "search_fields=session_id&search_field_values=x"])
def test_a_filter_that_cannot_be_is_a_400(client: httpx.Client, query: str) -> None:
    assert client.get(f"{LABELS}/?{query}").status_code == 400


def test_bounds_may_hold_their_ends() -> None:
    window = {"start_datetime": "2026-02-01T10:00:00Z", "end_datetime": "2026-02-01T11:00:00Z"}
    with FakeSyllable(sessions=0, api_key="key", bounds="(]") as running:
        running.add_session(session_id="7", labels=LABELLED)
        reply = httpx.get(f"{running.url}{LABELS}/", params=window, headers={"Syllable-API-Key": "key"})
    assert [it["code"] for it in reply.json()["items"]] == ["BAD"]


def test_a_label_that_is_made_is_the_sessions_newest(server: FakeSyllable, client: httpx.Client) -> None:
    made = client.post(f"{LABELS}/", json=GOOD).json()
    assert made == {**GOOD, "comments": None, "issue_categories": [], "id": made["id"], "timestamp": made["timestamp"]}
    assert made["timestamp"] == "2026-03-01T00:00:00Z"
    assert client.get(f"{LABELS}/{made['id']}").json() == made
    assert server.session("7")["session_label_id"] == str(made["id"])
    assert len(codes(client, search_fields="session_id", search_field_values="7")) == 3
    assert json.loads(server.requests[0].body) == GOOD
    assert "example.com" not in repr(server.requests[0])


def test_a_fault_of_the_query_changes_the_list(server: FakeSyllable, client: httpx.Client) -> None:
    server.faults.add("session_labels.list", faults.clamp_limit(2))
    assert codes(client) == ["8GOOD", "7BAD"]
    assert codes(client) == ["8GOOD", "7BAD", "7GOOD"]


def test_a_session_label_id_that_is_given_stays(server: FakeSyllable) -> None:
    session_id = server.add_session(labels=LABELLED, session_label_id="5")
    assert server.session(session_id)["session_label_id"] == "5"


def test_a_seeded_sessions_label_can_be_found(client: httpx.Client) -> None:
    with FakeSyllable(sessions=100, api_key="key") as running:
        headers = {"Syllable-API-Key": "key"}
        marked = [row for row in map(running.session, running.sessions) if row["session_label_id"]]
        assert marked
        for row in marked:
            reply = httpx.get(f"{running.url}{LABELS}/{row['session_label_id']}", headers=headers)
            assert str(reply.json()["session_id"]) == row["session_id"]
        running.delete(marked[0]["session_id"])
        gone = httpx.get(f"{running.url}{LABELS}/{marked[0]['session_label_id']}", headers=headers)
        assert gone.status_code == 404


def test_labels_of_a_session_without_a_number_are_refused(server: FakeSyllable) -> None:
    with pytest.raises(ValueError, match="number"):
        server.add_session(session_id="seven", labels=[{}])
    with pytest.raises(TypeError, match=r"labels\[0\] has no field 'session_id'"):
        server.add_session(labels=[{"session_id": 5}])
    with pytest.raises(TypeError, match=r"labels\[0\]\.issue_categories"):
        server.add_session(labels=[{"issue_categories": "Too slow"}])


@pytest.mark.parametrize(
    "path",
    [
        f"{LABELS}/1",
        f"{DEBUG}/session_id/1",
        f"{DEBUG}/sid/a/b",
        f"{DEBUG}/tool_result/7/b",
        f"{DEBUG}/tool_result/1/b",
    ],
)
def test_what_there_is_not_is_a_404(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_a_label_of_no_session_is_a_404(client: httpx.Client) -> None:
    assert client.post(f"{LABELS}/", json={**GOOD, "session_id": 1}).status_code == 404


def test_debug_data_tells_the_transcripts_story(server: FakeSyllable, client: httpx.Client) -> None:
    times = [f"2026-02-01T10:00:0{second}Z" for second in range(5)]
    said = [
        {"timestamp": times[0], "source": "agent", "text": "Hello"},
        {"timestamp": times[1], "source": "Caller", "text": None},
        {"timestamp": times[3], "source": "agent", "text": "Found"},
    ]
    used = [
        {"timestamp": times[2], "tool_name": "find", "tool_request": '{"a": [1]}', "tool_result": "plain text"},
        {"timestamp": times[4], "tool_request": None, "tool_result": "5"},
    ]
    sid = {"channel_manager_service": "hedy", "channel_manager_sid": "CA1"}
    server.add_session(session_id="12", transcript={"transcription": said, "actions": used}, source=None, **sid)
    data = client.get(f"{DEBUG}/sid/hedy/CA1").json()
    assert data == client.get(f"{DEBUG}/session_id/12").json()
    assert (data["session_id"], data["source"]) == (12, "")
    assert [(it["role"], it["dialog"]["text"]) for it in data["messages"]] == [
        ("agent", "Hello"),
        ("user", ""),
        ("agent", "Found"),
    ]
    first, last = data["messages"][2]["tool_calls"]
    assert (first["tool_name"], first["tool_arguments"], first["tool_result"]) == ("find", {"a": [1]}, "plain text")
    assert (last["tool_name"], last["tool_arguments"], last["tool_result"]) == ("", None, 5)
    found = client.get(f"{DEBUG}/tool_result/12/{first['tool_call_id']}").json()
    assert found == {"tool_name": "find", "tool_result": "plain text"}


def test_tool_calls_without_a_message_are_nowhere(server: FakeSyllable, client: httpx.Client) -> None:
    server.add_session(session_id="13", transcript={"actions": [{"timestamp": "2026-02-01T10:00:00Z"}]})
    assert client.get(f"{DEBUG}/session_id/13").json()["messages"] == []


# Beside FastAPI


class Body(BaseModel):
    """As the document has it."""

    session_id: int
    type: str
    code: str
    user_email: str
    comments: str | None = None
    issue_categories: list[str] | None = []


def application() -> FastAPI:
    app = FastAPI()

    @app.get(f"{LABELS}/{{session_label_id}}")
    def get_label(session_label_id: int) -> None: ...

    @app.post(f"{LABELS}/")
    def create(body: Body) -> None: ...

    @app.get(f"{LABELS}/")
    def list_labels() -> None: ...

    @app.get(f"{DEBUG}/sid/{{service}}/{{sid}}")
    def by_sid(service: str, sid: str) -> None: ...

    @app.get(f"{DEBUG}/session_id/{{session_id}}")
    def by_session_id(session_id: int) -> None: ...

    @app.get(f"{DEBUG}/tool_result/{{session_id}}/{{tool_call_id}}")
    def tool_result(session_id: int, tool_call_id: str) -> None: ...

    return app


CHANGES: list[dict[str, Any]] = [
    {"session_id": "x", "type": 5, "code": None, "user_email": [], "comments": 3, "issue_categories": "abc"},
    {"session_id": 1.5, "issue_categories": [1, "a", None]},
    {"session_id": True, "issue_categories": {}},
    {"session_id": " 7"},
    {"session_id": 7.0, "issue_categories": None, "comments": None},
    {"session_id": None, "new": 1},
    {"session_id": []},
]
BODIES: list[tuple[bytes, str | None]] = [
    (b"", JSON),
    (b"", None),
    *((body, JSON) for body in (b"{", b"nope", b"[]", b"null", b"5", b"{}", b"\xff", b'"a"', b'{"a":1}x')),
    (json.dumps(GOOD).encode(), "text/plain"),
    (json.dumps(GOOD).encode(), "application/json; charset=utf-8"),
    *((json.dumps({**GOOD, **change}).encode(), JSON) for change in CHANGES),
]
PATHS = [
    *(f"{LABELS}{end}" for end in ("", "/", "/x", "/5", "/-1", "/1.5", "/1.0", "/5/", "/5/6", "/%20")),
    *(f"{DEBUG}{end}" for end in ("", "/", "/sid", "/sid/a", "/sid/a/", "/sid//b", "/sid/a/b", "/sid/a/b/c", "/x/y")),
    *(f"{DEBUG}{end}" for end in ("/session_id/x", "/session_id/5", "/session_id/CA1", "/session_id/5/")),
    *(f"{DEBUG}{end}" for end in ("/tool_result/x/y", "/tool_result/5", "/tool_result/5/y", "/tool_result/5/y/")),
]


@pytest.fixture
async def fastapi() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application())) as running:
        yield running


def essence(reply: httpx.Response) -> tuple[Any, ...]:
    return reply.status_code, reply.content and reply.json(), reply.headers.get("Allow"), reply.headers.get("Location")


async def test_refuses_bodies_as_fastapi_does(server: FakeSyllable, fastapi: httpx.AsyncClient) -> None:
    async with httpx.AsyncClient() as real:
        for body, content_type in BODIES:
            headers = {"Syllable-API-Key": "key", **({"Content-Type": content_type} if content_type else {})}
            url = f"{server.url}{LABELS}/"
            wanted, found = [await it.post(url, content=body, headers=headers) for it in (fastapi, real)]
            assert essence(found) == essence(wanted) or (wanted.status_code == 200 and found.status_code in {200, 404})


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
async def test_refuses_paths_as_fastapi_does(method: str, server: FakeSyllable, fastapi: httpx.AsyncClient) -> None:
    async with httpx.AsyncClient() as real:
        for path in PATHS:
            headers = {"Syllable-API-Key": "key"}
            wanted, found = [await it.request(method, f"{server.url}{path}", headers=headers) for it in (fastapi, real)]
            same = essence(found) == essence(wanted)
            assert same or (wanted.status_code == 200 and found.status_code in {200, 404}), path


@pytest.mark.parametrize("body", [b'{"type": "\\ud800"}', b'{"session_id": 1e999}', b"[" * 100_000])
def test_what_would_crash_fastapi_is_a_400(client: httpx.Client, body: bytes) -> None:
    assert client.post(f"{LABELS}/", content=body, headers={"Content-Type": JSON}).status_code == 400
