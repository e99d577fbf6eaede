"""Walks: how much faster pages come with prefetch and windows, and what memory a million sessions take.

    python -m tests.benchmarks.walks

The source is a local coroutine, so that nothing but the walk is measured. Ratios of medians of three runs.
"""

from __future__ import annotations

import asyncio
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from syllable_async import ListResponseSession, Session, TimeWindow
from syllable_async._pagination import Pager
from syllable_async._query import ListQuery

START = datetime(2026, 1, 1, tzinfo=UTC)
STEP = timedelta(seconds=10)
Fetch = Callable[[ListQuery], Awaitable[ListResponseSession]]


def source(total: int, delay: float) -> Fetch:
    """So many sessions, ten seconds apart, each page after `delay` seconds."""

    def index(moment: datetime | str | None, default: int) -> int:
        assert not isinstance(moment, str)
        return default if moment is None else min(max(0, -((START - moment) // STEP)), total)

    async def fetch(query: ListQuery) -> ListResponseSession:
        if delay:
            await asyncio.sleep(delay)
        first, last = index(query.start_datetime, 0), index(query.end_datetime, total)
        limit, page = query.limit or 25, query.page or 0
        numbers = range(min(last, first + page * limit), min(last, first + (page + 1) * limit))
        items = tuple(Session(timestamp=START + n * STEP, session_id=f"session-{n:08}") for n in numbers)
        return ListResponseSession(items=items, page=page, page_size=limit, total_count=max(0, last - first))

    return fetch


async def plain(fetch: Fetch, limit: int, prefetch: int) -> int:
    return sum([1 async for _ in Pager(fetch, ListQuery.make(limit=limit)).items(prefetch=prefetch)])


async def side_by_side(fetch: Fetch, total: int, limit: int, windows: int) -> int:
    """The span cut into equal windows, all walked by `snapshot` at once."""
    cuts = [START + STEP * (total * n // windows) for n in range(windows + 1)]

    async def walk(window: TimeWindow) -> int:
        query = ListQuery.make(start_datetime=window.start, end_datetime=window.end, limit=limit)
        return sum([1 async for _ in Pager(fetch, query).snapshot()])

    pairs = pairwise(cuts)
    return sum(await asyncio.gather(*(walk(TimeWindow(start=a, end=b, count=0)) for a, b in pairs)))


async def timed(work: Callable[[], Awaitable[int]], expected: int) -> float:
    times: list[float] = []
    for _ in range(3):
        began = time.perf_counter()
        assert await work() == expected
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def memory(total: int) -> float:
    """Peak MiB of a process of its own that walks so many sessions."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.walks", str(total)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


async def ratios(pages: int = 200, delay: float = 0.025, limit: int = 10) -> dict[str, float]:
    """How many times as fast: prefetch 8 against 0, eight windows against one."""
    total = pages * limit
    fetch = source(total, delay)
    slow = await timed(lambda: plain(fetch, limit, 0), total)
    fast = await timed(lambda: plain(fetch, limit, 8), total)
    one = await timed(lambda: side_by_side(fetch, total, limit, 1), total)
    eight = await timed(lambda: side_by_side(fetch, total, limit, 8), total)
    return {"prefetch=8 / prefetch=0": slow / fast, "eight windows / one": one / eight}


def main() -> None:
    if len(sys.argv) > 1:
        total = int(sys.argv[1])
        assert asyncio.run(plain(source(total, 0), 1_000, 0)) == total
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    for name, ratio in asyncio.run(ratios()).items():
        print(f"{name}: {ratio:.2f} times as fast")
    small, large = memory(10_000), memory(1_000_000)
    print(f"peak memory: 10,000 sessions {small:.0f} MiB, 1,000,000 sessions {large:.0f} MiB (+{large - small:.1f})")


if __name__ == "__main__":
    main()
