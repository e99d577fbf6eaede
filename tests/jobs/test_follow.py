"""`jobs.follow` against the fake: what comes, in which files, and where it goes on."""

from __future__ import annotations

import asyncio
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from syllable_async import AsyncSyllableClient, jobs
from syllable_async.jobs import JobProgress, TargetError, _follow
from syllable_async.jobs._storage import LocalFolder
from syllable_async.testing import FakeSyllable, faults
from tests.jobs.folder import hidden, listed, modes

SINCE = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_follow, "QUIET", 0.01)


def followed(folder: Path) -> list[str]:
    """The ids of all files, in the files' order."""
    return [
        json.loads(line)["session_id"]
        for path in sorted(folder.glob("*.ndjson"))
        for line in path.read_text().splitlines()
    ]


async def test_once_gives_what_is_there_and_then_what_is_new(
    client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path
) -> None:
    first = await jobs.follow(client, to=tmp_path, since=SINCE, once=True)
    assert sorted(followed(tmp_path)) == listed(server)
    assert (first.sessions, first.files) == (len(listed(server)), 1)
    now = datetime.now(UTC)
    added = [server.add_session(timestamp=now - timedelta(minutes=minutes)) for minutes in (30, 0)]
    second = await jobs.follow(client, to=tmp_path, once=True)
    assert sorted(followed(tmp_path)) == listed(server)
    assert second.sessions == len(added)
    assert (await jobs.follow(client, to=tmp_path, once=True)).files == 0
    assert modes(tmp_path) == {0o600}


async def test_without_since_it_begins_with_the_first_run(
    client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path
) -> None:
    assert (await jobs.follow(client, to=tmp_path, once=True)).sessions == 0
    added = server.add_session(timestamp=datetime.now(UTC))
    assert (await jobs.follow(client, to=tmp_path, once=True)).sessions == 1
    assert followed(tmp_path) == [added]


async def test_a_stream_gets_lines_as_they_come(client: AsyncSyllableClient, server: FakeSyllable) -> None:
    stream, seen = io.BytesIO(), asyncio.Event()

    def progress(now: JobProgress) -> None:
        if now.sessions == len(server.listed):
            seen.set()

    running = asyncio.create_task(jobs.follow(client, to=stream, since=SINCE, interval=0.01, progress=progress))
    await seen.wait()
    seen.clear()
    added = server.add_session(timestamp=datetime.now(UTC))
    await seen.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    lines = [json.loads(line)["session_id"] for line in stream.getvalue().splitlines()]
    assert sorted(lines) == listed(server)
    assert lines[-1] == added


