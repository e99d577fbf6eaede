"""Where files go: a folder, or an address that fsspec knows; each file appears whole, in one step."""

# fsspec comes without types.
# mypy: disable-error-code="import-untyped"
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import fcntl
import os
import re
import tempfile
import threading
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO, TypeAlias

import attrs

ONE_PUT = 2**32
"""Bytes that fsspec puts in one request: a multipart upload that is killed leaves its parts in the bucket."""


class TargetError(ValueError):
    """The target cannot take this job: it is no folder, nobody knows its address, or it holds something else."""


@attrs.frozen
class Part:
    """A file that is being written, which no reader sees yet."""

    file: BinaryIO
    path: str


PART = re.compile(r"\.(.+)\.[0-9]+-[0-9a-f]{8}\.part")
"""What a part is called: the name that its file will have, the process, and something of its own."""
DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
NAMES = re.compile(
    rf"sessions-{DATE}\.parquet|_problems-{DATE}\.jsonl"
    r"|sessions-[0-9]{8}T[0-9]{6}\.[0-9]{6}Z-[0-9a-f]{8}\.ndjson|_state\.json"
)
"""The files of all jobs, as their parts are called."""
_in_work = set[Path]()
"""The parts that this process writes."""
_locks = dict[str, threading.Lock]()
"""One for each address, held while this process puts an object there."""


def part_name(name: str) -> str:
    """A new name for a part: see `PART`."""
    return f".{name.replace('/', '-')}.{os.getpid()}-{token_hex(4)}.part"


