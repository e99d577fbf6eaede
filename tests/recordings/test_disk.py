"""Real places: full and read-only file systems, killed processes, and more recordings than threads or descriptors."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import random
import resource
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from syllable_async import RecordingStream
from syllable_async._recordings import DiskThreads
from syllable_async._recordings import disk as disk_module
from syllable_async._recordings import file as file_module
from syllable_async.errors import SyllableError
from tests.recordings.scripted_origin import (
    DATA,
    NOISE,
    Origin,
    ScriptedReply,
    Step,
    Version,
    descriptors,
    files,
    stream,
)

CAN_MOUNT = os.geteuid() == 0 and shutil.which("mount") is not None
needs_mounts = pytest.mark.skipif(not CAN_MOUNT, reason="no file system can be mounted: no real full disk was tried")


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    before = descriptors()
    yield
    assert descriptors() == before


@contextmanager  # pyright: ignore[reportDeprecated]
def mounted(place: Path, options: str) -> Iterator[Path]:
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", place], check=False, capture_output=True)
    if done.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def remount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", place], check=True)


@needs_mounts
async def test_a_full_disk(tmp_path: Path) -> None:
    with mounted(tmp_path / "small", "size=256k") as place:
        (place / "kept").write_bytes(b"good")
        for size in (300_000, 700_000):
            for target, if_exists in ((place / "new", "fail"), (place / "kept", "replace")):
                origin = Origin(Version(NOISE[:size]), piece=50_000)
                with pytest.raises(OSError) as caught:  # noqa: PT011 - its number is what counts
                    await stream(origin).save(target, if_exists=if_exists)  # type: ignore[arg-type]
                assert caught.value.errno == errno.ENOSPC
                assert origin.open_replies == 0
                assert (files(place), (place / "kept").read_bytes()) == (["kept"], b"good")
        saved = await stream(Origin(Version(NOISE[:100_000]))).save(place / "new")
        assert saved.path.read_bytes() == NOISE[:100_000]


@needs_mounts
async def test_a_disk_without_room_for_a_name_is_found_out_before_anything_is_asked_for(tmp_path: Path) -> None:
    with mounted(tmp_path / "few", "size=1m,nr_inodes=2") as place:
        (place / "kept").write_bytes(b"good")
        recording = stream(origin := Origin(Version(DATA)))
        with pytest.raises(OSError, match="No space left"):
            await recording.save(place / "new")
        assert origin.requests == []
        assert (await recording.save(tmp_path / "elsewhere")).path.read_bytes() == DATA
        assert files(place) == ["kept"]


@needs_mounts
async def test_a_read_only_file_system(tmp_path: Path) -> None:
    with mounted(tmp_path / "fixed", "size=1m") as place:
        (place / "kept").write_bytes(b"good")
        remount(place, "ro")
        recording = stream(origin := Origin(Version(DATA)))
        for path, directory in ((place / "new", None), (None, place), (None, place / "deeper")):
            with pytest.raises(OSError, match="Read-only"):
                await recording.save(path, directory=directory, if_exists="replace")
        kept = await recording.save(place / "kept", if_exists="skip")
        assert kept.skipped
        assert (origin.requests, files(place)) == ([], ["kept"])
        assert (await recording.save(directory=tmp_path / "instead")).path.read_bytes() == DATA


async def test_hard_links_that_are_missing_are_found_out_before_anything_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    saved = await stream(Origin(Version(DATA, None), Step(framing="close"))).save(
        tmp_path / "w", if_exists="replace", require_verified=False
    )
    assert (saved.verified, files(tmp_path)) == ("none", ["w"])
    saved.path.unlink()
    monkeypatch.setattr(os, "link", link)
    recording = stream(origin := Origin(Version(DATA)))
    for if_exists in ("fail", "skip"):
        with pytest.raises(OSError, match="without hard links a file can only be replaced"):
            await recording.save(tmp_path / "x", if_exists=if_exists)
    assert (origin.requests, files(tmp_path)) == ([], [])
    assert (await recording.save(tmp_path / "x", if_exists="replace")).path.read_bytes() == DATA
    unproven = stream(Origin(Version(DATA, None), Step(framing="close")))
    saved = await unproven.save(tmp_path / "y", if_exists="replace", require_verified=False)
    assert (saved.verified, saved.path.read_bytes()) == ("none", DATA)
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "broken")))  # pyright: ignore[reportUnknownArgumentType, reportUnknownLambdaType]
    with pytest.raises(OSError, match="broken"):
        await stream(Origin(Version(DATA))).save(tmp_path / "z")
    with pytest.raises(OSError, match="broken"):
        await stream(Origin(Version(DATA, None), Step(framing="close"))).save(
            tmp_path / "z", if_exists="replace", require_verified=False
        )
    assert files(tmp_path) == ["x", "y"]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("call", ["open", "fsync"])
async def test_a_directory_that_cannot_be_synced_fails_no_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, call: str
) -> None:
    real_open, real_fsync = os.open, os.fsync

    def open_(path: str, flags: int, *rest: int) -> int:
        if call == "open" and Path(path) == tmp_path:
            raise OSError(number, os.strerror(number))
        return real_open(path, flags, *rest)

    def fsync(fd: int) -> None:
        if call == "fsync" and stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(number, os.strerror(number))
        real_fsync(fd)

    monkeypatch.setattr(os, "open", open_)
    monkeypatch.setattr(os, "fsync", fsync)
    assert (await stream(Origin(Version(DATA))).save(tmp_path / "x")).path.read_bytes() == DATA


@pytest.mark.parametrize("failing", [1, 2, 3])
async def test_one_early_sync_that_failed_fails_the_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    calls, real = 0, os.fdatasync

    def once(fd: int) -> None:
        nonlocal calls
        calls += 1
        if calls == failing:
            raise OSError(errno.EIO, "a block could not be written back")
        real(fd)

    monkeypatch.setattr(os, "fdatasync", once)
    monkeypatch.setattr(file_module, "SYNC_INTERVAL", 20_000)
    monkeypatch.setattr(file_module, "BLOCK", 10_000)
    failed = False
    try:
        await stream(Origin(Version(NOISE), piece=10_000)).save(tmp_path / "x")
    except OSError as error:
        failed = error.errno == errno.EIO
    assert failed == (calls >= failing)  # a sync that was queued and overtaken by the last one did not fail
    assert calls
    assert files(tmp_path) == ([] if failed else ["x"])


async def test_an_abandoned_part_file_is_removed_and_one_in_work_is_not(tmp_path: Path) -> None:
    for name in ("x.syllable.part", "x.syllable.1.part", "x.syllable.7.part"):
        (tmp_path / name).write_bytes(b"left behind")
    (tmp_path / "x.part").write_bytes(b"somebody's")
    with (tmp_path / "x.syllable.2.part").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        await stream(Origin(Version(DATA))).save(tmp_path / "x")
        assert files(tmp_path) == ["x", "x.part", "x.syllable.2.part"]
    await stream(Origin(Version(DATA))).save(tmp_path / "x", if_exists="replace")
    assert files(tmp_path) == ["x", "x.part"]


async def test_what_only_looks_like_a_part_file_is_left_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.syllable.part")
    (tmp_path / "x.syllable.1.part").symlink_to(tmp_path / "x.part")
    (tmp_path / "x.syllable.2.part").mkdir()
    before = files(tmp_path)
    assert (await stream(Origin(Version(DATA))).save(tmp_path / "x")).path.read_bytes() == DATA
    assert files(tmp_path) == sorted([*before, "x"])


async def test_where_nothing_can_be_locked_nothing_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    (tmp_path / "x.syllable.part").write_bytes(b"perhaps in work")
    assert (await stream(Origin(Version(DATA))).save(tmp_path / "x")).path.read_bytes() == DATA
    assert files(tmp_path) == ["x", "x.syllable.part"]


async def test_many_tasks_save_under_one_name(tmp_path: Path) -> None:
    versions = [NOISE[100 * number :][:20_000] for number in range(30)]
    saves = [stream(Origin(Version(data))).save(tmp_path / "x", if_exists="replace") for data in versions]
    await asyncio.gather(*saves)
    assert (files(tmp_path), (tmp_path / "x").read_bytes() in versions) == (["x"], True)
    results = await asyncio.gather(
        *[stream(Origin(Version(data))).save(tmp_path / "y") for data in versions], return_exceptions=True
    )
    assert sum(isinstance(result, FileExistsError) for result in results) == 29
    skips = await asyncio.gather(*[stream(Origin(Version(d))).save(tmp_path / "z", if_exists="skip") for d in versions])
    assert sum(saved.skipped for saved in skips) == 29
    assert files(tmp_path) == ["x", "y", "z"]


async def test_names_that_are_taken_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process looks for abandoned files, and takes or holds each new one before it is locked."""
    real, taken = fcntl.flock, 0

    def flock(fd: int, operation: int) -> None:
        nonlocal taken
        taken += 1
        if taken == 1:
            raise BlockingIOError(errno.EAGAIN, "held")
        if taken == 2:
            Path(f"/proc/self/fd/{fd}").readlink().unlink()
        real(fd, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    assert (await stream(Origin(Version(DATA))).save(tmp_path / "x")).path.read_bytes() == DATA
    assert taken > 3
    monkeypatch.setattr(fcntl, "flock", real)
    for name in files(tmp_path):
        (tmp_path / name).unlink()
    link = os.link

    def taken_meanwhile(source: Path, target: Path) -> None:
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", taken_meanwhile)
    with pytest.raises(FileExistsError):
        await stream(Origin(Version(DATA))).save(tmp_path / "y")


async def test_a_name_that_is_taken_in_the_last_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at the name and the step that would give it."""
    link = os.link

    def taken_before(source: Path, target: Path) -> None:
        if Path(target).name == "x":
            Path(target).write_bytes(b"another's")
        link(source, target)

    monkeypatch.setattr(os, "link", taken_before)
    with pytest.raises(FileExistsError):
        await stream(Origin(Version(DATA))).save(tmp_path / "x")
    (tmp_path / "x").unlink()
    saved = await stream(Origin(Version(DATA))).save(tmp_path / "x", if_exists="skip")
    assert (saved.skipped, saved.size, (tmp_path / "x").read_bytes()) == (True, 9, b"another's")
    assert files(tmp_path) == ["x"]


async def test_a_name_that_can_never_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "held")

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(file_module, "MAX_PART_FILES", 5)
    with pytest.raises(FileExistsError, match="too many part files"):
        await stream(Origin(Version(DATA))).save(tmp_path / "x")


async def test_long_names(tmp_path: Path) -> None:
    for name in ("x" * 250, "ü" * 120):
        assert (await stream(Origin(Version(DATA))).save(tmp_path / name)).path.read_bytes() == DATA
    assert files(tmp_path) == ["x" * 250, "ü" * 120]


async def test_a_thousand_saves_need_few_threads_and_few_descriptors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty at a time, as `max_streams` lets through; each may hold a descriptor besides its socket's."""
    most, threads, slots = 0, DiskThreads(), asyncio.Semaphore(50)
    monkeypatch.setattr(file_module, "BLOCK", 3000)
    before = len(descriptors())

    class Slow(Origin):
        async def open(self, headers: Mapping[str, str]) -> ScriptedReply:
            nonlocal most
            await slots.acquire()
            most = max(most, len(descriptors()) - before)
            return await super().open(headers)

    async def save(number: int) -> None:
        origin = Slow(Version(NOISE[number:][:20_000]))
        recording = stream(origin, threads=threads)
        saved = await recording.save(tmp_path / str(number))
        slots.release()
        assert saved.path.read_bytes() == NOISE[number:][:20_000]

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        await asyncio.gather(*(save(number) for number in range(1000)))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(files(tmp_path)) == 1000
    assert most <= 50 + disk_module.MAX_THREADS
    names = [thread.name for thread in threading.enumerate() if thread.name.startswith("syllable-disk")]
    assert len(names) <= 2 * disk_module.MAX_THREADS  # those of an earlier test may not have ended yet


KILLED = """
import asyncio, sys
from tests.recordings.test_disk import endless_job
asyncio.run(endless_job(*sys.argv[1:]))
"""
SIZES = [0, 11, 4096, 70_000, 300_000, 650_000]


def content(number: int) -> bytes:
    return NOISE[number:][: SIZES[number % len(SIZES)]]


async def endless_job(place: str, naive: str = "") -> None:
    """Save recordings 0 to 11 by cut connections, each synced often, until somebody kills this process."""
    file_module.BLOCK, file_module.SYNC_INTERVAL = 20_000, 60_000
    print("begun", flush=True)

    async def one(number: int) -> None:
        origin = Origin(Version(content(number)), Step(send=30_000, end="cut"), piece=10_000)
        recording = stream(origin, name=f"r-{number}")
        if naive:
            await save_naively(recording, Path(place, f"r-{number}.wav"))
        else:
            await recording.save(directory=place, if_exists="skip")

    for numbers in (range(6), range(6, 12)):
        await asyncio.gather(*map(one, numbers))
    print("done", flush=True)


async def save_naively(recording: RecordingStream, path: Path) -> None:
    """What most code does: the bytes go under the final name as they come, and what is there is skipped."""
    if path.name not in files(path.parent):
        with path.open("wb") as file:
            async for chunk in recording:
                file.write(chunk)


def check_killed(place: Path) -> int:
    """Every final name holds a whole recording; how many there are."""
    names = [name for name in files(place) if not name.endswith(".part")]
    for name in names:
        number = int(name.removeprefix("r-").removesuffix(".wav"))
        assert (place / name).read_bytes() == content(number)
    return len(names)


def run_job(place: Path, *arguments: str, kill_after: float | None = None) -> str:
    """Run the job, and kill it after so many seconds; `"done"` where it was quicker."""
    command = [sys.executable, "-c", KILLED, str(place), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        timer = threading.Timer(kill_after or 0, process.send_signal, [signal.SIGKILL])
        if kill_after is not None:
            timer.start()
        said = process.stdout.read().strip()
        process.wait()
        timer.cancel()
    return said


@pytest.mark.parametrize("kills", [2, pytest.param(100, marks=pytest.mark.long)])
def test_killed_anywhere_the_names_hold_whole_recordings(
    tmp_path: Path, kills: int, counted: Callable[[str, int], None]
) -> None:
    chance, killed = random.Random(kills), 0
    for number in range(kills):
        place = tmp_path / str(number)
        for _ in range(3):
            killed += run_job(place, kill_after=chance.uniform(0, 0.12)) != "done"
            if place.exists():
                check_killed(place)
        assert run_job(place) == "done"
        assert check_killed(place) == 12
        assert len(files(place)) == 12, "the last run has removed what the killed ones left"
    counted("processes killed while saving", killed)
    assert killed


@pytest.mark.long
def test_killed_anywhere_a_naive_download_leaves_half_files(tmp_path: Path) -> None:
    chance = random.Random(1)
    for number in range(40):
        place = tmp_path / str(number)
        place.mkdir()
        run_job(place, "naive", kill_after=chance.uniform(0, 0.12))
        try:
            check_killed(place)
        except AssertionError:
            return
    raise AssertionError("no half file was seen: the kills prove nothing")


async def test_a_failed_read_leaves_nothing(tmp_path: Path) -> None:
    for step in (Step(status=404), Step(encoding="gzip"), Step(content_type="text/html")):
        with pytest.raises(SyllableError):
            await stream(Origin(Version(b"<html>"), then=step)).save(directory=tmp_path)
    assert files(tmp_path) == []
