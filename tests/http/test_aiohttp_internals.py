"""TODO"""

from __future__ import annotations

import aiohttp

from syllable_async import AsyncSyllableClient
from syllable_async.testing import FakeSyllable
from tests.fault_server import FaultServer, Stall, json_reply

Client = AsyncSyllableClient


async def test_middlewares_of_a_borrowed_session_still_run(server: FakeSyllable) -> None:
    seen: list[str] = []

    async def note(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        seen.append(request.method)
        return await handler(request)

    async with (
        aiohttp.ClientSession(middlewares=[note]) as session,
        Client(server.api_key, base_url=server.url, session=session) as client,
    ):
        await client.sessions.list()
    assert seen == ["GET"]


async def test_bytes_on_an_idle_connection_discard_it() -> None:
    late = {"timestamp": "2020-01-01T00:00:00Z", "session_id": "late"}
    good = {"timestamp": "2026-01-01T00:00:00Z", "session_id": "good"}
    script = [[*json_reply(good), Stall("idle"), *json_reply(late)], json_reply(good)]
    async with FaultServer(script) as server, Client("k", base_url=server.url) as client:
        assert (await client.sessions.get_by_id("x")).session_id == "good"
        await server.release("idle")
        assert (await client.sessions.get_by_id("x")).session_id == "good"
        assert len(server.connections) == 2