def open_storage(to: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> Storage:
    """The storage at a path or address.

    Raises:
        TargetError: fsspec does not know the address, or lacks what it needs for it.
    """
    target = os.fspath(to)
    if "://" not in target:
        return open_folder(target)
    import fsspec.core  # noqa: PLC0415 - the extra
    from fsspec.implementations.local import LocalFileSystem  # noqa: PLC0415 - the extra

    try:
        files, root = fsspec.core.url_to_fs(target, **(options or {}))
    except (ImportError, ValueError) as error:
        raise TargetError(f"the address {without_password(target)} cannot be used: {error}") from None
    if isinstance(files, LocalFileSystem):
        if not target.startswith(("file://", "local://")):  # fsspec takes the `x` of `x::s3://…` for a path
            raise TargetError(f"the address {without_password(target)} cannot be used: one of its protocols is unknown")
        return LocalFolder(Path(root))
    return ObjectStore(files, root, without_password(target).rstrip("/"))


def open_folder(to: str | os.PathLike[str]) -> LocalFolder:
    """The folder of a job whose files cannot be objects; see `local_path`."""
    return LocalFolder(local_path(to, "folder"))


def local_path(path: str | os.PathLike[str], kind: str) -> Path:
    """A path of this machine.

    Raises:
        TargetError: it is an address, looks like one, or is empty: a variable of the shell that is not set.
    """
    target = os.fspath(path)
    if not target or "://" in target:
        raise TargetError(f"{without_password(target) or 'an empty path'} is no {kind} of this machine")
    if re.match("[A-Za-z][A-Za-z0-9+.-]+:/", target):  # what `Path` makes of an address, too
        shown = without_password(target)
        raise TargetError(f"{shown} is no {kind} of this machine: an address is text with two slashes")
    return Path(target)


def without_password(target: str) -> str:
    """A path or an address as messages and reports show it: without a password, also one with slashes in it."""
    return re.sub(r"(?<=:/)(/?[^/@:]*):(?!:|\d+/).*@", r"\1@", target)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, for this user alone.

    Raises:
        TargetError: a file stands in the way.
    """
    missing = [path for path in [folder, *folder.parents] if not path.exists()]
    try:
        for path in reversed(missing):
            with suppress(FileExistsError):  # another process was quicker
                path.mkdir(0o700)
        if not folder.is_dir():
            raise NotADirectoryError
    except NotADirectoryError:
        raise TargetError(f"{folder} is no folder") from None


def remove_abandoned(folder: Path, names: re.Pattern[str] = NAMES) -> None:
    """Remove the parts of files with these names that nobody writes to. What other programs left there stays."""
    for path in folder.glob(".*.part"):
        found = PART.fullmatch(path.name)
        if found is None or not names.fullmatch(found[1]) or path.is_symlink() or not path.is_file():
            continue
        with suppress(OSError), path.open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def remove_own() -> None:
    """Remove the parts that this process writes: it is about to end."""
    for path in list(_in_work):
        with suppress(OSError):
            path.unlink()


@attrs.frozen
class LocalFolder:
    """A folder of this machine. Its functions block; names may hold a slash. Files are 0600, folders 0700."""

    root: Path

    def prepare(self) -> None:
        """Make the folder; remove the parts that no process holds locked."""
        make_folder(self.root)
        remove_abandoned(self.root)

    def names(self) -> list[str]:
        """The names in the folder itself."""
        return [path.name for path in self.root.iterdir()]

    def tail(self, name: str, size: int) -> bytes:
        """The last bytes of a file; `FileNotFoundError` where there is none."""
        with (self.root / name).open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - size))
            return file.read()

    @contextmanager
    def part(self, name: str) -> Generator[Part]:
        """A hidden file in the folder, locked while it is written, so that nobody takes it for left behind."""
        while True:
            path = self.root / part_name(name)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with suppress(OSError):  # some network file systems have no locks
                fcntl.flock(fd, fcntl.LOCK_EX)
            if path.exists():
                break
            os.close(fd)  # swept away between its making and its lock
        _in_work.add(path)
        with os.fdopen(fd, "wb") as file:
            try:
                yield Part(file, str(path))
            finally:
                path.unlink(missing_ok=True)
                _in_work.discard(path)

    def put(self, part: Part, name: str) -> None:
        """On the disk first, then in place, then its name on the disk."""
        place = self.root / name
        make_folder(place.parent)
        part.file.flush()
        os.fsync(part.file.fileno())
        os.replace(part.path, place)  # noqa: PTH105 - the part's path is text
        sync_folder(place.parent)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        (self.root / name).unlink(missing_ok=True)

    @contextmanager
    def exclusively(self) -> Generator[None]:
        """A lock on the folder, which the kernel takes back whatever ends the process; held for milliseconds."""
        fd = os.open(self.root, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with suppress(OSError):  # as above
                fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def address(self, name: str) -> str:
        """What a reader opens."""
        return str(self.root / name)


def sync_folder(folder: Path) -> None:
    """Let a new name outlive a power cut, where the file system can."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            os.fsync(fd)
    finally:
        os.close(fd)


@attrs.frozen
class ObjectStore:
    """A place that fsspec has an address for. An object is finished on this machine first, then put by one request."""

    files: Any
    root: str
    target: str
    """The address, without a password."""

    def prepare(self) -> None:
        """Nothing: an object needs no folder, and a run that is killed leaves nothing behind."""

    def names(self) -> list[str]:
        """See `LocalFolder`."""
        with self._words():
            self.files.invalidate_cache(self.root)
            try:
                return [str(path).rpartition("/")[2] for path in self.files.ls(self.root, detail=False)]
            except FileNotFoundError:
                return []

    def tail(self, name: str, size: int) -> bytes:
        """One request for a range."""
        with self._words():
            return bytes(self.files.cat_file(self._path(name), start=-size))

    @contextmanager
    def part(self, name: str) -> Generator[Part]:  # noqa: ARG002 - it has no name
        """A temporary file without a name, which a kill removes."""
        with tempfile.TemporaryFile() as file:
            yield Part(file, f"/proc/self/fd/{file.fileno()}")

    def put(self, part: Part, name: str) -> None:
        """One PUT: a reader sees the object that stood there, or the whole new one."""
        part.file.flush()
        with self._words():
            self.files.put_file(part.path, self._path(name), chunksize=ONE_PUT)

    def remove(self, name: str) -> None:
        """See `LocalFolder`."""
        with self._words(), suppress(FileNotFoundError):
            self.files.rm_file(self._path(name))

    def exclusively(self) -> AbstractContextManager[object]:
        """A lock of this process alone: object stores have none, and another process may put its object meanwhile.

        Some file systems of fsspec's show an object that is not whole yet.
        """
        return _locks.setdefault(self.target, threading.Lock())

    def address(self, name: str) -> str:
        """See `LocalFolder`."""
        return f"{self.target}/{name}"

    def _path(self, name: str) -> str:
        return f"{self.root.rstrip('/')}/{name}"

    @contextmanager
    def _words(self) -> Generator[None]:
        """Whatever a file system of fsspec's raises is an `OSError` here: each of them has errors of its own."""
        try:
            yield
        except OSError:
            raise
        except Exception as error:
            raise OSError(f"{self.target}: {type(error).__name__}: {error}") from error


Storage: TypeAlias = LocalFolder | ObjectStore