async def test_many_sessions_are_several_files(
    client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_follow, "MOST", 10)
    done = asyncio.Event()
    running = asyncio.create_task(
        jobs.follow(
            client,
            to=tmp_path,
            since=SINCE,
            interval=0.01,
            progress=lambda now: done.set() if now.sessions == len(server.listed) else None,
        )
    )
    await done.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sorted(followed(tmp_path)) == listed(server)
    assert len(list(tmp_path.glob("*.ndjson"))) == -(-len(listed(server)) // 10)  # noqa: ASYNC240
    assert (await jobs.follow(client, to=tmp_path, once=True)).sessions == 0


@pytest.mark.parametrize("dies", ["before the file", "before the state"])
async def test_a_run_that_dies_anywhere_loses_nothing(
    client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies: str
) -> None:
    put = LocalFolder.put

    def failing(self: LocalFolder, part: Any, name: str) -> None:
        if name.endswith(".ndjson") == (dies == "before the file"):
            raise OSError("the power is gone")
        put(self, part, name)

    await jobs.follow(client, to=tmp_path, since=datetime.now(UTC) + timedelta(days=1), once=True, state=tmp_path / "x")
    (tmp_path / "x").unlink()
    await jobs.follow(client, to=tmp_path / "first", since=SINCE, once=True)
    (tmp_path / "first" / "_state.json").rename(tmp_path / "_state.json")
    added = [server.add_session(timestamp=datetime.now(UTC)) for _ in range(2)]
    with monkeypatch.context() as patch:
        patch.setattr(LocalFolder, "put", failing)
        with pytest.raises(OSError, match="power"):
            await jobs.follow(client, to=tmp_path, once=True)
    assert hidden(tmp_path) == []
    await jobs.follow(client, to=tmp_path, once=True)
    assert set(followed(tmp_path)) == set(added)


async def test_the_state_of_something_else_is_refused(
    client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path
) -> None:
    await jobs.follow(client, to=tmp_path, since=SINCE, once=True)
    with pytest.raises(TargetError, match="has other filters"):
        await jobs.follow(client, to=tmp_path, once=True, agent_name="x")
    with pytest.raises(TargetError, match=r"began at 2026-01-01T00:00:00\+00:00"):
        await jobs.follow(client, to=tmp_path, since=SINCE + timedelta(days=1), once=True)
    async with FakeSyllable(sessions=5) as other, AsyncSyllableClient(other.api_key, base_url=other.url) as stranger:
        with pytest.raises(TargetError, match=f"is of {server.url}"):
            await jobs.follow(stranger, to=tmp_path, once=True)
    with pytest.raises(ValueError, match="aware"):
        await jobs.follow(client, to=tmp_path, since=datetime(2026, 1, 5), once=True)
    with pytest.raises(TargetError, match="no folder"):
        await jobs.follow(client, to="s3://bucket/x", once=True)


async def test_the_part_of_a_state_is_removed_by_the_next_run(client: AsyncSyllableClient, tmp_path: Path) -> None:
    dead = tmp_path / ".state (1).json.999999-0badcafe.part"
    dead.write_bytes(b"half")
    await jobs.follow(client, to=io.BytesIO(), state=tmp_path / "state (1).json", once=True)
    assert hidden(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (None, "is no state of this program: Input data was truncated"),
        ({"since": "2026-01-01T00:00:00"}, r"is no state of this program: .*timezone.* `\$\.since`"),
        ({"cursor": "{}"}, "is no state of this program: this is not the JSON of a cursor"),
        ({"version": 2, "cursor": "newer"}, "is no state of this program: it has version 2"),
    ],
)
async def test_a_damaged_or_newer_state_is_refused_and_stays(
    client: AsyncSyllableClient, tmp_path: Path, change: dict[str, object] | None, problem: str
) -> None:
    await jobs.follow(client, to=tmp_path, since=SINCE, once=True)
    state = tmp_path / "_state.json"
    state.write_text("{" if change is None else json.dumps({**json.loads(state.read_text()), **change}))
    before = state.read_bytes()
    for since in (SINCE, None):
        with pytest.raises(TargetError, match=problem):
            await jobs.follow(client, to=tmp_path, since=since, once=True)
    assert state.read_bytes() == before


async def test_a_clock_of_ours_that_is_fast_loses_nothing(
    client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(_follow, "_now", lambda: datetime.now(UTC) + timedelta(hours=24))
        assert (await jobs.follow(client, to=tmp_path, once=True)).sessions == 0
        await jobs.follow(client, to=tmp_path / "since", since=SINCE, once=True)
    added = server.add_session(timestamp=datetime.now(UTC) + timedelta(seconds=1))
    await asyncio.sleep(1.1)  # the real clock of the API, whose seconds are whole
    for folder in (tmp_path, tmp_path / "since"):
        assert (await jobs.follow(client, to=folder, once=True)).sessions == 1
        assert added in followed(folder)


@pytest.mark.parametrize("once", [True, False])
async def test_a_row_that_does_not_fit_stops_no_other(
    client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path, once: bool
) -> None:
    def spoil(page: Any) -> Any:
        for row in page["items"]:
            if row["session_id"] == bad:
                row["duration"] = {"seconds": 61}
        return page

    bad = server.listed[3]
    server.faults.add("sessions.list", faults.edit_json(spoil, times=None))
    done = asyncio.Event()
    job = jobs.follow(
        client,
        to=tmp_path,
        since=SINCE,
        once=once,
        interval=0.01,
        progress=lambda now: done.set() if now.sessions == len(server.listed) - 1 else None,
    )
    if once:
        report = await job
        assert (report.problems, report.complete) == (1, False)
    else:
        running = asyncio.create_task(job)
        await done.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert sorted(followed(tmp_path)) == [name for name in listed(server) if name != bad]
    (listing,) = (tmp_path / "_problems").iterdir()
    assert json.loads(listing.read_text())["session_id"] == bad
    assert modes(tmp_path) == {0o600, 0o700}
