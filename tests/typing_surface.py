"""What type checkers see of the public names. Never run: mypy and pyright read it, strictly."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict, assert_type

import aiohttp
import msgspec
from cattrs.preconf.msgspec import MsgspecJsonConverter
from tenacity import AsyncRetrying, stop_after_attempt

import syllable_async as api
from syllable_async import AsyncSyllableClient, Cursor, ListResponseSession, RetryPolicy, Session
from syllable_async._endpoints import session_labels as labels_module
from syllable_async._endpoints import sessions as sessions_module
from syllable_async.testing import FakeSyllable


async def rotating() -> str:
    return "key"


async def clients(session: aiohttp.ClientSession) -> None:
    AsyncSyllableClient("key", base_url="https://x.example", session=session, timeout=None, headers={"X-Team": "a"})
    AsyncSyllableClient(lambda: "key", retries=AsyncRetrying(stop=stop_after_attempt(2)))
    AsyncSyllableClient(3)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    AsyncSyllableClient("key", "https://x.example")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    async with AsyncSyllableClient(rotating, retries=RetryPolicy(deadline=None)) as client:
        assert_type(client, AsyncSyllableClient)
        assert_type(client.with_options(timeout=5, retries=None), AsyncSyllableClient)
        assert_type(client.sessions, api.Sessions)
        raw = await client.request("POST", "api", "v1", "x", query={"a": [1, 2]}, json={"b": None}, retries=None)
        assert_type(raw, api.RawResponse)
        assert_type(raw.decode(Session), Session)
        assert_type(raw.decode(tuple[Session, ...]), tuple[Session, ...])
        assert_type((raw.status, raw.body, raw.request_id, raw.attempts), tuple[int, bytes, str | None, int])
    assert_type(await client.aclose(), None)


async def sessions(client: AsyncSyllableClient) -> None:
    assert_type(await client.sessions.get_by_id("a"), Session)
    assert_type(await client.sessions.get_full_summary("a"), api.SessionSummaryResponse)
    assert_type(await client.sessions.get_transcript("a", wait_complete=60.0), api.SessionTranscriptionResponse)
    assert_type(await client.sessions.get_latency("a"), api.InspectLatencyResponse)
    assert_type(await client.sessions.get_timeline("a"), api.SessionTimelineResponse)
    assert_type(await client.sessions.generate_recording_urls("a"), api.SessionRecordingResponse)
    await client.sessions.get_by_id("a", RetryPolicy())  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]


async def labels_and_debug(client: AsyncSyllableClient) -> None:
    assert_type(client.session_labels, api.SessionLabels)
    assert_type(client.session_debug, api.SessionDebug)
    label = api.SessionLabelCreate(
        session_id="824", type="human-rating", code="GOOD", user_email="a", issue_categories=["b"]
    )
    assert_type(label.session_id, int)
    assert_type(label.issue_categories, tuple[str, ...] | None)
    assert_type(await client.session_labels.create(label), api.SessionLabel)
    assert_type(await client.session_labels.get_by_id(5), api.SessionLabel)
    fields = [api.SessionLabelProperties.SESSION_ID_LIST, "code"]
    labels = client.session_labels.list(search_fields=fields, search_field_values=["824,825", "GOOD"])
    assert_type(labels, api.OffsetPager[api.SessionLabel])
    async for found in labels:
        assert_type(found, api.SessionLabel)
    page = await labels
    assert_type(page, api.ListResponse[api.SessionLabel])
    assert_type(page.items, tuple[api.SessionLabel, ...])
    data = await client.session_debug.get_by_session_id("824", retries=RetryPolicy())
    assert_type(data, api.SessionData)
    assert_type(await client.session_debug.get_by_sid("hedy", "CA1"), api.SessionData)
    assert_type(data.messages[0].tool_calls, tuple[api.DialogToolCall, ...])
    assert_type((data.messages[0].role, data.messages[0].dialog.text), tuple[api.DialogRole, str])
    assert_type(await client.session_debug.get_tool_result(824, "call_1"), api.ToolResultData)
    await client.session_debug.get_by_session_id(8.5)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    await client.session_labels.create({"session_id": 1})  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    api.SessionLabelCreate(session_id=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    transcript = await client.sessions.get_transcript("a")
    assert_type(transcript.to_text(start=data.messages[0].timestamp, tools=True), str)


async def property_names(client: AsyncSyllableClient, name: str, names: list[str]) -> None:
    """Known names are completed, and any str is taken: a name in a variable, and one that a newer API may know."""
    known: sessions_module.PropertyName = "agent_name"
    known = "agent_nam"  # type: ignore[assignment] # pyright: ignore[reportAssignmentType]
    direction: sessions_module.DirectionName = "descending"  # type: ignore[assignment] # pyright: ignore[reportAssignmentType]
    await client.sessions.list(order_by=known, order_by_direction=direction, fields=["timestamp", known])
    await client.sessions.list(search_fields=["agent_id"], search_field_values=[name], order_by=name)
    await client.sessions.list(search_fields=names, search_field_values=names, fields=names, order_by_direction=name)
    await client.sessions.list(fields=(api.SessionProperties.SOURCE, "target", name), order_by="of_a_newer_api")
    await client.sessions.list(order_by=3)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    of_label: labels_module.PropertyName = "user_email"
    of_label = "agent_name"  # type: ignore[assignment] # pyright: ignore[reportAssignmentType]
    await client.session_labels.list(order_by=of_label, fields=names, search_fields=[name], search_field_values=names)


async def walks(client: AsyncSyllableClient, start: datetime, end: datetime) -> None:
    pager = client.sessions.list(
        order_by=api.SessionProperties.TIMESTAMP, order_by_direction="asc", fields=["source"], start_datetime=start
    )
    assert_type(pager, api.Pager)
    page = await pager
    assert_type(page, ListResponseSession)
    assert_type(page.items, tuple[Session, ...])
    assert_type(page.total_count, int | None)
    async for session in pager:
        assert_type(session, Session)
        assert_type(session.timestamp, datetime)
        assert_type(session.duration, float | None)
    async with pager.items(max_items=10, prefetch=4) as items:
        assert_type(await anext(items), Session)
        assert_type(items.next_page, int)
    async with pager.pages(max_pages=1) as pages:
        assert_type(await anext(pages), ListResponseSession)
    async with pager.snapshot(cursor=None, max_items=5) as snapshot:
        assert_type(await anext(snapshot), Session)
        assert_type(snapshot.cursor, Cursor)
        assert_type(Cursor.from_json(snapshot.cursor.to_json()), Cursor)
    async with pager.follow(cursor=snapshot.cursor, interval=5) as follow:
        assert_type(await anext(follow), Session)
        assert_type(follow.cursor, Cursor)


@dataclass
class Agent:
    id: int


class AgentDict(TypedDict):
    id: int


class AgentStruct(msgspec.Struct):
    id: int


async def any_list(client: AsyncSyllableClient) -> None:
    agents = client.list("/api/v1/agents/", Agent, page=0, limit=50, query={"order_by": "name"}, on_invalid_row=print)
    assert_type(agents, api.OffsetPager[Agent])
    assert_type(await agents, api.ListResponse[Agent])
    assert_type((await agents).items, tuple[Agent, ...])
    async for agent in client.list("/api/v1/agents/", Agent):
        assert_type(agent, Agent)
    async with agents.items(max_items=3, prefetch=2) as items:
        assert_type(await anext(items), Agent)
        assert_type(items.next_page, int)
    async with agents.pages() as pages:
        assert_type(await anext(pages), api.ListResponse[Agent])
    async for item in client.list("/api/v1/agents/", AgentDict):
        assert_type(item, AgentDict)
    async for struct in client.list("/api/v1/agents/", AgentStruct):
        assert_type(struct, AgentStruct)
    async for session in client.list("/api/v1/sessions/", Session):
        assert_type(session, Session)
    async for json in client.list("/api/v1/agents/"):
        assert_type(json, dict[str, Any])
    async for json in client.list("/api/v1/agents/", dict):
        assert_type(json, dict[str, Any])
    client.list("/api/v1/agents/", "Agent")  # type: ignore[call-overload] # pyright: ignore[reportCallIssue, reportArgumentType]
    agents.snapshot()  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
    agents.total_count  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue] # noqa: B018
    len(agents)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


async def recordings(client: AsyncSyllableClient, folder: Path) -> None:
    assert_type(await client.sessions.recordings("a", allow_hosts=["h"]), tuple[api.RecordingStream, ...])
    async with client.sessions.stream_recording("token") as recording:
        assert_type(recording, api.RecordingStream)
        assert_type((recording.content_type, recording.total_bytes), tuple[str | None, int | None])
        assert_type((recording.etag, recording.bytes_read), tuple[str | None, int])
        assert_type(recording.iter_bytes(65536), AsyncIterator[bytes])
        async for chunk in recording:
            assert_type(chunk, bytes)
    saved = await recording.save(
        directory=folder, progress=lambda done, total: print(done + 1, total), if_exists="skip"
    )
    assert_type(saved, api.SavedRecording)
    async with client.sessions.download_recordings(["a", 1], folder, progress=lambda size, count: None) as outcomes:
        async for outcome in outcomes:
            assert_type(outcome, api.DownloadOutcome)
            assert_type((outcome.session_id, outcome.recordings), tuple[str, tuple[api.SavedRecording, ...]])
    client.sessions.download_recordings(client.sessions.list(), folder)
    assert_type((saved.path, saved.size, saved.sha256), tuple[Path, int, str])


def models(session: Session, error: api.APIError, invalid: api.HTTPValidationError) -> None:
    assert_type(api.to_dict(session), dict[str, Any])
    assert_type(api.to_json(session), bytes)
    assert_type(api.decode(b"{}", Session), Session)
    assert_type(api.make_converter(), MsgspecJsonConverter)
    assert_type(api.OrderByDirection("asc"), api.OrderByDirection)
    assert_type((error.status, error.retry_after, error.attempts), tuple[int, float | None, int])
    assert_type(invalid.detail, tuple[api.ValidationError, ...])
    session.duration = 3.0  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]
    Session(start := datetime.min)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    print(start)


async def fake() -> None:
    async with FakeSyllable(sessions=3) as server:
        assert_type((server.url, server.api_key), tuple[str, str])
