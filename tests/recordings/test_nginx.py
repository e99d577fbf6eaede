"""The range rules against a server that nobody here wrote: nginx, behind a proxy that cuts connections."""

from __future__ import annotations

import asyncio
import os
import random
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic, sleep

import attrs
import pytest

from syllable_async import AsyncSyllableClient
from syllable_async.errors import RecordingChangedError

NGINX = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))
DATA = random.Random(20260501).randbytes(300_000)
SETTINGS = {
    "plain": "",
    "max_ranges 0": "max_ranges 0;",
    "gzip": "gzip on; gzip_types *; gzip_min_length 1;",
    "etag off": "etag off;",
    "max_ranges 0, etag off": "max_ranges 0; etag off;",
}
"""What nginx is told, by the name of the cell."""
CUTS = [(0,), (1000,), (299_999,), (100_000, 200_000), (70_000, 1, 150_000)]
"""Bytes of the body that the first connections let through."""

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed: the range rules were not run against it")


@attrs.define
class Proxy:
    """Between the client and nginx: lets each connection carry so many bytes of a body, and the last ones all."""

    socket: Path
    cuts: list[int]
    asked: list[bytes] = attrs.field(factory=list[bytes])
    statuses: list[int] = attrs.field(factory=list[int])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        origin, onward = await asyncio.open_unix_connection(str(self.socket))
        try:
            self.asked.append(await reader.readuntil(b"\r\n\r\n"))
            left = self.cuts.pop(0) if self.cuts else None
            # One answer a connection, so that its end is nginx's end.
            onward.write(re.sub(rb"\r\nConnection: [^\r]*", b"", self.asked[-1])[:-2] + b"Connection: close\r\n\r\n")
            head = await origin.readuntil(b"\r\n\r\n")
            self.statuses.append(int(head.split()[1]))
            writer.write(head)
            while (left is None or left) and (data := await origin.read(left or 2**16)):
                writer.write(data)
                left = None if left is None else left - len(data)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            onward.close()
            writer.close()

    def ranges(self) -> list[bool]:
        """Whether each request asked for a range, under a condition."""
        return [b"\r\nRange: bytes=" in asked and b"\r\nIf-Range: " in asked for asked in self.asked]


@attrs.frozen
class Nginx:
    """One nginx that serves one file as every recording, at one socket for each of `SETTINGS`."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "recording.wav"

    def put(self, data: bytes, modified: float = 1_700_000_000) -> None:
        self.file.write_bytes(data)
        os.utime(self.file, (modified, modified))

    def socket(self, setting: str) -> Path:
        return self.folder / f"{list(SETTINGS).index(setting)}.sock"

    def configuration(self) -> str:
        servers = "".join(
            f"server {{ listen unix:{self.socket(name)}; {told} types {{ audio/wav wav; }}"
            f" location = /api/v1/sessions/recording/stream {{ alias {self.file}; }} }}\n"
            for name, told in SETTINGS.items()
        )
        places = "".join(
            f"{kind}_temp_path {self.folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        return (
            f"daemon off;\nworker_processes 1;\n{'user root;' if os.getuid() == 0 else ''}\npid {self.folder}/pid;\n"
            f"events {{}}\nhttp {{\naccess_log off;\n{places}{servers}}}\n"
        )

    @asynccontextmanager
    async def behind(self, setting: str, *cuts: int) -> AsyncGenerator[tuple[Proxy, str]]:
        """A proxy before it, and its address."""
        proxy = Proxy(self.socket(setting), list(cuts))
        server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
        async with server:
            yield proxy, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture(scope="module")
def nginx() -> Iterator[Nginx]:
    assert NGINX is not None
    with tempfile.TemporaryDirectory(prefix="nginx-") as folder:
        running = Nginx(Path(folder))
        configuration = running.folder / "nginx.conf"
        configuration.write_text(running.configuration())
        log = running.folder / "log"
        process = subprocess.Popen([NGINX, "-e", log, "-c", configuration])
        try:
            give_up = monotonic() + 10
            while not all(running.socket(name).exists() for name in SETTINGS):
                if process.poll() is not None or monotonic() > give_up:
                    raise RuntimeError(log.read_text())
                sleep(0.01)
            yield running
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture(autouse=True)
def original(nginx: Nginx) -> None:
    nginx.put(DATA)


@pytest.mark.parametrize("cuts", CUTS, ids=str)
@pytest.mark.parametrize("setting", SETTINGS)
async def test_a_cut_recording_is_whole(
    nginx: Nginx,
    timeless: type[AsyncSyllableClient],
    tmp_path: Path,
    setting: str,
    cuts: tuple[int, ...],
    counted: Callable[[str, int], None],
) -> None:
    async with nginx.behind(setting, *cuts) as (proxy, url), timeless("key", base_url=url) as client:
        saved = await client.sessions.stream_recording("token").save(tmp_path, require_verified=True)
    assert saved.path.read_bytes() == DATA
    assert saved.verified == "length"
    assert len(proxy.asked) == len(cuts) + 1
    tagged, held = "etag off" not in setting, cuts[0] > 0
    assert proxy.ranges() == [False, *(tagged and held for _ in cuts)]
    partial = tagged and held and "max_ranges 0" not in setting
    counted("cells against nginx", 1)
    assert proxy.statuses == [200, *(206 if partial else 200 for _ in cuts)]


@pytest.mark.parametrize("setting", SETTINGS)
async def test_another_recording_in_its_place_is_told(
    nginx: Nginx, timeless: type[AsyncSyllableClient], setting: str
) -> None:
    await refused(nginx, timeless, setting, bytes(300_000), 1_700_000_001)


@pytest.mark.parametrize("setting", SETTINGS)
async def test_another_recording_of_the_same_size_and_time_is_told(
    nginx: Nginx, timeless: type[AsyncSyllableClient], setting: str
) -> None:
    """nginx makes its strong ETag of size and time, so only the bytes that are compared can tell."""
    await refused(nginx, timeless, setting, DATA[:60_000] + bytes(240_000), 1_700_000_000)


async def refused(
    nginx: Nginx, timeless: type[AsyncSyllableClient], setting: str, data: bytes, modified: float
) -> None:
    got = b""
    async with nginx.behind(setting, 100_000) as (_, url), timeless("key", base_url=url) as client:
        chunks = aiter(client.sessions.stream_recording("token"))
        async for chunk in chunks:
            got += chunk
            if len(got) == 100_000:
                break
        nginx.put(data, modified)
        with pytest.raises(RecordingChangedError):
            await anext(chunks)
    assert got == DATA[:100_000]
