"""The final name holds a whole recording or what it held before."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syllable_async._recordings import file
from syllable_async._recordings.disk import DiskThreads
from syllable_async._recordings.file import IfExists, PartFile, Place
from syllable_async._recordings.filenames import recording_extension, recording_stem
from syllable_async.errors import IncompleteRecordingError, RecordingError
from tests.recordings.scripted_origin import NOISE, Origin, Step, Version, cancelled_at, descriptors, files, stream

DATA = NOISE[:20_000]
BLOCK = 2000


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Many blocks of a small recording; and nothing that was opened may stay open."""
    monkeypatch.setattr(file, "BLOCK", BLOCK)
    before = descriptors()
    yield
    assert descriptors() == before


async def test_it_replaces_a_file_and_tells_how_far_it_is(tmp_path: Path) -> None:
    target = tmp_path / "call"
    target.write_bytes(b"old")
    seen: list[tuple[int, int | None]] = []

    def progress(done: int, total: int | None) -> None:
        for part in set(tmp_path.iterdir()) - {target}:  # it is there as soon as the first block is written
            assert part.name.startswith("call.")
            assert part.suffix == ".part"
            assert part.stat().st_mode & 0o777 == 0o600
        assert target.read_bytes() == b"old"
        seen.append((done, total))

    saved = await stream(Origin(Version(DATA))).save(str(target), progress=progress, if_exists="replace")
    assert saved.path == target
    assert target.read_bytes() == DATA
    assert seen == [(done, len(DATA)) for done in range(1000, 20_001, 1000)]
    assert files(tmp_path) == ["call"]


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 20_000])
async def test_every_size(tmp_path: Path, size: int) -> None:
    saved = await stream(Origin(Version(DATA[:size]))).save(tmp_path / "x")
    assert saved.path.read_bytes() == DATA[:size]
    assert saved.sha256 == hashlib.sha256(DATA[:size]).hexdigest()


async def test_it_is_synced_before_it_gets_its_name_and_the_directory_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, bool]] = []

    def record(fd: int, sync: Callable[[int], None] = os.fsync) -> None:
        sync(fd)
        name = Path(f"/proc/self/fd/{fd}").readlink().name
        synced.append(("directory" if name == tmp_path.name else Path(name).suffix, (tmp_path / "x").exists()))

    monkeypatch.setattr(os, "fsync", record)
    monkeypatch.setattr(os, "fdatasync", record)
    monkeypatch.setattr(file, "SYNC_INTERVAL", 15_000)
    await stream(Origin(Version(DATA))).save(tmp_path / "x")
    assert synced == [(".part", False), (".part", False), ("directory", True)]


async def test_a_failed_early_sync_is_not_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(fd: int) -> None:
        raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr(os, "fdatasync", broken)
    monkeypatch.setattr(file, "SYNC_INTERVAL", 2000)
    with pytest.raises(OSError, match="broken"):
        await stream(Origin(Version(DATA))).save(tmp_path / "x")
    assert files(tmp_path) == []


async def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "x"
    target.write_bytes(b"old")
    room = 7000

    def write(fd: int, data: memoryview, real: Callable[[int, memoryview], int] = os.write) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, "no space left on device")
        written = real(fd, data[: min(room, 700)])  # short writes on the way
        room -= written
        return written

    monkeypatch.setattr(os, "write", write)
    origin = Origin(Version(DATA))
    with pytest.raises(OSError, match="no space left"):
        await stream(origin).save(target, if_exists="replace")
    assert (files(tmp_path), target.read_bytes()) == (["x"], b"old")
    assert origin.open_replies == 0


async def test_a_place_that_cannot_be_written_to_costs_no_request(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    before = files(tmp_path)
    places: list[tuple[Path | str, type[OSError], IfExists]] = [
        (tmp_path / "no" / "x", FileNotFoundError, "replace"),
        (tmp_path / "file" / "x", NotADirectoryError, "replace"),
        (f"{tmp_path}/file/", NotADirectoryError, "replace"),
        (Path("/proc/recording"), OSError, "replace"),
        (tmp_path / "link", OSError, "replace"),
        (tmp_path / "link", OSError, "skip"),
        (tmp_path / "dangling", OSError, "replace"),
        (tmp_path / "pipe", FileExistsError, "replace"),
        (tmp_path / "file", FileExistsError, "fail"),
    ]
    recording = stream(origin := Origin(Version(DATA)))
    for path, kind, if_exists in places:
        with pytest.raises(kind):
            await recording.save(path, if_exists=if_exists)
        assert origin.requests == []
        assert files(tmp_path) == before
    for directory in ("file", "file/x", "dangling"):
        with pytest.raises(OSError, match=r"directory|exists|No such file"):
            await recording.save(directory=tmp_path / directory)
    saved = await recording.save(tmp_path / "y")  # the stream is as good as before
    assert saved.path.read_bytes() == DATA


async def test_what_appears_meanwhile_is_respected(tmp_path: Path) -> None:
    target = tmp_path / "x"

    def link(done: int, total: int | None) -> None:
        if not target.is_symlink():
            target.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="symbolic link"):
        await stream(Origin(Version(DATA))).save(target, progress=link)
    assert files(tmp_path) == ["x"]
    target.unlink()

    def theirs(done: int, total: int | None) -> None:
        target.write_bytes(b"theirs")

    with pytest.raises(FileExistsError):
        await stream(Origin(Version(DATA))).save(target, progress=theirs)
    assert (files(tmp_path), target.read_bytes()) == (["x"], b"theirs")


