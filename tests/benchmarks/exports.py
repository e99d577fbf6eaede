"""What an export of one day costs beside the bare calls, and beside the vendor's SDK with pyarrow.

`python -m tests.benchmarks.exports serve COUNT` is the API, `… WHO URL KEY COUNT FOLDER` a contestant; each is a
process of its own, and the contestants write their figures as a line of JSON.
"""

from __future__ import annotations

# mypy: disable-error-code="import-untyped"
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

from tests.benchmarks.harness import Sample, Work

SESSIONS = 100_000
PAGE = 100
LATENCY = 0.025
"""Seconds that the API takes for a page or a transcript."""
TRANSCRIPTS = 20_000
IN_FLIGHT = 32
"""Transcripts that are asked for side by side."""
DAY = date(2026, 1, 5)
START = datetime(2026, 1, 5, tzinfo=UTC)
END = START + timedelta(days=1)


def serve(count: int) -> None:
    """All sessions in one day, until standard input ends."""
    from syllable_async.testing import FakeSyllable, faults

    with FakeSyllable(sessions=0, log_limit=0) as api:
        for number in range(count):
            api.add_session(timestamp=START + number * (END - START) / count)
        for route in ("sessions.list", "sessions.get_transcript"):
            api.faults.add(route, faults.delay(LATENCY, times=None))
        print(json.dumps([api.url, api.api_key]), flush=True)
        sys.stdin.read()


async def bare(url: str, key: str, _: Path) -> int:
    """The walk alone."""
    from syllable_async import AsyncSyllableClient

    async with AsyncSyllableClient(key, base_url=url) as client:
        walk = client.sessions.list(start_datetime=START, end_datetime=END).snapshot(parallel=8)
        return sum([1 async for _ in walk])


async def ours(url: str, key: str, folder: Path, **options: Any) -> int:
    """The same sessions in a file."""
    from syllable_async import AsyncSyllableClient, jobs

    async with AsyncSyllableClient(key, base_url=url) as client:
        return (await jobs.export(client, since=DAY, until=DAY + timedelta(days=1), to=folder, **options)).rows


async def bare_transcripts(url: str, key: str, _: Path) -> int:
    """The transcripts alone."""
    from syllable_async import AsyncSyllableClient

    async with AsyncSyllableClient(key, base_url=url) as client:
        walk = client.sessions.list(start_datetime=START, end_datetime=END).snapshot(parallel=8)
        ids = iter([session.session_id or "" async for session in walk])

        async def read() -> int:
            return sum([bool(await client.sessions.get_transcript(session_id)) for session_id in ids])

        return sum(await asyncio.gather(*(read() for _ in range(IN_FLIGHT))))


async def our_transcripts(url: str, key: str, folder: Path) -> int:
    """The same sessions and their transcripts in a file."""
    return await ours(url, key, folder, with_=["transcript"], parallel=IN_FLIGHT)


async def vendor(url: str, key: str, folder: Path) -> int:
    """Eight pages at once, and pyarrow."""
    sdk, pa, pq = import_module("syllable_sdk"), import_module("pyarrow"), import_module("pyarrow.parquet")
    client = sdk.SyllableSDK(server_url=url, api_key_header=key)
    span = {"start_datetime": START.isoformat(), "end_datetime": END.isoformat(), "order_by": "timestamp"}

    async def page(number: int) -> list[Any]:
        found = await client.sessions.list_async(page=number, limit=PAGE, **span)
        return [session.model_dump() for session in found.items]

    async with client:
        first = await client.sessions.list_async(page=0, limit=PAGE, **span)
        rows: list[Any] = []
        for begin in range(0, first.total_pages, 8):
            for found in await asyncio.gather(*map(page, range(begin, min(begin + 8, first.total_pages)))):
                rows += found
    pq.write_table(pa.Table.from_pylist(rows), folder / "sessions.parquet", compression="zstd")
    return len(rows)


CONTESTANTS: dict[str, Callable[[str, str, Path], Awaitable[int]]] = {
    "bare": bare,
    "ours": ours,
    "vendor": vendor,
    "bare transcripts": bare_transcripts,
    "our transcripts": our_transcripts,
}


class WithoutPandas(MetaPathFinder):
    """As where the extra `jobs` is installed, which brings neither pandas nor numpy."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name in {"pandas", "numpy"}:
            raise ModuleNotFoundError(name)


def contend(who: str, url: str, key: str, count: int, folder: Path) -> None:
    """One round of one contestant, without what pyarrow would import if it were there: nobody here asks for it."""
    sys.meta_path.insert(0, WithoutPandas())
    begun, processor = time.perf_counter(), time.process_time()
    found = asyncio.run(_run(CONTESTANTS[who](url, key, folder)))
    wall, cpu = time.perf_counter() - begun, time.process_time() - processor
    assert found == count, (who, found)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"wall": wall, "cpu": cpu, "peak": peak}), flush=True)


async def _run(work: Awaitable[int]) -> int:
    return await work


def measure(_: str, work: Work) -> Sample:
    """A contestant against an API of its own."""
    who, count = work.kind, work.count
    command = [sys.executable, "-m", "tests.benchmarks.exports"]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([*command, "serve", str(count)], **pipes) as api, tempfile.TemporaryDirectory() as folder:
        assert api.stdout is not None
        url, key = json.loads(api.stdout.readline())
        words = [*command, who, url, key, str(count), folder]
        try:
            done = subprocess.run(words, check=True, capture_output=True, text=True)
        finally:
            api.communicate()
    sample: Sample = json.loads(done.stdout)
    return sample


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        contend(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), Path(sys.argv[5]))
