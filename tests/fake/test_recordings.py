"""The recording stream of the fake: WAV files, ranges as RFC 9110 has them, tokens."""

from __future__ import annotations

import io
import math
import re
import wave
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any
from unittest.mock import ANY

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from syllable_async.testing import FakeSyllable, faults
from syllable_async.testing._api.range_requests import etag_of, ranged

BODY = bytes(range(100))
ETAG = etag_of(BODY)


def partial(wanted: str | None, if_range: str | None = None) -> tuple[int, str | None, bytes]:
    answer = ranged(BODY, "application/octet-stream", wanted, if_range)
    return answer.status, answer.headers.get("Content-Range"), answer.body


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-", 0, 99),
        ("bytes=10-19", 10, 19),
        ("BYTES=10-900", 10, 99),
        ("bytes=-5", 95, 99),
        ("bytes=-900", 0, 99),
    ],
)
def test_a_range_is_a_206_of_just_that(wanted: str, first: int, last: int) -> None:
    assert partial(wanted) == (206, f"bytes {first}-{last}/100", BODY[first : last + 1])


@pytest.mark.parametrize(
    "wanted", [None, "", "bytes=", "bytes=-", "bytes=9-3", "bytes=0-1,3-4", "lines=0-1", "bytes=a-b"]
)
def test_what_is_no_single_range_gets_the_whole(wanted: str | None) -> None:
    assert partial(wanted) == (200, None, BODY)


