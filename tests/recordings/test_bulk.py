"""The recordings of many sessions: one outcome each, whole files only, and no more in work than was asked for."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from syllable_async import AsyncSyllableClient, DownloadOutcome, NotFoundError, RecordingStream, RetryPolicy, Session
from syllable_async._recordings import DiskThreads, DownloadIterator, download_recordings, recording_stem
from syllable_async.errors import ClientClosedError, IncompleteRecordingError, SyllableConnectionError, SyllableError
from syllable_async.testing import FakeSyllable, faults
from tests.recordings.scripted_origin import NOISE, Origin, Step, Version, cancelled_at, descriptors, files, stream

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Archive:
    """An API of sessions, without a network: what each has, and who is asked how often."""

    def __init__(self, *has: int, then: Step | None = None) -> None:
        self.has = has
        self.then = then
        self.opened: Counter[str] = Counter()
        self.origins: list[Origin] = []
        self.in_work = self.most = 0
        self.failures: dict[str, BaseException] = {}

    async def open_recordings(self, session_id: str) -> Sequence[RecordingStream]:
        self.opened[session_id] += 1
        self.in_work += 1
        self.most = max(self.most, self.in_work)
        try:
            await asyncio.sleep(0)
        finally:
            self.in_work -= 1
        if session_id in self.failures:
            raise self.failures[session_id]
        count = self.has[int(session_id)]
        origins = [Origin(Version(self.data(session_id, index)), then=self.then) for index in range(count)]
        self.origins += origins
        return [stream(origin, name=recording_stem(session_id, n, count)) for n, origin in enumerate(origins)]

    def data(self, session_id: str, index: int) -> bytes:
        return NOISE[1000 * int(session_id) + 100 * index :][:5000]

    async def started_at(self, session_id: str) -> datetime:
        await asyncio.sleep(0)
        if session_id in self.failures:
            raise self.failures[session_id]
        return NOW - timedelta(hours=int(session_id))

    def download(self, sessions: Any, directory: Path, **options: Any) -> DownloadIterator:
        settings: dict[str, Any] = {"parallel": 3, "if_exists": "skip", "settle": 21600.0, "progress": None, **options}
        return download_recordings(
            sessions,
            directory,
            open_recordings=self.open_recordings,
            started_at=self.started_at,
            now=lambda: NOW,
            threads=DiskThreads(),
            **settings,
        )

    def check(self, directory: Path) -> int:
        """Whole files under their own names and nothing else; how many there are."""
        assert not any(origin.open_replies for origin in self.origins)
        for name in files(directory):
            session_id, _, rest = name.removesuffix(".wav").partition("-")
            number, _, count = rest.partition("of")
            assert int(count) == self.has[int(session_id)]
            assert (directory / name).read_bytes() == self.data(session_id, int(number) - 1)
        return len(files(directory))


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    before = descriptors()
    yield
    assert descriptors() == before


def statuses(outcomes: Sequence[DownloadOutcome]) -> dict[str, str]:
    return {outcome.session_id: outcome.status for outcome in outcomes}


async def test_each_session_has_one_outcome_and_the_second_run_skips(tmp_path: Path) -> None:
    archive, seen = Archive(1, 2, 0, 3, 1), list[tuple[int, int]]()
    archive.failures["4"] = SyllableConnectionError("refused")
    sessions = ["0", 1, Session(timestamp=NOW, session_id="2"), 3, "4"]
    progress: Callable[[int, int], None] = lambda done, count: seen.append((done, count))  # noqa: E731
    outcomes = [outcome async for outcome in archive.download(sessions, tmp_path / "to", progress=progress)]
    assert statuses(outcomes) == {"0": "saved", "1": "saved", "2": "pending", "3": "saved", "4": "failed"}
    assert files(tmp_path / "to") == [
        "0-1of1.wav",
        *(f"1-{n}of2.wav" for n in (1, 2)),
        *(f"3-{n}of3.wav" for n in (1, 2, 3)),
    ]
    assert archive.check(tmp_path / "to") == 6
    assert seen == sorted(seen)
    assert seen[-1] == (30_000, 6)
    del archive.failures["4"]
    sent = len([request for origin in archive.origins for request in origin.requests])
    again = [outcome async for outcome in archive.download(sessions, tmp_path / "to")]
    assert statuses(again) == {"0": "skipped", "1": "skipped", "2": "pending", "3": "skipped", "4": "saved"}
    assert sum(len(origin.requests) for origin in archive.origins) == sent + 1
    assert [recording.skipped for outcome in again for recording in outcome.recordings].count(False) == 1


async def test_a_session_without_recordings_is_pending_while_it_is_young(tmp_path: Path) -> None:
    archive = Archive(*[0] * 9)
    archive.failures.clear()
    outcomes = [outcome async for outcome in archive.download(range(9), tmp_path)]
    assert {o.session_id for o in outcomes if o.status == "pending"} == {"0", "1", "2", "3", "4", "5"}
    assert {o.session_id for o in outcomes if o.status == "none"} == {"6", "7", "8"}
    assert {outcome.status async for outcome in archive.download(range(9), tmp_path, settle=0)} == {"none"}
    young = Session(timestamp=NOW - timedelta(hours=5, minutes=59), session_id="8")
    assert [outcome.status async for outcome in archive.download([young], tmp_path)] == ["pending"]

    async def gone(session_id: str) -> datetime:
        raise NotFoundError(status=404)

    archive.started_at = gone  # type: ignore[method-assign]
    (outcome,) = [outcome async for outcome in archive.download(["1"], tmp_path)]
    assert (outcome.status, type(outcome.error)) == ("failed", NotFoundError)


async def test_one_recording_that_fails_leaves_the_others(tmp_path: Path) -> None:
    archive = Archive(3, 1)
    opened = archive.open_recordings

    async def second_is_cut(session_id: str) -> Sequence[RecordingStream]:
        recordings = await opened(session_id)
        if session_id == "0":
            archive.origins[-2].then = Step(send=100, end="cut")
        return recordings

    archive.open_recordings = second_is_cut  # type: ignore[method-assign]
    outcomes = [outcome async for outcome in archive.download([0, 1], tmp_path)]
    failed = next(outcome for outcome in outcomes if outcome.session_id == "0")
    assert (failed.status, type(failed.error)) == ("failed", IncompleteRecordingError)
    assert [saved.path.name for saved in failed.recordings] == ["0-1of3.wav", "0-3of3.wav"]
    assert archive.check(tmp_path) == 3


async def test_who_takes_no_outcome_holds_up_the_rest(tmp_path: Path) -> None:
    archive, read = Archive(*[1] * 30), list[int]()

    async def sessions() -> AsyncIterator[int]:
        for number in range(30):
            await asyncio.sleep(0)
            read.append(number)
            yield number

    async with archive.download(sessions(), tmp_path, parallel=4) as outcomes:
        await anext(outcomes)
        for _ in range(300):
            await asyncio.sleep(0.0001)
        assert len(read) <= 6  # one taken, four in work or done, and one read ahead
        rest = [outcome async for outcome in outcomes]
    assert (len(rest), read, archive.check(tmp_path)) == (29, list(range(30)), 30)
    assert archive.most <= 4


async def test_where_the_sessions_fail_the_next_step_tries_again(tmp_path: Path) -> None:
    class Walk:
        at = -1
        broken = True

        def __aiter__(self) -> Walk:
            return self

        async def __anext__(self) -> int:
            await asyncio.sleep(0)
            if self.at == 3 and self.broken:
                self.broken = False
                raise SyllableConnectionError("refused")
            if self.at == 6:
                raise StopAsyncIteration
            self.at += 1
            return self.at

    archive, walk, errors, outcomes = Archive(*[1] * 7), Walk(), 0, list[DownloadOutcome]()
    iterator = archive.download(walk, tmp_path)
    while True:
        try:
            outcomes.append(await anext(iterator))
        except SyllableConnectionError:
            errors += 1
        except StopAsyncIteration:
            break
    assert (errors, sorted(o.session_id for o in outcomes), archive.check(tmp_path)) == (1, list("0123456"), 7)


async def take_all(iterator: DownloadIterator, outcomes: list[DownloadOutcome]) -> None:
    async for outcome in iterator:
        outcomes.append(outcome)  # noqa: PERF401 - what was taken before it is cancelled counts


async def test_cancelled_at_each_await_it_leaves_whole_files_and_can_go_on(
    tmp_path: Path, counted: Callable[[str, int], None]
) -> None:
    tasks, number, cancelled = asyncio.all_tasks(), 0, True
    while cancelled:
        number += 1
        place, outcomes = tmp_path / str(number), list[DownloadOutcome]()
        archive = Archive(1, 2, 1, 2, 1, then=Step(framing="chunked"))
        iterator = archive.download(range(5), place, parallel=2)
        cancelled = await cancelled_at(take_all(iterator, outcomes), number)
        assert asyncio.all_tasks() == tasks
        if place.exists():
            archive.check(place)
        await take_all(iterator, outcomes)
        assert sorted(outcome.session_id for outcome in outcomes) == list("01234")
        assert archive.check(place) == 7
    counted("cancellations of a bulk download", number - 1)
    assert number > 10


async def test_closed_anywhere_nothing_runs_on(tmp_path: Path) -> None:
    for turns in range(0, 60, 2):
        archive, place, tasks = Archive(*[1] * 5), tmp_path / str(turns), asyncio.all_tasks()
        place.mkdir()
        async with archive.download(range(5), place) as outcomes:
            reading = asyncio.ensure_future(anext(outcomes))
            for _ in range(turns):
                await asyncio.sleep(0)
            reading.cancel()
            await asyncio.wait([reading])
        assert asyncio.all_tasks() == tasks
        archive.check(place)
        with pytest.raises(ClientClosedError, match="download was closed"):
            await anext(outcomes)


async def test_an_async_generator_that_was_cancelled_is_no_end(tmp_path: Path) -> None:
    async def sessions() -> AsyncIterator[int]:
        yield 0
        await asyncio.Event().wait()

    archive = Archive(1)
    iterator = archive.download(sessions(), tmp_path)
    assert (await anext(iterator)).status == "saved"
    assert await cancelled_at(take_all(iterator, []), 1)
    with pytest.raises(ClientClosedError):
        await anext(iterator)


async def test_closed_while_it_reads_or_after_something_failed(tmp_path: Path) -> None:
    class Walk:
        """Fails once it is cancelled, or ends, or has one more: whatever happens in the last moment."""

        def __init__(self, last: object) -> None:
            self.last, self.closed = last, False

        def __aiter__(self) -> Walk:
            return self

        async def __anext__(self) -> object:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if isinstance(self.last, BaseException):
                    raise self.last from None
            return self.last

        async def aclose(self) -> None:
            self.closed = True

    archive, outcomes = Archive(1), list[DownloadOutcome]()
    for last, then in ((SyllableConnectionError("refused"), SyllableConnectionError), (0, None)):
        iterator = archive.download(Walk(last), tmp_path)
        assert await cancelled_at(take_all(iterator, outcomes), 2)
        if then is None:
            outcomes.append(await anext(iterator))
        else:
            with pytest.raises(then):
                await anext(iterator)
        await iterator.aclose()
    assert [outcome.status for outcome in outcomes] == ["saved"]

    class Sessions:
        def __init__(self) -> None:
            self.walk = Walk(0)

        def __aiter__(self) -> Walk:
            return self.walk

    sessions = Sessions()
    async with archive.download(sessions, tmp_path) as download:
        pass
    assert sessions.walk.closed, "an iterator of ours is closed with the download"
    await download.aclose()
    forgotten = archive.download(Walk(0), tmp_path)
    reading = asyncio.ensure_future(anext(forgotten))
    for _ in range(3):
        await asyncio.sleep(0.001)
    reading.cancel()
    await asyncio.wait([reading])
    tasks = asyncio.all_tasks()
    forgotten = archive.download([0], tmp_path, if_exists="replace")
    forgotten._waiting.append(0)
    forgotten._start()
    del forgotten
    await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() == tasks


async def test_what_failed_and_was_not_taken_before_it_was_closed_is_not_complained_of(tmp_path: Path) -> None:
    problems = list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    archive, taken = Archive(1, 1), asyncio.Event()
    archive.failures["1"] = ClientClosedError("closed")
    opened = archive.open_recordings

    async def one_by_one(session_id: str) -> Sequence[RecordingStream]:
        if session_id == "1":
            await taken.wait()
        return await opened(session_id)

    archive.open_recordings = one_by_one  # type: ignore[method-assign]
    async with archive.download([0, 1], tmp_path) as outcomes:
        assert (await anext(outcomes)).status == "saved"
        taken.set()
        for _ in range(5):
            await asyncio.sleep(0)
    del outcomes
    gc.collect()
    assert archive.opened == {"0": 1, "1": 1}
    assert problems == []


def test_a_download_that_outlives_its_loop_leaves_whole_files(tmp_path: Path) -> None:
    archive = Archive(1, 1, 1)

    async def begin() -> DownloadIterator:
        iterator = archive.download(range(3), tmp_path)
        await anext(iterator)
        return iterator

    iterator = asyncio.run(begin())
    assert iterator._tasks()
    del iterator
    assert archive.check(tmp_path) >= 1


async def test_cancelled_twice_it_still_waits_for_what_is_in_work(tmp_path: Path) -> None:
    archive, ended = Archive(1), asyncio.Event()

    async def slow(session_id: str) -> Sequence[RecordingStream]:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            ended.set()
        return ()

    archive.open_recordings = slow  # type: ignore[method-assign]

    class Bare:
        """An async iterable whose iterator cannot be closed."""

        def __aiter__(self) -> AsyncIterator[int]:
            class Walk:
                async def __anext__(self) -> int:
                    return 0

                def __aiter__(self) -> Any:
                    return self

            return Walk()

    iterator = archive.download(Bare(), tmp_path, parallel=1)
    reading = asyncio.ensure_future(anext(iterator))
    for _ in range(10):
        await asyncio.sleep(0.001)
    for _ in range(2):
        reading.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert ended.is_set()
    await iterator.aclose()


async def test_what_progress_raises_is_no_outcome(tmp_path: Path) -> None:
    broken = BrokenPipeError("whoever watched is gone")

    def progress(done: int, count: int) -> None:
        raise broken

    async with Archive(1, 1).download([0, 1], tmp_path, progress=progress) as outcomes:
        with pytest.raises(BrokenPipeError) as caught:
            await anext(outcomes)
    assert caught.value is broken
    assert files(tmp_path) == []


async def test_a_progress_that_raises_stop_async_iteration_does_not_look_like_the_end(tmp_path: Path) -> None:
    def progress(_done: int, _count: int) -> None:
        raise StopAsyncIteration

    async with Archive(1, 1).download([0, 1], tmp_path, progress=progress) as outcomes:
        with pytest.raises(RuntimeError, match="raised StopAsyncIteration"):
            await anext(outcomes)


async def test_a_closed_client_ends_it(tmp_path: Path) -> None:
    archive = Archive(1, 1)
    archive.failures["1"] = ClientClosedError("closed")
    async with archive.download([1], tmp_path) as outcomes:
        with pytest.raises(ClientClosedError):
            await anext(outcomes)


def test_of_many_that_a_closed_client_ends_one_is_raised_and_none_reported(tmp_path: Path) -> None:
    reports: list[dict[str, Any]] = []
    archive = Archive(1, 1, 1)
    archive.failures.update({str(number): ClientClosedError("closed") for number in range(3)})

    async def read() -> DownloadIterator:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
        iterator = archive.download(range(3), tmp_path)
        with pytest.raises(ClientClosedError):
            await anext(iterator)
        for _ in range(5):
            await asyncio.sleep(0)
        return iterator

    iterator = asyncio.run(read())
    assert archive.opened.total() > 1
    archive.failures.clear()
    del iterator
    gc.collect()
    assert reports == []


WRONG: list[tuple[dict[str, Any], type[Exception]]] = [
    ({"parallel": 0}, ValueError),
    ({"parallel": True}, TypeError),
    ({"parallel": None}, TypeError),
    ({"parallel": 1.5}, TypeError),
    ({"if_exists": "maybe"}, ValueError),
    ({"settle": -1}, ValueError),
    ({"settle": float("nan")}, ValueError),
    ({"progress": "bar"}, TypeError),
    ({"sessions": "123"}, TypeError),
    ({"sessions": 5}, TypeError),
    ({"directory": ""}, ValueError),
    ({"directory": b"x"}, TypeError),
]


@pytest.mark.parametrize(("arguments", "kind"), WRONG, ids=str)
async def test_wrong_arguments_raise_before_anything_is_sent(
    tmp_path: Path, arguments: dict[str, Any], kind: type[Exception]
) -> None:
    given: dict[str, Any] = {"sessions": [], "directory": tmp_path, **arguments}
    with pytest.raises(kind):
        Archive().download(**given)


async def test_wrong_places_and_items(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    archive = Archive(1)
    with pytest.raises(NotADirectoryError):
        await anext(archive.download([0], tmp_path / "file"))
    assert not archive.opened
    wrong: list[Any] = [3.5]
    with pytest.raises(TypeError, match="float"):
        await anext(archive.download(wrong, tmp_path))


async def test_against_the_fake(tmp_path: Path) -> None:
    async with FakeSyllable(sessions=40, seed=2) as server:
        for _ in range(5):
            server.faults.add("sessions.stream_recording", faults.cut(3000))
        policy = RetryPolicy(initial=0, maximum=0)
        async with AsyncSyllableClient(server.api_key, base_url=server.url, retries=policy) as client:
            ids: list[Any] = [*server.sessions, "a/b", "no-such-session"]
            outcomes = [o async for o in client.sessions.download_recordings(ids, tmp_path)]
            assert len(outcomes) == len(ids)
            failed = {o.session_id: o.error for o in outcomes if o.status == "failed"}
            assert set(failed) == {"a/b", "no-such-session"}
            assert isinstance(failed["a/b"], ValueError)
            assert isinstance(failed["no-such-session"], SyllableError)
            expected = {data for name in server.sessions for data in server.recordings(name)}
            assert {(tmp_path / name).read_bytes() for name in files(tmp_path)} == expected
            streams = len(server.requests.to("sessions.stream_recording"))
            async with client.sessions.download_recordings(client.sessions.list(), tmp_path) as again:
                assert {outcome.status async for outcome in again} <= {"skipped", "none", "pending"}
            assert len(server.requests.to("sessions.stream_recording")) == streams


async def test_a_naive_download_loses_sessions(tmp_path: Path) -> None:
    """What most code does, under the same demands: one failure ends all, and what was cut stands under its name."""
    archive = Archive(1, 1, 1, then=Step(send=100, end="cut"))

    async def naive(session_id: str) -> None:
        for recording in await archive.open_recordings(session_id):
            with (tmp_path / f"{session_id}-1of1.wav").open("wb") as file:
                async for chunk in recording:
                    file.write(chunk)

    with pytest.raises(IncompleteRecordingError):
        await asyncio.gather(*map(naive, "012"))
    with pytest.raises(AssertionError):
        archive.check(tmp_path)
