"""Saving: a file that grows beside its final name, written by a thread of its own, and put in place when it is whole.

What some systems leave out: without `O_NOFOLLOW`, file modes or a directory that can be synced (Windows) the same
steps are taken without them, and `overwrite=False` needs a file system with hard links. A machine that loses power may
then forget the new name; what stands under it is whole in any case.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import secrets
import stat
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import attrs

from .filenames import recording_extension
from .resume import Verified

BLOCK = 2**20
"""Bytes handed to the thread at a time."""
MAX_SEPARATE_CHUNKS = 64
"""Chunks of a block that are written one by one; to join large ones costs more than the calls do."""
MAX_PENDING_BLOCKS = 3
"""Blocks that may wait for the thread, so that memory stays small and the socket busy."""
SYNC_INTERVAL = 32 * 2**20
"""Bytes after which the disk is told to begin, so that the last fsync finds little left."""

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


@attrs.frozen(kw_only=True)
class SavedRecording:
    """A recording on disk, whole. `verified` says what stood behind "whole", as in `RecordingStream.verified`."""

    path: Path
    size: int
    """Bytes."""
    sha256: str
    """Of the file, in hexadecimal digits."""
    content_type: str | None
    verified: Verified


class PartFile:
    """The file itself. Every method blocks, and runs in the writer's thread."""

    def __init__(self, path: str | os.PathLike[str], name: str, *, overwrite: bool) -> None:
        self.content_type: str | None = None
        self.sha256 = hashlib.sha256()
        self._given = Path(path)
        self._name = name
        self._overwrite = overwrite
        self._target: Path | None = None
        self._part: Path | None = None
        self._fd = -1
        self._unsynced = 0
        self._syncer = ThreadPoolExecutor(1, "syllable-sync")
        self._syncing: Future[None] | None = None

    def create(self) -> None:
        """Open `.part`, so that a place that cannot be written to is found out before anything is asked for."""
        directory, name = self._given, self._name
        if not directory.is_dir():
            self._target = _check_target(self._given, overwrite=self._overwrite)
            directory, name = self._target.parent, self._target.name
        part = directory / f"{name[:48]}.{secrets.token_hex(8)}.part"
        self._fd = os.open(part, _FLAGS, 0o600)
        self._part = part

    def write(self, chunks: list[bytes]) -> None:
        """Append, hash, and let the disk begin now and then."""
        if self._target is None or len(chunks) > MAX_SEPARATE_CHUNKS:
            chunks = [b"".join(chunks)]
        if self._target is None:
            self._choose_name(chunks[0])
        for chunk in chunks:
            self._append(chunk)
        if self._unsynced >= SYNC_INTERVAL and (self._syncing is None or self._syncing.done()):
            self._unsynced = 0
            self._syncing = self._syncer.submit(getattr(os, "fdatasync", os.fsync), self._fd)

    def _append(self, chunk: bytes) -> None:
        self.sha256.update(chunk)
        self._unsynced += len(chunk)
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(self._fd, rest) :]

    def publish(self) -> Path:
        """Make it last, then give it its final name in one step."""
        target = self._target or self._choose_name(b"")
        if self._part is None:
            raise FileNotFoundError(errno.ENOENT, "the part file is gone", str(target))
        if self._syncing is not None:
            self._syncing.result()
        os.fsync(self._fd)
        self._close()
        _check_target(target, overwrite=self._overwrite)
        if self._overwrite:
            self._part.replace(target)
        else:
            os.link(self._part, target)
            self._part.unlink()
        self._part = None
        _sync_directory(target.parent)
        return target

    def discard(self) -> None:
        """Leave nothing behind but what was published. Can be called twice."""
        self._close()
        if self._part is not None:
            with suppress(FileNotFoundError):
                self._part.unlink()
        self._part = None

    def _choose_name(self, head: bytes) -> Path:
        name = self._name + recording_extension(self.content_type, head)
        self._target = _check_target(self._given / name, overwrite=self._overwrite)
        return self._target

    def _close(self) -> None:
        self._syncer.shutdown(wait=True)  # a descriptor closed under it could be another file's by then
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _check_target(target: Path, *, overwrite: bool) -> Path:
    """The target, unless what stands there must not be replaced."""
    try:
        mode = target.lstat().st_mode
    except FileNotFoundError:
        return target
    if stat.S_ISLNK(mode):
        raise OSError(errno.ELOOP, "the target is a symbolic link", str(target))
    if not stat.S_ISREG(mode):
        raise FileExistsError(errno.EEXIST, "the target is not a regular file", str(target))
    if not overwrite:
        raise FileExistsError(errno.EEXIST, "the target exists", str(target))
    return target


def _sync_directory(directory: Path) -> None:
    if os.name == "nt":  # pragma: no cover - there a directory cannot be opened
        return
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class PartFileWriter:
    """The loop's side: gathers chunks into blocks and keeps few of them in flight."""

    def __init__(self, path: str | os.PathLike[str], name: str, *, overwrite: bool) -> None:
        self.file = PartFile(path, name, overwrite=overwrite)
        self._thread = ThreadPoolExecutor(1, "syllable-save")
        self._pending: deque[Future[None]] = deque()
        self._chunks: list[bytes] = []
        self._size = 0

    async def __aenter__(self) -> Self:
        try:
            await asyncio.wrap_future(self._thread.submit(self.file.create))
        except BaseException:
            await self._discard()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._discard()

    async def add(self, chunk: bytes) -> None:
        """Take a chunk; waits only while the thread is behind."""
        self._chunks.append(chunk)
        self._size += len(chunk)
        if self._size >= BLOCK:
            await self._drain(MAX_PENDING_BLOCKS - 1)
            self._submit_block()

    async def digest(self) -> bytes:
        """The sha256 of everything added so far."""
        self._submit_block()
        await self._drain(0)
        return self.file.sha256.digest()

    async def publish(self) -> Path:
        """Write the rest and put the file in place; gives back its final path."""
        self._submit_block()
        await self._drain(0)
        return await asyncio.wrap_future(self._thread.submit(self.file.publish))

    def _submit_block(self) -> None:
        if self._size:
            chunks, self._chunks, self._size = self._chunks, [], 0
            self._pending.append(self._thread.submit(self.file.write, chunks))

    async def _drain(self, left: int) -> None:
        while len(self._pending) > left:
            await asyncio.wrap_future(self._pending.popleft())

    async def _discard(self) -> None:
        """Wait for the thread, cancelled or not: only then may the descriptor be closed."""
        for block in self._pending:
            block.cancel()
        leaving = asyncio.wrap_future(self._thread.submit(self.file.discard))
        self._thread.shutdown(wait=False)
        cancelled = None
        while not leaving.done():
            try:
                await asyncio.wait([leaving])
            except asyncio.CancelledError as error:
                cancelled = error
        leaving.result()
        if cancelled is not None:
            raise cancelled
