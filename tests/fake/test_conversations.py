"""Transcript, latency and timeline tell one story, within the session's time; summaries and ratings may be missing."""

from __future__ import annotations

import io
import wave
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from syllable_async.testing import FakeSyllable

Document = dict[str, Any]


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


# What a test seeds

TURN = {"timestamp": "2026-02-03T04:05:06Z", "source": "user", "text": "hello"}
ACTION = {"timestamp": datetime(2026, 2, 3, 4, 5, 7, tzinfo=UTC), "tool_name": "lookup", "duration_ms": 12.5}
LATENCY = {
    "timestamp": "2026-02-03T04:05:08Z",
    "measurement_start": "2026-02-03T04:05:07Z",
    "category": "llm",
    "label": "llm_response",
    "unit_type": "milliseconds",
    "value": 1000,
    "value_str": "1000 ms",
    "time_delta": "00:02",
}
SUM = {
    "category": "llm",
    "event_count": 1,
    "sum_ms": 1000,
    "sum_str": "1000 ms",
    "average_ms": 1000,
    "average_str": "1000 ms",
}
EVENT = {"kind": "latency", "timestamp": "2026-02-03T04:05:07Z", "offset": "00:01", "turn_index": 0}
STT = {
    "provider": "deepgram",
    "words": [{"word": "hello", "confidence": 0.9}],
    "words_truncated": False,
}


