"""What both exports share: the API, the plan, and the writing of one window."""

# pyarrow comes without types.
# mypy: disable-error-code="import-untyped"
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import _connect
import pyarrow as pa
import pyarrow.parquet as pq
from _connect import KEY
from _dataset import Dataset, Job, schema, to_disk

from syllable_async import AsyncSyllableClient, NotFoundError, RetryPolicy, Session, TimeWindow, to_dict

WINDOW = 5_000
"""Sessions in a file at most."""
BATCH = 500
"""Sessions in a row group. A window that is being written holds so many in memory."""
SIDE_BY_SIDE = 4
"""Windows that one process walks at a time."""
PATIENT = RetryPolicy(max_attempts=8, deadline=600.0)
"""A job of hours can wait longer than a person."""


@contextmanager
def api() -> Generator[str]:
    """The name of the API that the environment tells of. Without a key there it is a fake one, and then told of."""
    with _connect.api(sessions=5_000) as fake:
        if fake is not None:
            print("Its sessions lie from 2026-01-05 to 2026-01-11")
        yield _connect.base_url() if fake is None else "a fake API"


@asynccontextmanager
async def connect(rate: float | None = None) -> AsyncGenerator[AsyncSyllableClient]:
    """A client of the environment's API that sends at most `rate` requests a second."""
    key = _paced_key(rate) if rate else os.environ[KEY]
    async with AsyncSyllableClient(key, base_url=_connect.base_url(), retries=PATIENT) as client:
        yield client


def _paced_key(rate: float) -> Callable[[], Awaitable[str]]:
    """The key, in time: a client asks for it before each request, retries included."""
    turn = 0.0

    async def key() -> str:
        nonlocal turn
        now = time.monotonic()
        mine = max(turn, now)
        turn = mine + 1 / rate
        await asyncio.sleep(mine - now)
        return os.environ[KEY]

    return key


async def prepare(client: AsyncSyllableClient, dataset: Dataset, job: Job) -> list[TimeWindow]:
    """The job's windows: those of an earlier run, or new ones, none of which crosses midnight."""
    windows = dataset.windows(job)
    if windows is None:
        turns = asyncio.Semaphore(SIDE_BY_SIDE)
        async with asyncio.TaskGroup() as group:
            cuts = [group.create_task(_cut(client, day, turns)) for day in _days(job.start, job.end)]
        windows = [window for cut in cuts for window in cut.result()]
        dataset.begin(job, windows)
    return windows


async def _cut(
    client: AsyncSyllableClient, day: tuple[datetime, datetime], turns: asyncio.Semaphore
) -> list[TimeWindow]:
    async with turns:
        return [window async for window in client.sessions.windows(*day, WINDOW) if window.count]


def _days(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    while start < end:
        midnight = datetime(start.year, start.month, start.day, tzinfo=UTC) + timedelta(days=1)
        yield start, min(midnight, end)
        start = midnight


class Exporter:
    """Writes windows, with at most `requests` requests for summaries and transcripts in flight."""

    def __init__(self, client: AsyncSyllableClient, dataset: Dataset, *, transcripts: bool, requests: int) -> None:
        self._sessions = client.sessions
        self._dataset = dataset
        self._transcripts = transcripts
        self._columns = schema(transcripts=transcripts)
        self._turns = asyncio.Semaphore(requests)

    async def write(self, window: TimeWindow, advance: Callable[[int], object] = lambda _: None) -> int:
        """Write one window's file; how many rows it has. `advance` hears of each batch."""
        part, rows = self._dataset.part(window), 0
        with self._dataset.files.open(part, "wb") as file:
            with pq.ParquetWriter(file, self._columns) as writer:
                async for batch in self._batches(window):
                    table = pa.Table.from_pylist(await self._rows(batch), schema=self._columns)
                    # The disk, or an upload, is waited for in a thread: other windows go on.
                    await asyncio.to_thread(writer.write_table, table)
                    rows += len(batch)
                    advance(len(batch))
            await asyncio.to_thread(to_disk, file)
        await asyncio.to_thread(self._dataset.publish, part, window, rows)
        return rows

    async def _batches(self, window: TimeWindow) -> AsyncIterator[list[Session]]:
        batch: list[Session] = []
        async for session in self._sessions.list(start_datetime=window.start, end_datetime=window.end).snapshot():
            batch.append(session)
            if len(batch) == BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    async def _rows(self, sessions: list[Session]) -> list[dict[str, Any]]:
        async with asyncio.TaskGroup() as group:
            rows = [group.create_task(self._row(session)) for session in sessions]
        return [row.result() for row in rows]

    async def _row(self, session: Session) -> dict[str, Any]:
        row, name = to_dict(session), str(session.session_id)  # a snapshot's sessions all have an id
        async with self._turns:
            with suppress(NotFoundError):  # deleted since it was listed: its row stays
                row |= to_dict(await self._sessions.get_full_summary(name))
                if self._transcripts:
                    row |= to_dict(await self._sessions.get_transcript(name))
        return row


def cause(error: Exception) -> Exception:
    """The first of the errors that side-by-side work ended with."""
    while isinstance(error, ExceptionGroup):
        group: ExceptionGroup[Exception] = error
        error = group.exceptions[0]
    return error
