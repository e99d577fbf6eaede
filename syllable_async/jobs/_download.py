"""Downloads: the recordings of a span, a folder a UTC day."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import AsyncIterable, Iterable, Mapping
from contextlib import aclosing, suppress
from datetime import UTC, date, datetime
from typing import Any

import attrs

from syllable_async import AsyncSyllableClient, AuthenticationError, Session, SyllableError

from ._days import Span, bounds, span_of
from ._patience import Patience, check_job, may_pass
from ._problems import Problem, list_problems
from ._reports import DownloadReport, JobProgress, Progress
from ._storage import LocalFolder, make_folder, open_folder
from ._threads import in_thread
from ._walk import Filters, PatientWalk, times

DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
"""Errors of the disk that every other session would meet too."""


async def download(
    client: AsyncSyllableClient,
    *,
    since: date,
    until: date | None = None,
    to: str | os.PathLike[str],
    settle: float = 21_600.0,
    parallel: int = 8,
    search: Mapping[str, str] | None = None,
    agent_name: str | None = None,
    include_test: bool = False,
    patience: float = 3_600.0,
    progress: Progress | None = None,
) -> DownloadReport:
    """Save the recordings of a span as `recordings/2026-01-05/<id>-<n>of<count>.<extension>` below a folder.

    What is there is skipped, so the same call goes on after anything; only whole recordings have their names. A session
    that fails is listed in `recordings/_problems/2026-01-05.jsonl` and stops no other.

    Args:
        client: its retries are tried for `patience` seconds.
        since: a date or an aware datetime; the day that holds it is downloaded whole.
        until: not included; a day that it cuts is downloaded whole. None, or a time to come: now.
        to: a folder of this machine.
        settle: seconds after its beginning for which a session without recordings is pending, and is asked again.
        parallel: sessions at once.
        search: fields and the values that they must have.
        agent_name: only the sessions of that agent.
        include_test: test sessions too.
        patience: seconds for which errors that may pass (connections, timeouts, 429, 5xx) are retried.
        progress: a plain function, called with a `JobProgress`.

    Raises:
        TargetError: a `ValueError`: the target is no folder.
        ValueError, TypeError: a wrong argument.
        SyllableError: the API refuses the key or the filters, or cannot be reached.
        OSError: nothing can be written there.
    """
    check_job(parallel=parallel, settle=settle, patience=patience)
    job = Download(
        client=client,
        span=span_of(since, until, datetime.now(UTC)),
        folder=LocalFolder(open_folder(to).root / "recordings"),
        filters=Filters.from_arguments(search, agent_name, include_test=include_test),
        settle=settle,
        parallel=parallel,
        patience=Patience(patience),
        progress=progress,
    )
    return await job.run()


@attrs.define(kw_only=True)
class Download:
    """One run."""

    client: AsyncSyllableClient
    span: Span
    folder: LocalFolder
    filters: Filters
    settle: float
    parallel: int
    patience: Patience
    progress: Progress | None
    _state: JobProgress = attrs.field(factory=JobProgress, init=False)
    _count: Counter[str] = attrs.field(factory=Counter[str], init=False)
    _bytes_before: int = attrs.field(default=0, init=False)

    async def run(self) -> DownloadReport:
        """One day after the other."""
        days = self.span.days()
        await in_thread(self.folder.prepare)
        self._tell(days=len(days))
        for day in days:
            await self._download_day(day)
            self._tell(day=day, days_done=self._state.days_done + 1)
        return DownloadReport(
            origin=self.client.base_url, since=self.span.since, until=self.span.until, **dict(self._count)
        )

    async def _download_day(self, day: date) -> None:
        start, end = bounds(day)
        found = await self.patience.run(lambda: times(self.client, lambda: datetime.now(UTC)))
        begun = found.earlier
        if begun <= start:
            found.check()
            return
        place = self.folder.root / str(day)
        await in_thread(make_folder, place)
        problems: list[Problem] = []
        pager = self.filters.list(self.client, start, min(end, begun), lambda row: problems.append(Problem.of_row(row)))
        walk = PatientWalk(pager.snapshot(parallel=self.parallel), self.patience)
        async with aclosing(walk):
            failed = await self._save(walk, day)
        wait = self.patience.begin()
        while passing := {
            name: error for name, error in failed.items() if isinstance(error, SyllableError) and may_pass(error)
        }:
            try:
                await wait(next(iter(passing.values())))
            except SyllableError:
                break
            self._count["failed"] -= len(passing)
            lasting = {name: error for name, error in failed.items() if name not in passing}
            failed = lasting | await self._save(list(passing), day)
        problems += [_problem(name, error) for name, error in failed.items()]
        self._count["failed"] += len(problems) - len(failed)
        await in_thread(list_problems, self.folder, day, problems)
        with suppress(OSError):  # a day without recordings has no folder
            place.rmdir()

    async def _save(self, sessions: AsyncIterable[Session] | Iterable[str], day: date) -> dict[str, Exception]:
        """Save what is there; the errors of those that failed, by session."""
        failed = dict[str, Exception]()
        downloads = self.client.sessions.download_recordings(
            sessions, self.folder.root / str(day), parallel=self.parallel, settle=self.settle, progress=self._advance
        )
        async with downloads:
            async for outcome in downloads:
                self._count[outcome.status] += 1
                self._tell(day=day, sessions=self._state.sessions + 1)
                error = outcome.error
                if error is None:
                    self._count["recordings"] += len(outcome.recordings)
                # What every other session would meet too ends the run.
                elif isinstance(error, AuthenticationError) or (isinstance(error, OSError) and error.errno in DISK):
                    raise error
                else:
                    failed[outcome.session_id] = error
        self._bytes_before = self._state.bytes
        return failed

    def _advance(self, done: int, _: int) -> None:
        self._tell(bytes=self._bytes_before + done, recordings=self._count["recordings"])

    def _tell(self, **changes: Any) -> None:
        self._state = attrs.evolve(self._state, **changes)
        if self.progress is not None:
            self.progress(self._state)


def _problem(session_id: str, error: Exception) -> Problem:
    passing = isinstance(error, OSError) or (isinstance(error, SyllableError) and may_pass(error))
    return Problem(session_id=session_id, part="recordings", problem=str(error), may_pass=passing)