@pytest.mark.parametrize("wanted", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_a_range_behind_the_end_is_a_416_with_the_length(wanted: str) -> None:
    status, content_range, body = partial(wanted)
    assert (status, content_range) == (416, "bytes */100")
    assert body == b'{"detail":"Requested range not satisfiable"}'


def test_if_range_wants_the_same_strong_tag() -> None:
    assert partial("bytes=10-", ETAG)[0] == 206
    assert partial("bytes=10-", '"other"')[0] == 200
    assert partial("bytes=10-", f"W/{ETAG}")[0] == 200
    assert partial("bytes=10-", "Mon, 05 Jan 2026 13:00:00 GMT")[0] == 200
    assert partial("bytes=900-", '"other"')[0] == 200


@settings(max_examples=200, derandomize=True, database=None)
@given(st.binary(max_size=40), st.integers(0, 50), st.one_of(st.none(), st.integers(0, 50)))
def test_every_range_is_a_slice_or_refused(body: bytes, first: int, last: int | None) -> None:
    answer = ranged(body, "x", f"bytes={first}-{'' if last is None else last}", None)
    if last is not None and last < first:
        assert (answer.status, answer.body) == (200, body)
    elif first >= len(body):
        assert answer.status == 416
    else:
        end = len(body) if last is None else min(last + 1, len(body))
        assert (answer.status, answer.body) == (206, body[first:end])
        assert answer.headers["Content-Range"] == f"bytes {first}-{end - 1}/{len(body)}"


async def urls_of(client: aiohttp.ClientSession, session_id: str) -> list[str]:
    async with client.post(f"/api/v1/sessions/recording/{session_id}") as answer:
        document = await answer.json()
    assert document["session_id"] == session_id
    recordings: list[str] = document["recordings"]
    return recordings


async def test_recordings_are_wav_files_as_long_as_their_session(
    server: FakeSyllable, client: aiohttp.ClientSession
) -> None:
    counts: set[int] = set()
    for session_id in server.sessions:
        session = server.session(session_id)
        urls = await urls_of(client, session_id)
        counts.add(len(urls))
        assert bool(urls) == (session["duration"] is not None)
        for data in server.recordings(session_id):
            with wave.open(io.BytesIO(data)) as audio:
                assert audio.getnframes() / audio.getframerate() == session["duration"]
    assert counts == {0, 1, 2}


async def test_the_stream_serves_the_bytes_with_a_strong_tag(
    server: FakeSyllable, client: aiohttp.ClientSession
) -> None:
    session_id = server.add_session(recordings=[BODY])
    [url] = await urls_of(client, session_id)
    async with client.get(url) as answer:
        assert await answer.read() == BODY
        assert answer.content_type == "application/octet-stream"
        assert answer.content_length == len(BODY)
        assert answer.headers["Accept-Ranges"] == "bytes"
        etag = answer.headers["ETag"]
    assert etag.startswith('"')
    async with client.get(url, headers={"Range": "bytes=90-", "If-Range": etag}) as answer:
        assert (answer.status, await answer.read()) == (206, BODY[90:])
    server.update(session_id, recordings=[BODY[::-1]])
    async with client.get(url, headers={"Range": "bytes=90-", "If-Range": etag}) as answer:
        assert (answer.status, await answer.read()) == (200, BODY[::-1])


async def test_the_same_seed_gives_the_same_recordings() -> None:
    first, second, other = (FakeSyllable(sessions=20, seed=seed) for seed in (7, 7, 8))
    digests = [
        [sha256(data).hexdigest() for session_id in fake.sessions for data in fake.recordings(session_id)]
        for fake in (first, second, other)
    ]
    assert digests[0] == digests[1] != digests[2]
    assert len(set(digests[0])) == len(digests[0])


async def test_tokens_expire_with_the_clock_and_by_hand() -> None:
    now = 100.0
    async with (
        FakeSyllable(sessions=1, token_lifetime=60, clock=lambda: now) as server,
        aiohttp.ClientSession(server.url, headers={"Syllable-API-Key": server.api_key}) as client,
    ):
        session_id = server.add_session(recordings=[BODY])

        async def status(url: str) -> int:
            async with client.get(url) as answer:
                return answer.status

        [old] = await urls_of(client, session_id)
        now += 59
        assert await status(old) == 200
        now += 1
        assert await status(old) == 403
        [fresh] = await urls_of(client, session_id)
        assert fresh != old
        assert await status(fresh) == 200
        server.expire_tokens()
        assert await status(fresh) == 403
        assert await status("/api/v1/sessions/recording/stream?token=made-up") == 403
        [last] = await urls_of(client, session_id)
        server.delete(session_id)
        assert await status(last) == 404


async def test_urls_name_the_host_that_the_caller_used(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    path = f"/api/v1/sessions/recording/{server.add_session(recordings=[BODY])}"
    async with client.post(path, headers={"Host": "fake.example:99"}) as answer:
        [url] = (await answer.json())["recordings"]
    assert url.startswith("http://fake.example:99/api/v1/sessions/recording/stream?token=")


def test_a_duration_that_no_call_has_is_refused() -> None:
    server = FakeSyllable(sessions=0)
    for duration in (-1.0, 1e9, math.nan, math.inf):
        with pytest.raises(ValueError, match="duration must lie between"):
            server.add_session(duration=duration)


# What stands in the list of recordings

STREAM = "/api/v1/sessions/recording/stream?token="
SHAPES = {
    "own": r"http://127\.0\.0\.1:\d+/api/v1/sessions/recording/stream\?token=",
    "token": "",
    "public": r"https://api\.example\.com/api/v1/sessions/recording/stream\?token=",
    "http": r"http://api\.example\.com/api/v1/sessions/recording/stream\?token=",
    "relative": r"/api/v1/sessions/recording/stream\?token=",
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_recordings_are_urls_or_tokens_of_the_stream(shape: Any) -> None:
    async with (
        FakeSyllable(sessions=0, recording_urls=shape) as server,
        aiohttp.ClientSession(server.url, headers={"Syllable-API-Key": server.api_key}) as client,
    ):
        [url] = await urls_of(client, server.add_session(recordings=[BODY]))
        match = re.fullmatch(rf"{SHAPES[shape]}([0-9a-f]+)", url)
        assert match is not None, url
        async with client.get(f"{STREAM}{match[1]}") as answer:
            assert await answer.read() == BODY


async def test_another_public_name_can_be_chosen() -> None:
    public = "http://gateway.example:8080"
    async with (
        FakeSyllable(sessions=0, recording_urls="public", public_url=public) as server,
        aiohttp.ClientSession(server.url, headers={"Syllable-API-Key": server.api_key}) as client,
    ):
        [url] = await urls_of(client, server.add_session(recordings=[BODY]))
    assert url.startswith(f"{public}{STREAM}")


@pytest.fixture
async def signing() -> AsyncIterator[FakeSyllable]:
    async with FakeSyllable(sessions=0, recording_urls="signed", clock=lambda: 0.0, token_lifetime=5) as running:
        yield running


async def signed(server: FakeSyllable, session_id: str) -> list[str]:
    async with aiohttp.ClientSession(server.url, headers={"Syllable-API-Key": server.api_key}) as client:
        return await urls_of(client, session_id)


async def fetched(url: str, method: str = "GET", **headers: str) -> tuple[int, bytes, str]:
    """A request whose target is the URL's text, byte for byte."""
    async with (
        aiohttp.ClientSession() as client,
        client.request(method, URL(url, encoded=True), headers=headers) as answer,
    ):
        return answer.status, await answer.read(), answer.content_type


async def test_signed_urls_lie_on_another_origin_that_needs_no_key(signing: FakeSyllable) -> None:
    first, second = await signed(signing, signing.add_session(session_id="b~ü (1)", recordings=[BODY, BODY[::-1]]))
    assert first.startswith(f"{signing.storage_url}/")
    assert signing.storage_url != signing.url
    assert await fetched(first) == (200, BODY, "audio/wav")
    assert await fetched(second) == (200, BODY[::-1], "audio/wav")
    assert (await fetched(first, Range="bytes=90-"))[:2] == (206, BODY[90:])
    assert [(entry.operation, entry.key_sent) for entry in signing.requests.to("storage.download")] == [
        ("storage.download", False)
    ] * 3


async def test_every_byte_of_a_signed_url_counts(signing: FakeSyllable) -> None:
    [url] = await signed(signing, signing.add_session(recordings=[BODY]))
    target = url.removeprefix(signing.storage_url)
    assert str(URL(url)) != url, "what is thought equal is spelt otherwise"
    assert (await fetched(str(URL(url))))[0] == 403
    for index, letter in enumerate(target):
        other = chr(ord(letter) ^ 1) if letter.isalnum() else "a"
        if index and letter not in "?%":
            changed = f"{signing.storage_url}{target[:index]}{other}{target[index + 1 :]}"
            assert (await fetched(changed))[0] == 403, changed
    for changed in (f"{url}&x=1", url.replace("%3b", "%3B"), url.replace("~", "%7E"), url[:-1]):
        assert await fetched(changed) == (403, ANY, "application/xml")
    assert (await fetched(url, "POST"))[0] == 405
    assert (await fetched(f"{signing.storage_url}/"))[0] == 403
    assert (await fetched(url))[0] == 200


async def test_signed_urls_expire_and_meet_faults(signing: FakeSyllable) -> None:
    session_id = signing.add_session(recordings=[BODY])
    [url], [again] = await signed(signing, session_id), await signed(signing, session_id)
    assert url.partition("?")[0] == again.partition("?")[0]
    assert url != again
    signing.faults.add("storage.download", faults.status(500), faults.weaken_etag())
    assert [(await fetched(url))[0] for _ in range(2)] == [500, 200]
    signing.faults.add("storage.download", faults.expire_tokens(code=400))
    assert [(await fetched(url))[0] for _ in range(2)] == [400, 400]
    signing.faults.assert_all_met()
    [fresh] = await signed(signing, session_id)
    assert (await fetched(fresh))[0] == 200
    signing.delete(session_id)
    assert (await fetched(fresh))[0] == 404


def test_signed_urls_work_from_a_thread_and_end_with_it() -> None:
    with FakeSyllable(sessions=0, recording_urls="signed") as server:
        storage = server.storage_url
        assert storage.startswith("http://127.0.0.1:")
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.storage_url
    with pytest.raises(RuntimeError, match='only with recording_urls="signed"'), FakeSyllable() as plain:
        _ = plain.storage_url


async def test_a_port_that_is_taken_leaves_no_storage_host_behind() -> None:
    async with FakeSyllable(sessions=0) as server:
        other = FakeSyllable(sessions=0, recording_urls="signed", port=int(server.url.rpartition(":")[2]))
        with pytest.raises(OSError, match="address already in use"):
            await other.start()
        with pytest.raises(RuntimeError, match="not running"):
            _ = other.storage_url


async def test_the_list_of_recordings_can_grow_or_change_its_order() -> None:
    data = [b"first", b"second", b"third"]
    seen: dict[str, list[list[bytes]]] = {}
    for kind in ("stable", "growing", "reordered"):
        async with (
            FakeSyllable(sessions=0, recording_list=kind) as server,
            aiohttp.ClientSession(server.url, headers={"Syllable-API-Key": server.api_key}) as client,
        ):
            session_id = server.add_session(recordings=data)
            mints = [await urls_of(client, session_id) for _ in range(4)]
            seen[kind] = [[await (await client.get(url)).read() for url in urls] for urls in mints]
    first, second, third = data
    assert seen == {
        "stable": [data] * 4,
        "growing": [[first], [second, first], [third, second, first], [third, second, first]],
        "reordered": [data, data[::-1], data, data[::-1]],
    }
