"""Transcript, latency and timeline tell one story, within the session's time; summaries and ratings may be missing."""

from __future__ import annotations

import io
import wave
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import pytest

from syllable_async.testing import FakeSyllable

Document = dict[str, Any]


@pytest.fixture
async def server() -> AsyncIterator[FakeSyllable]:
    async with FakeSyllable(sessions=60, seed=6) as running:
        yield running


@pytest.fixture
async def client(server: FakeSyllable) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.url, headers={"Syllable-API-Key": server.api_key}) as session:
        yield session


async def read(client: aiohttp.ClientSession, kind: str, session_id: object) -> Document:
    async with client.get(f"/api/v1/sessions/{kind}/{session_id}") as answer:
        assert answer.status == 200
        document: Document = await answer.json()
        return document


def moments(entries: list[Document], name: str = "timestamp") -> list[datetime]:
    return [datetime.fromisoformat(entry[name]) for entry in entries]


async def test_everything_happens_within_the_session(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    for session_id in server.sessions:
        session = server.session(session_id)
        start = datetime.fromisoformat(session["timestamp"])
        transcript = await read(client, "transcript", session_id)
        latency = await read(client, "latency", session_id)
        timeline = await read(client, "timeline", session_id)
        everything = [*transcript["transcription"], *transcript["actions"], *latency["timeline"], *timeline["events"]]
        end = start + timedelta(seconds=45 if session["duration"] is None else session["duration"])
        assert all(start <= moment <= end for moment in moments(everything))
        assert datetime.fromisoformat(timeline["session_start"]) == start


async def test_the_timeline_holds_the_transcript_the_tools_and_the_rest_of_the_latencies(
    server: FakeSyllable, client: aiohttp.ClientSession
) -> None:
    session_id = server.add_session(duration=90.0, channel_manager_type="voice_sip_v1", complete_after=1)
    transcript = await read(client, "transcript", session_id)
    latency = await read(client, "latency", session_id)
    events = (await read(client, "timeline", session_id))["events"]
    kinds = {kind: [event for event in events if event["kind"] == kind] for kind in ("transcript", "tool", "latency")}
    turns = transcript["transcription"]
    assert [event["text"] for event in kinds["transcript"]] == [turn["text"] for turn in turns]
    assert [event["turn_index"] for event in kinds["transcript"]] == list(range(len(turns)))
    assert [event["tool_request"] for event in kinds["tool"]] == [it["tool_request"] for it in transcript["actions"]]
    untold = [entry for entry in latency["timeline"] if entry["category"] != "tool"]
    assert sorted(event["duration_ms"] for event in kinds["latency"]) == sorted(entry["value"] for entry in untold)
    assert len(turns) > 4
    assert len(transcript["actions"]) == 1
    assert {entry["category"] for entry in latency["timeline"]} == {"stt", "llm", "tts", "tool"}
    assert moments(events) == sorted(moments(events))
    assert events[0]["offset"] == "00:00"


async def test_in_a_call_of_no_duration_nothing_is_said(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    session_id = server.add_session(duration=0, channel_manager_type="voice_sip_v1")
    assert (await read(client, "transcript", session_id))["transcription"] == []
    assert (await read(client, "timeline", session_id))["events"] == []
    assert (await read(client, "latency", session_id))["summary"] == []
    for recording in server.recordings(session_id):
        with wave.open(io.BytesIO(recording)) as audio:
            assert audio.getnframes() == 0


async def test_the_latency_summary_adds_up(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    session_id = server.add_session(duration=120.0, channel_manager_type="voice_sip_v1")
    latency = await read(client, "latency", session_id)
    for part in latency["summary"]:
        values = [entry["value"] for entry in latency["timeline"] if entry["label"] == part["sub_category"]]
        assert part["event_count"] == len(values) > 0
        assert part["sum_ms"] == pytest.approx(sum(values))
        assert part["average_ms"] == pytest.approx(sum(values) / len(values), abs=0.06)
    assert sum(part["event_count"] for part in latency["summary"]) == len(latency["timeline"])


async def test_a_transcript_becomes_complete_after_some_reads(
    server: FakeSyllable, client: aiohttp.ClientSession
) -> None:
    session_id = server.add_session(
        duration=60.0, channel_manager_type="voice_sip_v1", is_legacy=False, complete_after=3
    )
    reads = [await read(client, "transcript", session_id) for _ in range(4)]
    lengths = [len(transcript["transcription"]) for transcript in reads]
    assert lengths[0] < lengths[1] < lengths[2] == lengths[3]
    assert [transcript["transcript_complete"] for transcript in reads] == [False, False, True, True]
    assert reads[3]["transcription"][: lengths[0]] == reads[0]["transcription"]


@pytest.mark.parametrize(
    "fields",
    [
        {"channel_manager_type": "web_chat_v1", "duration": None},
        {"channel_manager_type": "voice_sip_v1", "duration": None},
        {"channel_manager_type": "voice_sip_v1", "duration": 20.0, "is_legacy": True},
    ],
    ids=["chat", "still running", "old"],
)
async def test_some_transcripts_never_become_complete(
    fields: Document, server: FakeSyllable, client: aiohttp.ClientSession
) -> None:
    session_id = server.add_session(**{"is_legacy": False, **fields})
    assert not any([(await read(client, "transcript", session_id))["transcript_complete"] for _ in range(5)])


async def test_of_the_seeded_transcripts_most_are_complete_at_once_and_some_later() -> None:
    async with FakeSyllable(sessions=60, seed=6) as server:
        headers = {"Syllable-API-Key": server.api_key}
        async with aiohttp.ClientSession(server.url, headers=headers) as client:
            rounds = [
                sum([(await read(client, "transcript", name))["transcript_complete"] for name in server.sessions])
                for _ in range(3)
            ]
    assert 20 < rounds[0] == rounds[1] < rounds[2] < 60


async def test_summaries_can_be_missing_and_can_be_set(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    found = [await read(client, "full-summary", session_id) for session_id in server.sessions]
    assert {document["rating"] for document in found} >= {None, "Good", "Poor"}
    assert sum(document["summary"] is None for document in found) < 20
    session_id = server.add_session(summary="short", rating=None)
    assert await read(client, "full-summary", session_id) == {"summary": "short", "rating": None}
    server.update(session_id, session_id="renamed", rating="Good")
    assert await read(client, "full-summary", "renamed") == {"summary": "short", "rating": "Good"}
