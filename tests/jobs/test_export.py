"""`jobs.export` against the fake: what stands in the files, what is written again, what is refused."""

from __future__ import annotations

import asyncio
import fcntl
import io
import json
import shutil
import stat
import threading
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from syllable_async import AsyncSyllableClient, AuthenticationError, HTTPValidationError, RetryPolicy, jobs
from syllable_async.jobs import ExportReport, JobProgress, TargetError, _export, _schema
from syllable_async.jobs._day_file import DayFiles
from syllable_async.jobs._days import bounds
from syllable_async.jobs._storage import LocalFolder, ObjectStore, remove_abandoned, remove_own
from syllable_async.testing import FakeSyllable, faults
from tests.jobs.folder import hidden, ids, listed, record, row_groups, rows

SINCE, UNTIL = date(2026, 1, 5), date(2026, 1, 7)
SPAN: Any = {"since": SINCE, "until": UNTIL}
MONDAY = date(2026, 1, 5)


@pytest_asyncio.fixture
async def server() -> AsyncIterator[FakeSyllable]:
    async with FakeSyllable(sessions=500) as running:
        yield running


@pytest_asyncio.fixture
async def small() -> AsyncIterator[AsyncSyllableClient]:
    """A client of a fake with few sessions."""
    async with FakeSyllable(sessions=30) as server, AsyncSyllableClient(server.api_key, base_url=server.url) as client:
        yield client


def statuses(report: ExportReport) -> list[str]:
    return [day.status for day in report.days]


async def test_a_day_is_read_again_where_an_earlier_walk_has_put_more_parts_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeSyllable(sessions=30) as server, AsyncSyllableClient(server.api_key, base_url=server.url) as client:
        span: Any = {"since": MONDAY, "until": MONDAY + timedelta(days=1)}
        await jobs.export(client, **span, to=tmp_path / "earlier", with_=["summary"])
        server.add_session(timestamp=datetime(2026, 1, 5, 12, tzinfo=UTC))
        publish = DayFiles.publish

        def publish_second(self: DayFiles, *arguments: Any, **options: Any) -> Any:
            monkeypatch.setattr(DayFiles, "publish", publish)
            shutil.copytree(tmp_path / "earlier", tmp_path / "now", dirs_exist_ok=True)
            return publish(self, *arguments, **options)

        monkeypatch.setattr(DayFiles, "publish", publish_second)
        report = await jobs.export(client, **span, to=tmp_path / "now")
        assert statuses(report) == ["written"]
        assert ids(tmp_path / "now") == listed(server, MONDAY)
        assert record(tmp_path / "now", MONDAY).with_ == ("summary",)
        assert report.rows == len(listed(server, MONDAY)) > len(ids(tmp_path / "earlier"))


