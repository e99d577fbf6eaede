"""`service.py`: on real sockets, with a browser that is an aiohttp client, and the fake behind it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from html import unescape
from random import Random
from urllib.parse import urlencode

import aiohttp
import pytest
import pytest_asyncio
import service
from aiohttp import web

from syllable_async import AsyncSyllableClient, RetryPolicy
from syllable_async.testing import FakeSyllable, Fault, faults
from tests.fault_server.instructions import Head, Instruction, Raw, Stage, json_reply
from tests.fault_server.server import FaultServer
from tests.fault_server.wire import Connection

Serve = Callable[[str, str], Awaitable[str]]
QUICK = RetryPolicy(initial=0, maximum=0, deadline=5)


@pytest_asyncio.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts the service in front of an API (key, URL) and gives its own URL."""
    started: list[tuple[web.AppRunner, AsyncSyllableClient]] = []

    async def start(key: str, url: str) -> str:
        client = AsyncSyllableClient(key, base_url=url, retries=QUICK, timeout=2)
        runner = web.AppRunner(service.make_app(client), handler_cancellation=True, access_log=None, shutdown_timeout=1)
        started.append((runner, client))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    yield start
    for runner, client in started:
        await runner.cleanup()
        await client.aclose()


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_sessions_are_json_pages_newest_first(
    serve: Serve, browser: aiohttp.ClientSession, server: FakeSyllable
) -> None:
    url = await serve(server.api_key, server.url)
    server.faults.add("sessions.list", faults.status(503, retry_after=0))
    async with browser.get(f"{url}/sessions", params={"page": 1, "limit": 10}) as reply:
        page = await reply.json()
    assert [item["session_id"] for item in page["items"]] == list(reversed(server.listed))[10:20]
    assert page["total_count"] == len(server.listed)
    assert page["items"][0] == server.session(page["items"][0]["session_id"])
    server.faults.assert_all_met()
    async with browser.get(url) as reply:
        assert (await reply.text()).count("<li>") == 25


@pytest.mark.parametrize("query", ["page=-1", "page=x", "limit=0", "limit=101", "limit=²", f"page={'9' * 5000}"])
async def test_numbers_that_make_no_sense_are_refused_here(
    query: str, serve: Serve, browser: aiohttp.ClientSession, server: FakeSyllable
) -> None:
    async with browser.get(f"{await serve(server.api_key, server.url)}/sessions?{query}") as reply:
        assert reply.status == 400
    assert not server.requests


async def test_the_page_has_player_and_timeline_and_escapes_what_patients_say(
    serve: Serve, browser: aiohttp.ClientSession, server: FakeSyllable
) -> None:
    evil = "<script>alert('x')</script>"
    session_id = server.add_session(agent_name=evil, summary=evil, rating=evil, duration=60.0, recordings=[b"a", b"b"])

    def poison(document: dict[str, object]) -> dict[str, object]:
        event = {"kind": evil, "timestamp": "2026-01-01T00:00:00Z", "offset": evil, "label": evil, "category": evil}
        said = {**event, "kind": "transcript", "source": f'"{evil}', "text": evil, "lang": evil}
        return {**document, "events": [event, said]}

    server.faults.add("sessions.get_timeline", faults.edit_json(poison))
    async with browser.get(f"{await serve(server.api_key, server.url)}/sessions/{session_id}") as reply:
        text = await reply.text()
        policy = reply.headers["Content-Security-Policy"]
    assert "<script" not in text
    assert text.count("&lt;script&gt;") == 11  # title, heading, rating, summary; 4 of the one event, 3 of the other
    assert [f'src="/sessions/{session_id}/recordings/{number}"' in text for number in range(3)] == [True, True, False]
    assert policy.startswith("default-src 'none'")
    assert server.api_key not in text
    server.faults.assert_all_met()


async def test_the_pages_of_links_lead_through_a_search(
    serve: Serve, browser: aiohttp.ClientSession, server: FakeSyllable
) -> None:
    evil = '"><b>&'
    wanted = [server.add_session(agent_name=evil) for _ in range(30)]
    url, shown = await serve(server.api_key, server.url), list[str]()
    path = "/?" + urlencode({"agent": evil})
    while path:
        async with browser.get(url + path) as reply:
            text = await reply.text()
        assert "<b>" not in text
        shown += re.findall(r'href="/sessions/(\d+)"', text)
        following = re.search(r'<a rel="next" href="(.*?)"', text)
        assert ('rel="prev"' in text) is (len(shown) > 25)
        path = unescape(following[1]) if following else ""
    assert sorted(shown) == sorted(wanted)
    async with browser.get(f"{url}/?agent=nobody") as reply:
        assert "No sessions." in await reply.text()


