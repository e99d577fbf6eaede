"""How fast the fake is, in its own processor time: other work beside it hardly shows."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tests.benchmarks.harness import Sample, Work

CALLS = 1_304
"""Pages of 25 among 100,000 sessions; no row is asked for twice."""


def serve(_: str, __: Work) -> Sample:
    """List calls of sessions that nobody asked for before."""
    command = [sys.executable, "-m", "syllable_async.testing", "--port", "0", "--sessions", "100000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    key, url = (line.strip().partition("=")[2] for line in (process.stdout.readline() for _ in "12"))
    try:
        processor, clock = _processor_time(process.pid), time.perf_counter()
        asyncio.run(_read(key, int(url.rpartition(":")[2])))
        clock, processor = time.perf_counter() - clock, _processor_time(process.pid) - processor
    finally:
        process.terminate()
        process.communicate()
    return {"wall": clock / CALLS, "cpu": processor / CALLS}


def _processor_time(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _read(key: str, port: int) -> None:
    pages = iter(range(CALLS))
    await asyncio.gather(*(_ask(key, port, islice(pages, CALLS // 8)) for _ in range(8)))


async def _ask(key: str, port: int, pages: Iterator[int]) -> None:
    """Read pages over one connection of the plainest kind: the client must not be what is measured."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for page in pages:
        target = f"/api/v1/sessions/?page={page}&limit=25"
        writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\nSyllable-API-Key: {key}\r\n\r\n".encode())
        length = re.search(rb"Content-Length: (\d+)", await reader.readuntil(b"\r\n\r\n"))
        assert length is not None
        body = await reader.readexactly(int(length[1]))
        assert body.count(b'"session_id"') == 25
    writer.close()