async def test_another_api_that_came_into_the_folder_meanwhile_is_refused(
    small: AsyncSyllableClient, client: AsyncSyllableClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await jobs.export(small, since=date(2026, 1, 8), until=date(2026, 1, 9), to=tmp_path / "other")
    publish = DayFiles.publish

    def publish_second(self: DayFiles, *arguments: Any, **options: Any) -> Any:
        shutil.copytree(tmp_path / "other", tmp_path / "now", dirs_exist_ok=True)
        return publish(self, *arguments, **options)

    monkeypatch.setattr(DayFiles, "publish", publish_second)
    with pytest.raises(TargetError, match="is of http"):
        await jobs.export(client, **SPAN, to=tmp_path / "now")
    assert len(list((tmp_path / "now").glob("sessions-*"))) == 1


async def test_an_api_without_a_clock_is_no_reason_to_write_nothing_and_say_so_to_nobody(
    client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path
) -> None:
    for date_, written in (("Thu, 01 Jan 1970 00:00:00 GMT", False), (f"Thu, 01 Jan {'9' * 20} 11:00", True)):
        server.faults.clear()
        wrong = faults.status(200, headers={"Date": date_}, body=b"{}", times=None)
        server.faults.add("sessions.list", wrong, when=lambda call: ("limit", "1") in call.params)
        report = await jobs.export(client, **SPAN, to=tmp_path)
        assert report.complete is written
        assert {day.error is None for day in report.days} == {written}
        assert (ids(tmp_path) == listed(server)) is written


async def test_the_files_hold_what_is_listed_by_day(
    client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path
) -> None:
    report = await jobs.export(client, **SPAN, to=tmp_path / "new" / "folder")
    folder = tmp_path / "new" / "folder"
    assert ids(folder) == listed(server)
    assert [day.rows for day in report.days] == [len(listed(server, day.day)) for day in report.days]
    assert report.rows == len(listed(server)) > 400
    assert report.complete
    row = next(row for row in rows(folder) if row["session_id"] == server.listed[0])
    stored = server.session(server.listed[0])
    assert row["timestamp"] == datetime.fromisoformat(stored["timestamp"])
    assert {name: row[name] for name in ("agent_name", "source", "is_test", "duration")} == {
        name: stored[name] for name in ("agent_name", "source", "is_test", "duration")
    }
    assert [row[name] for name in ("summary", "transcript", "latency", "timeline")] == [None] * 4


async def test_what_with_names_is_nested_in_its_column(small: AsyncSyllableClient, tmp_path: Path) -> None:
    client = small
    span: Any = {"since": MONDAY, "until": date(2026, 1, 6)}
    await jobs.export(client, **span, to=tmp_path, with_=["timeline", "summary", "transcript", "latency"])
    assert record(tmp_path, MONDAY).with_ == ("summary", "transcript", "latency", "timeline")
    for row in rows(tmp_path)[:20]:
        summary = await client.sessions.get_full_summary(row["session_id"])
        transcript = await client.sessions.get_transcript(row["session_id"])
        assert row["summary"] == {"summary": summary.summary, "rating": summary.rating}
        texts = [said["text"] for said in row["transcript"]["transcription"]]
        # A transcript grows each time it is read, until it is complete.
        assert texts == [said.text for said in transcript.transcription][: len(texts)]
        assert row["latency"]["session_id"] == row["timeline"]["session_id"] == row["session_id"]


async def test_files_and_folders_are_the_users_alone(client: AsyncSyllableClient, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    await jobs.export(client, **SPAN, to=folder)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, folder.parent)} == {0o700}


async def test_final_files_are_not_asked_for_again_and_refresh_writes_them(
    client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path
) -> None:
    await jobs.export(client, **SPAN, to=tmp_path)
    asked = len(server.requests)
    report = await jobs.export(client, **SPAN, to=tmp_path)
    assert statuses(report) == ["kept"] * 2
    assert len(server.requests) == asked
    assert report.rows == len(listed(server))
    late = server.add_session(timestamp=datetime(2026, 1, 6, 12, tzinfo=UTC))
    server.delete(server.listed[0])
    assert statuses(await jobs.export(client, **SPAN, to=tmp_path, refresh=True)) == ["written"] * 2
    assert ids(tmp_path) == listed(server)
    assert late in ids(tmp_path)


async def test_a_day_is_final_once_its_walk_began_late_enough(
    client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path
) -> None:
    today = datetime.now(UTC).date()
    server.add_session(timestamp=datetime.now(UTC) - timedelta(seconds=10))
    since = today - timedelta(days=1)
    server.add_session(timestamp=bounds(since)[0])
    for settle, final in ((0.0, [True, False]), (3e6, [False, False])):
        report = await jobs.export(client, since=since, to=tmp_path, settle=settle)
        assert [day.final for day in report.days] == final
    # What is final is asked of the file and of today's `settle`, not of the run that wrote it.
    assert statuses(await jobs.export(client, since=since, to=tmp_path, settle=0.0)) == ["kept", "written"]


async def test_an_empty_day_is_never_final(client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path) -> None:
    span: Any = {"since": date(2026, 2, 1), "until": date(2026, 2, 2)}
    assert [day.final for day in (await jobs.export(client, **span, to=tmp_path)).days] == [False]
    late = server.add_session(timestamp=datetime(2026, 2, 1, 3, tzinfo=UTC))
    await jobs.export(client, **span, to=tmp_path)
    assert ids(tmp_path) == [late]


