"""Recordings: the bytes once, in order, whole; or an error that says what is missing."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from .._timing import Clock
from .._validators import AsyncIterationOnly, positive_int
from ..errors import (
    APIError,
    ClientClosedError,
    IncompleteRecordingError,
    RecordingError,
    SyllableConnectionError,
    SyllableError,
)
from .disk import DiskThreads
from .download import MAX_BYTES, Opener, ResumableDownload
from .file import IfExists, PartFileWriter, Place, SavedRecording, check_if_exists
from .resume import Verified
from .stall import StallDetector

T = TypeVar("T")
Progress = Callable[[int, int | None], object]


class Retry(Protocol):
    """The retry policy, as a recording needs it: one callable, without a limit on the whole."""

    def __call__(self, attempt: Callable[[object], Awaitable[T]], *, failure: SyllableError | None) -> Awaitable[T]:
        """`attempt(call)` until it succeeds or the policy gives up; then the last error is raised.

        `failure` is the error that an attempt made before has ended with: it counts as the first one.
        """
        ...


class RecordingStream(AsyncIterationOnly):
    """One recording, to save or to read. Nothing is sent before it is entered, iterated or saved.

    `client.sessions.recordings` gives the recordings of a session:

    ```python
    import asyncio

    from syllable_async import AsyncSyllableClient


    async def main() -> None:
        async with AsyncSyllableClient() as client:
            ids = [session.session_id async for session in client.sessions.list() if session.session_id]
            for session_id in ids[:5]:
                for recording in await client.sessions.recordings(session_id):
                    saved = await recording.save(directory="recordings", if_exists="skip")
                    print(saved.path, saved.size, saved.sha256, saved.verified)
            for recording in await client.sessions.recordings(ids[0]):
                async with recording:  # or piece by piece, without a file
                    print(recording.content_type, recording.total_bytes)
                    async for chunk in recording:
                        print(len(chunk))


    asyncio.run(main())
    ```

    ## Rules

    - The bytes come once, in order and whole, or an error is raised. A stream can be read once.
    - A cut connection is opened again. With a strong ETag the stream asks for the rest by `Range` and `If-Range`, and
      compares the last 64 KiB. Without one it reads all of it again, and compares the sha256.
    - By the default policy four attempts in a row may fail without a new byte, and 64 connections may bring less than
      64 KiB each.
    - A URL that expired is renewed, where the stream came from `client.sessions.recordings`. A list of recordings that
      has another length now, or another path on a foreign host, raises `RecordingChangedError`.
    - A web page, a text, JSON or XML in place of audio is refused.
    - `verified` says what proves that the recording is whole. Without a length or chunks nothing can: see `save`.
    - A recording is at most 4 GiB. `save` and iteration hold a few chunks in memory, never the whole.

    Raises:
        IncompleteRecordingError: the connection broke and could not be resumed.
        RecordingChangedError: the server has other bytes now than those delivered.
        RecordingError: an encoded or oversized body, a page or a text in place of audio, or wrong use of the stream.
        ClientClosedError: another task closed it.
        APIError: the server refused.
        SyllableConnectionError: no answer came at all.
    """

    def __init__(
        self,
        open_: Opener,
        *,
        retry: Retry,
        clock: Clock,
        timeout: float | None,
        renew: Callable[[], Awaitable[Opener]] | None = None,
        name: str = "recording",
        max_bytes: int = MAX_BYTES,
        threads: DiskThreads | None = None,
        on_end: Callable[[BaseException | None], None] | None = None,
    ) -> None:
        self._source = ResumableDownload(open_, renew, StallDetector(timeout, clock), max_bytes)
        self._retry = retry
        self._name = name
        self._threads = DiskThreads() if threads is None else threads
        self._started = False
        self._reader: asyncio.Task[Any] | None = None
        self._reader_interrupted = False
        self._closed_by: asyncio.Task[Any] | None = None
        self._on_end = on_end

    @property
    def content_type(self) -> str | None:
        """The server's Content-Type, None before the stream is opened."""
        return self._source.content_type

    @property
    def total_bytes(self) -> int | None:
        """Length of the whole, None while unknown."""
        return self._source.total

    @property
    def bytes_read(self) -> int:
        """Bytes that the caller got, from the start; pieces of `chunk_size` count when they are given out."""
        return self._source.received

    @property
    def etag(self) -> str | None:
        """The server's ETag as sent, weak ones included."""
        return self._source.etag

    @property
    def verified(self) -> Verified | None:
        """What proves that the recording is whole: `"length"`, `"chunked"` or `"none"`; None before the end.

        `"none"`: only the closing connection marked the end, and nothing proves that it was not cut.
        """
        return self._source.verified

    def __repr__(self) -> str:
        return f"<RecordingStream: {self.bytes_read} of {self.total_bytes or 'unknown'} bytes>"

    async def __aenter__(self) -> Self:
        await self._exclusively(self._source.open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.iter_bytes()

    def iter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """The bytes as they come, or in pieces of `chunk_size` of which only the last is shorter."""
        if chunk_size is not None:
            positive_int("chunk_size", chunk_size)
        self._refuse_second_reading()
        self._started = True
        advance = partial(self._exclusively, self._source.read)
        if chunk_size is None:
            return _ChunkIterator(advance, self._tell_end)
        return _FixedSizeIterator(advance, self._tell_end, self._source, chunk_size)

    def _refuse_second_reading(self) -> None:
        if self._started:
            raise RecordingError("a recording can be read once: client.sessions.recordings gives it again")

    async def save(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        directory: str | os.PathLike[str] | None = None,
        progress: Progress | None = None,
        if_exists: IfExists = "fail",
        require_verified: bool = True,
    ) -> SavedRecording:
        """Save it as the file `path`, or in `directory` under a name of ours.

        Under the final name stands the whole recording, or what stood there before: the bytes go to a `.part` file
        beside it (mode 0600, locked while it is written), which takes its place after an fsync. One that a killed
        process left behind is removed by the next save of that name. Hashing and writing are done in a few threads that
        all recordings of a client share. A place that cannot be written to is found out before anything is asked for,
        and the stream can then be saved elsewhere. On Windows file modes, locks and the sync of the directory are left
        out.

        Args:
            path: a file in a directory that exists. A symbolic link as the file is refused. An existing directory, or a
                str that ends in a separator, means `directory=`.
            directory: made where it is missing.
            progress: a plain function, called in the loop with the bytes done and the total (None: unknown). What it
                raises ends the download and passes through.
            if_exists: what becomes of a file that stands under the name, in a directory with whatever extension:
                `"fail"` raises `FileExistsError`, `"replace"` puts the new one in its place, `"skip"` keeps it, asks
                for nothing, and gives it back as `skipped`. `"fail"` and `"skip"` need hard links.
            require_verified: refuse a recording whose end only the closing connection marked (`verified="none"`).
                False: it is saved, but replaces no file.

        Raises:
            OSError: the place cannot be written to, or the disk is full.
            IncompleteRecordingError: see the class; also an end that nothing proves.
        """
        check_progress(progress)
        place = Place.from_arguments(path, directory, self._name)
        self._refuse_second_reading()
        writer = PartFileWriter(place, self._threads, if_exists=check_if_exists(if_exists))
        kept = await writer.prepare()
        if kept is not None:
            return kept
        chunks = self.iter_bytes()
        async with writer, self:
            self._source.use_digest(writer.digest)
            # Of the first response: where a connection broke must not change the file's name.
            writer.file.content_type = self.content_type
            async for chunk in chunks:
                await writer.add(chunk)
                if progress is not None:
                    report_progress(progress, self.bytes_read, self.total_bytes)
            if require_verified and self.verified == "none":
                raise self._incomplete("nothing proves that the recording is whole")
            return await self._publish(writer, if_exists)

    async def _publish(self, writer: PartFileWriter, if_exists: IfExists) -> SavedRecording:
        verified = self.verified or "none"
        try:
            return await writer.publish(verified)
        except FileExistsError:
            if verified != "none" or if_exists != "replace":
                raise
        raise self._incomplete("nothing proves that the recording is whole, so it replaces no file")

    async def aclose(self) -> None:
        """Close the connection; the stream cannot be read any more. A task that reads it gets `ClientClosedError`."""
        self._source.closed = True
        self._tell_end(None)
        task = asyncio.current_task()
        if self._closed_by is None:
            self._closed_by = task
        if self._reader is not None and self._reader is not task:
            self._reader_interrupted = True
            self._reader.cancel()
        await self._source.release()

    def _tell_end(self, error: BaseException | None = None) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end(error)

    async def _exclusively(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Run under the retry policy; whatever it ends with, nothing stays open and nothing can be read after it.

        While a connection lasts, chunks cost no policy, and no pause of others holds them up.
        """
        if self._reader is not None or self._source.closed:
            raise self._refusal()
        task: Any = asyncio.current_task()  # never None inside a coroutine
        self._reader = task
        cancelling, failure = task.cancelling(), None
        cut: SyllableError | None = None
        try:
            if self._source.connected:
                try:
                    return await attempt()
                except (APIError, SyllableConnectionError) as error:
                    cut = error
            return await self._retry(lambda _: attempt(), failure=cut)
        except SyllableConnectionError as error:
            failure = error
            self._tell_end(error)
            await self.aclose()
        except asyncio.CancelledError as error:
            self._tell_end(error)
            await self.aclose()
            # As in `asyncio.timeout`: a cancellation that somebody else asked for meanwhile is theirs, and passes.
            if not self._reader_interrupted or task.uncancel() > cancelling:
                raise
        except BaseException as error:
            self._tell_end(error)
            await self.aclose()
            if isinstance(error, StopAsyncIteration):
                raise self._not_the_end() from error
            raise
        finally:
            self._reader = None
        # Another task closed it.
        if failure is None:
            raise ClientClosedError("the recording was closed while it was read")
        # There never was a response, so there is nothing that could be incomplete.
        if not self._source.had_response:
            raise failure
        raise self._incomplete(f"the recording was cut off: {failure.reason}") from failure

    def _refusal(self) -> SyllableError:
        """Why the running task may not read."""
        if self._reader is not None:
            return RecordingError("the recording is read by another task")
        # Whoever reads on after closing it, or after an error, made a mistake; whom another task closed it for did not.
        if self._closed_by is asyncio.current_task():
            return RecordingError("the recording is closed")
        return ClientClosedError("the recording was closed")

    def _incomplete(self, message: str) -> IncompleteRecordingError:
        return IncompleteRecordingError(message, received=self.bytes_read, total=self.total_bytes)


class _ChunkIterator:
    """The bytes in the pieces in which they came."""

    def __init__(self, advance: Callable[[], Awaitable[bytes]], tell_end: Callable[[], None]) -> None:
        self._advance = advance
        self._tell_end = tell_end

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._advance()
        if not chunk:
            self._tell_end()
            raise StopAsyncIteration
        return chunk


class _FixedSizeIterator(_ChunkIterator):
    """The bytes in pieces of one size; the last may be shorter."""

    def __init__(
        self,
        advance: Callable[[], Awaitable[bytes]],
        tell_end: Callable[[], None],
        source: ResumableDownload,
        size: int,
    ) -> None:
        super().__init__(advance, tell_end)
        self._source = source
        self._size = size
        self._rest = bytearray()

    async def __anext__(self) -> bytes:
        while len(self._rest) < self._size and (chunk := await self._advance()):
            self._rest += chunk
            self._source.buffered = len(self._rest)
        if not self._rest:
            self._tell_end()
            raise StopAsyncIteration
        piece = bytes(self._rest[: self._size])
        del self._rest[: self._size]
        self._source.buffered = len(self._rest)
        return piece


def check_progress(progress: object) -> None:
    """`TypeError` where it is no plain function."""
    if progress is None:
        return
    called = getattr(progress, "__call__", None)  # noqa: B004 - an object whose call is async is no plain function either
    if called is None or inspect.iscoroutinefunction(progress) or inspect.iscoroutinefunction(called):
        raise TypeError("progress must be a plain function")


def report_progress(progress: Callable[..., object], *figures: int | None) -> None:
    """Call it; `TypeError` where it turns out to be async."""
    result = progress(*figures)
    if result is not None and inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError("progress must be a plain function")
