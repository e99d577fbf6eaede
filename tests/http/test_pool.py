"""Connections: used again, given back, and waited for."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from syllable_async import (
    APIError,
    AsyncSyllableClient,
    ResponseValidationError,
    RetryPolicy,
    SyllableConnectionError,
    SyllableTimeoutError,
)
from syllable_async._retry.retrier import CallState
from syllable_async.testing import FakeSyllable, faults
from tests.fault_server import FaultServer, json_reply

ONCE = RetryPolicy(max_attempts=1)
Client = AsyncSyllableClient


FAILURES: dict[str, Any] = {
    "status": faults.status(500),
    "cut": faults.cut(10),
    "reset": faults.cut(10, reset=True),
    "dropped": faults.drop(),
    "broken": faults.broken_json(),
    "late": faults.delay(float("inf")),
    "redirect": faults.redirect("/elsewhere"),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_every_failure_releases_its_connection(server: FakeSyllable, name: str) -> None:
    """A pool of one: a connection that is not given back would stop the second call."""
    server.faults.add("*", FAILURES[name])
    connector = aiohttp.TCPConnector(limit=1)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        Client(server.api_key, base_url=server.url, session=session, timeout=0.1, retries=ONCE) as client,
    ):
        with pytest.raises((APIError, SyllableConnectionError, ResponseValidationError)):
            await client.sessions.list()
        assert (await asyncio.wait_for(client.sessions.get_by_id(server.listed[0]), 5)).session_id
    server.faults.assert_all_met()


async def test_waiting_for_a_slot_is_no_part_of_an_attempt(server: FakeSyllable) -> None:
    server.faults.add("*", faults.delay(0.03, times=None))
    connector = aiohttp.TCPConnector(limit=1)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        Client(server.api_key, base_url=server.url, session=session, timeout=0.1, retries=ONCE) as client,
    ):
        await asyncio.gather(*(client.sessions.get_by_id(server.listed[0]) for _ in range(8)))
        short = RetryPolicy(max_attempts=1, deadline=0.06)
        results = await asyncio.gather(
            *(client.sessions.get_by_id(server.listed[0], retries=short) for _ in range(8)), return_exceptions=True
        )
    late = [result for result in results if isinstance(result, SyllableTimeoutError)]
    assert late
    assert {error.limit for error in late} == {"deadline"}
    assert any(error.attempts == 0 and not error.outcome_unknown for error in late)


async def test_a_connection_is_reused() -> None:
    good = json_reply({"timestamp": "2026-01-01T00:00:00Z", "session_id": "good"})
    async with FaultServer([[*good], [*good], [*good]]) as server, Client("k", base_url=server.url) as client:
        for _ in range(3):
            await client.sessions.get_by_id("x")
        assert len(server.connections) == 1


async def test_the_deadline_ends_waiting_for_a_slot(server: FakeSyllable) -> None:
    session_id = server.add_session(recordings=[b"RIFF" * 300_000])
    short = RetryPolicy(deadline=0.02)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session,
        AsyncSyllableClient(server.api_key, base_url=server.url, session=session) as client,
    ):
        taken, waiting = (
            (await client.sessions.recordings(session_id))[0],
            client.sessions.stream_recording("t", retries=short),
        )
        async with taken:
            for call in (client.sessions.get_by_id(session_id, retries=short), waiting.__aenter__()):
                with pytest.raises(SyllableTimeoutError) as caught:
                    await call
                error = caught.value
                assert (error.limit, error.seconds, error.attempts, error.outcome_unknown) == (
                    "deadline",
                    0.02,
                    0,
                    False,
                )


async def test_a_stream_that_is_closed_twice_releases_its_slot_once(
    client: AsyncSyllableClient, server: FakeSyllable
) -> None:
    session_id = server.add_session(recordings=[b"RIFF" * 1000])
    urls = (await client.sessions.generate_recording_urls(session_id)).recordings
    assert urls is not None
    request = client.sessions._recording_request(urls[0], CallState(), ())
    slots = client._transport.pool.slots
    free = slots._value
    reply = await request.open({})
    assert slots._value == free - 1
    await reply.aclose()
    await reply.aclose()
    assert slots._value == free
