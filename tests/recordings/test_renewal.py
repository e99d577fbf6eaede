"""URLs: how the API may write them, and which newer one is of the same recording."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast, get_args

import pytest

from syllable_async import APIError, AsyncSyllableClient, RetryPolicy
from syllable_async.errors import InternalServerError, RecordingChangedError, UntrustedRecordingURLError
from syllable_async.testing import FakeSyllable, faults
from syllable_async.testing._api.settings import RecordingList, RecordingUrls
from tests.fault_server import FaultServer, Fin, Instruction, Raw, Status, json_reply, reply
from tests.fault_server.instructions import Stage
from tests.fault_server.wire import Connection
from tests.recordings.scripted_origin import EXPIRED, files

KEY = "the-api-key"
WAV = {name: b"RIFF\0\0\0\0WAVE" + name.encode() * 2000 for name in ("agent", "caller", "newest")}


@pytest.mark.parametrize("urls", get_args(RecordingUrls))
async def test_recordings_under_every_kind_of_url(tmp_path: Path, urls: RecordingUrls) -> None:
    async with FakeSyllable(sessions=0, recording_urls=urls) as server:
        session_id = server.add_session(recordings=list(WAV.values()))
        policy = RetryPolicy(initial=0, maximum=0)
        async with AsyncSyllableClient(server.api_key, base_url=server.url, retries=policy) as client:
            allow = [server.storage_url.removeprefix("http://")] if urls == "signed" else []
            recordings = await client.sessions.recordings(session_id, allow_hosts=allow)
            for recording, data in zip(recordings, WAV.values(), strict=True):
                assert (await recording.save(directory=tmp_path)).path.read_bytes() == data
            download = client.sessions.download_recordings([session_id], tmp_path / "bulk", allow_hosts=allow)
            assert [outcome.status async for outcome in download] == ["saved"]
    assert len(files(tmp_path / "bulk")) == 3


@pytest.mark.parametrize("status", EXPIRED)
@pytest.mark.parametrize("listing", ["stable", "growing", "reordered"])
@pytest.mark.parametrize("cut", [False, True])
async def test_a_list_that_is_another_one_now(
    tmp_path: Path, status: int, listing: RecordingList, *, cut: bool
) -> None:
    """A list that grows has another count; one in another order is seen by the bytes that were delivered."""
    async with FakeSyllable(sessions=0, recording_list=listing) as server:
        session_id = server.add_session(recordings=list(WAV.values()))
        policy = RetryPolicy(initial=0, maximum=0)
        async with AsyncSyllableClient(server.api_key, base_url=server.url, retries=policy) as client:
            recordings = await client.sessions.recordings(session_id)
            if cut or listing == "reordered":
                server.faults.add("sessions.stream_recording", faults.cut(3000))
            server.faults.add("sessions.stream_recording", faults.status(status))
            if listing == "stable":
                saved = await recordings[0].save(directory=tmp_path)
                assert saved.path.read_bytes() == WAV["agent"]
            else:
                with pytest.raises(RecordingChangedError):
                    await recordings[0].save(directory=tmp_path)
                assert files(tmp_path) == []


class Mint(Instruction):
    """Answers the POST with these URLs; `{own}` and `{far}` are the hosts."""

    def __init__(self, far: FaultServer, urls: Sequence[str]) -> None:
        self.far, self.urls = far, urls

    async def run(self, line: Connection, stage: Stage) -> None:
        own = cast("FaultServer", stage).url
        urls = [url.replace("{own}", own).replace("{far}", self.far.url) for url in self.urls]
        for step in json_reply({"session_id": "s1", "recordings": urls}):
            await step.run(line, stage)


OWN = "{own}/api/v1/sessions/recording/stream?token="
SECOND_MINTS: dict[str, tuple[list[str], list[str], bool]] = {
    "own, new token": ([OWN + "1"], [OWN + "2"], True),
    "own, as a bare token": ([OWN + "1"], ["2"], True),
    "own, under another name": ([OWN + "1"], ["http://api.example/api/v1/sessions/recording/stream?token=2"], True),
    "own, one more": ([OWN + "1"], [OWN + "2", OWN + "3"], False),
    "own, one less": ([OWN + "1", OWN + "2"], [OWN + "3"], False),
    "own, none": ([OWN + "1"], [], False),
    "own, foreign now": ([OWN + "1"], ["{far}/a.wav?sig=2"], False),
    "foreign, own now": (["{far}/a.wav?sig=1"], [OWN + "2"], False),
    "foreign, new signature": (["{far}/a.wav?sig=1"], ["{far}/a.wav?sig=2"], True),
    "foreign, other path": (["{far}/a.wav?sig=1"], ["{far}/b.wav?sig=2"], False),
    "foreign, other notation of the path": (["{far}/a%2Ewav?sig=1"], ["{far}/a.wav?sig=2"], False),
    "foreign, other order": (["{far}/a.wav?1", "{far}/b.wav?1"], ["{far}/b.wav?2", "{far}/a.wav?2"], False),
    "foreign, one more": (["{far}/a.wav?sig=1"], ["{far}/a.wav?sig=2", "{far}/b.wav?sig=2"], False),
    "foreign, not trusted now": (["{far}/a.wav?sig=1"], ["http://elsewhere.example/a.wav"], False),
}


@pytest.mark.parametrize("name", SECOND_MINTS)
@pytest.mark.parametrize("cut", [False, True])
async def test_which_newer_url_is_of_the_same_recording(
    timeless: type[AsyncSyllableClient], tmp_path: Path, name: str, *, cut: bool
) -> None:
    first, second, same = SECOND_MINTS[name]
    data, headers = WAV["agent"], {"ETag": '"1"', "Content-Type": "audio/wav"}
    good = reply(200, data, headers)
    before: list[list[Instruction]] = [[good[0], Raw(data[:3000]), Fin()]] if cut else []
    before.append([Status(403, {})])
    own_script: list[list[Instruction]] = [] if "{far}" in first[0] else before
    far_script: list[list[Instruction]] = before if "{far}" in first[0] else []
    if same:
        after = far_script if "{far}" in second[0] else own_script
        after.append(good)
    async with FaultServer(far_script) as far:
        mints = [[Mint(far, first)], [Mint(far, second)]]
        script: Any = {"/api/v1/sessions/recording/s1": mints, "/api/v1/sessions/recording/stream": own_script}
        async with FaultServer(script) as own, timeless(KEY, base_url=own.url) as client:
            recording = (await client.sessions.recordings("s1", allow_hosts=["127.0.0.1"]))[0]
            if same:
                assert b"".join([chunk async for chunk in recording]) == data
            else:
                with pytest.raises((RecordingChangedError, UntrustedRecordingURLError)):
                    await recording.save(directory=tmp_path)
                assert files(tmp_path) == []
        assert not any(KEY.encode() in request.raw for request in far.requests)


async def test_attempts_count_every_request_of_the_recording() -> None:
    async with FakeSyllable(sessions=0) as server:
        session_id = server.add_session(recordings=[WAV["agent"]])
        policy = RetryPolicy(initial=0, maximum=0)
        async with AsyncSyllableClient(server.api_key, base_url=server.url, retries=policy) as client:
            (recording,) = await client.sessions.recordings(session_id)
            stream: Final = "sessions.stream_recording"
            mint: Final = "sessions.generate_recording_urls"
            server.faults.add(stream, faults.cut(3000), faults.status(410), faults.status(500, times=10))
            server.faults.add(mint, faults.status(503, times=2))
            with pytest.raises(InternalServerError) as caught:
                async for _ in recording:
                    pass
            sent = len(server.requests.to(stream)) + len(server.requests.to(mint)) - 1
            assert caught.value.attempts == sent


async def test_minting_and_opening_share_one_policy() -> None:
    for attempts in (1, 2, 4):
        async with FakeSyllable(sessions=0) as server:
            session_id = server.add_session(recordings=[WAV["agent"]])
            policy = RetryPolicy(max_attempts=attempts, initial=0, maximum=0)
            async with AsyncSyllableClient(server.api_key, base_url=server.url, retries=policy) as client:
                (recording,) = await client.sessions.recordings(session_id)
                server.faults.add("sessions.stream_recording", faults.status(403, times=None))
                server.faults.add("sessions.generate_recording_urls", faults.status(503, times=None))
                with pytest.raises(APIError):
                    async for _ in recording:
                        pass
                assert len(server.requests.to("sessions.stream_recording")) == 1
                assert len(server.requests.to("sessions.generate_recording_urls")) == 1 + attempts


async def test_a_naive_renewal_saves_one_recording_as_another() -> None:
    """By its place in the list alone, as most code does it."""
    async with FakeSyllable(sessions=0, recording_list="growing") as server:
        session_id = server.add_session(recordings=list(WAV.values()))
        async with AsyncSyllableClient(server.api_key, base_url=server.url) as client:
            first = (await client.sessions.generate_recording_urls(session_id)).recordings or ()
            second = (await client.sessions.generate_recording_urls(session_id)).recordings or ()
            bodies: list[bytes] = []
            for urls in (first, second):
                token = urls[0].partition("token=")[2]  # pyright: ignore[reportGeneralTypeIssues]
                bodies.append(b"".join([chunk async for chunk in client.sessions.stream_recording(token)]))
            assert bodies[0] != bodies[1]
