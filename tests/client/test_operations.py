"""The rest of the sessions family, and the walks, through the client and the fake."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from syllable_sdk import SyllableSDK

from syllable_async import (
    AsyncSyllableClient,
    Cursor,
    InspectLatencyResponse,
    NotFoundError,
    SessionTimelineResponse,
    SessionTranscriptionResponse,
    TimeWindow,
    decode,
    to_json,
)
from syllable_async.testing import FakeSyllable, faults
from tests.client.test_against_vendor import assert_same
from tests.fake_time import FakeTime

Client = AsyncSyllableClient
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
async def test_waiting_for_no_time_that_can_be(client: Client, server: FakeSyllable, seconds: float) -> None:
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


async def test_windows_walked_side_by_side_give_every_session_once(client: Client, server: FakeSyllable) -> None:
    windows = [window async for window in client.sessions.windows(START, END, max_sessions=9)]
    assert all(isinstance(window, TimeWindow) for window in windows)
    assert windows[0].start == START
    assert windows[-1].end == END
    assert [window.end for window in windows[:-1]] == [window.start for window in windows[1:]]

    async def walk(window: TimeWindow) -> list[str | None]:
        pager = client.sessions.list(start_datetime=window.start, end_datetime=window.end)
        return [session.session_id async for session in pager.snapshot()]

    found = await asyncio.gather(*(walk(window) for window in windows))
    assert sorted(str(name) for names in found for name in names) == sorted(server.listed)


async def test_following_yields_what_appears(server: FakeSyllable, timeless: type[Client], fake_time: FakeTime) -> None:
    async with timeless(server.api_key, base_url=server.url) as client:
        start = datetime.now(UTC) - timedelta(hours=1)
        async with client.sessions.list(start_datetime=start).follow(interval=30) as feed:
            new = server.add_session(timestamp=(start + timedelta(minutes=1)).isoformat())
            assert (await anext(feed)).session_id == new
            newer = server.add_session(timestamp=(start + timedelta(minutes=2)).isoformat())
            assert (await anext(feed)).session_id == newer
    assert fake_time.sleeps in ([30], [])
