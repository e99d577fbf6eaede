"""How fast the fake is, in calls per second of its own processor time: other work beside it hardly shows."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

pytestmark = pytest.mark.long
ROUNDS = 3
CALLS = 1_304
"""For each round. So many pages of 25 lie in 100,000 sessions; no row is asked for twice."""


class Process:
    """The fake in a process of its own, over 100,000 sessions."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "syllable_async.testing", "--port", "0", "--sessions", "100000"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.key, self.url = (
            line.strip().partition("=")[2] for line in (self._process.stdout.readline() for _ in "12")
        )
        self.start = self.processor_time()

    def processor_time(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self._process.terminate()
        self._process.communicate()


@pytest.fixture(scope="module")
def fake() -> Iterator[Process]:
    process = Process()
    yield process
    process.stop()


def test_a_hundred_thousand_sessions_listen_within_a_second(fake: Process) -> None:
    print(f"listening after {fake.start:.2f} s of processor time, interpreter and imports included")
    assert fake.start < 1.0


async def test_answers_1500_cold_list_calls_a_second(fake: Process) -> None:
    pages = iter(range(ROUNDS * CALLS))
    rates: list[float] = []
    for _ in range(ROUNDS):
        before = fake.processor_time()
        await asyncio.gather(*(ask(fake, islice(pages, CALLS // 8)) for _ in range(8)))
        rates.append(CALLS / (fake.processor_time() - before))
    print(f"{max(rates):.0f} list calls of 25 cold sessions per second of one core")
    assert max(rates) >= 1_500


async def ask(fake: Process, pages: Iterator[int]) -> None:
    """Read pages over one connection of the plainest kind: the client must not be what is measured."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(fake.url.rpartition(":")[2]))
    for page in pages:
        target = f"/api/v1/sessions/?page={page}&limit=25"
        writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\nSyllable-API-Key: {fake.key}\r\n\r\n".encode())
        length = re.search(rb"Content-Length: (\d+)", await reader.readuntil(b"\r\n\r\n"))
        assert length is not None
        await reader.readexactly(int(length[1]))
    writer.close()