async def test_a_transcript_can_be_given(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    given = {"transcription": [TURN, {**TURN, "stt_confidence": STT}], "actions": [ACTION]}
    session_id = server.add_session(timestamp="2026-02-03T04:05:06Z", channel_manager_type="voice_sip_v1", duration=9.0)
    server.update(session_id, transcript=given, is_legacy=False)
    transcript = await read(client, "transcript", session_id)
    first, second = transcript["transcription"]
    assert first == {**TURN, "lang": None, "stt_confidence": None}
    assert second["stt_confidence"]["words"] == [{"word": "hello", "confidence": 0.9, "start": None, "end": None}]
    assert transcript["actions"][0]["timestamp"] == "2026-02-03T04:05:07Z"
    assert (transcript["session_id"], transcript["transcript_complete"]) == (session_id, True)
    server.update(session_id, complete_after=4)
    assert len((await read(client, "transcript", session_id))["transcription"]) == 1
    server.update(session_id, transcript={"transcript_complete": True})
    assert await read(client, "transcript", session_id) == {
        "session_id": session_id,
        "transcription": [],
        "actions": [],
        "transcript_complete": True,
    }


async def test_the_timeline_follows_what_was_given(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    session_id = server.add_session(
        timestamp="2026-02-03T04:05:06Z",
        transcript={"transcription": [TURN], "actions": [ACTION]},
        latency={"timeline": [LATENCY]},
    )
    latency = await read(client, "latency", session_id)
    assert latency["timeline"] == [{**LATENCY, "metadata": None}]
    assert [part["sum_ms"] for part in latency["summary"]] == [1000]
    timeline = await read(client, "timeline", session_id)
    assert [(event["kind"], event["offset"]) for event in timeline["events"]] == [
        ("transcript", "00:00"),
        ("tool", "00:01"),
        ("latency", "00:01"),
    ]
    server.update(session_id, timeline={"events": [EVENT], "session_start": None}, latency={"summary": [SUM]})
    timeline = await read(client, "timeline", session_id)
    assert (timeline["session_start"], len(timeline["events"])) == (None, 1)
    assert timeline["events"][0]["tool_error"] is None
    assert (await read(client, "latency", session_id))["summary"] == [{**SUM, "sub_category": None}]


async def test_what_was_given_is_not_changed_from_outside(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    turns: list[Document] = [dict(TURN)]
    session_id = server.add_session(transcript={"transcription": turns})
    turns[0]["text"] = "other"
    turns.append(dict(TURN))
    [turn] = (await read(client, "transcript", session_id))["transcription"]
    assert turn["text"] == "hello"


async def test_a_summary_can_be_a_dict_of_its_fields(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    session_id = server.add_session(summary={"summary": "short", "rating": "Good"})
    assert await read(client, "full-summary", session_id) == {"summary": "short", "rating": "Good"}
    server.update(session_id, summary={"summary": None})
    assert await read(client, "full-summary", session_id) == {"summary": None, "rating": None}


WRONG_SEEDS: list[tuple[Document, str]] = [
    ({"summary": 5}, "summary must be a str, not int"),
    ({"rating": 5}, "rating must be a str, not int"),
    ({"summary": {"sumary": "x"}}, "summary has no field 'sumary'; there are summary, rating"),
    ({"summary": {"rating": 5}}, "summary.rating must be a str, not int"),
    ({"transcript": "hello"}, "transcript must be a dict, not str"),
    ({"transcript": None}, "transcript must be a dict, not NoneType"),
    ({"transcript": {"turns": []}}, "transcript has no field 'turns'; there are session_id, transcription"),
    ({"transcript": {"transcription": None}}, "transcript.transcription must not be null"),
    ({"transcript": {"transcription": TURN}}, "transcript.transcription must be a list, not dict"),
    ({"transcript": {"transcription": [{"text": "x"}]}}, r"transcript.transcription\[0\] must have .* 'timestamp'"),
    (
        {"transcript": {"transcription": [TURN, {**TURN, "timestamp": "then"}]}},
        r"transcript.transcription\[1\].timestamp is not an ISO 8601 datetime",
    ),
    (
        {"transcript": {"transcription": [{**TURN, "stt_confidence": {"words": []}}]}},
        r"transcript.transcription\[0\].stt_confidence must have the field 'provider'",
    ),
    (
        {"transcript": {"actions": [{**ACTION, "duration_ms": "1"}]}},
        r"transcript.actions\[0\].duration_ms must be a",
    ),
    ({"transcript": {"transcript_complete": 1}}, "transcript.transcript_complete must be a bool, not int"),
    ({"latency": {"timeline": [{**LATENCY, "category": "tea"}]}}, r"latency.timeline\[0\].category must be one of"),
    ({"latency": {"timeline": [{**LATENCY, "value": float("nan")}]}}, r"latency.timeline\[0\].value must be a num"),
    (
        {"latency": {"timeline": [{**LATENCY, "value": float("inf")}]}},
        r"latency.timeline\[0\].value must be finite",
    ),
    ({"latency": {"summary": [{**SUM, "event_count": 1.5}]}}, r"latency.summary\[0\].event_count must be an int"),
    ({"timeline": {"events": [{**EVENT, "kind": "other"}]}}, r"timeline.events\[0\].kind must be one of"),
    ({"timeline": {"session_start": 5}}, "timeline.session_start must be a str, not int"),
    ({"timeline": []}, "timeline must be a dict, not list"),
    ({"recordings": b"abc"}, "recordings must be a list of bytes, not bytes"),
    ({"recordings": [5]}, r"recordings\[0\] must be bytes, not int"),
    ({"recordings": ["abc"]}, r"recordings\[0\] must be bytes, not str"),
    ({"recordings": None}, "recordings must be a list of bytes, not NoneType"),
    ({"complete_after": True}, "complete_after must be an int, not bool"),
    ({"complete_after": 0}, "complete_after must be at least 1"),
    ({"listed_after": -1}, "listed_after must not be negative"),
    ({"listed_after": "soon"}, "listed_after must be a number, not str"),
    ({"transcripts": {}}, "a session has no field 'transcripts'; there are .*transcript"),
]


@pytest.mark.parametrize(("fields", "reason"), WRONG_SEEDS, ids=str)
def test_wrong_seeds_are_refused_with_their_place(fields: Document, reason: str) -> None:
    server = FakeSyllable(sessions=1)
    [session_id] = server.sessions
    with pytest.raises((TypeError, ValueError), match=f"^{reason}"):
        server.add_session(**fields)
    with pytest.raises((TypeError, ValueError), match=f"^{reason}"):
        server.update(session_id, **fields)
    assert server.sessions == (session_id,)
