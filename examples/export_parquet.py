"""Export the sessions of a span, with summaries and on request transcripts, into a partitioned Parquet dataset.

    python examples/export_parquet.py 2026-01-05 2026-01-12 sessions-dataset --transcripts

The span is half-open, in UTC, and best lies in the past. The target is a folder or any address that fsspec knows
(`s3://…` with s3fs installed). With SYLLABLESDK_API_KEY_HEADER set it reads the real API (another address goes into
SYLLABLE_BASE_URL); without a key, a fake one. After a kill, an error or a power cut the same command goes on where it
stood: `_dataset.py` says why no row is lost or doubled then. It holds at most 4 x 500 sessions in memory. Where the API
refuses more than so many requests a second, give `--rate`: retries obey its 429, but are no way to live with them.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from _dataset import Dataset, Job
from _export import SIDE_BY_SIDE, Exporter, api, cause, connect, prepare
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from syllable_async import RateLimitError, SyllableError, TimeWindow


class Rate(ProgressColumn):
    """Sessions a second."""

    def render(self, task: Task) -> Text:
        """The text of the column."""
        return Text(f"{task.finished_speed or task.speed or 0:,.0f}/s", style="progress.data.speed")


class Bar(Progress):
    """One bar over all sessions, those of earlier runs included."""

    def __init__(self, dataset: Dataset, windows: list[TimeWindow]) -> None:
        super().__init__(BarColumn(), MofNCompleteColumn(), TextColumn("sessions"), Rate(), TimeRemainingColumn())
        rows = [dataset.rows(window) for window in windows]
        self.pending = [window for window, count in zip(windows, rows, strict=True) if count is None]
        self._done = sum(count or 0 for count in rows)
        self._total = self._done + sum(window.count for window in self.pending)
        self._bar = self.add_task("sessions", completed=self._done, total=self._total)

    def add(self, sessions: int) -> None:
        """So many more are written."""
        self.advance(self._bar, sessions)

    def correct(self, window: TimeWindow, rows: int) -> None:
        """A window's count may hold sessions on its edges."""
        self._total += rows - window.count
        self.update(self._bar, total=self._total)


async def export(options: argparse.Namespace, job: Job, dataset: Dataset) -> None:
    """Walk the windows that are not done yet side by side."""
    async with connect(options.rate) as client:
        windows = await prepare(client, dataset, job)
        exporter = Exporter(client, dataset, transcripts=job.transcripts, requests=options.requests)
        with Bar(dataset, windows) as bar:
            queue = iter(bar.pending)
            async with asyncio.TaskGroup() as group:
                for _ in range(SIDE_BY_SIDE):
                    group.create_task(drain(queue, exporter, bar))


async def drain(queue: Iterator[TimeWindow], exporter: Exporter, bar: Bar) -> None:
    for window in queue:
        bar.correct(window, await exporter.write(window, bar.add))


def positive(number: type[int | float]) -> Callable[[str], int | float]:
    """Reads a number from a command line."""

    def parse(text: str) -> int | float:
        if not 0 < number(text) < float("inf"):
            raise argparse.ArgumentTypeError("must be above 0")
        return number(text)

    return parse


def arguments() -> argparse.ArgumentParser:
    """What both exports understand."""

    def moment(text: str) -> datetime:
        parsed = datetime.fromisoformat(text)
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)

    parser = argparse.ArgumentParser()
    parser.add_argument("start", type=moment, help="first day or moment, included")
    parser.add_argument("end", type=moment, help="last day or moment, not included")
    parser.add_argument("target", help="a folder, or an address of fsspec's; new, or of this export")
    parser.add_argument("--transcripts", action="store_true", help="with transcripts: one request more for each")
    parser.add_argument("--rate", type=positive(float), help="requests a second at most, of all workers together")
    parser.add_argument(
        "--requests", type=positive(int), default=32, help="in flight at most, of each process (%(default)s)"
    )
    return parser


def run(options: argparse.Namespace, export: Callable[[Job, Dataset], object]) -> None:
    """Run an export to its end, or say why it did not get there."""
    if options.start >= options.end:
        raise SystemExit("The span ends before it starts.")
    with api() as source:
        job, dataset = Job(source, options.start, options.end, options.transcripts), Dataset(options.target)
        try:
            export(job, dataset)
            report(job, dataset)
        except (SyllableError, OSError, ExceptionGroup) as caught:
            error = cause(caught)
            if not isinstance(error, SyllableError | OSError):
                raise
            advice = "" if isinstance(error, FileExistsError) else "\nThe same command goes on from here."
            if isinstance(error, RateLimitError):
                advice += " Give it a --rate that the API allows."
            raise SystemExit(f"Stopped: {error}{advice}") from None


def report(job: Job, dataset: Dataset) -> None:
    """What is there now, and how to read it."""
    rows = [dataset.rows(window) for window in dataset.windows(job) or ()]
    dataset.finish()
    if not any(rows):
        print(f"There are no sessions from {job.start} to {job.end}.")
        return
    print(f"{sum(filter(None, rows)):,} sessions in {len(rows)} files. To read them:\n")
    files = f"{dataset.target.rstrip('/')}/day=*/*.parquet"
    print(f"duckdb.sql(\"SELECT day, count(*), avg(duration) FROM '{files}' GROUP BY day ORDER BY day\")")
    print(f'pandas.read_parquet("{dataset.target}")')


if __name__ == "__main__":
    options = arguments().parse_args()
    run(options, lambda job, dataset: asyncio.run(export(options, job, dataset)))
