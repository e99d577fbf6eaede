"""`fastapi_service.py`: pages, search, errors and ranges, through its lifespan, against the fake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import fastapi_service
import pytest
import pytest_asyncio
import uvicorn
from yarl import URL

from syllable_async import RetryPolicy
from syllable_async.testing import FakeSyllable, Fault, faults

AUDIO = bytes(range(256)) * 1_000


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[tuple[FakeSyllable, aiohttp.ClientSession]]:
    """One API and one service for all tests: uvicorn takes its time to end."""
    async with FakeSyllable(sessions=60) as server:
        quick = RetryPolicy(initial=0, maximum=0, deadline=5)
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("SYLLABLESDK_API_KEY_HEADER", server.api_key)
            environment.setenv("SYLLABLE_BASE_URL", server.url)
            app = fastapi_service.make_app(retries=quick)
            service = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, ws="none"))
            serving = asyncio.create_task(service.serve())
            while not service.started:  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0)
        port = service.servers[0].sockets[0].getsockname()[1]
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as browser:
            yield server, browser
        service.should_exit = True
        await serving


@pytest.fixture
def api(running: tuple[FakeSyllable, aiohttp.ClientSession]) -> FakeSyllable:
    """The API behind the service, as if nothing had happened yet."""
    running[0].faults.clear()
    running[0].requests.clear()
    return running[0]


@pytest.fixture
def browser(running: tuple[FakeSyllable, aiohttp.ClientSession]) -> aiohttp.ClientSession:
    return running[1]


def following(reply: aiohttp.ClientResponse) -> str:
    """Path and query of the next page; empty where there is none."""
    link = reply.links.get("next")
    return str(URL(str(link["url"])).relative()) if link else ""


async def test_pages_are_newest_first_and_name_the_next_one(api: FakeSyllable, browser: aiohttp.ClientSession) -> None:
    shown: list[str] = []
    url = "/sessions?limit=25"
    while url:
        async with browser.get(url) as reply:
            shown += [item["session_id"] for item in (await reply.json())["items"]]
            url = following(reply)
    assert shown == list(reversed(api.listed))


async def test_a_search_finds_the_sessions_of_one_agent(api: FakeSyllable, browser: aiohttp.ClientSession) -> None:
    wanted = {api.add_session(agent_name="Night & Day") for _ in range(3)}
    async with browser.get("/sessions", params={"agent": "Night & Day", "limit": 2}) as reply:
        found = [item["session_id"] for item in (await reply.json())["items"]]
    async with browser.get(following(reply)) as rest:
        found += [item["session_id"] for item in (await rest.json())["items"]]
    assert sorted(found) == sorted(wanted)
    assert not following(rest)


async def test_a_summary_is_the_servers(api: FakeSyllable, browser: aiohttp.ClientSession) -> None:
    session_id = api.add_session(summary="All is well.", rating="Great")
    async with browser.get(f"/sessions/{session_id}/summary") as reply:
        found = await reply.json()
    assert (found["summary"], found["rating"]) == ("All is well.", "Great")


@pytest.mark.parametrize(
    ("asked", "status", "part", "told"),
    [
        ("", 200, AUDIO, None),
        ("bytes=0-", 206, AUDIO, "bytes 0-255999/256000"),
        ("bytes=200000-", 206, AUDIO[200_000:], "bytes 200000-255999/256000"),
        ("bytes=70000-70009", 206, AUDIO[70_000:70_010], "bytes 70000-70009/256000"),
        ("bytes=255999-400000", 206, AUDIO[-1:], "bytes 255999-255999/256000"),
        ("bytes=-5", 206, AUDIO[-5:], "bytes 255995-255999/256000"),
        ("bytes=-999999", 206, AUDIO, "bytes 0-255999/256000"),
        ("bytes=256000-", 416, None, "bytes */256000"),
        ("bytes=-0", 416, None, "bytes */256000"),
        ("bytes=9-3", 200, AUDIO, None),
        ("bytes=0-1,5-6", 200, AUDIO, None),
        ("seconds=0-1", 200, AUDIO, None),
    ],
)
async def test_a_player_can_seek(
    asked: str,
    status: int,
    part: bytes | None,
    told: str | None,
    api: FakeSyllable,
    browser: aiohttp.ClientSession,
) -> None:
    session_id = api.add_session(recordings=[AUDIO])
    api.faults.add("sessions.stream_recording", faults.cut(100_000))
    headers = {"Range": asked} if asked else {}
    async with browser.get(f"/sessions/{session_id}/recordings/0", headers=headers) as reply:
        assert (reply.status, reply.headers.get("Content-Range")) == (status, told)
        if part is not None:
            assert await reply.read() == part
            assert (reply.headers["Accept-Ranges"], reply.content_length) == ("bytes", len(part))


async def test_a_range_of_other_bytes_is_not_continued(api: FakeSyllable, browser: aiohttp.ClientSession) -> None:
    url = f"/sessions/{api.add_session(recordings=[AUDIO])}/recordings/0"
    async with browser.get(url) as reply:
        etag = reply.headers["ETag"]
    async with browser.get(url, headers={"Range": "bytes=10-19", "If-Range": etag}) as same:
        assert (same.status, await same.read()) == (206, AUDIO[10:20])
    async with browser.get(url, headers={"Range": "bytes=10-19", "If-Range": '"other"'}) as other:
        assert (other.status, await other.read()) == (200, AUDIO)


async def test_a_recording_has_a_type_that_players_know(api: FakeSyllable, browser: aiohttp.ClientSession) -> None:
    session_id = next(name for name in api.sessions if api.recordings(name))
    async with browser.get(f"/sessions/{session_id}/recordings/0") as reply:
        assert reply.content_type == "audio/wav"


async def test_a_recording_that_stays_broken_never_looks_whole(
    api: FakeSyllable, browser: aiohttp.ClientSession
) -> None:
    session_id = api.add_session(recordings=[AUDIO])
    api.faults.add("sessions.stream_recording", faults.cut(50_000), faults.status(500, times=10))
    async with browser.get(f"/sessions/{session_id}/recordings/0") as reply:
        assert reply.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await reply.read()


async def test_a_recording_that_is_not_there_or_no_audio(api: FakeSyllable, browser: aiohttp.ClientSession) -> None:
    session_id = api.add_session(recordings=[b"<script>"])
    api.faults.add("sessions.stream_recording", faults.content_type("text/html"))
    async with browser.get(f"/sessions/{session_id}/recordings/0") as reply:
        assert (reply.status, await reply.json()) == (502, {"error": "RecordingError"})
    for number in (1, -1):
        async with browser.get(f"/sessions/{session_id}/recordings/{number}") as reply:
            assert reply.status == 404


@pytest.mark.parametrize(
    ("fault", "status", "name"),
    [
        (faults.status(404, times=None), 404, "NotFoundError"),
        (faults.status(422, times=None), 400, "HTTPValidationError"),
        (faults.status(401, times=None), 502, "AuthenticationError"),
        (faults.status(429, times=None, retry_after=90), 503, "RateLimitError"),
        (faults.drop(times=None), 502, "SyllableConnectionError"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_errors_of_the_api_become_fitting_statuses(
    fault: Fault, status: int, name: str, api: FakeSyllable, browser: aiohttp.ClientSession
) -> None:
    api.faults.add("*", fault)
    for path in ("/sessions", f"/sessions/{api.sessions[0]}/summary", f"/sessions/{api.sessions[0]}/recordings/0"):
        async with browser.get(path) as reply:
            assert (reply.status, await reply.json()) == (status, {"error": name})
            assert reply.headers.get("Retry-After") == ("90" if status == 503 else None)
    api.faults.assert_all_met()


@pytest.mark.parametrize("query", ["page=-1", "page=x", "limit=0", "limit=101"])
async def test_numbers_that_make_no_sense_are_refused_here(
    query: str, api: FakeSyllable, browser: aiohttp.ClientSession
) -> None:
    async with browser.get(f"/sessions?{query}") as reply:
        assert reply.status == 422
    assert not api.requests