async def test_a_clock_that_is_fast_makes_no_day_final(
    client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = datetime.now(UTC) + timedelta(hours=24)
    monkeypatch.setattr(_export, "_now", lambda: fast)
    today = datetime.now(UTC).date()
    server.add_session(timestamp=datetime.now(UTC) - timedelta(seconds=10))
    report = await jobs.export(client, since=today, to=tmp_path)
    assert [(day.rows, day.final) for day in report.days] == [(1, False), (0, False)]
    assert record(tmp_path, today).begun < fast - timedelta(hours=23)


async def test_far_fewer_rows_replace_nothing_unless_it_is_asked_for(
    client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path
) -> None:
    await jobs.export(client, **SPAN, to=tmp_path)
    before = len(listed(server, MONDAY))
    for name in listed(server, MONDAY)[: before // 2]:
        server.delete(name)
    report = await jobs.export(client, **SPAN, to=tmp_path, refresh=True)
    assert statuses(report) == ["fewer", "written"]
    assert (report.days[0].rows, report.complete) == (before, False)
    assert f"{before} stand there" in str(report.days[0].error)
    assert (await jobs.export(client, **SPAN, to=tmp_path, refresh=True, fewer=True)).complete
    assert ids(tmp_path) == listed(server)


async def test_more_with_writes_again_and_less_loses_nothing(small: AsyncSyllableClient, tmp_path: Path) -> None:
    client = small
    span: Any = {"since": MONDAY, "until": date(2026, 1, 6)}
    await jobs.export(client, **span, to=tmp_path)
    assert statuses(await jobs.export(client, **span, to=tmp_path, with_=["summary"])) == ["written"]
    assert statuses(await jobs.export(client, **span, to=tmp_path)) == ["kept"]
    await jobs.export(client, **span, to=tmp_path, refresh=True, with_=["latency"])
    assert record(tmp_path, MONDAY).with_ == ("summary", "latency")
    assert all(row["summary"] and row["latency"] for row in rows(tmp_path))


async def test_a_session_that_cannot_be_read_is_listed_and_stops_nothing(
    client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path
) -> None:
    span: Any = {"since": MONDAY, "until": date(2026, 1, 6), "to": tmp_path, "with_": ["summary"]}
    secret = listed(server, MONDAY)[3]
    server.faults.add(
        "sessions.get_full_summary", faults.status(403, times=None), when=lambda call: call.path.endswith(secret)
    )
    report = await jobs.export(client, **span)
    assert (report.problems, report.complete, report.days[0].final) == (1, False, True)
    [line] = (tmp_path / "_problems" / "2026-01-05.jsonl").read_text().splitlines()
    problem = json.loads(line)
    assert (problem["session_id"], problem["part"], problem["may_pass"]) == (secret, "summary", False)
    assert "403" in problem["problem"]
    assert ids(tmp_path) == listed(server, MONDAY)
    assert [row["session_id"] for row in rows(tmp_path) if row["summary"] is None] == [secret]
    assert not (await jobs.export(client, **span)).complete  # as long as it is there
    server.faults.clear()
    assert (await jobs.export(client, **span, refresh=True)).complete
    assert not (tmp_path / "_problems" / "2026-01-05.jsonl").exists()


async def test_a_session_without_a_summary_keeps_its_row_and_is_no_problem(tmp_path: Path) -> None:
    async with FakeSyllable(sessions=30) as server, AsyncSyllableClient(server.api_key, base_url=server.url) as client:
        server.faults.add("sessions.get_full_summary", faults.status(404))
        report = await jobs.export(client, **SPAN, to=tmp_path, with_=["summary"])
        assert report.complete
        assert ids(tmp_path) == listed(server)
    assert [row["summary"] for row in rows(tmp_path)].count(None) == 1


async def test_a_key_that_is_refused_in_the_middle_is_raised(tmp_path: Path) -> None:
    async with FakeSyllable(sessions=30) as server, AsyncSyllableClient(server.api_key, base_url=server.url) as client:
        server.faults.add("sessions.get_full_summary", faults.status(401))
        with pytest.raises(AuthenticationError):
            await jobs.export(client, since=MONDAY, until=date(2026, 1, 6), to=tmp_path, with_=["summary"])
    assert ids(tmp_path) == hidden(tmp_path) == []


async def test_a_long_day_is_written_in_several_groups(
    client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_export, "CHUNK", 50)
    monkeypatch.setattr(_schema, "GROUP_BYTES", 1)
    await jobs.export(client, **SPAN, to=tmp_path)
    assert row_groups(tmp_path, MONDAY) > 1
    assert ids(tmp_path) == listed(server)


async def test_a_row_that_does_not_fit_is_listed_and_the_others_come(
    client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path
) -> None:
    def spoil(page: Any) -> Any:
        for row in page["items"]:
            if row["session_id"] == bad:
                row["duration"] = {"seconds": 61}
        return page

    bad = listed(server, MONDAY)[5]
    server.faults.add("sessions.list", faults.edit_json(spoil, times=None))
    huge = server.add_session(timestamp=datetime(2026, 1, 6, 13, tzinfo=UTC), prompt_version_number=2**70)
    report = await jobs.export(client, **SPAN, to=tmp_path)
    assert {bad, huge}.isdisjoint(ids(tmp_path))
    assert sorted([*ids(tmp_path), bad, huge]) == listed(server)
    assert [day.problems for day in report.days] == [1, 1]
    lines = [path.read_text() for path in sorted((tmp_path / "_problems").iterdir())]
    assert [json.loads(line)["session_id"] for line in lines] == [bad, huge]
    assert "61" not in lines[0]


async def test_what_may_pass_leaves_a_day_to_the_next_run(
    server: FakeSyllable, tmp_path: Path, client: AsyncSyllableClient
) -> None:
    impatient = client.with_options(retries=RetryPolicy(max_attempts=1))
    span: Any = {"since": MONDAY, "until": date(2026, 1, 6), "to": tmp_path, "with_": ["summary"], "patience": 0}
    server.faults.add("sessions.get_full_summary", faults.status(500))
    report = await jobs.export(impatient, **span)
    assert [(day.status, day.final, day.problems) for day in report.days] == [("written", False, 1)]
    assert (await jobs.export(impatient, **span)).complete


async def test_a_list_that_fails_fails_its_day_alone(
    server: FakeSyllable, tmp_path: Path, client: AsyncSyllableClient
) -> None:
    end = ("end_datetime", "2026-01-06T00:00:00+00:00")
    server.faults.add("sessions.list", faults.status(500, times=None), when=lambda call: end in call.params)
    impatient = client.with_options(retries=RetryPolicy(max_attempts=1))
    report = await jobs.export(impatient, **SPAN, to=tmp_path, patience=0, parallel=1)
    assert statuses(report) == ["failed", "written"]
    assert not report.complete
    assert "HTTP 500" in str(report.days[0].error)
    assert hidden(tmp_path) == []


async def test_nobody_is_waited_for_again_where_nobody_answers(tmp_path: Path) -> None:
    async with AsyncSyllableClient("key", base_url="http://127.0.0.1:9", retries=RetryPolicy(max_attempts=1)) as client:
        report = await jobs.export(client, since=SINCE, until=date(2026, 1, 12), to=tmp_path, patience=0)
    assert statuses(report) == ["failed"] * 7
    assert len({day.error for day in report.days}) == 1


async def test_a_key_or_filter_that_is_refused_is_raised(
    client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path
) -> None:
    async with AsyncSyllableClient("wrong", base_url=server.url) as stranger:
        with pytest.raises(AuthenticationError):
            await jobs.export(stranger, **SPAN, to=tmp_path)
    with pytest.raises(HTTPValidationError):
        await jobs.export(client, **SPAN, to=tmp_path, search={"agent_nam": "x"})
    assert ids(tmp_path) == hidden(tmp_path) == []


async def test_filters_are_kept_with_the_files_and_others_are_refused(
    client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path
) -> None:
    name = server.session(server.listed[0])["agent_name"]
    await jobs.export(client, **SPAN, to=tmp_path, agent_name=name)
    assert {row["agent_name"] for row in rows(tmp_path)} == {name}
    others: list[Any] = [{}, {"agent_name": "x"}, {"agent_name": name, "include_test": True}]
    for other in others:
        with pytest.raises(TargetError, match="other filters"):
            await jobs.export(client, **SPAN, to=tmp_path, **other)
    # Another span's filters are compared too.
    with pytest.raises(TargetError, match="other filters"):
        await jobs.export(client, since=date(2026, 1, 7), until=date(2026, 1, 8), to=tmp_path)
    assert (await jobs.export(client, **SPAN, to=tmp_path, search={"agent_name": name})).complete


async def test_test_sessions_come_where_they_are_asked_for(
    client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path
) -> None:
    await jobs.export(client, **SPAN, to=tmp_path, include_test=True)
    assert ids(tmp_path) == sorted(server.sessions)
    assert len(server.sessions) > len(server.listed)


async def test_the_folder_of_another_api_is_refused(client: AsyncSyllableClient, tmp_path: Path) -> None:
    await jobs.export(client, **SPAN, to=tmp_path)
    async with FakeSyllable(sessions=5) as other, AsyncSyllableClient(other.api_key, base_url=other.url) as stranger:
        with pytest.raises(TargetError, match=f"is of {client.base_url}, not of {other.url}"):
            await jobs.export(stranger, **SPAN, to=tmp_path)


@pytest.mark.parametrize("name", ["other.parquet", "sessions-2026-01-05.parquet"])
async def test_files_of_others_are_refused_and_left(client: AsyncSyllableClient, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PAR1 not ours")
    with pytest.raises(TargetError, match="no file of this program"):
        await jobs.export(client, **SPAN, to=tmp_path)
    assert (tmp_path / name).read_bytes() == b"PAR1 not ours"


@pytest.mark.parametrize("target", ["file", "file/below"])
async def test_a_target_that_is_no_folder_is_refused(client: AsyncSyllableClient, tmp_path: Path, target: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(TargetError, match="is no folder"):
        await jobs.export(client, **SPAN, to=tmp_path / target)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"with_": ["summry"]}, "with_ does not know 'summry'"),
        ({"with_": "summry"}, "with_ does not know 'summry'"),
        ({"parallel": 0}, "parallel must be at least 1"),
        ({"parallel": 1.5}, "parallel must be an int"),
        ({"settle": -1}, "settle must be a number of seconds"),
        ({"patience": float("nan")}, "patience must be a number of seconds"),
        ({"search": {"agent_name": 3}}, "search must map names of fields to text"),
        ({"search": {"": "x"}}, "the filter = is empty"),
        ({"agent_name": ""}, "the filter agent_name= is empty"),
        ({"search": {"agent_name": "A"}, "agent_name": "A"}, "agent_name is filtered twice"),
        ({"search": {"is_test": "false"}, "include_test": True}, "is_test is filtered twice"),
        ({"until": SINCE}, "is not before"),
        ({"to": "nonsense://bucket"}, "the address nonsense://bucket cannot be used"),
    ],
)
async def test_arguments_that_cannot_be_raise_before_anything_is_sent(
    client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path, wrong: dict[str, Any], problem: str
) -> None:
    arguments: Any = {**SPAN, "to": tmp_path, **wrong}
    with pytest.raises((ValueError, TypeError), match=problem):
        await jobs.export(client, **arguments)
    assert len(server.requests) == 0


