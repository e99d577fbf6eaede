"""Random schedules of an export: kills, runs side by side, late sessions, deletes, clocks that are fast.

A story is one seed. In it an API lists calls when they end, days pass, runs begin, are cancelled at some await, or end
long after others that began later. `Story.problems` says which promise was broken.
"""

from __future__ import annotations

# mypy: disable-error-code="import-untyped"
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from syllable_async import AsyncSyllableClient, ListResponseSession, Session
from syllable_async._pagination import ListQuery, Pager
from syllable_async._timing import Clock
from syllable_async.jobs import _export
from syllable_async.jobs._day_file import KEY, DayFiles, Record
from syllable_async.jobs._days import Span, bounds
from syllable_async.jobs._patience import Patience
from syllable_async.jobs._storage import LocalFolder, Part
from syllable_async.jobs._walk import Filters
from tests.jobs.folder import hidden

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
SPAN = Span(date(2026, 1, 5), date(2026, 1, 8))
SETTLE = timedelta(hours=6)
LATEST = timedelta(hours=3)
"""How long after its begin a session is listed at most: less than `SETTLE`."""


class Api:
    """The list of an API, with a clock of its own, and every request takes some turns of the loop."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.now = BEGIN + timedelta(hours=rng.randrange(1, 40))
        self.calls: dict[str, tuple[datetime, datetime]] = {}
        """Begin, and when it is listed."""
        self.deleted: set[str] = set()
        self.over = False
        """The last run has begun: nobody is told any more that there is nothing."""

    def add(self, count: int, since: datetime) -> None:
        """Calls that begin between then and now, and are listed at once or hours later."""
        for _ in range(count):
            begin = since + (self.now - since) * self.rng.random()
            late = self.rng.choice([timedelta(), timedelta(seconds=1), LATEST * self.rng.random()])
            self.calls[f"s{len(self.calls)}"] = (begin, begin + late)

    def listed(self) -> list[Session]:
        found = [
            Session(session_id=name, timestamp=begin)
            for name, (begin, listed) in self.calls.items()
            if listed <= self.now and name not in self.deleted
        ]
        return sorted(found, key=lambda session: (session.timestamp, session.session_id))

    async def wait(self) -> None:
        for _ in range(self.rng.randrange(1, 8)):
            await asyncio.sleep(0)

    def client(self, *, empty: bool) -> AsyncSyllableClient:
        """What a job sees of it; `empty`: the list says for the whole run that there is nothing."""

        async def fetch(query: ListQuery) -> ListResponseSession:
            await self.wait()
            start, end = query.time_bounds()
            rows = [] if empty and not self.over else self.listed()
            rows = [row for row in rows if (start or BEGIN) <= row.timestamp and (end is None or row.timestamp < end)]
            size, page = query.limit or 7, query.page or 0
            total = len(rows)
            rows = rows[page * size : (page + 1) * size]
            await self.wait()
            return ListResponseSession(
                items=tuple(rows), page=page, page_size=size, total_pages=-(-total // size), total_count=total
            )

        def pager(**arguments: Any) -> Pager:
            arguments.pop("on_invalid_row")
            clock = Clock(sleep=lambda _: asyncio.sleep(0), now=lambda: self.now)
            return Pager(fetch, ListQuery.from_arguments(limit=7, **arguments), clock)

        async def request(*_: object, **__: object) -> Any:
            await self.wait()
            return SimpleNamespace(headers={"date": format_datetime(self.now, usegmt=True)})

        sessions = SimpleNamespace(
            list=pager, get_full_summary=None, get_transcript=None, get_latency=None, get_timeline=None
        )
        return cast("AsyncSyllableClient", SimpleNamespace(base_url="https://x", sessions=sessions, request=request))


class FailingFolder(LocalFolder):
    """A target where now and then an upload breaks."""

    def put(self, part: Part, name: str) -> None:
        raise OSError("the upload broke")


RunExport = Callable[[Api, Path, "Run"], Awaitable[object]]


class Run:
    """How one run differs from another."""

    def __init__(self, rng: Random, *, last: bool = False) -> None:
        self.refresh = last or rng.random() < 0.3
        self.fewer = last
        self.empty = not last and rng.random() < 0.15
        self.breaks = not last and rng.random() < 0.15
        self.fast = timedelta(hours=0 if last else rng.choice([0, 0, 2, 30]))


async def ours(api: Api, folder: Path, run: Run) -> object:
    """The export, given a client of the story's."""
    storage = FailingFolder(folder) if run.breaks else LocalFolder(folder)
    return await _export.Export(
        client=api.client(empty=run.empty),
        span=SPAN,
        files=DayFiles(storage, "https://x", ()),
        filters=Filters(),
        settle=SETTLE,
        parallel=3,
        refresh=run.refresh,
        fewer=run.fewer,
        patience=Patience(0.0),
        now=lambda: api.now + run.fast,
    ).run()


