"""How fast recordings come, beside bare aiohttp, the vendor's SDK and curl: `python -m tests.benchmarks.recordings`.

A server in a process of its own sends the bytes. Each round runs all jobs, every other one backwards; what is printed
are medians over the rounds, of MiB/s and of the ratios within a round.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
from syllable_sdk import SyllableSDK

from syllable_async import AsyncSyllableClient

MIB = 2**20
KEY = "benchmark"
PATH = "/api/v1/sessions/recording/stream"
Job = Callable[[], Awaitable[int]]


async def serve() -> None:
    """A recording of as many bytes as the token says, with a strong ETag."""
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    print(listener.getsockname()[1], flush=True)
    memory = os.fdopen(os.memfd_create("recording"), "w+b")
    memory.truncate(1024 * MIB)
    tasks: set[asyncio.Task[None]] = set()

    async def answer(connection: socket.socket) -> None:
        with connection:
            while request := await loop.sock_recv(connection, 65536):
                found = re.search(rb"token=(\d+)", request)
                assert found is not None
                head = (
                    'HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nETag: "1"\r\n'
                    f"Content-Length: {int(found[1])}\r\n\r\n"
                )
                await loop.sock_sendall(connection, head.encode())
                await loop.sock_sendfile(connection, memory, 0, int(found[1]))

    while True:
        connection, _ = await loop.sock_accept(listener)
        task = asyncio.create_task(answer(connection))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


class Jobs:
    """The same recording, by each of them."""

    def __init__(self, url: str, size: int, folder: Path) -> None:
        self.url, self.size, self.folder = url, size, folder

    async def bare(self) -> int:
        got = 0
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}{PATH}?token={self.size}") as response,
        ):
            async for chunk in response.content.iter_any():
                got += len(chunk)
        return got

    async def ours(self) -> int:
        got = 0
        async with (
            AsyncSyllableClient(KEY, base_url=self.url) as client,
            client.sessions.stream_recording(str(self.size)) as recording,
        ):
            async for chunk in recording:
                got += len(chunk)
        return got

    async def vendor(self) -> int:
        got = 0
        async with SyllableSDK(server_url=self.url, api_key_header=KEY) as sdk:
            response = await sdk.sessions.session_recording_stream_async(token=str(self.size))
            async for chunk in response.aiter_bytes():
                got += len(chunk)
        return got

    async def save(self) -> int:
        async with AsyncSyllableClient(KEY, base_url=self.url) as client:
            saved = await client.sessions.stream_recording(str(self.size)).save(self.folder / "ours")
        return saved.size

    async def curl(self) -> int:
        target = self.folder / "theirs"
        command = f"curl -s -o {target} '{self.url}{PATH}?token={self.size}' && sync {target}"
        process = await asyncio.create_subprocess_shell(command)
        assert await process.wait() == 0
        return await asyncio.to_thread(lambda: target.stat().st_size)

    async def timed(self, job: Job) -> float:
        """MiB per second."""
        for name in ("ours", "theirs"):
            await asyncio.to_thread((self.folder / name).unlink, missing_ok=True)
        gc.collect()
        started = time.perf_counter()
        assert await job() == self.size
        return self.size / MIB / (time.perf_counter() - started)


async def compare(jobs: Jobs, rounds: int, *names: str) -> dict[str, list[float]]:
    """Rates of each job, round by round."""
    rates: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names if number % 2 else reversed(names):
            rates[name].append(await jobs.timed(getattr(jobs, name)))
    return rates


def ratio(rates: dict[str, list[float]], name: str, other: str) -> float:
    return statistics.median(a / b for a, b in zip(rates[name], rates[other], strict=True))


async def growth(url: str, size: int, folder: Path) -> int:
    """MiB by which saving grows this process, at its peak."""
    async with AsyncSyllableClient(KEY, base_url=url) as client:
        await client.sessions.stream_recording(str(8 * MIB)).save(folder / "small")
        before = _resident("VmRSS")
        await asyncio.to_thread(Path("/proc/self/clear_refs").write_text, "5")  # the peak begins anew
        await client.sessions.stream_recording(str(size)).save(folder / "large")
        return _resident("VmHWM") - before


def _resident(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) // 1024


def report(url: str, size: int, rounds: int, folder: Path) -> None:
    jobs = Jobs(url, size, folder)
    rates = asyncio.run(compare(jobs, rounds, "bare", "ours"))
    rates |= {f"{name} ": found for name, found in asyncio.run(compare(jobs, rounds, "ours", "vendor")).items()}
    rates |= asyncio.run(compare(jobs, rounds, "save", "curl"))
    for name, found in rates.items():
        print(f"  {name:7} {statistics.median(found):7.0f} MiB/s   ({min(found):.0f} to {max(found):.0f})")
    print(f"iterating / bare aiohttp   {ratio(rates, 'ours', 'bare'):5.2f}   (wanted: 0.9)")
    print(f"iterating / vendor's SDK   {ratio(rates, 'ours ', 'vendor '):5.2f}   (wanted: 3)")
    print(f"save / curl -o and sync    {ratio(rates, 'save', 'curl'):5.2f}   (wanted: 0.85)")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--serve", action="store_true", help="be the server")
    parser.add_argument("--grow", metavar="URL", help="save 1 GiB from there and print the growth of RSS")
    parser.add_argument("--size", type=int, default=256, help="MiB")
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    if asked.serve:
        asyncio.run(serve())
        return
    with tempfile.TemporaryDirectory() as name:
        if asked.grow:
            print(asyncio.run(growth(asked.grow, 1024 * MIB, Path(name))))
            return
        again = [sys.executable, "-m", "tests.benchmarks.recordings"]
        with subprocess.Popen([*again, "--serve"], stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
            try:
                print(f"{asked.size} MiB over loopback, {asked.rounds} rounds")
                report(url, asked.size * MIB, asked.rounds, Path(name))
                grown = subprocess.run([*again, "--grow", url], check=True, capture_output=True, text=True)
                print(f"saving 1 GiB grows RSS by  {int(grown.stdout):3d} MiB (wanted: at most 16)")
            finally:
                server.terminate()


if __name__ == "__main__":
    main()
