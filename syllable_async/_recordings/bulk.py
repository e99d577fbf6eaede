"""Downloading the recordings of many sessions: a few at a time, one outcome each."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias, TypeVar, cast

import attrs
from msgspec import Struct

from .._validators import AsyncIterationOnly, non_negative_seconds, positive_int
from ..errors import ClientClosedError, SyllableError
from ..models import Session
from .disk import DiskThreads
from .file import IfExists, Place, SavedRecording, check_if_exists
from .stream import RecordingStream, check_progress, report_progress

Status = Literal["saved", "skipped", "none", "pending", "failed"]
SessionSource: TypeAlias = "Iterable[Session | str | int] | AsyncIterable[Session | str | int]"
BulkProgress: TypeAlias = Callable[[int, int], object]
_T = TypeVar("_T")


@attrs.frozen(kw_only=True)
class DownloadOutcome:
    """What became of one session's recordings.

    `status`: `"saved"`, all are there and at least one is new; `"skipped"`, all were there already; `"pending"`, it has
    none and is young enough to get some; `"none"`, it has none; `"failed"`, see `error`.
    """

    session_id: str = attrs.field(repr=False)
    status: Status
    recordings: tuple[SavedRecording, ...] = attrs.field(default=(), repr=False)
    """Those that are in their places, in the API's order; of a session that failed, too."""
    error: Exception | None = None
    """The first error of one that failed: a `SyllableError`, the disk's `OSError`, or the `ValueError` of an id that
    cannot be one."""


class BulkDownload(Struct, kw_only=True):
    """What all sessions of one bulk download share.

    Attributes:
        open_recordings: mints the URLs of a session and gives back its recordings, unopened.
        started_at: when a session began, for one of which only the id is known.
        now: the time of day, aware.
        settle: seconds after its beginning in which a session may still get recordings.
        progress: told of bytes and recordings.
    """

    directory: str
    if_exists: IfExists
    settle: float
    progress: BulkProgress | None
    open_recordings: Callable[[str], Awaitable[Sequence[RecordingStream]]]
    started_at: Callable[[str], Awaitable[datetime]]
    now: Callable[[], datetime]
    bytes_done: int = 0
    recordings_done: int = 0
    _error_of_progress: BaseException | None = None

    async def run(self, session: Session | str | int) -> DownloadOutcome:
        """One session. Whatever is wrong with it is its outcome; only what concerns all of them is raised."""
        session_id, began = _read_session(session)
        try:
            recordings = await self.open_recordings(session_id)
            if not recordings:
                return DownloadOutcome(session_id=session_id, status=await self._status_of_none(session_id, began))
        # The client is closed, and no other session could be asked for either.
        except ClientClosedError:
            raise
        # A ValueError is the id's, which the API or the caller gave: it concerns this session alone.
        except (SyllableError, ValueError) as error:
            return DownloadOutcome(session_id=session_id, status="failed", error=error)
        return await self._save_all(session_id, recordings)

    async def _save_all(self, session_id: str, recordings: Sequence[RecordingStream]) -> DownloadOutcome:
        """Save what can be saved; the first error of the others makes it a failure."""
        saved: list[SavedRecording] = []
        failure: SyllableError | OSError | None = None
        for recording in recordings:
            try:
                saved.append(await self._save(recording))
            except (SyllableError, OSError) as error:
                # Neither a closed client nor what the user's own function raises is anything of this session's.
                if isinstance(error, ClientClosedError) or error is self._error_of_progress:
                    raise
                failure = failure or error
        status: Status = "skipped" if all(recording.skipped for recording in saved) else "saved"
        status = status if failure is None else "failed"
        return DownloadOutcome(session_id=session_id, status=status, recordings=tuple(saved), error=failure)

    async def _save(self, recording: RecordingStream) -> SavedRecording:
        before = 0

        def advance(done: int, _: int | None) -> None:
            nonlocal before
            before, new = done, done - before
            self._report(new, 0)

        saved = await recording.save(
            directory=self.directory,
            if_exists=self.if_exists,
            progress=None if self.progress is None else advance,
        )
        self._report(0, 1)
        return saved

    def _report(self, new_bytes: int, new_recordings: int) -> None:
        self.bytes_done += new_bytes
        self.recordings_done += new_recordings
        if self.progress is None:
            return
        try:
            report_progress(self.progress, self.bytes_done, self.recordings_done)
        except BaseException as error:
            self._error_of_progress = error
            raise

    async def _status_of_none(self, session_id: str, began: datetime | None) -> Status:
        """Recordings reach the API some time after the call: what is young may still get them."""
        if not self.settle:
            return "none"
        if began is None:
            began = await self.started_at(session_id)
        return "pending" if self.now() - began < timedelta(seconds=self.settle) else "none"


