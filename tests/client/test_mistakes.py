"""Mistakes that every user makes once, each provoked as a user makes it: the message names what to do."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import logging
import os
import re
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from syllable_async import (
    AsyncSyllableClient,
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    HTTPValidationError,
    RecordingError,
    RecordingStream,
    jobs,
)
from syllable_async.testing import FakeSyllable

NAIVE: Any = datetime(2026, 1, 5)
IN_BRACKETS = r"^{} must be a list of str, not a single str: put it in brackets, \[\.\.\.\]$"


async def first_recording(client: AsyncSyllableClient, server: FakeSyllable) -> RecordingStream:
    return (await client.sessions.recordings(next(name for name in server.sessions if server.recordings(name))))[0]


async def test_a_forgotten_await_is_told_by_the_name_of_the_call(client: Any) -> None:
    def forget() -> None:
        with pytest.raises(AttributeError, match="coroutine"):
            _ = client.sessions.get_by_id("1").agent_name
        gc.collect()

    with pytest.warns(RuntimeWarning, match=r"coroutine 'Sessions\.get_by_id' was never awaited"):
        forget()


async def test_a_forgotten_await_of_a_save_is_told_by_its_name(client: Any) -> None:
    with pytest.warns(RuntimeWarning, match=r"coroutine 'RecordingStream\.save' was never awaited"):
        client.sessions.stream_recording("token").save("a.wav")


async def test_a_client_that_nobody_closes_says_so_in_the_log(
    server: FakeSyllable, caplog: pytest.LogCaptureFixture
) -> None:
    """aiohttp would complain after it, of a session that the user never made."""
    client = AsyncSyllableClient(server.api_key, base_url=server.url)
    await client.sessions.list(limit=1)
    session = client._transport.pool.session()
    expected = "an AsyncSyllableClient was not closed: use `async with` or `aclose()`"
    with pytest.warns(ResourceWarning, match=re.escape(expected)), caplog.at_level(logging.ERROR, "asyncio"):
        del client
    assert caplog.messages == [expected]
    await session.close()


async def test_with_in_place_of_async_with(client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path) -> None:
    recording = await first_recording(client, server)
    for thing in (client, recording, client.sessions.download_recordings([], "calls")):
        entered: Any = thing
        with pytest.raises(TypeError, match="use `async with`"), entered:
            pass
    assert (await recording.save(tmp_path / "a.wav")).size > 0


async def test_for_or_await_in_place_of_async_for(client: AsyncSyllableClient, server: FakeSyllable) -> None:
    pager = client.sessions.list(order_by="timestamp")
    walks = (pager.items(), pager.pages(), pager.snapshot(), pager.snapshot(parallel=2), pager.follow())
    recording = await first_recording(client, server)
    sent = len(server.requests)
    for thing in (*walks, recording, client.sessions.download_recordings(["824"], "calls")):
        wrong: Any = thing
        name = type(thing).__name__
        with pytest.raises(TypeError, match=f"^use `async for`: .*{name}"):
            list(wrong)
        with pytest.raises(TypeError, match=f"^use `async for`: .*{name}"):
            await wrong
        with pytest.raises(TypeError, match="use `async with`"), wrong:
            pass
    assert len(server.requests) == sent


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"search_fields": "agent_name", "search_field_values": ["a"]}, "search_fields"),
        ({"search_fields": ["agent_name"], "search_field_values": "a"}, "search_field_values"),
        ({"fields": "agent_name"}, "fields"),
    ],
)
async def test_a_str_in_place_of_a_list(
    arguments: Any, name: str, client: AsyncSyllableClient, server: FakeSyllable
) -> None:
    with pytest.raises(TypeError, match=IN_BRACKETS.format(name)):
        await client.sessions.list(**arguments)
    with pytest.raises(TypeError, match=IN_BRACKETS.format(name)):
        await client.session_labels.list(**arguments)
    assert not server.requests


async def test_a_host_in_place_of_hosts(client: AsyncSyllableClient, server: FakeSyllable) -> None:
    with pytest.raises(TypeError, match=IN_BRACKETS.format("allow_hosts")):
        await client.sessions.recordings("1", allow_hosts="calls.example")
    with pytest.raises(TypeError, match=IN_BRACKETS.format("allow_hosts")):
        client.sessions.download_recordings(["824"], "calls", allow_hosts="calls.example")
    assert not server.requests


async def test_one_id_in_place_of_many_sessions(client: AsyncSyllableClient, server: FakeSyllable) -> None:
    with pytest.raises(TypeError, match=r"not be a single str: put it in brackets, \[\.\.\.\]$"):
        client.sessions.download_recordings("824", "calls")
    assert not server.requests


@pytest.mark.parametrize("name", ["start_datetime", "end_datetime"])
async def test_a_naive_datetime(name: str, client: AsyncSyllableClient, server: FakeSyllable) -> None:
    bounds: Any = {name: NAIVE}
    with pytest.raises(ValueError, match=rf"^{name} has no time zone; it must be aware.*datetime\.now\(UTC\)"):
        await client.sessions.list(**bounds)
    assert not server.requests


def test_two_event_loops() -> None:
    with FakeSyllable(sessions=3) as server:
        client = AsyncSyllableClient(server.api_key, base_url=server.url)

        async def ask() -> None:
            await client.sessions.list(limit=1)

        async def ask_and_close() -> None:
            async with AsyncSyllableClient(server.api_key, base_url=server.url) as own:
                await own.sessions.list(limit=1)

        async def both() -> None:
            await ask()
            with pytest.raises(
                RuntimeError, match=r"another event loop: make one client for each loop, inside the func"
            ):
                await asyncio.to_thread(asyncio.run, ask())
            await client.aclose()

        asyncio.run(both())
        for _ in range(2):  # what the message says
            asyncio.run(ask_and_close())


@pytest.mark.parametrize("value", [None, ""])
def test_no_key(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYLLABLESDK_API_KEY_HEADER", raising=False)
    if value is not None:
        monkeypatch.setenv("SYLLABLESDK_API_KEY_HEADER", value)
    with pytest.raises(ValueError, match="give api_key, or set the environment variable SYLLABLESDK_API_KEY_HEADER"):
        AsyncSyllableClient()


async def test_a_folder_that_is_missing(client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path) -> None:
    recording = await first_recording(client, server)
    folder = tmp_path / "calls"
    with pytest.raises(FileNotFoundError, match=r"save\(directory=\.\.\.\) makes one.*calls"):
        await recording.save(folder / "a.wav")
    assert (await recording.save(directory=folder)).path.parent == folder  # what the message says


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        ({"search_fields": ["agent_nam"], "search_field_values": ["a"]}, "(did you mean 'agent_name'?)"),
        ({"order_by": "timestmp"}, "(did you mean 'timestamp'?)"),
        ({"fields": ["sesion_id"]}, "(did you mean 'session_id'?)"),
        ({"order_by": "timestamp", "order_by_direction": "descending"}, "(it is 'asc' or 'desc')"),
    ],
)
async def test_a_misspelt_property(arguments: Any, meant: str, client: AsyncSyllableClient) -> None:
    with pytest.raises(HTTPValidationError, match=re.escape(meant)):
        await client.sessions.list(**arguments)


async def test_a_misspelt_property_of_a_label(client: AsyncSyllableClient) -> None:
    with pytest.raises(HTTPValidationError, match=r"did you mean 'user_email'\?"):
        await client.session_labels.list(order_by="user_emial")


async def test_what_the_api_refuses_with_a_reason(client: AsyncSyllableClient) -> None:
    with pytest.raises(BadRequestError, match=r"the API's reason is in the error's `detail`$") as caught:
        await client.sessions.list(start_datetime="yesterday")
    assert isinstance(caught.value.detail, str)
    assert caught.value.detail not in str(caught.value)


async def test_a_wrong_key(server: FakeSyllable) -> None:
    async with AsyncSyllableClient("wrong", base_url=server.url) as client:
        with pytest.raises(AuthenticationError, match="the API key is wrong or withdrawn"):
            await client.sessions.list()


async def test_a_client_that_is_closed(server: FakeSyllable) -> None:
    async with AsyncSyllableClient(server.api_key, base_url=server.url) as client:
        pass
    with pytest.raises(ClientClosedError, match="is closed: make its calls inside its `async with`"):
        await client.sessions.list()


async def test_a_recording_that_was_read(client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path) -> None:
    recording = await first_recording(client, server)
    await recording.save(directory=tmp_path)
    with pytest.raises(RecordingError, match=r"can be read once: client\.sessions\.recordings gives it again"):
        await recording.save(directory=tmp_path)


def test_a_number_of_retries() -> None:
    retries: Any = 3
    with pytest.raises(TypeError, match=r"such as RetryPolicy\(max_attempts=3\)"):
        AsyncSyllableClient("key", retries=retries)


@pytest.mark.skipif(importlib.util.find_spec("syllable_async.jobs") is None, reason="this version has no jobs")
@pytest.mark.parametrize("missing", ["pyarrow", "fsspec"])
def test_an_extra_that_is_missing(missing: str, tmp_path: Path) -> None:
    program = (
        f"import runpy, sys; sys.modules[{missing!r}] = None; "
        f"sys.argv = ['syllable_async', 'export', '--to', {str(tmp_path / 'out')!r}, '--last', '1', '--demo']; "
        "runpy.run_module('syllable_async', run_name='__main__', alter_sys=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, env=os.environ | {"NO_COLOR": "1"}
    )
    assert done.returncode == 2, done.stderr
    assert f"{missing} missing" in done.stderr
    assert 'pip install "syllable-async[jobs]"' in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("missing", ["pyarrow", "fsspec"])
async def test_an_extra_that_is_missing_in_python(
    missing: str, client: AsyncSyllableClient, server: FakeSyllable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=rf'^{missing} missing: pip install "syllable-async\[jobs\]"$'):
        await jobs.export(client, since=date(2026, 1, 5), to=tmp_path)
    assert not server.requests
