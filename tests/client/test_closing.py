"""`aclose` ends all that runs, at once, with `ClientClosedError`; what we closed ourselves is never whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from syllable_async import AsyncSyllableClient, ClientClosedError, RateLimitError, RecordingError, RetryPolicy
from syllable_async.testing import FakeSyllable, faults
from tests.fault_server import FaultServer, Head, Raw, Stall

Client = AsyncSyllableClient
ENDLESS = [Head(200, {"Content-Type": "audio/wav"}), Raw(b"x" * 5000), Stall("half")]
"""Half a body that only the connection's end could mark."""


@asynccontextmanager
async def client_of(url: str, *, borrowed: bool, **settings: Any) -> AsyncGenerator[Client]:
    if not borrowed:
        async with Client("k", base_url=url, **settings) as client:
            yield client
        return
    async with aiohttp.ClientSession() as session, Client("k", base_url=url, session=session, **settings) as client:
        yield client


async def read_all(client: Client) -> Any:
    return b"".join([chunk async for chunk in client.sessions.stream_recording("t")])


async def walk(client: Client) -> Any:
    return [session async for session in client.sessions.list()]


RUNNING: dict[str, Callable[[Client], Awaitable[Any]]] = {
    "a call": lambda client: client.sessions.get_by_id("a"),
    "a request": lambda client: client.request("GET", "/api/v1/export/"),
    "a walk": walk,
    "a stream": read_all,
}


@pytest.mark.parametrize("borrowed", [False, True])
@pytest.mark.parametrize("name", RUNNING)
async def test_what_runs_ends_at_once(name: str, borrowed: bool) -> None:
    async with FaultServer([[Stall("silence")]]) as server, client_of(server.url, borrowed=borrowed) as client:
        task = asyncio.ensure_future(RUNNING[name](client))
        await server.reached("silence")
        await client.aclose()
        with pytest.raises(ClientClosedError, match="this AsyncSyllableClient is closed"):
            await asyncio.wait_for(task, 1)


@pytest.mark.parametrize("borrowed", [False, True])
@pytest.mark.parametrize("name", ["a request", "a stream"])
async def test_a_body_that_we_ended_is_never_whole(name: str, borrowed: bool) -> None:
    async with FaultServer([ENDLESS]) as server, client_of(server.url, borrowed=borrowed) as client:
        task = asyncio.ensure_future(RUNNING[name](client))
        await server.reached("half")
        await asyncio.sleep(0.01)
        await client.aclose()
        with pytest.raises(ClientClosedError):
            await asyncio.wait_for(task, 1)


@pytest.mark.parametrize("by", ["client", "stream", "the session's owner"])
async def test_a_recording_that_somebody_closes_is_not_saved(by: str, tmp_path: Path) -> None:
    target = tmp_path / "a.wav"
    async with FaultServer([ENDLESS]) as server, aiohttp.ClientSession() as session:
        own = None if by == "client" else session
        async with Client("k", base_url=server.url, session=own, retries=RetryPolicy(max_attempts=1)) as client:
            stream = client.sessions.stream_recording("t")
            task = asyncio.create_task(stream.save(target))
            await server.reached("half")
            while stream.bytes_read < 5000:  # noqa: ASYNC110
                await asyncio.sleep(0)
            closing = {"client": client.aclose, "stream": stream.aclose, "the session's owner": session.close}
            await closing[by]()
            with pytest.raises((ClientClosedError, RecordingError)):
                await asyncio.wait_for(task, 1)
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240


async def test_who_waits_for_a_slot_a_turn_a_retry_or_the_key_is_told(server: FakeSyllable) -> None:
    server.faults.add("sessions.get_by_id", faults.delay(float("inf"), times=None))
    server.faults.add("sessions.get_full_summary", faults.status(503, times=None))
    server.faults.add("sessions.get_latency", faults.status(429, times=None, retry_after=30))
    unasked = asyncio.Event()

    async def key() -> str:
        if unasked.is_set():
            await asyncio.Event().wait()
        return server.api_key

    policy = RetryPolicy(initial=50, maximum=50)
    async with Client(key, base_url=server.url, max_connections=1, retries=policy) as client:
        sleeping = asyncio.create_task(client.sessions.get_full_summary("a"))
        while not server.requests:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        holding = asyncio.create_task(client.sessions.get_by_id("a"))
        queueing = asyncio.create_task(client.sessions.get_by_id("b"))
        polling = asyncio.create_task(anext(client.sessions.list(limit=1).follow(interval=1000)))
        await asyncio.sleep(0.02)
        await client.aclose()
        waiting: list[asyncio.Task[Any]] = [sleeping, holding, queueing, polling]
        for task in waiting:
            with pytest.raises(ClientClosedError):
                await asyncio.wait_for(task, 1)
    async with Client(server.api_key, base_url=server.url, retries=policy) as client:
        paused = asyncio.create_task(client.sessions.get_latency("a"))
        while len(server.requests.to("sessions.get_latency")) < 1:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        with pytest.raises(RateLimitError):
            await client.sessions.get_latency("a", retries=RetryPolicy(deadline=5))
        await client.aclose()
        with pytest.raises(ClientClosedError):
            await asyncio.wait_for(paused, 1)
    unasked.set()
    async with Client(key, base_url=server.url) as client:
        asking = asyncio.create_task(client.sessions.get_by_id("a"))
        await asyncio.sleep(0)
        await client.aclose()
        with pytest.raises(ClientClosedError):
            await asyncio.wait_for(asking, 1)


async def test_a_hook_may_close_the_client_that_calls_it(server: FakeSyllable) -> None:
    server.faults.add("*", faults.status(503))

    async def on_retry(*_: object) -> None:
        await client.aclose()

    client = Client(server.api_key, base_url=server.url, retries=RetryPolicy(initial=0, on_retry=on_retry))
    with pytest.raises(ClientClosedError):
        await client.sessions.list()


async def test_a_closed_client_says_so(server: FakeSyllable) -> None:
    client = Client(server.api_key, base_url=server.url)
    stream, walk = client.sessions.stream_recording("t"), client.sessions.list().snapshot()
    await client.aclose()
    await client.aclose()
    for step in (client.sessions.list(), stream.__aenter__(), anext(walk), client.request("GET", "x")):
        with pytest.raises(ClientClosedError):
            await step
    assert len(server.requests) == 0