async def test_not_overwriting_is_decided_by_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(source: Path, target: Path, real: Callable[[Path, Path], None] = os.link) -> None:
        if target.suffix != ".part":
            target.write_bytes(b"theirs")
        real(source, target)

    await stream(Origin(Version(DATA))).save(tmp_path / "first")
    assert files(tmp_path) == ["first"]
    monkeypatch.setattr(os, "link", link)
    with pytest.raises(FileExistsError):
        await stream(Origin(Version(DATA))).save(tmp_path / "x")
    assert (files(tmp_path), (tmp_path / "x").read_bytes()) == (["first", "x"], b"theirs")


async def test_in_a_directory_the_name_is_ours(tmp_path: Path) -> None:
    wav = Version(b"RIFF\0\0\0\0WAVEfmt " + DATA)
    for content_type, name in [("audio/mpeg", "a-0.mp3"), ("application/octet-stream", "a-0.wav"), (None, "a-0.wav")]:
        saved = await stream(Origin(wav, content_type=content_type), name="a-0").save(tmp_path, if_exists="replace")
        assert saved.path == tmp_path / name
    origin = Origin(wav)
    with pytest.raises(FileExistsError):
        await stream(origin, name="a-0").save(tmp_path)
    saved = await stream(Origin(Version(b"")), name="empty").save(tmp_path)
    assert files(tmp_path) == ["a-0.mp3", "a-0.wav", "empty.wav"]