async def test_progress_tells_of_days_and_sessions(client: AsyncSyllableClient, tmp_path: Path) -> None:
    told: list[JobProgress] = []
    report = await jobs.export(client, **SPAN, to=tmp_path, progress=told.append)
    assert (told[-1].days_done, told[-1].days, told[-1].sessions) == (2, 2, report.rows)
    assert [now.sessions for now in told] == sorted(now.sessions for now in told)


async def test_cancelled_it_leaves_whole_files_and_no_parts(
    client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path
) -> None:
    await jobs.export(client, **SPAN, to=tmp_path)
    before = ids(tmp_path)
    for steps in (1, 5, 20, 60):
        running = asyncio.create_task(jobs.export(client, **SPAN, to=tmp_path, refresh=True, with_=["summary"]))
        for _ in range(steps):
            await asyncio.sleep(0.001)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert hidden(tmp_path) == []
        assert ids(tmp_path) == before == listed(server)


async def test_parts_of_killed_runs_are_removed_and_those_in_work_are_left(
    client: AsyncSyllableClient, tmp_path: Path
) -> None:
    dead = tmp_path / ".sessions-2026-01-05.parquet.999999-0badcafe.part"
    dead.write_bytes(b"half")
    with LocalFolder(tmp_path).part("sessions-2026-01-06.parquet") as living:
        await jobs.export(client, **SPAN, to=tmp_path)
        assert not dead.exists()
        assert Path(living.path).name in hidden(tmp_path)


