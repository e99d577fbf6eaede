"""Every fault does to a plain client what its docstring says, and the queue knows which were met."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from syllable_async.testing import FakeSyllable
from syllable_async.testing.faults import cut, pass_through, status


@pytest.fixture
async def server() -> AsyncIterator[FakeSyllable]:
    async with FakeSyllable(sessions=30) as running:
        yield running


@pytest.fixture
async def client(server: FakeSyllable) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Syllable-API-Key": server.api_key}
    async with aiohttp.ClientSession(server.url, headers=headers) as session:
        yield session


LIST = "/api/v1/sessions/"


async def test_a_status_comes_as_often_as_scripted(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    server.faults.add("sessions.list", status(503, times=2, retry_after=1.5))
    answers = [await client.get(LIST) for _ in range(3)]
    assert [answer.status for answer in answers] == [503, 503, 200]
    assert [answer.headers.get("Retry-After") for answer in answers] == ["1.5", "1.5", None]
    assert [entry.status for entry in server.requests.to("sessions.list")] == [503, 503, 200]
    server.faults.assert_all_met()


async def test_a_body_is_cut_after_byte_n(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    server.faults.add("sessions.list", cut(100))
    async with client.get(LIST) as answer:
        assert answer.content_length is not None
        assert answer.content_length > 100
        assert len(await answer.content.readexactly(100)) == 100
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.content.readexactly(1)
    server.faults.assert_all_met()


async def test_faults_that_were_not_met_are_listed(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    server.faults.add("sessions.list", pass_through(), status(500, times=2))
    server.faults.add("sessions.get_by_id", cut(10))
    await client.get(LIST)
    await client.get(LIST)
    assert server.faults.pending == [
        "sessions.list: status 500 (met 1 of 2 times)",
        "sessions.get_by_id: cut at byte 10 (met 0 of 1 times)",
    ]
    with pytest.raises(AssertionError, match=r"not met:\n  sessions.list: status 500"):
        server.faults.assert_all_met()