async def naive(api: Api, folder: Path, _: Run) -> None:
    """The export as it was: a plan of windows at the first run, and a note for each window that is done."""
    folder.mkdir(exist_ok=True)  # noqa: ASYNC240
    plan = folder / "plan.json"
    if not plan.exists():
        plan.write_text(json.dumps([str(day) for day in SPAN.days() if bounds(day)[0] < api.now]))
    for day in map(date.fromisoformat, json.loads(plan.read_text())):
        done = folder / f"{day}.done"
        if done.exists():
            continue
        start, end = bounds(day)
        walk = Filters().list(api.client(empty=False), start, end).snapshot()
        names = [session.session_id async for session in walk]
        kept = {b"syllable_async": Record(origin="x", filters=(), with_=(), day=day, begun=api.now).to_json()}
        table = pa.table({"session_id": pa.array(names, pa.string())}).replace_schema_metadata(kept)
        await api.wait()
        pq.write_table(table, folder / f"sessions-{day}.parquet")
        done.touch()


class Story:
    """One schedule, told by its seed."""

    def __init__(self, seed: int, folder: Path, export: RunExport) -> None:
        self.rng = Random(seed)
        self.api = Api(self.rng)
        self.folder = folder
        self.export = export
        self.running: set[asyncio.Task[Any]] = set()
        self.started: list[asyncio.Task[Any]] = []
        self.problems: list[str] = []
        self.met = Counter[str]()

    async def tell(self) -> list[str]:
        """Everything that happens, and what was broken by it."""
        self.api.add(60, BEGIN)
        for _ in range(self.rng.randrange(4, 12)):
            self._happen()
            for _ in range(self.rng.randrange(0, 60)):
                await asyncio.sleep(0 if self.rng.random() < 0.9 else 0.0005)
            self.running = {task for task in self.running if not task.done()}
            self._check_files()
        await self._end()
        return self.problems

    def _happen(self) -> None:
        happens = self.rng.choices(
            ["run", "time passes", "delete", "purge", "kill", "eight runs"], [45, 25, 10, 4, 12, 4]
        )[0]
        self.met[happens] += 1
        if happens in {"run", "eight runs"}:
            for _ in range(1 if happens == "run" else 8):
                self._start(Run(self.rng))
        elif happens == "time passes":
            before, self.api.now = self.api.now, self.api.now + timedelta(hours=self.rng.randrange(1, 20))
            self.api.add(self.rng.randrange(3, 30), before)
        elif happens == "kill" and self.running:
            self.rng.choice(sorted(self.running, key=lambda task: task.get_name())).cancel()
        elif happens in {"delete", "purge"}:
            listed = [str(session.session_id) for session in self.api.listed()]
            most = 1 if happens == "delete" else len(listed) // 2
            self.api.deleted.update(self.rng.sample(listed, min(most, len(listed))))

    def _start(self, run: Run) -> asyncio.Task[Any]:
        task = asyncio.ensure_future(self.export(self.api, self.folder, run))
        self.running.add(task)
        self.started.append(task)
        return task

    async def _end(self) -> None:
        """Days later, while older runs may still be under way, one last run."""
        self.api.now = bounds(SPAN.until)[1] + timedelta(days=self.rng.randrange(1, 4))
        self.api.over = True
        await self._start(Run(self.rng, last=True))
        ended = await asyncio.gather(*self.started, return_exceptions=True)
        wrong = [error for error in ended if isinstance(error, Exception) and not isinstance(error, OSError)]
        self.problems += [f"a run raised {error!r}" for error in wrong]
        self._check_files()
        span = bounds(SPAN.since)[0], bounds(SPAN.until)[0]
        wanted = Counter(str(row.session_id) for row in self.api.listed() if span[0] <= row.timestamp < span[1])
        found = Counter(name for day in SPAN.days() for name in self._ids(day))
        if found != wanted:
            self.problems.append(f"lost {sorted(wanted - found)}, too many {sorted(found - wanted)}")
        if hidden(self.folder):
            self.problems.append(f"left behind {hidden(self.folder)}")

    def _read(self, day: date) -> tuple[list[str], Record] | None:
        """A day's ids, and what their file says about itself; of one file, which may be replaced meanwhile."""
        try:
            data = (self.folder / f"sessions-{day}.parquet").read_bytes()
        except FileNotFoundError:
            return None
        file = pq.ParquetFile(pa.BufferReader(data))
        return file.read(columns=["session_id"])[0].to_pylist(), Record.from_json(file.metadata.metadata[KEY])

    def _ids(self, day: date) -> list[str]:
        found = self._read(day)
        return [] if found is None else found[0]

    def _check_files(self) -> None:
        """No file is half, and a final one holds all that is listed of its day."""
        for day in SPAN.days():
            try:
                held = self._read(day)
            except (pa.ArrowException, OSError, ValueError) as error:
                self.problems.append(f"{day} is half: {error}")
                continue
            listed = {str(row.session_id) for row in self.api.listed() if row.timestamp.date() == day}
            if held is not None and held[1].is_final(SETTLE) and not listed <= set(held[0]):
                self.problems.append(f"{day} is final and lacks {sorted(listed - set(held[0]))}")
