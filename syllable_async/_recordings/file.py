"""Saving: a file that grows beside its final name, and is put in place when it is whole.

What some systems leave out: without `O_NOFOLLOW`, file modes, file locks or a directory that can be synced the same
steps are taken without them. Where files cannot be locked (Windows) nobody knows whether a `.part` file is abandoned,
and it is left alone. A machine that loses power may forget the new name; what stands under it is whole in any case.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import stat
from collections import deque
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeVar, cast, get_args

import attrs
from msgspec import Struct

from .disk import DiskThreads, InOrder
from .filenames import recording_extension
from .media_types import EXTENSIONS, HEAD_SIZE
from .resume import Verified

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

T = TypeVar("T")
IfExists = Literal["fail", "replace", "skip"]
"""What becomes of a file that stands under the name already."""

BLOCK = 2**20
"""Bytes handed to a thread at a time."""
MAX_SEPARATE_CHUNKS = 64
"""Chunks of a block that are written one by one; to join large ones costs more than the calls do."""
MAX_PENDING_BLOCKS = 3
"""Blocks that may wait for a thread, so that memory stays small and the socket busy."""
SYNC_INTERVAL = 32 * 2**20
"""Bytes after which the disk is told to begin, so that the last fsync finds little left."""
MAX_PART_FILES = 10_000
"""Of one name, held by as many tasks or processes at once."""
MAX_SAME_NAME = 8
"""Part files of one name that are looked for; more only where so many tasks save under one name at once."""

_FLAGS = os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}
_EXISTS = "the target exists; if_exists='replace' or 'skip' permits it"


def _can_be_path(text: str) -> bool:
    """Surrogates from U+DC80 to U+DCFF are allowed: they stand for bytes of names that are no UTF-8 (PEP 383)."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return text != "" and "\0" not in text


def check_if_exists(if_exists: IfExists) -> IfExists:
    """`ValueError` where it is none of the three."""
    if if_exists not in get_args(IfExists):
        raise ValueError(f"if_exists must be one of {', '.join(get_args(IfExists))}")
    return if_exists


@attrs.frozen(kw_only=True)
class SavedRecording:
    """A whole recording on disk. `verified` says what proves that it is whole, as in `RecordingStream.verified`."""

    path: Path
    size: int
    """Bytes."""
    sha256: str
    """Of the file, in hexadecimal digits; empty where it was skipped: the file was not read."""
    content_type: str | None
    """The server's word; None where it was skipped."""
    verified: Verified
    """`"none"` where it was skipped: nothing was proved this time."""
    skipped: bool = False
    """True where a file stood there already, and nothing was asked for (`if_exists="skip"`)."""


class Place(Struct, frozen=True):
    """Where a recording is to be saved: a file, or a directory and the name in it, without extension.

    Attributes:
        directory: exists before anything is asked for; made where it was named as a directory.
        name: of the file, or without its extension, which the recording tells.
    """

    directory: Path
    name: str
    is_whole_name: bool

    @classmethod
    def from_arguments(
        cls, path: str | os.PathLike[str] | None, directory: str | os.PathLike[str] | None, stem: str
    ) -> Place:
        """Read `path` and `directory` as `RecordingStream.save` takes them.

        Raises:
            ValueError: both or neither are given, or one holds what no file system takes.
            TypeError: one is no path.
        """
        if (path is None) == (directory is None):
            raise ValueError("save() needs a path or a directory, and not both")
        given = os.fspath(cast("str", path if directory is None else directory))
        if not isinstance(given, str):
            raise TypeError("path and directory must be a str or a pathlib.Path")
        if not _can_be_path(given):
            raise ValueError("path and directory must not be empty, or hold a NUL character or a lone surrogate")
        means_directory = given.endswith((os.sep, os.altsep or os.sep)) or os.path.isdir(given)  # noqa: PTH112
        if directory is not None or means_directory:
            return cls(Path(given), stem, is_whole_name=False)
        return cls(Path(given).parent, Path(given).name, is_whole_name=True)

    def prepare(self) -> None:
        """Make the directory where it was named as one; the directory of a file has to be there."""
        if not self.is_whole_name:
            with suppress(FileExistsError):
                self.directory.mkdir(0o700, parents=True)
        try:
            found = self.directory.stat()
        except FileNotFoundError:
            text = "there is no such directory; save(directory=...) makes one that is missing"
            raise FileNotFoundError(errno.ENOENT, text, str(self.directory)) from None
        if not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "not a directory", str(self.directory))

    def targets(self) -> list[Path]:
        """Every name that the recording can get."""
        if self.is_whole_name:
            return [self.directory / self.name]
        return [self.directory / f"{self.name}{extension}" for extension in EXTENSIONS]

    def target(self, content_type: str | None, head: bytes) -> Path:
        """The name that it gets."""
        if self.is_whole_name:
            return self.directory / self.name
        return self.directory / f"{self.name}{recording_extension(content_type, head)}"


