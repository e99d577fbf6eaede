"""Progress on stderr: bars on a terminal, one plain line a minute elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from typing import TextIO

from ._reports import JobProgress, Progress

MINUTE = 60.0


def in_words(job: str, now: JobProgress) -> str:
    """Where a job is, in a line without an id."""
    days = f"{now.days_done}/{now.days} days, " if now.days else ""
    recordings = f", {now.recordings:,} recordings, {now.bytes / 1e6:,.1f} MB" if now.recordings or now.bytes else ""
    return f"{job}: {days}{now.sessions:,} sessions{recordings}"


@asynccontextmanager
async def shown(job: str, stream: TextIO, say: Callable[[str], object]) -> AsyncGenerator[Progress]:
    """What a job tells its progress to."""
    if stream.isatty() and find_spec("rich") is not None:
        async with _bars(job, stream) as tell:
            yield tell
        return
    latest = [JobProgress()]

    async def a_line_a_minute() -> None:
        while True:
            await asyncio.sleep(MINUTE)
            say(in_words(job, latest[0]))

    lines = asyncio.ensure_future(a_line_a_minute())
    try:
        yield lambda now: latest.__setitem__(0, now)
    finally:
        lines.cancel()
        with suppress(asyncio.CancelledError):
            await lines


@asynccontextmanager
async def _bars(job: str, stream: TextIO) -> AsyncGenerator[Progress]:
    """Rich obeys `NO_COLOR` and `TERM` by itself."""
    from rich.console import Console  # noqa: PLC0415 - the extra, and on a terminal only
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = SpinnerColumn(), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=Console(file=stream), transient=True) as bars:
        task = bars.add_task(f"{job}: …", total=None)
        yield lambda now: bars.update(
            task, description=in_words(job, now), completed=now.days_done, total=now.days or None
        )
