"""Following: sessions as they appear, as lines of JSON; at least once into a folder."""

from __future__ import annotations

import asyncio
import math
import os
import re
from collections.abc import Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO, NoReturn, Self

import attrs
import msgspec

from syllable_async import AsyncSyllableClient, Cursor, InvalidRow, Session, to_json

from ._days import Aware
from ._patience import Patience, check_job
from ._problems import Problem, list_problems
from ._reports import FollowReport, JobProgress, Progress
from ._storage import LocalFolder, TargetError, local_path, make_folder, open_folder, remove_abandoned
from ._threads import ended, in_thread
from ._walk import CLOCKS_APART, Filters, PatientWalk, times

OVERLAP = 14_400.0
"""Seconds that a session may appear late: it is listed when it ends, with the time of its beginning."""
MOST = 5_000
"""Sessions in a file."""
QUIET = 1.0
"""Seconds without a new session that end a poll."""
STATE = "_state.json"
VERSION = 1


@attrs.frozen(kw_only=True)
class State:
    """Where following goes on, and what was followed."""

    origin: str
    filters: tuple[tuple[str, str], ...]
    since: Aware
    cursor: str | None = None
    version: int = VERSION

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """What was saved there; None where nothing was.

        Raises:
            TargetError: it is no state of this program, or one of another version.
        """
        try:
            found = msgspec.json.decode(path.read_bytes(), type=cls)
            if found.version != VERSION:
                raise ValueError(f"it has version {found.version}")
            found.walked()
        except FileNotFoundError:
            return None
        except IsADirectoryError:
            raise TargetError(f"{path} is a folder, and no state of this program") from None
        except (msgspec.DecodeError, ValueError) as error:
            raise TargetError(f"{path} is no state of this program: {error}") from None
        return found

    def walked(self) -> Cursor | None:
        """Where the walk goes on."""
        return None if self.cursor is None else Cursor.from_json(self.cursor)

    def save(self, path: Path) -> None:
        """Whole and on the disk, or as it was."""
        folder = LocalFolder(path.parent)
        make_folder(folder.root)
        remove_abandoned(folder.root, re.compile(re.escape(path.name)))
        with folder.part(path.name) as part:
            part.file.write(msgspec.json.encode(self))
            folder.put(part, path.name)


async def follow(
    client: AsyncSyllableClient,
    *,
    to: str | os.PathLike[str] | BinaryIO,
    since: datetime | None = None,
    state: str | os.PathLike[str] | None = None,
    once: bool = False,
    interval: float = 30.0,
    search: Mapping[str, str] | None = None,
    agent_name: str | None = None,
    include_test: bool = False,
    patience: float = 3_600.0,
    progress: Progress | None = None,
) -> FollowReport:
    """Write sessions as they appear, one JSON object a line. It ends only with `once`, an error, or by cancellation.

    Into a folder a session comes at least once: a file `sessions-20260105T120000Z-….ndjson` a poll, which is on the
    disk before the state is; after a kill the last file's sessions may come again, and `session_id` tells them. Into a
    stream it is best effort: what a pipe holds when its reader dies is lost, whatever the state says.

    Args:
        client: its retries are tried for `patience` seconds with `once`, and for ever without it.
        to: a folder of this machine, or a binary stream.
        since: where to begin, an aware datetime, at most two days from now; None: where the state says, and without a
            state now.
        state: the file that says where to go on; `_state.json` in the folder by default, none for a stream.
        once: end when all sessions that are listed now are written, for a job of cron's.
        interval: seconds between two polls.
        search: fields and the values that they must have.
        agent_name: only the sessions of that agent.
        include_test: test sessions too.
        patience: with `once`, seconds for which errors that may pass (connections, timeouts, 429, 5xx) are retried.
        progress: a plain function, called with a `JobProgress`.

    Raises:
        TargetError: a `ValueError`: the target is no folder, or the state is no file of this machine, or one of another
            API, filters or beginning.
        ValueError, TypeError: a wrong argument.
        SyllableError: the API refuses the key or the filters.
        OSError: nothing can be written there.
    """
    check_job(parallel=1, interval=interval, patience=patience)
    if since is not None and (not isinstance(since, datetime) or since.utcoffset() is None):
        raise ValueError("since must be an aware datetime")
    if since is not None and since > _now() + CLOCKS_APART:
        raise ValueError(f"since lies in the future: {since.isoformat()}")
    filters = Filters.from_arguments(search, agent_name, include_test=include_test)
    path = None if state is None else local_path(state, "file")
    folder: LocalFolder | None = None
    if isinstance(to, str | os.PathLike):
        folder = open_folder(to)
        await in_thread(folder.prepare)
        path, write = path or folder.root / STATE, partial(write_file, folder)
    else:
        write = partial(write_stream, to)
    found = None if path is None else await in_thread(State.read, path)
    patient = Patience(patience if once else math.inf)
    if found is None and since is None:
        since = (await patient.run(lambda: times(client, _now))).present
    job = Follow(
        client=client,
        filters=filters,
        write=write,
        folder=folder,
        path=path,
        state=await in_thread(_begin, path, found, client.base_url, filters, since),
        interval=interval,
        patience=patient,
        progress=progress,
    )
    return await (job.once() if once else job.forever())


