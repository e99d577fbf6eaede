"""Recordings: the bytes once, in order, whole; or an error that says what is missing."""

from __future__ import annotations

import inspect
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Protocol, Self, TypeVar

from .._timing import Clock
from ..errors import APIError, IncompleteRecordingError, RecordingError, SyllableConnectionError, SyllableError
from .download import MAX_BYTES, Opener, ResumableDownload
from .file import PartFileWriter, SavedRecording
from .resume import Verified
from .stall import StallDetector

T = TypeVar("T")


class Retry(Protocol):
    """The retry policy, as a recording needs it: one callable, without a limit on the whole."""

    def __call__(self, attempt: Callable[[], Awaitable[T]], failure: SyllableError | None) -> Awaitable[T]:
        """`attempt()` until it succeeds or the policy gives up; then the last error is raised.

        `failure` is the error that an attempt made before has ended with: it counts as the first one.
        """
        ...


class RecordingStream:
    """One recording. Nothing is sent before it is entered, iterated or saved; it can be read once.

    The bytes come once, in order and whole, or an error is raised. A cut connection is opened again: with a strong
    ETag by `Range` and `If-Range`, where the last 64 KiB are compared, else by reading all of it again, where the
    sha256 is compared. Four attempts may fail without a new byte between them, and 64 requests are sent at most.

    Raises:
        IncompleteRecordingError: the connection broke and could not be resumed.
        RecordingChangedError: the server has other bytes now than those delivered.
        RecordingError: an encoded or oversized body, or wrong use of the stream.
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
        on_end: Callable[[BaseException | None], None] | None = None,
    ) -> None:
        self._source = ResumableDownload(open_, renew, StallDetector(timeout, clock), max_bytes)
        self._retry = retry
        self._name = name
        self._started = self._busy = False
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
        """Bytes delivered, from the start."""
        return self._source.offset

    @property
    def etag(self) -> str | None:
        """The server's ETag as sent, weak ones included."""
        return self._source.etag

    @property
    def verified(self) -> Verified | None:
        """What stood behind "whole": `"length"`, `"chunked"` or `"none"`; None before the end was reached.

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
        if chunk_size is not None and chunk_size < 1:
            raise ValueError("chunk_size must be positive")
        if self._started:
            raise RecordingError("a recording can be read once")
        self._started = True
        return _ChunkIterator(self._next) if chunk_size is None else _FixedSizeIterator(self._next, chunk_size)

    async def save(
        self,
        path: str | os.PathLike[str],
        progress: Callable[[int, int | None], None] | None = None,
        overwrite: bool = True,
        require_verified: bool = False,
    ) -> SavedRecording:
        """Save it: under `path`, or in it under a name of ours if it is a directory.

        The final name holds the whole recording or what it held before: the bytes go to a `.part` file beside it
        (mode 0600), which takes its place after an fsync. Hashing and writing are done in a thread.

        Args:
            path: a file, or a directory that exists. A symbolic link as the file is refused.
            progress: called in the loop with the bytes done and the total (None: unknown). What it raises ends the
                download and passes through.
            overwrite: False: `FileExistsError` where a file stands already.
            require_verified: refuse a recording whose end only the closing connection marked.

        Raises:
            OSError: the place cannot be written to, or the disk is full.
            IncompleteRecordingError: see the class; also what `require_verified` refuses.
        """
        if inspect.iscoroutinefunction(progress):
            raise TypeError("progress must be a plain function")
        chunks = self.iter_bytes()
        async with PartFileWriter(path, self._name, overwrite=overwrite) as writer, self:
            self._source.use_digest(writer.digest)
            writer.file.content_type = self.content_type
            async for chunk in chunks:
                await writer.add(chunk)
                if progress is not None:
                    progress(self.bytes_read, self.total_bytes)
            verified = self.verified or "none"
            if require_verified and verified == "none":
                raise self._incomplete("nothing proves that the recording is whole")
            saved = await writer.publish()
        digest = writer.file.sha256.hexdigest()
        return SavedRecording(
            path=saved, size=self.bytes_read, sha256=digest, content_type=self.content_type, verified=verified
        )

    async def aclose(self) -> None:
        """Close the connection; the stream cannot be read any more."""
        self._source.closed = True
        self._tell_end(None)
        await self._source.release()

    async def _next(self) -> bytes:
        chunk = await self._exclusively(self._source.read)
        if not chunk:
            self._tell_end(None)
        return chunk

    def _tell_end(self, error: BaseException | None) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end(error)

    async def _exclusively(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Run under the retry policy; whatever it ends with, nothing stays open and nothing can be read after it."""
        if self._busy or self._source.closed:
            raise RecordingError("the recording is read by another task" if self._busy else "the recording is closed")
        self._busy = True
        try:
            return await self._with_retries(attempt)
        except SyllableConnectionError as error:
            failure = error
            self._tell_end(error)
            await self.aclose()
        except BaseException as error:
            self._tell_end(error)
            await self.aclose()
            raise
        finally:
            self._busy = False
        if not self._source.had_response:
            raise failure
        raise self._incomplete(f"the recording was cut off: {failure.reason}") from failure

    async def _with_retries(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """By the policy; but while a connection lasts, chunks cost no policy, and no pause of others holds them up."""
        if not self._source.connected:
            return await self._retry(attempt, None)
        try:
            return await attempt()
        except (APIError, SyllableConnectionError) as error:
            failure = error
        return await self._retry(attempt, failure)

    def _incomplete(self, message: str) -> IncompleteRecordingError:
        return IncompleteRecordingError(message, received=self.bytes_read, total=self.total_bytes)


class _ChunkIterator:
    """The bytes in the pieces in which they came."""

    def __init__(self, advance: Callable[[], Awaitable[bytes]]) -> None:
        self._advance = advance

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._advance()
        if not chunk:
            raise StopAsyncIteration
        return chunk


class _FixedSizeIterator(_ChunkIterator):
    """The bytes in pieces of one size; the last may be shorter."""

    def __init__(self, advance: Callable[[], Awaitable[bytes]], size: int) -> None:
        super().__init__(advance)
        self._size = size
        self._rest = bytearray()

    async def __anext__(self) -> bytes:
        while len(self._rest) < self._size and (chunk := await self._advance()):
            self._rest += chunk
        if not self._rest:
            raise StopAsyncIteration
        piece = bytes(self._rest[: self._size])
        del self._rest[: self._size]
        return piece