def test_a_part_that_is_swept_away_before_it_is_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, swept = fcntl.flock, list[str]()

    def another_is_quicker(file: Any, how: int) -> None:
        if not swept:
            swept.extend(hidden(tmp_path))
            remove_abandoned(tmp_path)
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", another_is_quicker)
    with LocalFolder(tmp_path).part("sessions-2026-01-05.parquet") as part:
        assert hidden(tmp_path) == [Path(part.path).name] != swept


def test_a_process_that_is_about_to_end_removes_the_parts_that_it_writes(tmp_path: Path) -> None:
    with LocalFolder(tmp_path).part("sessions-2026-01-05.parquet"):
        assert len(hidden(tmp_path)) == 1
        remove_own()
        assert hidden(tmp_path) == []


async def test_what_other_programs_left_there_stays(client: AsyncSyllableClient, tmp_path: Path) -> None:
    (tmp_path / ".backup.2026-01.part").write_bytes(b"theirs")
    (tmp_path / ".movie.x264-0badcafe.part").write_bytes(b"theirs")
    (tmp_path / ".report.parquet.999999-0badcafe.part").write_bytes(b"theirs")
    (tmp_path / ".sessions-2026-01-05.parquet.1-0badcafe.part").symlink_to(tmp_path / ".backup.2026-01.part")
    (tmp_path / ".sessions-2026-01-05.parquet.2-0badcafe.part").mkdir()
    before = hidden(tmp_path)
    await jobs.export(client, **SPAN, to=tmp_path)
    await jobs.follow(client, to=io.BytesIO(), state=tmp_path / "state.json", once=True)
    assert hidden(tmp_path) == before


