"""The neutral server: an `asyncio.Protocol` that sends prepared bytes. No client's code is in it, and no framework's.

A path that begins with `/after/25` is answered 25 ms late.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from typing import IO

KEY = "benchmark"
MIB = 2**20
LARGEST = 1024 * MIB
ROWS = 1_000_000
"""Sessions that the list says are there."""
_REQUEST = re.compile(rb"(?:GET|POST) (?:/after/(\d+))?/api/v1/sessions/([^ ?]*)(?:\?([^ ]*))? HTTP/1\.1\r\n", re.ASCII)
_NUMBER = re.compile(rb"\b(page|limit|token)=(\d+)", re.ASCII)


def session_id(page: int, row: int) -> str:
    """The id of a row: told by where it stands, so that a client's answer can be checked without asking twice."""
    return f"{page:012d}-{row:012d}"


def session(number: int) -> dict[str, object]:
    """A session as the API writes one, about 850 bytes, the usual fields filled."""
    return {
        "timestamp": f"2026-03-{number % 28 + 1:02d}T{number % 24:02d}:{number % 60:02d}:07.250000Z",
        "session_id": session_id(0, number),
        "conversation_id": f"5f0c1b6e-6e57-4f8a-9f3e-{number:012d}",
        "channel_manager_service": "twilio",
        "channel_manager_type": "voice",
        "channel_manager_sid": f"CA{number:032d}",
        "agent_id": "1187",
        "agent_name": "Appointment line, north campus",
        "agent_type": "ca_v1",
        "agent_timezone": "America/New_York",
        "prompt_id": "412",
        "prompt_name": "Scheduling, spring",
        "prompt_version": "17",
        "prompt_version_number": 17,
        "session_label_id": None,
        "source": "+12025550100",
        "target": "+12025550199",
        "duration": 61.5 + number % 240,
        "is_legacy": False,
        "is_test": number % 16 == 0,
        "is_outbound": number % 3 == 0,
        "user_terminated": True,
        "transfer_voicemail_detected": None,
        "override_timestamp": None,
        "experiment_id": None,
        "experiment_variant_id": None,
        "experiment_variant": None,
        "experiment_variant_is_control": None,
    }


def page_of(limit: int) -> bytes:
    """The first page of the list, so many sessions long."""
    totals = {"page": 0, "page_size": limit, "total_pages": -(-ROWS // limit), "total_count": ROWS}
    return _encode({"items": [session(row) for row in range(limit)], **totals})


def _encode(reply: object) -> bytes:
    return json.dumps(reply, separators=(",", ":")).encode()


_ONE = _encode(session(0))
_FIRST_PAGE = lru_cache(page_of)


@lru_cache(512)
def page(number: int, limit: int) -> bytes:
    if number * limit >= ROWS:
        return _json(_encode({"items": [], "page": number, "page_size": limit, "total_count": ROWS}))
    own = _FIRST_PAGE(limit).replace(b'"session_id":"000000000000', b'"session_id":"%012d' % number)
    return _json(own.replace(b'"page":0', b'"page":%d' % number))


def _json(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def _answer(path: bytes, numbers: dict[bytes, int]) -> bytes:
    if not path:
        return page(numbers.get(b"page", 0), numbers.get(b"limit", 25))
    return _json(_ONE.replace(session_id(0, 0).encode(), path))


class Connection(asyncio.Protocol):
    """Answers one request at a time. A request without the key, or for anything else, ends the connection."""

    def __init__(self, recording: IO[bytes], sending: set[asyncio.Task[None]]) -> None:
        self._recording = recording
        self._sending = sending
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._held += data
        if not self._held.endswith(b"\r\n\r\n"):
            return
        request, self._held = self._held, b""
        asked = _REQUEST.match(request)
        if asked is None or b"syllable-api-key: %b" % KEY.encode() not in request.lower():
            self._transport.abort()
            return
        late, path, query = asked.groups()
        numbers = {name: int(number) for name, number in _NUMBER.findall(query or b"")}
        if path.startswith(b"recording/") and path != b"recording/stream":
            # One recording of as many bytes as the session's id says before its dash.
            size = path.removeprefix(b"recording/").partition(b"-")[0].decode()
            url = f"http://api.example/api/v1/sessions/recording/stream?token={size}"
            self._transport.write(_json(_encode({"session_id": "s", "recordings": [url]})))
        elif path == b"recording/stream":
            self._stream(numbers[b"token"])
        elif late:
            loop = asyncio.get_running_loop()
            loop.call_later(int(late) / 1000, self._transport.write, _answer(path, numbers))
        else:
            self._transport.write(_answer(path, numbers))

    def _stream(self, size: int) -> None:
        """A recording of as many bytes as the token says, with a strong ETag and ranges promised, by sendfile."""
        head = (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
            b'ETag: "1"\r\nAccept-Ranges: bytes\r\nContent-Length: %d\r\n\r\n'
        )
        self._transport.write(head % size)
        task = asyncio.create_task(self._send(size))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, size: int) -> None:
        await asyncio.get_running_loop().sendfile(self._transport, self._recording, 0, size)


async def serve() -> None:
    with os.fdopen(os.memfd_create("recording"), "w+b") as recording:
        recording.truncate(LARGEST)
        sending: set[asyncio.Task[None]] = set()
        loop = asyncio.get_running_loop()
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        async with await loop.create_server(lambda: Connection(recording, sending), sock=listener):
            print(listener.getsockname()[1], flush=True)
            stop = asyncio.Event()
            loop.add_reader(sys.stdin, stop.set)  # its end: whoever started this is gone
            await stop.wait()


@contextmanager
def running() -> Generator[str]:
    """The server in a process of its own; its URL."""
    command = [sys.executable, "-m", "tests.benchmarks.server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.communicate()


if __name__ == "__main__":
    asyncio.run(serve())
