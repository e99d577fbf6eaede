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
)
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
    server.faults.add("*", faults.delay(0.1, times=None))
    connector = aiohttp.TCPConnector(limit=1)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        Client(server.api_key, base_url=server.url, session=session, timeout=0.5, retries=ONCE) as client,
    ):
        await asyncio.gather(*(client.sessions.get_by_id(server.listed[0]) for _ in range(8)))
        short = RetryPolicy(max_attempts=1, deadline=0.5)
        await asyncio.gather(*(client.sessions.get_by_id(server.listed[0], retries=short) for _ in range(8)))


async def test_a_connection_is_reused() -> None:
    good = json_reply({"timestamp": "2026-01-01T00:00:00Z", "session_id": "good"})
    async with FaultServer([[*good], [*good], [*good]]) as server, Client("k", base_url=server.url) as client:
        for _ in range(3):
            await client.sessions.get_by_id("x")
        assert len(server.connections) == 1
