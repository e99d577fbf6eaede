"""One contestant in a process of its own, told what to do by lines on its standard input.

So no contestant pays for another's heap, and its processor time and memory are its own.
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.contestants import CONTESTANTS, Contestant
from tests.benchmarks.server import MIB, page_of, session_id


async def pages(who: Contestant, *, count: int, tasks: int, limit: int) -> None:
    """So many list calls by so many tasks."""

    async def one(number: int) -> None:
        items = (await who.page(number, limit)).items
        assert len(items) == limit
        assert items[-1].session_id == session_id(number, limit - 1)

    await _side_by_side(one, count, tasks)


async def sessions(who: Contestant, *, count: int, tasks: int) -> None:
    """So many reads of one session each."""

    async def one(number: int) -> None:
        wanted = session_id(1, number)
        assert (await who.session(wanted)).session_id == wanted

    await _side_by_side(one, count, tasks)


async def _side_by_side(call: Callable[[int], Awaitable[None]], count: int, tasks: int) -> None:
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await call(number)

    await asyncio.gather(*(work() for _ in range(tasks)))


async def decode(who: Contestant, *, count: int, limit: int) -> None:
    """The same page, again and again."""
    body = page_of(limit)
    for _ in range(count):
        page = who.decode(body)
        assert len(page.items) == limit
        assert page.items[-1].duration == 61.5 + (limit - 1) % 240


async def walk(who: Contestant, *, count: int, limit: int, prefetch: int) -> None:
    """So many pages, session by session."""
    seen = 0
    async for session in who.walk(limit, count, prefetch):
        if not seen % limit:
            assert session.session_id == session_id(seen // limit, 0)
        seen += 1
    assert seen == limit * count


async def engine(
    _: Contestant, *, count: int, prefetch: int = 0, parallel: int = 0, limit: int = 10, ms: int = 25
) -> dict[str, float]:
    """So many pages from a local source that takes `ms` for each: by offset, or by key where `parallel` is given."""
    from tests.benchmarks import walks

    source, total = walks.Source(count * limit, ms / 1_000), count * limit
    walk = walks.snapshot(source, limit, parallel) if parallel else walks.plain(source, limit, prefetch)
    assert await walk == total
    return {"requests": source.requests}


async def iterate(who: Contestant, *, count: int) -> None:
    """One recording of so many MiB."""
    assert await who.iterate(count * MIB) == count * MIB


async def save(who: Contestant, *, count: int) -> None:
    """One recording of so many MiB, into a file."""
    with tempfile.TemporaryDirectory() as folder:
        assert await who.save(count * MIB, Path(folder, "recording")) == count * MIB


async def download(who: Any, *, count: int) -> None:
    """So many recordings of 1 MiB, into a folder."""
    with tempfile.TemporaryDirectory() as folder:
        assert await who.download(MIB, count, Path(folder)) == count * MIB


WORK: dict[str, Callable[..., Awaitable[dict[str, float] | None]]] = {
    "pages": pages,
    "sessions": sessions,
    "decode": decode,
    "walk": walk,
    "engine": engine,
    "iterate": iterate,
    "save": save,
    "download": download,
}


async def measured(who: Contestant, *, work: str, **arguments: Any) -> dict[str, float]:
    """Seconds on the clock, seconds of the processor (user and system, all threads), bytes of memory, and what the
    work itself counts."""
    gc.collect()
    before = _resident("VmRSS")
    _begin_peak()
    processor, clock = _processor_time(), time.perf_counter()
    counted = await WORK[work](who, **arguments)
    clock, processor = time.perf_counter() - clock, _processor_time() - processor
    peak = _resident("VmHWM")
    return {"wall": clock, "cpu": processor, "peak": peak, "grown": peak - before, **(counted or {})}


def _processor_time() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _resident(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def _begin_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


async def obey(name: str, url: str) -> None:
    async with CONTESTANTS[name](url) as who:
        for line in sys.stdin:
            print(json.dumps(await measured(who, **json.loads(line))), flush=True)


if __name__ == "__main__":
    asyncio.run(obey(*sys.argv[1:]))