@pytest.mark.parametrize(
    ("asked", "status", "part", "told"),
    [
        ("bytes=0-", 206, slice(None), "bytes 0-255999/256000"),
        ("bytes=200000-", 206, slice(200_000, None), "bytes 200000-255999/256000"),
        ("bytes=70000-70009", 206, slice(70_000, 70_010), "bytes 70000-70009/256000"),
        ("bytes=-5", 206, slice(-5, None), "bytes 255995-255999/256000"),
        ("bytes=256000-", 416, None, "bytes */256000"),
        ("bytes=9-3", 200, slice(None), None),
        ("bytes=0-1,5-6", 200, slice(None), None),
    ],
)
async def test_a_player_can_seek(
    asked: str,
    status: int,
    part: slice | None,
    told: str | None,
    serve: Serve,
    browser: aiohttp.ClientSession,
    server: FakeSyllable,
) -> None:
    audio = bytes(range(256)) * 1000
    server.faults.add("sessions.stream_recording", faults.cut(100_000))
    url = f"{await serve(server.api_key, server.url)}/sessions/{server.add_session(recordings=[audio])}/recordings/0"
    async with browser.get(url, headers={"Range": asked}) as reply:
        assert (reply.status, reply.headers.get("Content-Range")) == (status, told)
        if part is not None:
            assert (await reply.read(), reply.content_length) == (audio[part], len(audio[part]))
            assert reply.headers["Accept-Ranges"] == "bytes"
    async with browser.get(url, headers={"Range": "bytes=0-9", "If-Range": '"other"'}) as reply:
        assert (reply.status, len(await reply.read())) == (200, len(audio))
    async with browser.head(url) as reply:
        assert (reply.status, reply.content_length) == (200, len(audio))


async def test_a_recording_without_a_length_has_no_ranges(serve: Serve, browser: aiohttp.ClientSession) -> None:
    headers = {"Transfer-Encoding": "chunked", "Content-Type": "audio/wav"}
    async with FaultServer() as api:
        url = f"{api.url}/api/v1/sessions/recording/stream?token=t"
        api.add(json_reply({"recordings": [url]}), prefix="/api/v1/sessions/recording/s1")
        api.add([Head(200, headers), Raw(b"3\r\nabc\r\n0\r\n\r\n")], prefix="/api/v1/sessions/recording/stream")
        asked = f"{await serve('key', api.url)}/sessions/s1/recordings/0"
        async with browser.get(asked, headers={"Range": "bytes=1-"}) as reply:
            assert (reply.status, await reply.read()) == (200, b"abc")
            assert "Accept-Ranges" not in reply.headers


async def test_a_recording_arrives_byte_by_byte_through_a_cut(
    serve: Serve, browser: aiohttp.ClientSession, server: FakeSyllable
) -> None:
    session_id = server.add_session(recordings=[bytes(range(256)) * 1000])
    server.faults.add("sessions.stream_recording", faults.cut(100_000))
    url = await serve(server.api_key, server.url)
    async with browser.get(f"{url}/sessions/{session_id}/recordings/0") as reply:
        assert reply.content_length == 256_000
        assert await reply.read() == bytes(range(256)) * 1000
    server.faults.assert_all_met()
    async with browser.get(f"{url}/sessions/{session_id}/recordings/1") as reply:
        assert reply.status == 404


async def test_a_recording_that_stays_broken_never_looks_whole(
    serve: Serve, browser: aiohttp.ClientSession, server: FakeSyllable
) -> None:
    session_id = server.add_session(recordings=[b"\0" * 100_000])
    server.faults.add("sessions.stream_recording", faults.cut(50_000), faults.status(500, times=10))
    async with browser.get(f"{await serve(server.api_key, server.url)}/sessions/{session_id}/recordings/0") as reply:
        assert reply.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await reply.read()


async def test_its_guests_notice_nothing_where_one_request_of_twenty_fails(
    serve: Serve, browser: aiohttp.ClientSession, server: FakeSyllable
) -> None:
    flaky = Random(20)
    server.faults.add("*", faults.status(503, times=None), when=lambda _: flaky.random() < 1 / 20)
    url = await serve(server.api_key, server.url)
    for session_id in server.sessions[:20]:
        async with browser.get(f"{url}/sessions/{session_id}") as reply:
            assert (await reply.text()).count("<audio") == len(server.recordings(session_id))
        for number, audio in enumerate(server.recordings(session_id)):
            async with browser.get(f"{url}/sessions/{session_id}/recordings/{number}") as reply:
                assert await reply.read() == audio
    server.faults.assert_all_met()


@pytest.mark.parametrize(
    ("declared", "status", "kind"),
    [
        ("text/html", 502, "application/json"),
        ("audio/wav; x=y", 200, "audio/wav"),
        ("application/x-unknown", 200, "application/octet-stream"),
    ],
)
async def test_a_recording_is_never_a_page(
    declared: str, status: int, kind: str, serve: Serve, browser: aiohttp.ClientSession, server: FakeSyllable
) -> None:
    session_id = server.add_session(recordings=[b"\0<script>"])
    server.faults.add("sessions.stream_recording", faults.content_type(declared))
    async with browser.get(f"{await serve(server.api_key, server.url)}/sessions/{session_id}/recordings/0") as reply:
        assert (reply.status, reply.content_type) == (status, kind)
        assert reply.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_recording_has_a_type_that_players_know(
    serve: Serve, browser: aiohttp.ClientSession, server: FakeSyllable
) -> None:
    url = await serve(server.api_key, server.url)
    session_id = next(name for name in server.sessions if server.recordings(name))
    async with browser.get(f"{url}/sessions/{session_id}/recordings/0") as reply:
        assert reply.content_type == "audio/wav"


