"""A 429 concerns the origin that sent it: a recording's foreign host does not stop the API, nor the API that host."""

from __future__ import annotations

import asyncio
import json

from syllable_async import AsyncSyllableClient
from syllable_async._http import RecordingRequest
from syllable_async._retry import CallState
from tests.fault_server import FaultServer, Stall, Status, reply

SESSION = b'{"timestamp":"2026-01-01T00:00:00Z","session_id":"a"}'


def minted(url: str) -> bytes:
    return json.dumps({"session_id": "a", "recordings": [f"{url}/r.wav?sig=1"]}).encode()


async def test_each_origin_has_its_own_pause() -> None:
    audio = reply(200, b"RIFF" * 10, {"Content-Type": "audio/wav"})
    refusal = [Stall("come"), Status(429, {"Retry-After": "0.2"})]
    async with (
        FaultServer([refusal, audio]) as far,
        FaultServer([reply(200, minted(far.url)), reply(200, SESSION)]) as near,
        AsyncSyllableClient("k", base_url=near.url) as client,
    ):
        (recording,) = await client.sessions.recordings("a", allow_hosts=[far.url.removeprefix("http://")])
        reading = asyncio.create_task(recording.__aenter__())
        await far.reached("come")
        await far.release("come")
        await asyncio.sleep(0.02)
        await client.sessions.get_by_id("a")
        assert not reading.done()
        assert not client._transport.gates.api.active
        await reading
        await recording.aclose()
        assert far.requests[1].at - far.requests[0].at >= 0.2
        assert [request.header("Syllable-API-Key") for request in far.requests] == [None, None]


async def test_a_host_that_was_reached_by_a_redirect_is_paused_and_not_the_api() -> None:
    audio = reply(200, b"RIFF" * 10, {"Content-Type": "audio/wav"})
    async with FaultServer([[Status(429, {"Retry-After": "0.1"})], audio]) as far:
        redirect = [Status(302, {"Location": f"{far.url}/r.wav"})]
        async with FaultServer([redirect, redirect]) as near, AsyncSyllableClient("k", base_url=near.url) as client:
            hosts = {far.url.removeprefix("http://")}
            request = RecordingRequest.from_token(client._transport, "/stream", "t", CallState(), hosts)
            stream = await request.open({})
            assert await stream.read() == b"RIFF" * 10
            await stream.aclose()
            assert not client._transport.gates.api.active
        assert far.requests[1].at - far.requests[0].at >= 0.1


async def test_gates_of_hosts_that_are_calm_again_are_forgotten() -> None:
    async with AsyncSyllableClient("k", base_url="http://127.0.0.1:9") as client:
        gates = client._transport.gates
        first = gates.of("https://a.example")
        gates.of("https://b.example").refused(0.0, 1.0)
        gates.of("https://c.example")
        assert set(gates._foreign) == {"https://b.example", "https://c.example"}
        assert gates.of("") is gates.api is not first
