"""Download the recordings of 50 sessions, eight at once, one outcome each; run again, it skips what is there.

Run it with `python examples/download_recordings.py [FOLDER]`. With SYLLABLESDK_API_KEY_HEADER set it talks to the real
API (another address goes into SYLLABLE_BASE_URL); without a key it starts a fake that cuts every third connection, so
that you can see recordings being resumed.
"""

from __future__ import annotations

import asyncio
import sys
from itertools import count
from pathlib import Path

from _connect import connect
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from syllable_async import AsyncSyllableClient, DownloadOutcome, RetryPolicy, SavedRecording, SyllableError
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


def describe(outcome: DownloadOutcome) -> str:
    """What became of one session, in a line. A failure concerns no other session."""
    if outcome.error is not None:
        return f"{outcome.session_id}: failed: {outcome.error}"
    files = [f"{saved.path.name}, {saved.size} bytes, {how_sure(saved)}" for saved in outcome.recordings]
    return f"{outcome.session_id}: {'; '.join(files) or 'no recording'}"


def how_sure(saved: SavedRecording) -> str:
    return "there already" if saved.skipped else f"verified by {saved.verified}"


async def main(folder: Path) -> int:
    outcomes: list[DownloadOutcome] = []
    async with connect(sessions=200) as (opened, fake):
        client = opened if fake is None else over_cuts(opened, fake)
        sessions = client.sessions.list().items(max_items=SESSIONS)
        columns = TextColumn("{task.description:>9}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
        with Progress(*columns, console=console, transient=True) as bars:
            bar = bars.add_task("bytes", total=None)
            download = client.sessions.download_recordings(
                sessions, folder, parallel=AT_ONCE, progress=lambda done, _: bars.update(bar, completed=done)
            )
            async with download:
                outcomes += [outcome async for outcome in download]
    for line in sorted(map(describe, outcomes)):
        console.print(line, soft_wrap=True, highlight=False)
    failed = sum(outcome.status == "failed" for outcome in outcomes)
    console.print(f"\n{len(outcomes)} sessions, {failed} failed; the files are in {folder}")
    return 1 if failed else 0


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "recordings")
    try:
        sys.exit(asyncio.run(main(target)))
    except (SyllableError, ValueError) as problem:
        raise SystemExit(f"The API could not be used: {problem}") from None
