"""Download the recordings of 50 sessions, eight at once, each with a progress bar, one outcome per session.

Run it with `python examples/download_recordings.py [FOLDER]`. With SYLLABLESDK_API_KEY_HEADER set it talks to the real
API (another address goes into SYLLABLE_BASE_URL); without a key it starts a fake that cuts every third connection, so
that you can see recordings being resumed.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from _connect import connect
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from syllable_async import AsyncSyllableClient, RetryPolicy, SyllableError
from syllable_async.testing import FakeSyllable, faults

SESSIONS = 50
AT_ONCE = 8
console = Console()


def over_cuts(client: AsyncSyllableClient, fake: FakeSyllable) -> AsyncSyllableClient:
    """Let the fake cut every third connection, and the client not wait long after one."""
    streams = count(1)
    fake.faults.add("sessions.stream_recording", faults.cut(20_000, times=None), when=lambda _: next(streams) % 3 == 0)
    console.print("It cuts every third connection of a recording\n")
    return client.with_options(retries=RetryPolicy(initial=0.05))


def show(bars: Progress, bar: TaskID, done: int, total: int | None) -> None:
    bars.update(bar, completed=done, total=total)


async def download(client: AsyncSyllableClient, session_id: str, folder: Path, bars: Progress) -> str:
    """All recordings of one session; what became of them, in a line. A failure concerns no other session."""
    bar = bars.add_task(session_id[:8], total=None)
    saved: list[str] = []
    try:
        for recording in await client.sessions.recordings(session_id):
            result = await recording.save(
                folder, progress=lambda done, total: bars.update(bar, completed=done, total=total)
            )
            saved.append(f"{result.path.name}, {result.size} bytes, verified by {result.verified}")
    except (SyllableError, OSError) as error:
        return f"{session_id}: failed: {error}"
    finally:
        bars.update(bar, visible=False)
    return f"{session_id}: {'; '.join(saved) or 'no recording'}"


async def worker(client: AsyncSyllableClient, sessions: Iterator[str], folder: Path, bars: Progress) -> list[str]:
    outcomes: list[str] = []
    for session_id in sessions:  # shared by all workers
        outcomes.append(await download(client, session_id, folder, bars))
        bars.advance(bars.task_ids[0])
    return outcomes


async def main(folder: Path) -> int:
    async with connect(sessions=200) as (opened, fake):
        client = opened if fake is None else over_cuts(opened, fake)
        walk = client.sessions.list(fields=["session_id"]).items(max_items=SESSIONS)
        names = [session.session_id async for session in walk if session.session_id is not None]
        columns = TextColumn("{task.description:>9}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
        with Progress(*columns, console=console, transient=True) as bars:
            bars.add_task("sessions", total=len(names))
            queue = iter(names)
            found = await asyncio.gather(*(worker(client, queue, folder, bars) for _ in range(AT_ONCE)))
    outcomes = [outcome for part in found for outcome in part]
    for outcome in sorted(outcomes):
        console.print(outcome, soft_wrap=True, highlight=False)
    failed = sum(": failed: " in outcome for outcome in outcomes)
    console.print(f"\n{len(outcomes)} sessions, {failed} failed; the files are in {folder}")
    return 1 if failed else 0


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "recordings")
    target.mkdir(parents=True, exist_ok=True)
    try:
        sys.exit(asyncio.run(main(target)))
    except (SyllableError, ValueError) as problem:
        raise SystemExit(f"The API could not be used: {problem}") from None
