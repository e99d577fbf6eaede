"""The operations of the sessions family, and the ways to read a list, through the client and the fake."""

from __future__ import annotations

import wave
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from syllable_sdk import SyllableSDK

from syllable_async import (
    AsyncSyllableClient,
    Cursor,
    InspectLatencyResponse,
    InternalServerError,
    ListResponseSession,
    NotFoundError,
    OrderByDirection,
    RecordingError,
    RetryPolicy,
    Session,
    SessionProperties,
    SessionTimelineResponse,
    SessionTranscriptionResponse,
    decode,
    to_json,
)
from syllable_async.testing import FakeSyllable, faults
from tests.client.test_against_vendor import assert_same
from tests.time_control import FakeTime

Client = AsyncSyllableClient
Call = Callable[[Client], Any]
AT_ONCE = RetryPolicy(initial=0, maximum=0)
NAIVE = datetime(2026, 1, 1)
AWARE = datetime(2026, 1, 1, tzinfo=UTC)
REPLIES: dict[str, Any] = {
    "transcript": SessionTranscriptionResponse,
    "latency": InspectLatencyResponse,
    "timeline": SessionTimelineResponse,
}
START, END = datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("operation", ["transcript", "latency", "timeline"])
async def test_transcript_latency_and_timeline_as_the_vendors(
    client: Client, server: FakeSyllable, operation: str
) -> None:
    async with SyllableSDK(server_url=server.url, api_key_header=server.api_key) as vendor:
        for session_id in server.sessions[:15]:
            for _ in range(6):  # a transcript grows for some reads
                await getattr(client.sessions, f"get_{operation}")(session_id)
            ours = await getattr(client.sessions, f"get_{operation}")(session_id)
            theirs = await getattr(vendor.sessions, operation).get_by_id_async(session_id=session_id)
            assert_same(ours, theirs)
            assert decode(to_json(ours), REPLIES[operation]) == ours


@pytest.mark.parametrize("operation", ["get_transcript", "get_latency", "get_timeline", "get_full_summary"])
async def test_an_id_that_is_not_there(client: Client, operation: str) -> None:
    with pytest.raises(NotFoundError):
        await getattr(client.sessions, operation)("nobody")


def incomplete(reads: int) -> faults.Fault:
    return faults.edit_json(lambda body: {**body, "transcript_complete": False}, times=reads)


async def test_waiting_for_a_transcript_ends_when_it_is_complete(
    server: FakeSyllable, timeless: type[Client], fake_time: FakeTime
) -> None:
    session_id = next(name for name in server.sessions if server.session(name)["duration"])
    server.faults.add("sessions.get_transcript", incomplete(6))
    async with timeless(server.api_key, base_url=server.url) as client:
        transcript = await client.sessions.get_transcript(session_id, wait_complete=120)
    assert transcript.transcript_complete
    assert fake_time.sleeps == [1, 2, 4, 8, 15, 15]


@pytest.mark.parametrize(("seconds", "sleeps"), [(None, []), (0, []), (2.5, [1, 1.5]), (20, [1, 2, 4, 8, 5])])
async def test_waiting_for_a_transcript_ends_with_the_seconds(
    server: FakeSyllable, timeless: type[Client], fake_time: FakeTime, seconds: float | None, sleeps: list[float]
) -> None:
    server.faults.add("sessions.get_transcript", incomplete(99))
    async with timeless(server.api_key, base_url=server.url) as client:
        transcript = await client.sessions.get_transcript(server.sessions[0], wait_complete=seconds)
    assert isinstance(transcript, SessionTranscriptionResponse)
    assert not transcript.transcript_complete
    assert fake_time.sleeps == sleeps
    assert len(server.requests) == len(sleeps) + 1


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
async def test_wait_complete_rejects_negative_and_infinite(
    client: Client, server: FakeSyllable, seconds: float
) -> None:
    with pytest.raises(ValueError, match="wait_complete"):
        await client.sessions.get_transcript("x", wait_complete=seconds)
    assert len(server.requests) == 0