def _now() -> datetime:
    return datetime.now(UTC)


def _begin(path: Path | None, found: State | None, origin: str, filters: Filters, since: datetime | None) -> State:
    """The state that was found, if it is of this job; else a new one, saved at once, so that its beginning stays."""
    if found is None:
        new = State(origin=origin, filters=filters.pairs, since=since or _now())
        if path is not None:
            new.save(path)
        return new
    if found.origin != origin:
        raise TargetError(f"{path} is of {found.origin}, not of {origin}")
    if found.filters != filters.pairs:
        raise TargetError(f"{path} has other filters: give another folder or state")
    if since is not None and since != found.since:
        raise TargetError(f"{path} began at {found.since.isoformat()}: leave since out, or give another state")
    return found


def write_file(folder: LocalFolder, lines: list[bytes]) -> None:
    """Put a new file in place, whole and on the disk."""
    name = f"sessions-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{token_hex(4)}.ndjson"
    with folder.part(name) as part:
        part.file.writelines(lines)
        folder.put(part, name)


def write_stream(stream: BinaryIO, lines: list[bytes]) -> None:
    """Best effort: nobody says whether the reader has read them."""
    stream.writelines(lines)
    stream.flush()


@attrs.define(kw_only=True)
class Follow:
    """One run."""

    client: AsyncSyllableClient
    filters: Filters
    write: Callable[[list[bytes]], None]
    folder: LocalFolder | None
    """Where problems are listed."""
    path: Path | None
    state: State
    interval: float
    patience: Patience
    progress: Progress | None
    _report: FollowReport = attrs.field(init=False)
    _problems: list[Problem] = attrs.field(factory=list[Problem], init=False)
    """Those that are not listed yet."""

    def __attrs_post_init__(self) -> None:
        self._report = FollowReport(origin=self.state.origin, since=self.state.since)

    async def once(self) -> FollowReport:
        """All that is there now and did not come before."""
        now = (await self.patience.run(lambda: times(self.client, _now))).present
        pager = self.filters.list(self.client, self.state.since, max(self.state.since, now), self._note_invalid)
        found = pager.snapshot(self.state.walked(), overlap=OVERLAP)
        walk = PatientWalk(found, self.patience)
        async with aclosing(walk):
            while sessions := await walk.read(MOST):
                await self._write(sessions, found.cursor)
        await self._save(found.cursor)  # the walk is at its end, so the next one looks for late sessions too
        return self._report

    async def forever(self) -> NoReturn:
        """What appears, a poll at a time."""
        pager = self.filters.list(self.client, self.state.since, on_invalid_row=self._note_invalid)
        async with pager.follow(self.state.walked(), interval=self.interval, overlap=OVERLAP) as walk:
            sessions: list[Session] = []
            while True:
                step = asyncio.ensure_future(anext(walk))
                try:
                    await asyncio.wait([step], timeout=QUIET if sessions else None)
                    # The poll is over, or the walk has failed: the cursor stands behind the last session that came.
                    if sessions and not _has_result(step):
                        await self._write(sessions, walk.cursor)
                        sessions = []
                    sessions.append(await step)
                finally:
                    step.cancel()
                    await ended(step)
                if len(sessions) == MOST:
                    await self._write(sessions, walk.cursor)
                    sessions = []

    def _note_invalid(self, row: InvalidRow) -> None:
        self._problems.append(Problem.of_row(row))

    async def _write(self, sessions: list[Session], cursor: Cursor) -> None:
        """First the sessions, then that they came."""
        await in_thread(self.write, [to_json(session) + b"\n" for session in sessions])
        await self._save(cursor)
        report = self._report
        self._report = attrs.evolve(report, sessions=report.sessions + len(sessions), files=report.files + 1)
        if self.progress is not None:
            self.progress(JobProgress(sessions=self._report.sessions, files=self._report.files))

    async def _save(self, cursor: Cursor) -> None:
        problems, self._problems = self._problems, []
        if problems and self.folder is not None:
            await in_thread(list_problems, self.folder, f"{_now():%Y%m%dT%H%M%S.%fZ}-{token_hex(4)}", problems)
        self._report = attrs.evolve(self._report, problems=self._report.problems + len(problems))
        self.state = attrs.evolve(self.state, cursor=cursor.to_json())
        if self.path is not None:
            await in_thread(self.state.save, self.path)


def _has_result(step: asyncio.Future[Any]) -> bool:
    return step.done() and not step.cancelled() and step.exception() is None