async def test_what_progress_raises_ends_the_download(tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    def stop(done: int, total: int | None) -> None:
        if done == 5000:
            raise StopError

    origin = Origin(Version(DATA))
    with pytest.raises(StopError):
        await stream(origin).save(tmp_path / "x", progress=stop)
    assert (files(tmp_path), origin.open_replies) == ([], 0)


async def test_progress_must_be_a_plain_function(tmp_path: Path) -> None:
    async def progress(done: int, total: int | None) -> None: ...

    class Progress:
        async def __call__(self, done: int, total: int | None) -> None: ...

    recording = stream(origin := Origin(Version(DATA)))
    wrong: list[Any] = [progress, partial(progress), Progress(), "progress", 3]
    for function in wrong:
        with pytest.raises(TypeError, match="plain"):
            await recording.save(tmp_path, progress=function)
    assert origin.requests == []

    def late(done: int, total: int | None) -> object:
        return progress(done, total)

    def future(done: int, total: int | None) -> object:
        return asyncio.get_running_loop().create_future()

    for returns in (late, future):
        with pytest.raises(TypeError, match="plain"):  # it can only be seen when it is called
            await stream(origin).save(tmp_path, progress=returns)
    assert files(tmp_path) == []


async def test_an_end_that_nothing_proves_can_be_refused(tmp_path: Path) -> None:
    step = Step(framing="close")
    saved = await stream(Origin(Version(DATA, None), step)).save(tmp_path / "x", require_verified=False)
    assert saved.verified == "none"
    with pytest.raises(IncompleteRecordingError, match="nothing proves"):
        await stream(Origin(Version(DATA, None), step)).save(tmp_path / "y")
    saved = await stream(Origin(Version(DATA), step)).save(tmp_path / "y")
    assert (saved.verified, files(tmp_path)) == ("length", ["x", "y"])


async def test_a_prefix_is_compared_by_the_hash_of_what_was_written(tmp_path: Path) -> None:
    long = NOISE[:200_000]
    cut, other = Step(send=150_000, end="cut"), Version(long, '"v2"')
    saved = await stream(Origin(Version(long), cut, Step(replace=other))).save(tmp_path / "x")
    assert saved.path.read_bytes() == long
    changed = Version(b"!" + long[1:])
    with pytest.raises(RecordingError, match="no longer begins"):
        await stream(Origin(Version(long), cut, Step(replace=changed, ranges=False))).save(tmp_path / "y")
    assert files(tmp_path) == ["x"]


async def test_what_was_read_in_part_cannot_be_saved(tmp_path: Path) -> None:
    async with stream(Origin(Version(DATA))) as recording:
        await anext(aiter(recording))
        with pytest.raises(RecordingError, match="read once"):
            await recording.save(tmp_path)
    assert files(tmp_path) == []


@pytest.mark.parametrize("turns", range(0, 60, 3))
async def test_cancelled_anywhere_the_name_holds_one_or_the_other(tmp_path: Path, turns: int) -> None:
    target = tmp_path / "x"
    target.write_bytes(b"old")
    origin = Origin(Version(DATA, None), Step(send=9000, end="cut"))
    saving = asyncio.ensure_future(stream(origin).save(target, if_exists="replace"))
    for _ in range(turns):
        await asyncio.sleep(0)
    saving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saving
    assert target.read_bytes() in {b"old", DATA}
    assert (files(tmp_path), origin.open_replies) == (["x"], 0)


async def test_cancelled_at_each_await_the_name_holds_one_or_the_other(
    tmp_path: Path, counted: Callable[[str, int], None]
) -> None:
    total = 0
    for if_exists in get_args(IfExists):
        number, cancelled = 0, True
        while cancelled:
            number += 1
            target, before = tmp_path / f"{if_exists}{number}", files(tmp_path)
            if if_exists == "replace":
                target.write_bytes(b"old")
            origin = Origin(Version(DATA, None), Step(send=9000, end="cut"))
            cancelled = await cancelled_at(stream(origin).save(target, if_exists=if_exists), number)
            there = [name for name in files(tmp_path) if name not in before]
            assert there in ([], [target.name])
            if there:
                assert target.read_bytes() in {b"old", DATA}
            assert origin.open_replies == 0
        assert (tmp_path / f"{if_exists}{number}").read_bytes() == DATA
        assert number > 10
        total += number - 1
    counted("cancellations of a save", total)


class Gate:
    """Holds the writer thread inside a call until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, where: object, name: str) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()
        self._real = getattr(where, name)
        monkeypatch.setattr(where, name, self)

    def __call__(self, *args: object) -> object:
        self.entered.set()
        assert self.opened.wait(5)
        return self._real(*args)

    async def reached(self) -> None:
        assert await asyncio.to_thread(self.entered.wait, 5)


async def test_the_thread_is_waited_for_before_its_file_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, os, "write")
    saving = asyncio.ensure_future(stream(Origin(Version(DATA))).save(tmp_path / "x"))
    await gate.reached()
    for _ in range(3):  # a second cancellation does not hurry it
        saving.cancel()
        for _ in range(10):
            await asyncio.sleep(0)
    assert not saving.done()
    gate.opened.set()
    with pytest.raises(asyncio.CancelledError):
        await saving
    assert files(tmp_path) == []


async def test_cancelled_while_it_gets_its_name_the_file_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, os, "fsync")
    saving = asyncio.ensure_future(stream(Origin(Version(DATA))).save(tmp_path / "x"))
    await gate.reached()
    saving.cancel()
    gate.opened.set()
    with pytest.raises(asyncio.CancelledError):
        await saving
    assert (tmp_path / "x").read_bytes() == DATA


async def test_reading_waits_for_a_slow_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch, os, "write")
    recording = stream(Origin(Version(NOISE)))
    saving = asyncio.ensure_future(recording.save(tmp_path / "x"))
    await gate.reached()
    for _ in range(1000):
        await asyncio.sleep(0)
    assert recording.bytes_read <= (file.MAX_PENDING_BLOCKS + 1) * BLOCK
    gate.opened.set()
    assert (await saving).path.read_bytes() == NOISE


@pytest.mark.parametrize(
    ("content_type", "head", "expected"),
    [
        ("audio/x-wav; codec=1", b"", ".wav"),
        ("AUDIO/MPEG", b"RIFF0000WAVE", ".mp3"),
        ("text/html", b"RIFF\n000WAVE", ".wav"),
        (None, b"ID3\x04", ".mp3"),
        (None, b"\xff\xfb\x90", ".mp3"),
        (None, b"OggS", ".ogg"),
        (None, b"fLaC", ".flac"),
        (None, b"\0\0\0\x20ftypM4A", ".m4a"),
        (None, b"\x1a\x45\xdf\xa3", ".webm"),
        (None, b"RIFF0000AVI ", ".bin"),
        ("../../x", b"", ".bin"),
    ],
)
def test_the_extension_is_from_a_list(content_type: str | None, head: bytes, expected: str) -> None:
    assert recording_extension(content_type, head) == expected


@given(st.text(), st.text(), st.integers(0, 99))
def test_stems_are_safe_and_never_shared(one: str, other: str, index: int) -> None:
    assert set(recording_stem(one, index)) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
    assert len(recording_stem(one, index)) < 120
    assert (recording_stem(one, index) == recording_stem(other, index)) == (one == other)


def test_a_discarded_part_file_cannot_be_published(tmp_path: Path) -> None:
    place = Place.from_arguments(tmp_path / "a.wav", None, "recording")
    file = PartFile(place, DiskThreads(), if_exists="replace")
    file.write([b"RIFF"])
    file.discard()
    with pytest.raises(FileNotFoundError, match="the part file is gone"):
        file.publish("length")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("path", "directory"), [(None, None), ("a.wav", "folder")])
def test_a_place_is_a_path_or_a_directory(path: str | None, directory: str | None) -> None:
    with pytest.raises(ValueError, match="needs a path or a directory, and not both"):
        Place.from_arguments(path, directory, "recording")