@pytest.mark.parametrize("bounds", ["[)", "[]", "(]", "()"])
async def test_a_snapshot_is_exact_while_sessions_come_and_go(bounds: Any) -> None:
    async with (
        FakeSyllable(sessions=400, bounds=bounds, hide_tests=False) as server,
        Client(server.api_key, base_url=server.url) as client,
    ):
        there = set(server.sessions)
        gone: set[str] = set()
        seen: list[str | None] = []
        async with client.sessions.list(limit=25).snapshot() as walk:
            async for session in walk:
                seen.append(session.session_id)
                if len(seen) % 20 == 0:
                    victim = server.sessions[len(seen) // 2]
                    gone.add(victim)
                    server.delete(victim)
                    server.add_session(timestamp="2026-01-03T12:00:00Z")
        assert there - gone <= set(seen)
        assert len(seen) == len(set(seen))


async def test_a_cursor_goes_on_elsewhere(client: Client, server: FakeSyllable) -> None:
    walk = client.sessions.list(limit=10).snapshot()
    first = [(await anext(walk)).session_id for _ in range(23)]
    saved = walk.cursor.to_json()
    await walk.aclose()
    rest = client.sessions.list(limit=10).snapshot(cursor=Cursor.from_json(saved))
    second = [session.session_id async for session in rest]
    assert sorted(map(str, first + second)) == sorted(server.listed)
    other = client.sessions.list(search_fields=["is_test"], search_field_values=["true"])
    with pytest.raises(ValueError, match="cursor"):
        other.snapshot(cursor=Cursor.from_json(saved))


@pytest.mark.parametrize("parallel", [1, 8])
async def test_a_snapshot_gives_every_session_once(client: Client, server: FakeSyllable, parallel: int) -> None:
    pager = client.sessions.list(start_datetime=START, end_datetime=END, limit=5)
    found = [str(session.session_id) async for session in pager.snapshot(parallel=parallel)]
    assert sorted(found) == sorted(server.listed)


async def test_following_yields_what_appears(server: FakeSyllable, timeless: type[Client], fake_time: FakeTime) -> None:
    async with timeless(server.api_key, base_url=server.url) as client:
        start = datetime.now(UTC) - timedelta(hours=1)
        async with client.sessions.list(start_datetime=start).follow(interval=30) as feed:
            new = server.add_session(timestamp=(start + timedelta(minutes=1)).isoformat())
            assert (await anext(feed)).session_id == new
            newer = server.add_session(timestamp=(start + timedelta(minutes=2)).isoformat())
            assert (await anext(feed)).session_id == newer
    assert fake_time.sleeps in ([30], [])


def voiced(server: FakeSyllable) -> str:
    """A session that has a recording."""
    return next(name for name in server.listed if server.recordings(name) and server.session(name)["duration"])


def by_id(operation: str, bad: str, client: Client) -> Any:
    return getattr(client.sessions, operation)(bad)


BAD_CALLS: dict[str, Call] = {
    "negative limit": lambda c: c.sessions.list(limit=-1),
    "negative page": lambda c: c.sessions.list(page=-1),
    "limit as text": lambda c: c.sessions.list(limit="5"),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    "limit as truth": lambda c: c.sessions.list(limit=True),
    "naive start": lambda c: c.sessions.list(start_datetime=NAIVE),
    "naive end": lambda c: c.sessions.list(end_datetime=NAIVE),
    "end before start": lambda c: c.sessions.list(start_datetime=AWARE, end_datetime=AWARE - timedelta(1)),
    "fields as text": lambda c: c.sessions.list(fields="timestamp"),
    "search_fields as text": lambda c: c.sessions.list(search_fields="agent_id", search_field_values=["x"]),
    "values as text": lambda c: c.sessions.list(search_fields=["agent_id"], search_field_values="x"),
    "unequal lists": lambda c: c.sessions.list(search_fields=["agent_id"], search_field_values=["a", "b"]),
    "fields without values": lambda c: c.sessions.list(search_fields=["agent_id"]),
    "walk of pages of 0": lambda c: c.sessions.list(limit=0).items(),
    "empty token": lambda c: c.sessions.stream_recording(""),
    "token with NUL": lambda c: c.sessions.stream_recording("a\0"),
    **{
        f"{operation} of {bad!r}": partial(by_id, operation, bad)
        for operation in ("get_by_id", "get_full_summary", "generate_recording_urls", "recordings")
        for bad in ("", ".", "..", "a/b", "recording/stream", "..\\x", "a\r\nb", "a\0b", "\ud800")
    },
    "bool as id": lambda c: c.sessions.get_by_id(True),
    "float as id": lambda c: c.sessions.get_by_id(5.0),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
}


@pytest.mark.parametrize("name", BAD_CALLS)
async def test_invalid_arguments_raise_before_a_request_is_sent(name: str, server: FakeSyllable) -> None:
    async with Client(server.api_key, base_url=server.url) as client:
        with pytest.raises((ValueError, TypeError)):
            await BAD_CALLS[name](client)
        assert client._transport.pool._session is None
    assert len(server.requests) == 0


async def test_every_list_parameter_reaches_the_server(client: Client, server: FakeSyllable) -> None:
    start = datetime(2025, 12, 1, 8, tzinfo=timezone(timedelta(hours=2)))
    page = await client.sessions.list(
        page=0,
        limit=5,
        search_fields=[SessionProperties.IS_TEST, "is_legacy"],
        search_field_values=["false", "false"],
        order_by=SessionProperties.DURATION,
        order_by_direction=OrderByDirection.DESC,
        fields=["session_id", SessionProperties.DURATION],
        start_datetime=start,
        end_datetime="2027-01-01T00:00:00Z",
    )
    (request,) = server.requests
    assert request.query == [
        ("page", "0"),
        ("limit", "5"),
        ("search_fields", "is_test"),
        ("search_fields", "is_legacy"),
        ("search_field_values", "false"),
        ("search_field_values", "false"),
        ("order_by", "duration"),
        ("order_by_direction", "desc"),
        ("fields", "session_id"),
        ("fields", "duration"),
        ("start_datetime", "2025-12-01T06:00:00+00:00"),
        ("end_datetime", "2027-01-01T00:00:00Z"),
    ]
    durations = [session.duration for session in page.items]
    assert len(durations) == 5
    assert durations == sorted(durations, key=lambda d: d or 0, reverse=True)
    assert {session.agent_name for session in page.items} == {None}


async def test_absent_parameters_are_not_sent(client: Client, server: FakeSyllable) -> None:
    page = await client.sessions.list()
    assert isinstance(page, ListResponseSession)
    assert server.requests[0].query == []
    assert server.requests[0].path == "/api/v1/sessions/"
    assert server.requests[0].headers["User-Agent"].startswith("syllable_async/")


async def test_iterating_a_list_yields_every_session_once(client: Client, server: FakeSyllable) -> None:
    seen = [session.session_id async for session in client.sessions.list(limit=9)]
    assert sorted(seen, key=str) == sorted(server.listed)
    assert len(server.requests.to("sessions.list")) == -(-len(server.listed) // 9)


async def test_one_session_its_summary_and_its_recording(client: Client, server: FakeSyllable, tmp_path: Path) -> None:
    name = voiced(server)
    session = await client.sessions.get_by_id(name)
    assert session == await client.sessions.get_by_id(name)
    assert isinstance(session, Session)
    assert session.session_id == name
    assert session.timestamp.utcoffset() is not None
    assert (await client.sessions.get_full_summary(name)).summary
    (recording,) = await client.sessions.recordings(name)
    saved = await recording.save(tmp_path)
    assert saved.path.read_bytes() == server.recordings(name)[0]
    with wave.open(str(saved.path)) as audio:
        assert audio.getnframes() / audio.getframerate() == pytest.approx(session.duration, abs=0.05)


async def test_a_recording_by_its_token(client: Client, server: FakeSyllable) -> None:
    name = voiced(server)
    urls = (await client.sessions.generate_recording_urls(name)).recordings
    assert urls is not None
    async with client.sessions.stream_recording(urls[0].partition("token=")[2]) as recording:
        assert recording.total_bytes == len(server.recordings(name)[0])
        data = b"".join([chunk async for chunk in recording])
    assert data == server.recordings(name)[0]
    assert recording.verified == "length"
    with wave.open(BytesIO(data)) as audio:
        assert audio.getnframes() > 0


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
async def test_a_cut_recording_is_resumed(client: Client, server: FakeSyllable, reset: bool) -> None:
    name = voiced(server)
    server.faults.add("sessions.stream_recording", faults.cut(3000, reset=reset), faults.cut(500, reset=reset))
    (recording,) = await client.with_options(retries=AT_ONCE).sessions.recordings(name)
    assert b"".join([chunk async for chunk in recording]) == server.recordings(name)[0]
    server.faults.assert_all_met()
    assert len(server.requests.to("sessions.stream_recording")) == 3


async def test_a_recording_url_is_renewed_by_the_policy_of_its_call(client: Client, server: FakeSyllable) -> None:
    name = voiced(server)
    (recording,) = await client.sessions.recordings(name, retries=RetryPolicy(max_attempts=1))
    server.faults.add("sessions.stream_recording", faults.status(401))
    server.faults.add("sessions.generate_recording_urls", faults.status(503))
    with pytest.raises(InternalServerError):
        await recording.save(Path("nowhere"))
    server.faults.assert_all_met()
    assert len(server.requests.to("sessions.generate_recording_urls")) == 2


async def test_a_session_without_recordings(client: Client, server: FakeSyllable) -> None:
    name = str(server.add_session(duration=None, recordings=[]))
    assert await client.sessions.recordings(name) == ()


async def test_a_renewed_url_for_a_recording_that_is_gone(client: AsyncSyllableClient, server: FakeSyllable) -> None:
    session_id = server.add_session(recordings=[b"RIFF" * 1000])
    (recording,) = await client.sessions.recordings(session_id)
    server.update(session_id, recordings=[])
    server.faults.add("sessions.stream_recording", faults.status(403))
    with pytest.raises(RecordingError, match="the session has 0 recordings now, it had 1"):
        async with recording:
            pass