def _read_session(session: Session | str | int) -> tuple[str, datetime | None]:
    """A session's id, `""` where it has none, and when it began, where that is known."""
    if isinstance(session, Session):
        return session.session_id or "", session.timestamp
    if not isinstance(session, str | int) or isinstance(session, bool):
        raise TypeError(f"sessions must hold Session, str or int, not {type(session).__name__}")
    return str(session), None


class DownloadIterator(AsyncIterationOnly):
    """The outcomes, in the order in which sessions are done.

    At most `parallel` sessions are in work, or done and not yet taken. So an outcome that nobody takes holds up the
    rest, and `sessions` is not read on. Where reading `sessions` fails, that is raised, and the next step tries again.
    Cancelled while it waits, it stops what is in work, and the next step takes it up again. `aclose`, or `async with`,
    ends it all; whole files stay, and no others.
    """

    def __init__(self, sessions: AsyncIterator[Any], work: BulkDownload, parallel: int, threads: DiskThreads) -> None:
        self._sessions = sessions
        self._work = work
        self._parallel = parallel
        self._threads = threads
        self._prepared = self._exhausted = self._closed = False
        self._reading: asyncio.Task[Any] | None = None
        self._waiting: list[Session | str | int] = []
        self._running: dict[asyncio.Task[DownloadOutcome], Session | str | int] = {}

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> DownloadOutcome:
        if self._closed:
            raise ClientClosedError("the download was closed")
        try:
            outcome = await self._next()
        except asyncio.CancelledError:
            await self._stop()
            raise
        except StopAsyncIteration as error:
            raise self._not_the_end() from error
        if outcome is None:
            raise StopAsyncIteration
        return outcome

    async def _next(self) -> DownloadOutcome | None:
        """None: nothing is in work and nothing more is to be read."""
        if not self._prepared:
            place = Place.from_arguments(None, self._work.directory, "recording")
            await asyncio.wrap_future(self._threads.submit(place.prepare))
            self._prepared = True
        while True:
            self._start()
            # What is done is given out before anything is waited for, the session that began first before the others.
            done = next((task for task in self._running if task.done()), None)
            if done is not None:
                del self._running[done]
                return done.result()
            if not self._running and self._reading is None:
                return None
            await asyncio.wait(self._tasks(), return_when=asyncio.FIRST_COMPLETED)
            self._take_read_session()

    def _tasks(self) -> list[asyncio.Task[Any]]:
        return [*self._running, *([] if self._reading is None else [self._reading])]

    def _start(self) -> None:
        """Put sessions to work, and read the next one, while there is room."""
        while self._waiting and len(self._running) < self._parallel:
            session = self._waiting.pop(0)
            self._running[_begin(self._work.run(session))] = session
        if len(self._running) < self._parallel and self._reading is None and not self._exhausted:
            self._reading = _begin(_read_next(self._sessions))

    def _take_read_session(self) -> None:
        if self._reading is None or not self._reading.done():
            return
        reading, self._reading = self._reading, None
        session = reading.result()
        if session is _END:
            self._exhausted = True
        else:
            self._waiting.append(session)

    async def _stop(self) -> None:
        """Cancel and await what is in work; nothing of it is forgotten."""
        tasks, reading = self._tasks(), self._reading
        for task in tasks:
            task.cancel()
        cancelled = await _wait_through(tasks)
        # Sessions that were stopped wait again; those that ended in the last moment have an outcome to give.
        self._waiting[:0] = [session for task, session in self._running.items() if task.cancelled()]
        self._running = {task: session for task, session in self._running.items() if not task.cancelled()}
        if reading is not None and reading.cancelled():
            self._reading = None
            # An async generator ends where it is cancelled, and would say now that there are no more sessions.
            self._closed = self._closed or inspect.isasyncgen(self._sessions)
        elif reading is not None and reading.exception() is None:
            self._take_read_session()
        if cancelled is not None:
            raise cancelled

    async def aclose(self) -> None:
        """Cancel and await what is in work. Whole files stay, and no others. Can be called twice."""
        self._closed = True
        await self._stop()
        if isinstance(self._sessions, _Owned):
            await self._sessions.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        for task in self._tasks():
            if not task.get_loop().is_closed():
                task.cancel()


