"""Exports: one Parquet file a UTC day, replaced in one step."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import attrs

from syllable_async import (
    AsyncSyllableClient,
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    HTTPValidationError,
    NotFoundError,
    PermissionDeniedError,
    Session,
    SyllableConnectionError,
    SyllableError,
    to_dict,
)

from ._days import Span, bounds, span_of
from ._patience import Patience, check_job, may_pass
from ._problems import Problem
from ._reports import DayReport, ExportReport, ExportStatus, JobProgress, Progress
from ._storage import open_storage
from ._threads import in_thread
from ._walk import Filters, PatientWalk, times

if TYPE_CHECKING:
    from ._day_file import DayFiles, Record
    from ._schema import DayWriter

With = Literal["summary", "transcript", "latency", "timeline"]
WITH: tuple[With, ...] = ("summary", "transcript", "latency", "timeline")
CHUNK = 500
"""Sessions that are read, then turned into columns while the next are read."""
CHUNK_WITH_PARTS = 100
"""The same where something is asked for of each: progress shows how they come."""
CHUNKS = 2
"""Chunks in work at once: what belongs to one is asked for while the other is written."""
TURNS = 30
"""Of the event loop, before a chunk is turned into columns."""
SIDE_BY_SIDE = 2
"""Days in work at once: one begins while the other ends."""
FATAL = (AuthenticationError, PermissionDeniedError, BadRequestError, HTTPValidationError, ClientClosedError)
"""What a list that answers so says about every other day too: the key, the filters, the client."""


async def export(
    client: AsyncSyllableClient,
    *,
    since: date,
    until: date | None = None,
    to: str | os.PathLike[str],
    with_: Iterable[With] = (),
    settle: float = 21_600.0,
    parallel: int = 8,
    refresh: bool = False,
    fewer: bool = False,
    search: Mapping[str, str] | None = None,
    agent_name: str | None = None,
    include_test: bool = False,
    patience: float = 3_600.0,
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> ExportReport:
    """Export the sessions of a span, one Parquet file a UTC day: `sessions-2026-01-05.parquet`.

    The guide to the files is the docstring of `syllable_async.jobs`. Cancelled, it leaves each day as it was or whole.

    Args:
        client: its retries are tried for `patience` seconds.
        since: a date or an aware datetime; the day that holds it is exported whole.
        until: not included; a day that it cuts is exported whole. None, or a time to come: now.
        to: a folder, or an address that fsspec knows, such as `s3://bucket/sessions`.
        with_: what to ask for besides each session: `"summary"`, `"transcript"`, `"latency"`, `"timeline"`. A day
            whose file has more keeps it when it is written again.
        settle: a file is final if its walk began at least so many seconds after its day's end.
        parallel: requests at once; one or two more for the list of sessions where `with_` is given.
        refresh: write final files again too.
        fewer: let a file be replaced by one with less than 90 % of its rows.
        search: fields and the values that they must have.
        agent_name: only the sessions of that agent.
        include_test: test sessions too, which the API leaves out by itself.
        patience: seconds for which errors that may pass (connections, timeouts, 429, 5xx) are retried.
        storage_options: handed to fsspec, for example `{"s3_additional_kwargs": {"ServerSideEncryption": "aws:kms"}}`.
        progress: a plain function, called with a `JobProgress`.

    Raises:
        TargetError: a `ValueError`: the target is no folder, unknown, or holds another API's or other filters' export.
        ValueError, TypeError: a wrong argument.
        SyllableError: the API refuses the key or the filters.
        OSError: nothing can be written there.
        ImportError: pyarrow or fsspec is missing: `pip install "syllable-async[jobs]"`.
    """
    check_extra()
    from ._day_file import DayFiles  # noqa: PLC0415 - the extra

    parts = _check_with(with_)
    check_job(parallel=parallel, settle=settle, patience=patience)
    filters = Filters.from_arguments(search, agent_name, include_test=include_test)
    job = Export(
        client=client,
        span=span_of(since, until, _now()),
        files=DayFiles(open_storage(to, storage_options), client.base_url, filters.pairs),
        filters=filters,
        with_=parts,
        settle=timedelta(seconds=settle),
        parallel=parallel,
        refresh=refresh,
        fewer=fewer,
        patience=Patience(patience),
        progress=progress,
        now=_now,
    )
    return await job.run()


def check_extra() -> None:
    """Refuse to begin an export where a package of the extra is not installed.

    Raises:
        ImportError: its text says how to install them.
    """
    missing = [package for package in ("pyarrow", "fsspec") if find_spec(package) is None]
    if missing:
        raise ImportError(f'{" and ".join(missing)} missing: pip install "syllable-async[jobs]"')


def _check_with(names: Iterable[str]) -> tuple[With, ...]:
    given = [names] if isinstance(names, str) else list(names)
    unknown = [name for name in given if name not in WITH]
    if unknown:
        raise ValueError(f"with_ does not know {unknown[0]!r}: choose from {', '.join(WITH)}")
    return tuple(name for name in WITH if name in given)


def _now() -> datetime:
    return datetime.now(UTC)


@attrs.define(kw_only=True)
class Export:
    """One run."""

    client: AsyncSyllableClient
    span: Span
    files: DayFiles
    filters: Filters
    with_: tuple[With, ...] = ()
    settle: timedelta = timedelta(hours=6)
    parallel: int = 8
    refresh: bool = False
    fewer: bool = False
    patience: Patience
    progress: Progress | None = None
    now: Callable[[], datetime] = _now
    _state: JobProgress = attrs.field(factory=JobProgress, init=False)
    _unreachable: str | None = attrs.field(default=None, init=False)
    _turns: asyncio.Semaphore = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._turns = asyncio.Semaphore(self.parallel)

    async def run(self) -> ExportReport:
        """Write every day that is not final."""
        days = self.span.days()
        held = await in_thread(self.files.open, days)
        todo = [day for day in days if self._is_to_be_written(held.get(day))]
        reports = {day: self._report(day, "kept", held[day]) for day in days if day not in todo}
        self._tell(days=len(days), days_done=len(reports))
        turns = asyncio.Semaphore(SIDE_BY_SIDE)

        async def write(day: date) -> None:
            async with turns:
                # The last day has nobody beside it for long.
                share = self.parallel if day == todo[-1] else -(-self.parallel // SIDE_BY_SIDE)
                reports[day] = await self._write_or_fail(day, held.get(day), share)
                self._tell(day=day, days_done=self._state.days_done + 1)

        async with _tasks() as tasks:
            for day in todo:
                tasks.create_task(write(day))
        span, written = self.span, tuple(reports[day] for day in days)
        return ExportReport(origin=self.files.origin, since=span.since, until=span.until, days=written)

    def _is_to_be_written(self, held: Record | None) -> bool:
        if held is None or self.refresh:
            return True
        return not held.is_final(self.settle) or not set(self.with_) <= set(held.with_)

    async def _write_or_fail(self, day: date, held: Record | None, parallel: int) -> DayReport:
        """One day; what fails in it concerns the others only where nobody answers at all."""
        if self._unreachable is not None:
            return self._report(day, "failed", held, self._unreachable)
        try:
            return await self._write_day(day, held, parallel)
        except FATAL:
            raise
        except SyllableConnectionError as error:
            self._unreachable = str(error)
            return self._report(day, "failed", held, str(error))
        except SyllableError as error:
            return self._report(day, "failed", held, str(error))

    async def _write_day(self, day: date, held: Record | None, parallel: int) -> DayReport:
        from ._day_file import KEY, Record  # noqa: PLC0415 - the extra
        from ._schema import DayWriter  # noqa: PLC0415 - the extra

        start, end = bounds(day)
        found = await self.patience.run(lambda: times(self.client, self.now))
        begun = found.earlier
        if begun <= start:
            found.check()
            return self._report(day, "kept", held)  # by the API's clock the day is still to come
        parts: tuple[With, ...] = tuple(
            name for name in WITH if name in self.with_ or (held is not None and name in held.with_)
        )
        problems: list[Problem] = []
        pager = self.filters.list(self.client, start, min(end, begun), lambda row: problems.append(Problem.of_row(row)))
        with self.files.part(day) as part, DayWriter(part.file) as writer:
            # What belongs to the sessions takes far more requests than their list.
            walk = PatientWalk(pager.snapshot(parallel=1 if parts else parallel), self.patience)
            async with aclosing(walk):
                await self._copy(walk, DayInWork(day, writer, parts, problems))
            record = Record(
                origin=self.files.origin,
                filters=self.files.filters,
                with_=parts,
                day=day,
                begun=begun,
                order=(found.api, found.ours),
                rows=writer.rows,
                problems=len(problems),
                passing=sum(problem.may_pass for problem in problems),
            )
            await in_thread(writer.close, {KEY: record.to_json()})
            outcome, stands = await in_thread(lambda: self.files.publish(part, record, problems, fewer=self.fewer))
        if outcome == "wider":  # another run has put more parts there meanwhile: the day is read again, with those too
            return await self._write_day(day, stands, parallel)
        if outcome == "fewer":
            rows = 0 if stands is None else stands.rows
            error = f"the API lists {record.rows} sessions now, {rows} stand there and were kept; see fewer"
            return self._report(day, "fewer", stands, error)
        return self._report(day, outcome, record if outcome == "written" else stands)

    async def _copy(self, walk: PatientWalk, day: DayInWork) -> None:
        """Read sessions, and have each chunk written while the next are read."""
        room = asyncio.Semaphore(CHUNKS)
        size = max(CHUNK_WITH_PARTS, self.parallel) if day.parts else CHUNK
        async with _tasks() as tasks:
            while chunk := await walk.read(size):
                await room.acquire()
                tasks.create_task(self._put(day, chunk)).add_done_callback(lambda _: room.release())
                del chunk  # so that its sessions are gone as soon as they are columns

    async def _put(self, day: DayInWork, sessions: Sequence[Session]) -> None:
        parts: list[dict[str, object]] = []
        if day.parts:
            async with _tasks() as tasks:
                calls = [tasks.create_task(self._parts(day, session)) for session in sessions]
            parts = [call.result() for call in calls]
        async with day.turn:
            if parts:
                refused = await in_thread(day.writer.add, sessions, parts)
            else:  # some us a row: two threads that wait for each other cost more
                await _pages_first()
                refused = day.writer.add(sessions)
            if day.writer.has_group:
                await in_thread(day.writer.write_group)
        for session, reason in refused:
            day.problems.append(Problem(session_id=session.session_id, part="session", problem=reason, may_pass=False))
        self._tell(day=day.day, sessions=self._state.sessions + len(sessions))

    async def _parts(self, day: DayInWork, session: Session) -> dict[str, object]:
        found = dict[str, object]()
        for name in day.parts if session.session_id else ():
            async with self._turns:
                found[name] = await self._part(day, session.session_id or "", name)
        return found

    async def _part(self, day: DayInWork, session_id: str, name: With) -> dict[str, Any] | None:
        sessions = self.client.sessions
        get: dict[With, Callable[[str], Awaitable[object]]] = {
            "summary": sessions.get_full_summary,
            "transcript": sessions.get_transcript,
            "latency": sessions.get_latency,
            "timeline": sessions.get_timeline,
        }
        try:
            return to_dict(await self.patience.run(lambda: get[name](session_id)))
        except NotFoundError:  # it has none, or was deleted since it was listed: its row stays
            return None
        except (AuthenticationError, ClientClosedError):
            raise
        except (SyllableError, ValueError) as error:  # a ValueError is the id's, which the API gave
            passing = isinstance(error, SyllableError) and may_pass(error)
            day.problems.append(Problem(session_id=session_id, part=name, problem=str(error), may_pass=passing))
            return None

    def _report(self, day: date, status: ExportStatus, record: Record | None, error: str | None = None) -> DayReport:
        return DayReport(
            day=day,
            status=status,
            address=self.files.address(day),
            rows=0 if record is None else record.rows,
            final=record is not None and record.is_final(self.settle),
            problems=0 if record is None else record.problems,
            error=error,
        )

    def _tell(self, **changes: Any) -> None:
        self._state = attrs.evolve(self._state, **changes)
        if self.progress is not None:
            self.progress(self._state)


@attrs.frozen
class DayInWork:
    """One day while it is written."""

    day: date
    writer: DayWriter
    parts: tuple[With, ...]
    problems: list[Problem]
    turn: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    """Of a chunk to be written."""


async def _pages_first() -> None:
    """Let what has come be taken in, and the next pages be asked for: a fortieth of an export's time.

    From the bytes of a page to the request for the next one it takes some ten turns of the loop.
    """
    for _ in range(TURNS):
        await asyncio.sleep(0)


@asynccontextmanager
async def _tasks() -> AsyncGenerator[asyncio.TaskGroup]:
    """A group of tasks: what the first of them fails with ends the others, and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