class Flood(Instruction):
    """Pieces of a chunked body for as long as somebody takes them."""

    sent = 0

    async def run(self, line: Connection, stage: Stage) -> None:
        while True:
            await line.send(b"10000\r\n" + bytes(65_536) + b"\r\n")
            self.sent += 1


async def test_a_slow_browser_holds_the_api_back_and_one_that_leaves_closes_it(
    serve: Serve, browser: aiohttp.ClientSession
) -> None:
    """A recording without an end: while nobody reads, only what fits into sockets and buffers leaves the API."""
    flood, headers = Flood(), {"Transfer-Encoding": "chunked", "Content-Type": "audio/wav"}
    async with FaultServer() as api:
        url = f"{api.url}/api/v1/sessions/recording/stream?token=t"
        api.add(json_reply({"recordings": [url]}), prefix="/api/v1/sessions/recording/s1")
        api.add([Head(200, headers), flood], prefix="/api/v1/sessions/recording/stream")
        async with browser.get(f"{await serve('key', api.url)}/sessions/s1/recordings/0") as reply:
            assert await reply.content.readany()
            before = -1
            while before < flood.sent:
                before = flood.sent
                await asyncio.sleep(0.05)
            held_back = flood.sent
            for _ in range(500):
                await reply.content.readexactly(65_536)
            assert held_back < 300 < flood.sent  # 19 MiB for four sockets' buffers, and no more for a longer recording
            reply.close()
        async with asyncio.timeout(1):
            while len(api.open_connections) > 1:  # noqa: ASYNC110 - the other one is kept alive for the next call
                await asyncio.sleep(0.01)


async def test_a_browser_that_leaves_a_stalled_recording_closes_it_upstream(
    serve: Serve, browser: aiohttp.ClientSession
) -> None:
    closed = asyncio.Event()
    async with FakeSyllable(1, on_answer=lambda entry: closed.set() if entry.fault else None) as server:
        session_id = server.add_session(recordings=[b"\0" * 100_000])
        server.faults.add("sessions.stream_recording", faults.pause(50_000, 60))
        async with browser.get(
            f"{await serve(server.api_key, server.url)}/sessions/{session_id}/recordings/0"
        ) as reply:
            await reply.content.readexactly(50_000)
            assert not closed.is_set()
            reply.close()
        async with asyncio.timeout(1):  # the stall limit is 2 s
            await closed.wait()
        assert server.requests.to("sessions.stream_recording")[-1].bytes_sent == 50_000


@pytest.mark.parametrize(
    ("fault", "status", "name"),
    [
        (faults.status(404, times=None), 404, "NotFoundError"),
        (faults.status(400, times=None), 400, "BadRequestError"),
        (faults.status(422, times=None), 400, "HTTPValidationError"),
        (faults.status(401, times=None), 502, "AuthenticationError"),
        (faults.status(403, times=None), 502, "PermissionDeniedError"),
        (faults.status(500, times=None), 502, "InternalServerError"),
        (faults.status(429, times=None, retry_after=90), 503, "RateLimitError"),
        (faults.drop(times=None), 502, "SyllableConnectionError"),
        (faults.broken_json(times=None), 502, "ResponseValidationError"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_errors_of_the_api_become_fitting_statuses(
    fault: Fault, status: int, name: str, serve: Serve, browser: aiohttp.ClientSession, server: FakeSyllable
) -> None:
    server.faults.add("*", fault)
    url = await serve(server.api_key, server.url)
    for path in ("/sessions", f"/sessions/{server.sessions[0]}", f"/sessions/{server.sessions[0]}/recordings/0"):
        async with browser.get(url + path) as reply:
            assert (reply.status, json.loads(await reply.read())) == (status, {"error": name})
            assert reply.headers.get("Retry-After") == ("90" if status == 503 else None)


async def test_a_time_limit_is_a_gateway_timeout(serve: Serve, browser: aiohttp.ClientSession) -> None:
    async with FakeSyllable(1) as server:
        server.faults.add("*", faults.delay(60, times=None))
        client = AsyncSyllableClient(server.api_key, base_url=server.url, retries=RetryPolicy(deadline=0.05))
        runner = web.AppRunner(service.make_app(client), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with browser.get(f"http://127.0.0.1:{runner.addresses[0][1]}/sessions") as reply:
            assert reply.status == 504
        await runner.cleanup()
        await client.aclose()