_END = object()


def _begin(work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
    """A task that may fail unheard: whoever reads is told of the first failure, and need not come for the others."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task


async def _read_next(sessions: AsyncIterator[Any]) -> object:
    return await anext(sessions, _END)


async def _wait_through(tasks: Sequence[asyncio.Task[Any]]) -> asyncio.CancelledError | None:
    """Wait for all, cancelled or not; the cancellation, if there was one."""
    cancelled = None
    while not all(task.done() for task in tasks):
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError as error:
            cancelled = error
    return cancelled


class _Owned(AsyncIterator[Any]):
    """Iterates over what the caller gave: a list, or an async iterable, whose iterator is closed with the download."""

    def __init__(self, sessions: SessionSource) -> None:
        # A pager is asked first what it is: its `__iter__` only says that `async for` was meant.
        self._iterator: Any = aiter(sessions) if isinstance(sessions, AsyncIterable) else None
        self._plain = None if isinstance(sessions, AsyncIterable) else iter(sessions)

    async def __anext__(self) -> Any:
        if self._iterator is not None:
            return await anext(self._iterator)
        session = _END if self._plain is None else next(self._plain, _END)
        if session is _END:
            raise StopAsyncIteration
        return session

    async def aclose(self) -> None:
        close = getattr(self._iterator, "aclose", None)
        if close is not None:
            await close()


def _iterate(sessions: object) -> AsyncIterator[Any]:
    """One of our own over what is no iterator yet, so that it is known what to close.

    Raises:
        TypeError: it holds no sessions, or is a single one.
    """
    if isinstance(sessions, str | bytes) or not isinstance(sessions, AsyncIterable | Iterable):
        raise TypeError(
            f"sessions must hold sessions or ids, not be a single {type(sessions).__name__}: put it in brackets, [...]"
        )
    given = cast("SessionSource", sessions)
    return given if isinstance(given, AsyncIterator) else _Owned(given)


def download_recordings(
    sessions: SessionSource,
    directory: str | os.PathLike[str],
    *,
    parallel: int,
    if_exists: IfExists,
    settle: float,
    progress: BulkProgress | None,
    open_recordings: Callable[[str], Awaitable[Sequence[RecordingStream]]],
    started_at: Callable[[str], Awaitable[datetime]],
    now: Callable[[], datetime],
    threads: DiskThreads,
) -> DownloadIterator:
    """`Sessions.download_recordings`, given what asks the API. Wrong arguments are refused; nothing is sent yet."""
    if positive_int("parallel", parallel) is None:
        raise TypeError("parallel must be an int, not None")
    check_progress(progress)
    work = BulkDownload(
        directory=str(Place.from_arguments(None, directory, "recording").directory),
        if_exists=check_if_exists(if_exists),
        settle=non_negative_seconds("settle", settle),
        progress=progress,
        open_recordings=open_recordings,
        started_at=started_at,
        now=now,
    )
    return DownloadIterator(_iterate(sessions), work, parallel, threads)