async def test_another_file_system_gets_objects(client: AsyncSyllableClient, server: FakeSyllable) -> None:
    import fsspec  # type: ignore[import-untyped]

    target = "memory://jobs/export"
    report = await jobs.export(client, **SPAN, to=target)
    files: Any = fsspec.filesystem("memory")  # pyright: ignore[reportUnknownMemberType]
    assert sorted(files.ls("/jobs/export", detail=False)) == [
        f"/jobs/export/sessions-{day.day}.parquet" for day in report.days
    ]
    assert report.days[0].address == "memory://jobs/export/sessions-2026-01-05.parquet"
    assert statuses(await jobs.export(client, **SPAN, to=target)) == ["kept"] * 2
    assert report.rows == len(listed(server))


@pytest.mark.parametrize("side_by_side", [False, True])
async def test_days_that_are_put_at_once_do_not_see_each_other_half_written(
    small: AsyncSyllableClient, monkeypatch: pytest.MonkeyPatch, side_by_side: bool
) -> None:
    from fsspec.implementations import memory  # type: ignore[import-untyped]

    files: Any = memory.MemoryFileSystem  # pyright: ignore[reportUnknownMemberType]
    names, tail, put = ObjectStore.names, ObjectStore.tail, files.put_file
    exclusively = ObjectStore.exclusively
    begun, both, looked = threading.Event(), threading.Event(), threading.Event()
    calls, turns = count(1), count(1)

    def in_two_steps(self: Any, lpath: str, rpath: str, **options: Any) -> None:
        self.pipe_file(rpath, b"")
        begun.set()
        both.wait(10)
        looked.wait(10 if side_by_side else 0.05)
        put(self, lpath, rpath, **options)

    def look(self: ObjectStore) -> list[str]:
        if next(calls) == 3:  # the first is that of the run, then each day has one
            begun.wait(10)
        return names(self)

    def enter(self: ObjectStore) -> AbstractContextManager[object]:
        if next(turns) == 2:
            both.set()
        return nullcontext() if side_by_side else exclusively(self)  # the naive version, and ours

    def read(self: ObjectStore, name: str, size: int) -> bytes:
        found = tail(self, name, size)
        looked.set()
        return found

    monkeypatch.setattr(files, "put_file", in_two_steps)
    monkeypatch.setattr(ObjectStore, "names", look)
    monkeypatch.setattr(ObjectStore, "tail", read)
    monkeypatch.setattr(ObjectStore, "exclusively", enter)
    exporting = jobs.export(small, **SPAN, to=f"memory://half/written/{side_by_side}")
    if side_by_side:
        with pytest.raises(TargetError, match="Parquet file size is 0 bytes"):
            await exporting
    else:
        assert statuses(await exporting) == ["written"] * 2
