"""No frame of a traceback, and no pickle, holds the key, whatever raised and whichever call it was."""

from __future__ import annotations

import asyncio
import pickle
import traceback
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any, Never

import aiohttp
import pytest

from syllable_async import AsyncSyllableClient, RetryPolicy, make_converter
from syllable_async.testing import FakeSyllable, faults

KEY = "CANARYKEY0123456789"
ONCE = RetryPolicy(max_attempts=1)
Call = Callable[[AsyncSyllableClient], Awaitable[object]]


async def drained(rows: AsyncIterable[object]) -> list[object]:
    return [row async for row in rows]


CALLS: dict[str, tuple[Call, faults.Route]] = {
    "list": (lambda c: c.sessions.list(), "sessions.list"),
    "items": (lambda c: drained(c.sessions.list().items(prefetch=2)), "sessions.list"),
    "snapshot": (lambda c: drained(c.sessions.list().snapshot()), "sessions.list"),
    "get_by_id": (lambda c: c.sessions.get_by_id("1"), "sessions.get_by_id"),
    "get_full_summary": (lambda c: c.sessions.get_full_summary("1"), "sessions.get_full_summary"),
    "get_transcript": (lambda c: c.sessions.get_transcript("1"), "sessions.get_transcript"),
    "get_latency": (lambda c: c.sessions.get_latency("1"), "sessions.get_latency"),
    "get_timeline": (lambda c: c.sessions.get_timeline("1"), "sessions.get_timeline"),
    "generate_recording_urls": (lambda c: c.sessions.generate_recording_urls("1"), "sessions.generate_recording_urls"),
    "pages": (lambda c: drained(c.sessions.list().pages()), "sessions.list"),
    "recordings": (lambda c: c.sessions.recordings("1"), "sessions.generate_recording_urls"),
    "stream_recording": (lambda c: drained(c.sessions.stream_recording("x")), "sessions.stream_recording"),
    "request": (lambda c: c.request("GET", "/api/v1/sessions/"), "sessions.list"),
}


def frames_with_key(error: BaseException | None) -> list[str]:
    """Frames of ours and aiohttp's, of an error and of all that it names, whose locals show the key."""
    found: list[str] = []
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_globals.get("__name__", "").startswith(("syllable_async", "aiohttp")):
                found += [f"{frame.f_code.co_name}:{name}" for name, v in frame.f_locals.items() if KEY in repr(v)]
        error = error.__cause__ or error.__context__
    return found


async def caught(client: AsyncSyllableClient, call: Call) -> BaseException:
    async with client:
        try:
            await call(client)
        except Exception as error:
            return error
    pytest.fail("nothing was raised")


class HookError(Exception):
    """What a hook of the user's raises."""


async def failing_hook(*_: object) -> Never:
    raise HookError


FAULTS: dict[str, Callable[[], faults.Fault]] = {
    "status": lambda: faults.status(418),
    "dropped": faults.drop,
    "reset": lambda: faults.drop(reset=True),
    "redirect to nowhere": lambda: faults.redirect("http://["),
    "redirect to a foreign port": lambda: faults.redirect("http://127.0.0.1:99999/"),
    "broken JSON": faults.broken_json,
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("fault", FAULTS)
async def test_no_frame_holds_the_key_after_a_failed_call(name: str, fault: str) -> None:
    call, route = CALLS[name]
    if fault == "broken JSON" and name in {"stream_recording", "request"}:
        pytest.skip("nobody reads JSON there")
    async with FakeSyllable(sessions=3, api_key=KEY) as server:
        server.faults.add(route, FAULTS[fault]())
        error = await caught(AsyncSyllableClient(KEY, base_url=server.url, retries=ONCE), call)
    assert frames_with_key(error) == []


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("hook", ["on_request_start", "on_request_end", "on_connection_create_start"])
async def test_no_frame_holds_the_key_after_a_trace_hook_of_the_users_raised(name: str, hook: str) -> None:
    trace = aiohttp.TraceConfig()
    getattr(trace, hook).append(failing_hook)
    async with FakeSyllable(sessions=3, api_key=KEY) as server, aiohttp.ClientSession(trace_configs=[trace]) as session:
        client = AsyncSyllableClient(KEY, base_url=server.url, session=session, retries=ONCE)
        error = await caught(client, CALLS[name][0])
    assert isinstance(error, HookError)
    assert frames_with_key(error) == []


async def test_a_client_that_keeps_the_locals_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syllable_async._http.transport.without_frames", lambda error: error)  # pyright: ignore[reportUnknownArgumentType, reportUnknownLambdaType]
    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(failing_hook)
    async with FakeSyllable(sessions=3, api_key=KEY) as server, aiohttp.ClientSession(trace_configs=[trace]) as session:
        client = AsyncSyllableClient(KEY, base_url=server.url, session=session, retries=ONCE)
        assert frames_with_key(await caught(client, CALLS["get_by_id"][0]))


@pytest.mark.parametrize("name", CALLS)
async def test_no_frame_holds_the_key_after_a_borrowed_session_was_closed(name: str) -> None:
    async with FakeSyllable(sessions=3, api_key=KEY) as server:
        session = aiohttp.ClientSession()
        client = AsyncSyllableClient(KEY, base_url=server.url, session=session, retries=ONCE)
        await client.sessions.list()
        await session.close()
        assert frames_with_key(await caught(client, CALLS[name][0])) == []


@pytest.mark.parametrize("second", ["", "has a space", None, HookError()], ids=repr)
async def test_no_frame_holds_the_key_after_a_key_function_failed_the_second_time(second: Any) -> None:
    keys = iter([KEY, second])

    def key() -> Any:
        given = next(keys)
        if isinstance(given, Exception):
            raise given
        return given

    async with FakeSyllable(sessions=3, api_key="another") as server:
        client = AsyncSyllableClient(key, base_url=server.url, retries=ONCE)
        error = await caught(client, CALLS["get_by_id"][0])
    assert frames_with_key(error) == []


async def test_no_frame_holds_the_key_after_a_cancellation() -> None:
    async with FakeSyllable(sessions=3, api_key=KEY) as server:
        server.faults.add("sessions.get_by_id", faults.delay(60))
        async with AsyncSyllableClient(KEY, base_url=server.url, timeout=None) as client:
            task = asyncio.ensure_future(client.sessions.get_by_id("1"))
            for _ in range(1000):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as cancelled:
                await task
    assert frames_with_key(cancelled.value) == []


async def test_no_frame_holds_the_key_after_a_hook_of_the_converter_raised() -> None:
    converter = make_converter()

    def hook(value: object, _: object) -> Never:
        raise HookError(value)

    converter.register_structure_hook(str, hook)
    async with FakeSyllable(sessions=3, api_key=KEY) as server:
        client = AsyncSyllableClient(KEY, base_url=server.url, converter=converter)
        error = await caught(client, CALLS["list"][0])
    assert frames_with_key(error) == []


def test_whatever_holds_the_key_refuses_to_be_pickled() -> None:
    client = AsyncSyllableClient(KEY)
    holders: list[object] = [
        client,
        client.sessions,
        client.sessions.get_by_id,
        client.sessions.list(),
        client.sessions.list().items(),
        client.sessions.list().snapshot(),
        client.sessions.list().follow(),
        client.sessions.stream_recording("token"),
        client.with_options(timeout=3).sessions,
    ]
    for holder in holders:
        with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
            pickle.dumps(holder)
