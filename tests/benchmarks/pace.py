"""`python -m tests.benchmarks.pace [--uvloop]`: the client's own pace against real servers that limit it.

Four figures, in four minutes: 1,000 calls at once, 32 workers for two minutes, one stray 429, and a limit that trebles.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from syllable_async import AsyncSyllableClient, SyllableError

SESSION = b'{"timestamp":"2026-01-01T00:00:00Z","session_id":"a"}'
now = time.monotonic


class Server:
    """So many requests in each second, after 20 to 200 ms."""

    def __init__(self, limit: Callable[[float], float]) -> None:
        self.limit, self.began, self.window, self.taken = limit, now(), -1, 0
        self.requests, self.accepted = 0, list[float]()

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                delay = random.uniform(0.02, 0.2)
                await asyncio.sleep(delay * 0.4)
                answer = self.answer(now() - self.began)
                await asyncio.sleep(delay * 0.6)
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def answer(self, at: float) -> bytes:
        self.requests += 1
        if self.window != math.floor(at):
            self.window, self.taken = math.floor(at), 0
        self.taken += 1
        if self.taken > self.limit(at):
            return b"HTTP/1.1 429 x\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
        self.accepted.append(at)
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
            len(SESSION),
            SESSION,
        )

    def rate(self, begin: float, end: float) -> float:
        return sum(begin <= at < end for at in self.accepted) / (end - begin)


@asynccontextmanager
async def running(limit: Callable[[float], float]) -> AsyncGenerator[tuple[Server, AsyncSyllableClient]]:
    server = Server(limit)
    listener = await asyncio.start_server(server.connection, "127.0.0.1", 0, backlog=1024)
    port = listener.sockets[0].getsockname()[1]
    async with AsyncSyllableClient("k", base_url=f"http://127.0.0.1:{port}") as client:
        yield server, client
    listener.close()


async def workers(client: AsyncSyllableClient, number: int, seconds: float) -> list[tuple[float, float]]:
    """When each call was made, and how long it took."""
    until, calls = now() + seconds, list[tuple[float, float]]()

    async def work() -> None:
        while now() < until:
            began = now()
            await client.sessions.get_by_id("a")
            calls.append((began, now() - began))

    await asyncio.gather(*(work() for _ in range(number)))
    return calls


async def burst() -> None:
    async with running(lambda _: 100) as (server, client):
        began = now()
        calls = (client.sessions.get_by_id("a") for _ in range(1000))
        failed = sum(isinstance(each, SyllableError) for each in await asyncio.gather(*calls, return_exceptions=True))
        more = server.requests / 10 - 100
        print(f"1,000 at once, 100/s: {failed} failed, {now() - began:.1f} s, {more:+.0f} % requests", flush=True)


async def limit() -> None:
    async with running(lambda _: 100) as (server, client):
        await workers(client, 32, 120)
        print(f"32 workers, 100/s: {server.rate(0, 120) / 100:.2f} of the limit, {server.requests} requests")


async def stray() -> None:
    refused: list[float] = []

    def once(at: float) -> float:
        if at > 5 and not refused:
            refused.append(now())
            return 0
        return math.inf

    async with running(once) as (_, client):
        calls = await workers(client, 4, 12)
        late = [began + took - refused[0] for began, took in calls if took > 0.5]
        print(f"one stray 429, Retry-After 1: felt for {max(late):.1f} s by {len(late)} calls")


async def trebled() -> None:
    async with running(lambda at: 30 if at < 15 else 90) as (server, client):
        await workers(client, 32, 15 + 60)
        found = next(second for second in range(15, 71) if server.rate(second, second + 5) >= 0.8 * 90)
        print(f"30/s, then 90/s: {server.rate(5, 15) / 30:.2f}, and 0.8 of the new limit after {found - 15} s")


async def main() -> None:
    print(f"on {type(asyncio.get_running_loop()).__module__}")
    for figure in (burst, limit, stray, trebled):
        await figure()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uvloop", action="store_true")
    if parser.parse_args().uvloop:
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())
    sys.exit(0)
