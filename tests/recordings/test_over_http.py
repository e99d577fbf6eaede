"""What only sockets can show: every offset, cancellation, real files, and where a recording's URL may point."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings

from syllable_async import AsyncSyllableClient
from syllable_async._messages import Framing
from syllable_async._recordings.file import IfExists
from syllable_async.errors import IncompleteRecordingError, UntrustedRecordingURLError
from tests.fault_server import FaultServer, Instruction, json_reply
from tests.fault_server.instructions import Stage
from tests.fault_server.wire import Connection
from tests.recordings.random_servers import Program, programs
from tests.recordings.scripted_origin import DATA, ETAGS, End, Origin, Step, Version, collect, descriptors, files
from tests.recordings.scripted_origin_on_sockets import Play

KEY = "the-api-key"


async def downloaded(client: AsyncSyllableClient) -> bytes:
    async with client.sessions.stream_recording("token0") as recording:
        return b"".join([chunk async for chunk in recording])


@pytest.mark.parametrize("etag", ETAGS)
@pytest.mark.parametrize(
    ("framing", "end"), [("length", "cut"), ("length", "rst"), ("chunked", "cut"), ("chunked", "rst")]
)
@pytest.mark.parametrize(
    ("scheme", "step"),
    [
        ("http", 151),
        ("https", 1021),
        pytest.param("http", 1, marks=pytest.mark.long),
        pytest.param("https", 1, marks=pytest.mark.long),
    ],
)
async def test_cut_at_every_offset(
    timeless: type[AsyncSyllableClient],
    trusted: None,
    server_tls: ssl.SSLContext,
    scheme: str,
    step: int,
    framing: Framing,
    end: End,
    etag: str | None,
    counted: Callable[[str, int], None],
) -> None:
    play = Play(Origin(Version(DATA, etag)))
    async with FaultServer([], tls=server_tls if scheme == "https" else None, always=[play]) as server:
        async with timeless(KEY, base_url=server.url) as client:
            for sent in range(0, len(DATA) + (framing == "chunked"), step):
                play.origin = Origin(Version(DATA, etag), Step(framing=framing, end=end, send=sent))
                assert await downloaded(client) == DATA
                assert len(play.origin.requests) == 2
                counted("cuts of a recording", 1)
        assert await server.closed()


@pytest.mark.long
def test_random_programs_on_sockets(timeless: type[AsyncSyllableClient], counted: Callable[[str, int], None]) -> None:
    """As in the process, with aiohttp and TCP in between."""
    outcomes = {"whole": 0, "error": 0}

    async def run(program: Program) -> None:
        origin = program.origin()
        async with FaultServer([], always=[Play(origin)]) as server:
            async with timeless(KEY, base_url=server.url, timeout=0.02) as client:
                (recording,) = await client.sessions.recordings("s1")
                got, error = await collect(recording)
                if error is not None:
                    outcomes["error"] += 1
                else:
                    whole = any(version.data == got for version in origin.served)
                    assert whole or recording.verified == "none"
                    outcomes["whole"] += 1
                assert any(version.data.startswith(got) for version in origin.served)
            assert await server.closed()

    @settings(
        max_examples=1000, database=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
    )
    @given(programs())
    def each(program: Program) -> None:
        runner.run(run(program))

    with asyncio.Runner() as runner:
        each()
    counted("fault programs on sockets", 1000)
    assert min(outcomes.values()) > 100


@pytest.mark.parametrize("turns", range(0, 40, 3))
@pytest.mark.parametrize("save", [False, True])
async def test_cancelled_anywhere(
    timeless: type[AsyncSyllableClient], tmp_path: Path, turns: int, *, save: bool
) -> None:
    origin = Origin(Version(DATA), Step(send=1000, end="cut"), Step(send=2000, end="cut"))
    before, tasks = descriptors(), asyncio.all_tasks()
    async with FaultServer([], always=[Play(origin)]) as server:
        async with timeless(KEY, base_url=server.url) as client:
            recording = client.sessions.stream_recording("token0")
            work = recording.save(tmp_path / "x") if save else downloaded(client)
            task = asyncio.ensure_future(work)
            for _ in range(turns):
                await asyncio.sleep(0.0005)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                assert files(tmp_path) == [] or (tmp_path / "x").read_bytes() == DATA
            assert await downloaded(client) == DATA  # and the pool is whole
        assert await server.closed()
    assert asyncio.all_tasks() == tasks
    assert descriptors() == before


async def test_a_forgotten_stream_gives_its_connection_back(timeless: type[AsyncSyllableClient]) -> None:
    stall = Step(send=1000, end="stall")
    async with FaultServer([], always=[Play(Origin(Version(DATA), then=stall))]) as server:
        async with timeless(KEY, base_url=server.url) as client:
            free = client._transport.pool.streams.free
            recording = client.sessions.stream_recording("token0")
            await anext(aiter(recording))
            with pytest.warns(ResourceWarning, match="a recording was not closed"):
                del recording
            assert client._transport.pool.streams.free == free
        assert await server.closed()


def fill(path: Path) -> Path:
    path.write_bytes(b"good")
    return path


def linked(path: Path, to: str) -> Path:
    path.symlink_to(to)
    return path


MakePlace = Callable[[Path], Path | str]
PLACES: dict[str, tuple[MakePlace, IfExists, type[Exception] | str]] = {
    # Row 25 of FAULTS.md: where it is to go, what is to become of a file there, and an error or the file's name
    "a new file": (lambda top: top / "new", "replace", "new"),
    "a new file, not overwriting": (lambda top: top / "new", "fail", "new"),
    "a new file, or skipped": (lambda top: top / "new", "skip", "new"),
    "a file that exists": (lambda top: fill(top / "kept"), "replace", "kept"),
    "a file that exists, not overwriting": (lambda top: fill(top / "kept"), "fail", FileExistsError),
    "a directory": (lambda top: top, "replace", "recording-677578fa480d.wav"),
    "a link to a directory": (lambda top: linked(top / "link", "."), "replace", "recording-677578fa480d.wav"),
    "a directory that is not there": (lambda top: f"{top}/a/b/", "fail", "a/b/recording-677578fa480d.wav"),
    "a link to a file": (lambda top: linked(top / "link", str(fill(top / "kept"))), "replace", OSError),
    "a link to nothing": (lambda top: linked(top / "link", "nothing"), "replace", OSError),
    "a link to itself": (lambda top: linked(top / "link", "link"), "replace", OSError),
    "no such directory": (lambda top: top / "no" / "new", "replace", FileNotFoundError),
    "a file in between": (lambda top: fill(top / "kept") / "new", "replace", NotADirectoryError),
    "a directory that is a file": (lambda top: f"{fill(top / 'kept')}/", "replace", NotADirectoryError),
    "where nothing can be written": (lambda top: Path("/proc/new"), "replace", FileNotFoundError),
    "a device": (lambda top: Path("/dev/null"), "replace", FileExistsError),
    "a name too long": (lambda top: top / ("x" * 300), "replace", OSError),
    "a name with NUL": (lambda top: top / "a\0b", "replace", ValueError),
    "a name with a lone surrogate": (lambda top: top / "a\ud800b", "replace", ValueError),
}


@pytest.mark.parametrize("place", PLACES)
async def test_row_25_where_it_is_saved(timeless: type[AsyncSyllableClient], tmp_path: Path, place: str) -> None:
    make, if_exists, expected = PLACES[place]
    origin = Origin(Version(DATA), Step(send=2048, end="cut"))
    path, before = make(tmp_path), files(tmp_path)
    async with (
        FaultServer([], always=[Play(origin)]) as server,
        timeless(KEY, base_url=server.url) as client,
    ):
        recording = client.sessions.stream_recording("token0")
        if isinstance(expected, str):
            saved = await recording.save(path, if_exists=if_exists)
            assert (tmp_path / expected).read_bytes() == DATA == saved.path.read_bytes()
            assert files(tmp_path) == sorted({*before, expected.partition("/")[0]})
        else:
            with pytest.raises(expected):
                await recording.save(path, if_exists=if_exists)
            assert files(tmp_path) == before
            assert origin.requests == []
            saved = await recording.save(directory=tmp_path / "instead")  # the stream is as good as before
            assert saved.path.read_bytes() == DATA
    assert not (tmp_path / "kept").exists() or (tmp_path / "kept").read_bytes() in {b"good", DATA}


@pytest.mark.parametrize("extension", [".wav", ".mp3", ".bin"])
async def test_row_25_what_is_there_is_skipped_without_a_request(
    timeless: type[AsyncSyllableClient], tmp_path: Path, extension: str
) -> None:
    kept = fill(tmp_path / f"recording-677578fa480d{extension}")
    async with (
        FaultServer([]) as server,
        timeless(KEY, base_url=server.url) as client,
    ):
        for path, directory in ((None, tmp_path), (kept, None)):
            recording = client.sessions.stream_recording("token0")
            saved = await recording.save(path, directory=directory, if_exists="skip")
            assert (saved.path, saved.size, saved.skipped, saved.sha256) == (kept, 4, True, "")
        with pytest.raises(FileExistsError):
            await client.sessions.stream_recording("token0").save(directory=tmp_path)
        assert server.connections == []
    assert (kept.read_bytes(), files(tmp_path)) == (b"good", [kept.name])


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
async def test_row_25_the_disk_fails(
    timeless: type[AsyncSyllableClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    target = fill(tmp_path / "kept")
    monkeypatch.setattr(Path if call == "replace" else os, call, fail)
    async with (
        FaultServer([], always=[Play(Origin(Version(DATA)))]) as server,
        timeless(KEY, base_url=server.url) as client,
    ):
        with pytest.raises(OSError, match=os.strerror(number)):
            await client.sessions.stream_recording("token0").save(target, if_exists="replace")
    assert files(tmp_path) == ["kept"]
    assert target.read_bytes() == b"good"


async def test_row_25_an_end_that_nothing_proves(timeless: type[AsyncSyllableClient], tmp_path: Path) -> None:
    cut = Step(framing="close", end="fin", send=2048)
    async with (
        FaultServer([], always=[Play(Origin(Version(DATA, None), then=cut))]) as server,
        timeless(KEY, base_url=server.url) as client,
    ):
        with pytest.raises(IncompleteRecordingError, match="nothing proves"):
            await client.sessions.stream_recording("token0").save(fill(tmp_path / "kept"), if_exists="replace")
        with pytest.raises(IncompleteRecordingError, match="replaces no file"):
            await client.sessions.stream_recording("token0").save(
                tmp_path / "kept", if_exists="replace", require_verified=False
            )
    assert (tmp_path / "kept").read_bytes() == b"good"
    assert files(tmp_path) == ["kept"]


UNTRUSTED = [
    *("http://elsewhere.example/r?token=x", "https://127.0.0.1/r", "https://127.1/r", "https://2130706433/r"),
    *("https://0x7f000001/r", "https://0x7f.1/r", "https://0177.0.0.1/r", "https://127.0.0.1./r", "https://0.0.0.0/r"),
    *("https://[::1]/r", "https://[::ffff:127.0.0.1]/r", "https://[::ffff:7f00:1]/r", "https://[fe80::1%25lo]/r"),
    *("https://localhost/r", "https://LOCALHOST./r", "https://a.localhost/r", "https://169.254.169.254/latest"),
    *("https://\u2460\u2461\u2466.\u24ea.\u24ea.\u2460/r", "https://\uff11\uff12\uff17.0.0.1/r", "https://127\u30020\u30020\u30021/r"),
    *("https://user:pw@elsewhere.example/r", "https://user@elsewhere.example/r"),
    *("ftp://elsewhere.example/r", "file:///etc/passwd", "//elsewhere.example/r", "/r?token=x", "r?token=x", ""),
    *("data:,x", "https://", "https:///r", "https://elsewhere.example:99999/r", "https://else where/r", "https://else\nwhere/r"),
    *("https:\\\\elsewhere.example\\r", "https://elsewhere.example\\@127.0.0.1/r", "https://[::1/r"),
    *("{own}/api/v1/sessions/recording/stream", "{own}/api/v1/sessions/recording/stream?token="),
    *("{own}/api/v1/sessions/?token=x", "{own}/api/v1/sessions/recording/stream/../x?token=x", "{own}/?token=x"),
    *("{user}/api/v1/sessions/recording/stream?token=x", "ftp://api.example/api/v1/sessions/recording/stream?token=x"),
    *("{other}/api/v1/sessions/recording/streams?token=x", "{own}/api/v1/sessions/recording/stream?token=a%00b"),
]  # fmt: skip


class Offer(Instruction):
    """Answers the POST with these URLs; `{own}` and `{user}` are the server itself."""

    def __init__(self, *urls: str) -> None:
        self.urls = urls

    async def run(self, line: Connection, stage: Stage) -> None:
        own = cast("FaultServer", stage).url
        user = own.replace("://", "://user:pw@")
        urls = [url.replace("{own}", own).replace("{user}", user) for url in self.urls]
        for step in json_reply({"session_id": "s1", "recordings": urls}):
            await step.run(line, stage)


@pytest.mark.parametrize("url", UNTRUSTED)
async def test_row_36_a_url_that_is_not_trusted_is_never_called(timeless: type[AsyncSyllableClient], url: str) -> None:
    async with (
        FaultServer([]) as other,
        FaultServer([[Offer(url.replace("{other}", other.url))]]) as server,
        timeless(KEY, base_url=server.url) as client,
    ):
        with pytest.raises(UntrustedRecordingURLError) as caught:
            await client.sessions.recordings("s1")
        assert not {"elsewhere", "token", "127"} & set(re.findall(r"\w+", str(caught.value)))
        assert len(server.connections) == 1
        assert other.connections == []


@pytest.mark.parametrize("allowed", ["127.0.0.1", "{host}", "LOCALHOST"])
async def test_row_36_a_host_that_is_allowed_never_sees_the_key(
    timeless: type[AsyncSyllableClient], allowed: str
) -> None:
    origin = Origin(Version(DATA), Step(send=2048, end="cut"))
    async with FaultServer([], always=[Play(origin)]) as other:
        name = "localhost" if allowed == "LOCALHOST" else "127.0.0.1"
        url = f"http://{name}:{other.port}/signed/recording?token=token0"
        allow = [allowed.replace("{host}", f"127.0.0.1:{other.port}")]
        async with (
            FaultServer([[Offer(url)]]) as server,
            timeless(KEY, base_url=server.url) as client,
        ):
            (recording,) = await client.sessions.recordings("s1", allow_hosts=allow)
            async with recording:
                assert b"".join([chunk async for chunk in recording]) == DATA
        assert len(other.requests) == 2
        assert not any(KEY.encode() in request.raw for request in other.requests)


@pytest.mark.parametrize("body", [{"recordings": []}, {"recordings": None}, {}, {"session_id": None}])
async def test_a_session_without_recordings(timeless: type[AsyncSyllableClient], body: object) -> None:
    async with (
        FaultServer([json_reply(body)]) as server,
        timeless(KEY, base_url=server.url) as client,
    ):
        assert await client.sessions.recordings("s1") == ()


@pytest.mark.parametrize("token", ["", "a\nb", "\ud800"])
async def test_a_token_that_is_none(timeless: type[AsyncSyllableClient], token: str) -> None:
    async with (
        FaultServer([]) as server,
        timeless(KEY, base_url=server.url) as client,
    ):
        with pytest.raises(ValueError, match="token must not"):
            client.sessions.stream_recording(token)
        assert server.connections == []
