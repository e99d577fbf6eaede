"""What a job shows while it runs: bars on a terminal, a line a minute elsewhere."""

from __future__ import annotations

import asyncio
from io import StringIO

import pytest

from syllable_async.jobs import JobProgress, _progress
from syllable_async.jobs._progress import in_words, shown


def test_progress_in_words() -> None:
    now = JobProgress(days=7, days_done=3, sessions=12_345)
    assert in_words("export", now) == "export: 3/7 days, 12,345 sessions"
    now = JobProgress(sessions=2, recordings=3, bytes=1_500_000)
    assert in_words("download", now) == "download: 2 sessions, 3 recordings, 1.5 MB"


async def test_without_a_terminal_a_line_a_minute_says_where_the_job_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_progress, "MINUTE", 0)
    lines = asyncio.Queue[str]()
    async with shown("export", StringIO(), lines.put_nowait) as tell:
        for sessions in (1, 2):
            tell(JobProgress(sessions=sessions))
            await lines.get()  # it may have been on its way
            assert await lines.get() == f"export: {sessions} sessions"
    said = lines.qsize()
    await asyncio.sleep(0)
    assert lines.qsize() == said


class Terminal(StringIO):
    """A terminal that remembers what was written."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("days", [0, 7])
async def test_on_a_terminal_bars_say_it(days: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    terminal = Terminal()
    async with shown("export", terminal, pytest.fail) as tell:
        tell(JobProgress(days=days, days_done=days // 2, sessions=12_345))
    assert ("3/7 days, 12,345 sessions" if days else "export: 12,345 sessions") in terminal.getvalue()
    assert not terminal.getvalue().endswith("sessions")  # it cleans up behind itself
