"""The fake as a server: its log, its key, its thread, its end."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import threading
import urllib.request
from typing import Any

import aiohttp
import pytest
import trustme

from syllable_async.testing import FakeSyllable, faults

LIST = "/api/v1/sessions/"


async def test_the_log_tells_what_was_asked_and_answered() -> None:
    now = 5.0
    async with FakeSyllable(sessions=3, clock=lambda: now) as server, aiohttp.ClientSession(server.url) as client:
        query = [("fields", "source"), ("fields", "target"), ("page", "1"), ("page", "2")]
        await client.get(LIST, params=query, headers={"syllable-api-key": server.api_key, "X-Mine": "yes"})
        now = 6.5
        await client.post(f"{LIST}recording/a%20b")
        await client.get("/nowhere")
    first, second, third = server.requests
    assert (first.method, first.path, first.operation, first.status) == ("GET", LIST, "sessions.list", 200)
    assert (first.query, first.param("page"), first.params("fields")) == (query, "2", ["source", "target"])
    assert (first.headers["Syllable-API-Key"], first.headers["x-mine"], first.key_sent) == ("***", "yes", True)
    assert (first.param("limit"), first.fault) == (None, None)
    assert int(first.answer_headers["Content-Type"] == "application/json") == 1
    assert first.bytes_sent > 50
    assert (second.path, second.operation, second.status) == (
        f"{LIST}recording/a b",
        "sessions.generate_recording_urls",
        401,
    )
    assert (second.key_sent, second.time - first.time) == (False, 1.5)
    assert (third.operation, third.status) == (None, 404)
    assert [len(server.requests.to(name)) for name in ("sessions.list", "sessions.get_by_id")] == [1, 0]
    assert server.requests[-1] is third
    assert server.requests[:2] == [first, second]
    assert server.api_key not in repr(list(server.requests))
    assert repr(server.requests) == "<RequestLog of 3>"
    server.requests.clear()
    assert not server.requests


async def test_the_log_can_be_bounded() -> None:
    async with FakeSyllable(sessions=1, log_limit=2) as server, aiohttp.ClientSession(server.url) as client:
        for number in range(4):
            await client.get(f"/{number}")
    assert [entry.path for entry in server.requests] == ["/2", "/3"]


async def test_only_its_key_opens_it(server: FakeSyllable) -> None:
    async with aiohttp.ClientSession(server.url) as client:
        for headers in ({}, {"Syllable-API-Key": ""}, {"Syllable-API-Key": "wrong"}, {"Authorization": server.api_key}):
            async with client.get(LIST, headers=headers) as answer:
                assert answer.status == 401
                assert set(await answer.json()) == {"detail"}
    async with (
        FakeSyllable(sessions=1, api_key="mine") as other,
        aiohttp.ClientSession(other.url, headers={"Syllable-API-Key": "mine"}) as client,
    ):
        assert (await client.get(LIST)).status == 200


async def test_what_changes_is_seen_by_the_next_request(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    async def newest() -> tuple[str, int]:
        async with client.get(LIST, params={"limit": 1}) as answer:
            document = await answer.json()
        return document["items"][0]["session_id"], document["total_count"]

    session_id = server.add_session(agent_name="New Agent", source=None, is_test=False)
    known = len(server.listed)
    assert await newest() == (session_id, known)
    server.update(session_id, timestamp="2020-01-01T00:00:00Z")
    assert await newest() == (server.listed[-1], known)
    assert server.sessions[0] == session_id
    async with client.get(f"{LIST}{session_id}") as answer:
        assert (await answer.json())["agent_name"] == "New Agent"
    server.delete(session_id)
    assert (await client.get(f"{LIST}{session_id}")).status == 404
    assert (await newest())[1] == known - 1


async def test_filters_compare_what_is_shown(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    shown = [server.session(session_id) for session_id in server.listed]
    for name in ("agent_name", "duration", "channel_manager_sid", "timestamp", "experiment_id", "source"):
        for value in {row[name] for row in shown} - {None}:
            query = {"search_fields": name, "search_field_values": str(value), "limit": "100"}
            async with client.get(LIST, params=query) as answer:
                found = (await answer.json())["items"]
            assert found == [row for row in reversed(shown) if row[name] == value]


@pytest.mark.parametrize(
    "query",
    [
        "search_fields=agent_id",
        "search_field_values=x",
        "search_fields=is_test&search_field_values=maybe",
        "search_fields=duration&search_field_values=long",
        "search_fields=timestamp&search_field_values=then",
        "start_datetime=",
        "end_datetime=2026-13-01",
    ],
)
async def test_what_the_schema_cannot_refuse_is_a_400(query: str, client: aiohttp.ClientSession) -> None:
    async with client.get(f"{LIST}?{query}") as answer:
        assert answer.status == 400
        assert isinstance((await answer.json())["detail"], str)


async def test_huge_numbers_do_no_harm(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    nines = "9" * 4_000
    for query, count in (
        (f"page={nines}", 0),
        (f"limit={nines}", len(server.listed)),
        (f"page={nines}&limit={nines}", 0),
    ):
        async with client.get(f"{LIST}?{query}") as answer:
            assert len((await answer.json())["items"]) == count


def test_a_thread_of_its_own_serves_sync_code_and_changes_from_any_thread() -> None:
    with FakeSyllable(sessions=0) as server:

        def change(number: int) -> None:
            for step in range(50):
                name = f"{number}-{step}"
                server.add_session(session_id=name)
                server.update(name, duration=float(step))
                server.faults.add("*", faults.pass_through())
                if step % 2:
                    server.delete(name)

        threads = [threading.Thread(target=change, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        request = urllib.request.Request(f"{server.url}{LIST}?limit=300", headers={"Syllable-API-Key": server.api_key})
        for _ in range(10):
            with urllib.request.urlopen(request) as answer:
                assert answer.status == 200
        for thread in threads:
            thread.join()
        assert len(server.sessions) == len(set(server.sessions)) == 100
        assert len(server.requests) == 10
    assert not [thread for thread in threading.enumerate() if thread.name == "fake-syllable"]


def test_a_port_that_is_taken_is_an_error_in_both_ways_to_start() -> None:
    with FakeSyllable() as server:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(OSError, match="address already in use"), FakeSyllable(port=port):
            pass

        async def start() -> None:
            async with FakeSyllable(port=port):
                pass

        with pytest.raises(OSError, match="address already in use"):
            asyncio.run(start())
    assert not [thread for thread in threading.enumerate() if thread.name == "fake-syllable"]


def test_a_connection_that_comes_at_the_very_end_is_closed() -> None:
    for _ in range(10):
        with FakeSyllable(sessions=1) as server:
            address = server.url.removeprefix("http://").rpartition(":")
            late = [socket.create_connection((address[0], int(address[2]))) for _ in range(3)]
        for client in late:
            client.close()
    gc.collect()  # a transport that was left open would be an error now


async def test_it_can_be_started_again_where_its_data_is_kept(server: FakeSyllable) -> None:
    added = server.add_session()
    await server.aclose()
    await server.aclose()
    async with server, aiohttp.ClientSession(server.url, headers={"Syllable-API-Key": server.api_key}) as client:
        assert (await client.get(f"{LIST}{added}")).status == 200


async def test_it_runs_once_at_a_time(server: FakeSyllable) -> None:
    with pytest.raises(RuntimeError, match="running already"):
        await server.start()
    with pytest.raises(RuntimeError, match="running already"), server:
        pass
    assert server.url


def test_with_inside_with_is_refused_and_harms_nothing() -> None:
    async def start(server: FakeSyllable) -> None:
        async with server:
            pass

    with FakeSyllable(sessions=1) as server:
        url = server.url
        with pytest.raises(RuntimeError, match="running already"), server:
            pass
        with pytest.raises(RuntimeError, match="running already"):
            asyncio.run(start(server))
        request = urllib.request.Request(f"{url}{LIST}", headers={"Syllable-API-Key": server.api_key})
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200
    assert not [thread for thread in threading.enumerate() if thread.name == "fake-syllable"]
    with server:
        assert server.url


def test_it_has_a_url_only_while_it_runs() -> None:
    server = FakeSyllable(sessions=1)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="the fake is not running"):
            _ = server.url
        with server:
            assert server.url.startswith("http://127.0.0.1:")
        assert repr(server) == "<FakeSyllable not running>"


async def test_the_log_knows_no_other_operations(server: FakeSyllable) -> None:
    with pytest.raises(ValueError, match=r"operation must be one of 'sessions.list', .*, not 'sessions.lst'"):
        server.requests.to("sessions.lst")  # type: ignore[arg-type]


async def test_it_speaks_https() -> None:
    authority: Any = trustme.CA()
    there, here = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(there)
    authority.configure_trust(here)
    async with (
        FakeSyllable(sessions=3, ssl_context=there) as server,
        aiohttp.ClientSession(server.url, headers={"Syllable-API-Key": server.api_key}) as client,
    ):
        assert server.url.startswith("https://127.0.0.1:")
        session_id = server.add_session(recordings=[b"abc"])
        async with client.post(f"{LIST}recording/{session_id}", ssl=here) as answer:
            [url] = (await answer.json())["recordings"]
        assert url.startswith(server.url)
        async with client.get(url, ssl=here) as answer:
            assert await answer.read() == b"abc"


async def test_a_session_may_have_no_id(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    assert server.add_session(session_id=None, source="+12025550199", is_test=False) == ""
    assert len(server.sessions) == 60
    async with client.get(LIST, params={"limit": 1}) as answer:
        document = await answer.json()
    assert (document["items"][0]["session_id"], document["total_count"]) == (None, len(server.listed) + 1)


def test_its_repr_holds_no_key() -> None:
    server = FakeSyllable()
    assert repr(server) == "<FakeSyllable not running>"
    with server:
        assert repr(server) == f"<FakeSyllable {server.url}>"
    assert server.api_key == FakeSyllable().api_key


def test_a_negative_number_of_sessions_is_refused() -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        FakeSyllable(sessions=-1)