class PartFile:
    """The file itself. Every method blocks, and runs in a thread, one after the other."""

    def __init__(self, place: Place, threads: DiskThreads, *, if_exists: IfExists) -> None:
        self.content_type: str | None = None
        self.sha256 = hashlib.sha256()
        self._place = place
        self._threads = threads
        self._if_exists: IfExists = if_exists
        self._part: Path | None = None
        self._fd = -1
        self._head = b""
        self._size = self._unsynced = 0
        self._syncing: Future[None] | None = None
        self._discarded = False

    def prepare(self) -> SavedRecording | None:
        """Find out whether the place is good, before anything is asked for; the file that is to be kept, if there is.

        Raises:
            OSError: nothing can be written there, or what stands there must not be replaced.
        """
        self._place.prepare()
        _remove_abandoned(self._part_names())
        for target in self._place.targets():
            if _check_target(target, self._if_exists):
                return _skipped(target)
        self._try_out()
        return None

    def _try_out(self) -> None:
        """Make a part file and, where it is to be linked, a second name for it; then neither is there any more."""
        part = self._create()
        try:
            if self._if_exists != "replace":
                self._try_link(part)
        finally:
            self.discard()
            self._discarded = False

    def _try_link(self, part: Path) -> None:
        names = self._part_names()  # so that a second name that is left behind is found as abandoned, too
        other = next(name for name in map(names.__getitem__, count()) if not os.path.lexists(name))
        try:
            os.link(part, other)
        except FileExistsError:  # somebody took the name in this moment: then there are hard links
            return
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            text = "without hard links a file can only be replaced (if_exists='replace')"
            raise OSError(error.errno, text, str(self._place.directory)) from None
        other.unlink()

    def _part_names(self) -> _PartNames:
        return _PartNames(self._place.directory, self._place.name)

    def _create(self) -> Path:
        self._fd, self._part = _create_locked(self._part_names())
        return self._part

    def write(self, chunks: list[bytes]) -> None:
        """Append, hash, and let the disk begin now and then. The first bytes open the file."""
        self._open_part()
        if len(chunks) > MAX_SEPARATE_CHUNKS:
            chunks = [b"".join(chunks)]
        for chunk in chunks:
            self._append(chunk)
        if self._unsynced >= SYNC_INTERVAL and (self._syncing is None or self._syncing.done()):
            self._sync_early()

    def _open_part(self) -> Path:
        if self._part is not None:
            return self._part
        if self._discarded:
            raise FileNotFoundError(errno.ENOENT, "the part file is gone", self._place.name)
        return self._create()

    def _append(self, chunk: bytes) -> None:
        if len(self._head) < HEAD_SIZE:
            self._head = (self._head + chunk)[:HEAD_SIZE]
        self.sha256.update(chunk)
        self._size += len(chunk)
        self._unsynced += len(chunk)
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(self._fd, rest) :]

    def _sync_early(self) -> None:
        # Linux reports an error of writing back once for each descriptor: after a sync that failed the last one would
        # find nothing wrong.
        if self._syncing is not None:
            self._syncing.result()
        self._unsynced = 0
        self._syncing = self._threads.submit(getattr(os, "fdatasync", os.fsync), self._fd)

    def publish(self, verified: Verified) -> SavedRecording:
        """Make it last, then give it its final name in one step.

        What only a closing connection ended (`verified="none"`) replaces nothing.

        Raises:
            FileExistsError: something stands under the name.
        """
        part = self._open_part()
        target, proved = self._place.target(self.content_type, self._head), verified != "none"
        self._await_early_sync()
        os.fsync(self._fd)
        if (
            fcntl is None
        ):  # pragma: no cover - Windows renames no open file; where there are locks this one keeps its own
            self._close()
        # Another task or process saved it meanwhile, perhaps between the look and the step.
        if _check_target(target, self._if_exists if proved or self._if_exists == "skip" else "fail"):
            return _skipped(target)
        try:
            self._give_name(part, target, proved=proved)
        except FileExistsError:
            if self._if_exists == "skip" and _check_target(target, "skip"):
                return _skipped(target)
            raise
        self._part = None
        self._close()
        _sync_directory(target.parent)
        return SavedRecording(
            path=target,
            size=self._size,
            sha256=self.sha256.hexdigest(),
            content_type=self.content_type,
            verified=verified,
        )

    def _give_name(self, part: Path, target: Path, *, proved: bool) -> None:
        if self._if_exists == "replace" and (proved or not _can_link(part, target)):
            part.replace(target)
            return
        if self._if_exists != "replace":
            os.link(part, target)
        part.unlink()

    def _await_early_sync(self) -> None:
        """One that has not begun is left out: the sync that follows does its work. One that failed raises."""
        syncing, self._syncing = self._syncing, None
        if syncing is not None and not syncing.cancel():
            syncing.result()

    def discard(self) -> None:
        """Leave nothing behind but what was published. Can be called twice."""
        self._discarded = True
        part, self._part = self._part, None
        if part is not None:
            with suppress(FileNotFoundError):
                part.unlink()
        self._close()

    def _close(self) -> None:
        # A descriptor that was closed under a sync could be another file's by then. What it says is of no interest now.
        with suppress(OSError, CancelledError):
            self._await_early_sync()
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _skipped(target: Path) -> SavedRecording:
    size = target.stat().st_size
    return SavedRecording(path=target, size=size, sha256="", content_type=None, verified="none", skipped=True)


class _PartNames:
    """The names that part files of one target have: `<name>.syllable.part`, `<name>.syllable.1.part` and so on.

    A plain `<name>.part` can be another program's.
    """

    def __init__(self, directory: Path, name: str) -> None:
        if len(os.fsencode(name)) > 200:  # file systems allow 255 bytes
            name = f"{name[:40]}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}"
        self._stem = directory / name

    def __getitem__(self, number: int) -> Path:
        return self._stem.with_name(f"{self._stem.name}.syllable{f'.{number}' if number else ''}.part")


def _create_locked(names: _PartNames) -> tuple[int, Path]:
    """A new part file, open and locked: the first name that nobody holds."""
    for number in range(MAX_PART_FILES):
        try:
            fd = os.open(names[number], _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        # Somebody who looks for abandoned files may have found it before it was locked, and removed it.
        if _lock(fd) is not False and _is_at(fd, names[number]):
            return fd, names[number]
        os.close(fd)
    raise FileExistsError(errno.EEXIST, "too many part files of this name", str(names[0]))


def _remove_abandoned(names: _PartNames) -> None:
    """Remove part files of this name that nobody holds: whoever wrote them was killed."""
    number, there = 0, True
    while number < MAX_SAME_NAME or there:
        there = _remove_if_abandoned(names[number])
        number += 1


def _remove_if_abandoned(part: Path) -> bool:
    """Whether there was such a file."""
    try:
        fd = os.open(part, _FLAGS | getattr(os, "O_NONBLOCK", 0))  # a pipe is not waited for
    except OSError as error:
        return error.errno not in {errno.ENOENT, errno.ENAMETOOLONG} and os.path.lexists(part)
    try:
        if stat.S_ISREG(os.fstat(fd).st_mode) and _lock(fd) is True and _is_at(fd, part):
            with suppress(OSError):
                part.unlink()
    finally:
        os.close(fd)
    return True


def _lock(fd: int) -> bool | None:
    """Lock it until it is closed or this process dies; False: somebody else has, None: this place knows no locks."""
    if fcntl is None:  # pragma: no cover - Windows
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return None if error.errno in _NO_LOCKS else False
    return True


def _is_at(fd: int, path: Path) -> bool:
    """Whether this is still the file of that name."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(fd), path.lstat())
    return False


def _can_link(part: Path, target: Path) -> bool:
    """Give it the name as well, which must be free; False where there are no hard links."""
    try:
        os.link(part, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return False
    return True


def _check_target(target: Path, if_exists: IfExists) -> bool:
    """Whether a file stands there that is to be kept (`"skip"`).

    Raises:
        OSError: what stands there must not be replaced.
    """
    try:
        mode = target.lstat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISLNK(mode):
        raise OSError(errno.ELOOP, "the target is a symbolic link", str(target))
    if not stat.S_ISREG(mode):
        raise FileExistsError(errno.EEXIST, "the target is not a regular file", str(target))
    if if_exists == "fail":
        raise FileExistsError(errno.EEXIST, _EXISTS, str(target))
    return if_exists == "skip"


def _sync_directory(directory: Path) -> None:
    """Let the new name last. Some file systems cannot (SMB, FUSE); the file is whole and in place all the same."""
    if os.name == "nt":  # pragma: no cover - there a directory cannot be opened
        return
    with suppress(OSError):
        fd = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


class PartFileWriter:
    """The loop's side: gathers chunks into blocks and keeps few of them in flight."""

    def __init__(self, place: Place, threads: DiskThreads, *, if_exists: IfExists) -> None:
        self.file = PartFile(place, threads, if_exists=if_exists)
        self._in_order = InOrder(threads)
        self._pending: deque[Future[None]] = deque()
        self._chunks: list[bytes] = []
        self._size = 0

    async def prepare(self) -> SavedRecording | None:
        """See `PartFile.prepare`; nothing is left open or on disk."""
        try:
            return await asyncio.wrap_future(self._in_order.submit(self.file.prepare))
        except asyncio.CancelledError:
            await self._discard()
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._discard()

    async def add(self, chunk: bytes) -> None:
        """Take a chunk; waits only while the disk is behind."""
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

    async def publish(self, verified: Verified) -> SavedRecording:
        """Write the rest and put the file in place; see `PartFile.publish`."""
        self._submit_block()
        await self._drain(0)
        return await asyncio.wrap_future(self._in_order.submit(lambda: self.file.publish(verified)))

    def _submit_block(self) -> None:
        if self._size:
            chunks, self._chunks, self._size = self._chunks, [], 0
            self._pending.append(self._in_order.submit(lambda: self.file.write(chunks)))

    async def _drain(self, left: int) -> None:
        while len(self._pending) > left:
            await asyncio.wrap_future(self._pending.popleft())

    async def _discard(self) -> None:
        """Wait for the thread, cancelled or not: only then may the descriptor be closed."""
        for block in self._pending:
            block.cancel()
        leaving = asyncio.wrap_future(self._in_order.submit(self.file.discard))
        cancelled = None
        while not leaving.done():
            try:
                await asyncio.wait([leaving])
            except asyncio.CancelledError as error:
                cancelled = error
        leaving.result()
        if cancelled is not None:
            raise cancelled
