"""`jobs.download` against the fake: which files stand where, what is skipped, what is listed."""

from __future__ import annotations

import errno
import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from syllable_async import AsyncSyllableClient, AuthenticationError, RetryPolicy, SavedRecording, SyllableError, jobs
from syllable_async.jobs import JobProgress, TargetError, _walk
from syllable_async.jobs._patience import Patience
from syllable_async.testing import FakeSyllable, faults
from tests.jobs.folder import hidden, listed, modes

SPAN: Any = {"since": date(2026, 1, 5), "until": date(2026, 1, 7)}


@pytest_asyncio.fixture
async def server() -> AsyncIterator[FakeSyllable]:
    async with FakeSyllable(sessions=14) as running:
        yield running


def expected(server: FakeSyllable) -> dict[str, bytes]:
    """Every recording of a listed session, by its place below the target."""
    return {
        f"recordings/{server.session(name)['timestamp'][:10]}/{name}-{number}of{len(found)}.wav": content
        for name in listed(server)
        for found in [server.recordings(name)]
        for number, content in enumerate(found, 1)
    }


def saved(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.wav")}


async def test_recordings_stand_by_day_and_are_skipped_the_next_time(
    client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path
) -> None:
    told: list[JobProgress] = []
    first = await jobs.download(client, **SPAN, to=tmp_path, progress=told.append)
    assert saved(tmp_path) == expected(server)
    assert (first.sessions, first.recordings, first.complete) == (len(listed(server)), len(expected(server)), True)
    assert told[-1].bytes == sum(map(len, expected(server).values()))
    assert modes(tmp_path) == {0o600, 0o700}
    streams = len([call for call in server.requests if call.path.endswith("stream")])
    second = await jobs.download(client, **SPAN, to=tmp_path)
    assert (second.saved, second.skipped) == (0, first.saved)
    assert len([call for call in server.requests if call.path.endswith("stream")]) == streams


async def test_a_session_that_fails_is_listed_and_stops_no_other(
    client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path
) -> None:
    bad = next(name for name in server.listed if server.recordings(name))
    server.faults.add(
        "sessions.generate_recording_urls", faults.status(403, times=None), when=lambda call: call.path.endswith(bad)
    )
    report = await jobs.download(client, **SPAN, to=tmp_path)
    assert (report.failed, report.complete) == (1, False)
    assert saved(tmp_path).keys() == {name for name in expected(server) if f"/{bad}-" not in name}
    [path] = (tmp_path / "recordings" / "_problems").iterdir()
    assert json.loads(path.read_text())["session_id"] == bad
    server.faults.clear()
    assert (await jobs.download(client, **SPAN, to=tmp_path)).complete
    assert not path.exists()
    assert saved(tmp_path) == expected(server)


async def test_what_may_pass_is_tried_again_at_the_end_of_the_day(
    client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def sleep(seconds: float) -> None:
        assert seconds > 0

    monkeypatch.setattr("syllable_async.jobs._download.Patience", partial(Patience, sleep=sleep))
    server.faults.add("sessions.generate_recording_urls", faults.status(500, times=3))
    impatient = client.with_options(retries=RetryPolicy(max_attempts=1))
    report = await jobs.download(impatient, **SPAN, to=tmp_path)
    assert (report.failed, report.sessions) == (0, len(listed(server)))
    assert saved(tmp_path) == expected(server)


async def test_without_patience_what_may_pass_is_a_failure(
    client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path
) -> None:
    server.faults.add("sessions.generate_recording_urls", faults.status(500))
    impatient = client.with_options(retries=RetryPolicy(max_attempts=1))
    report = await jobs.download(impatient, **SPAN, to=tmp_path, patience=0)
    assert (report.failed, report.sessions) == (1, len(listed(server)))


async def test_a_young_session_without_recordings_is_pending(
    client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path
) -> None:
    server.add_session(timestamp=datetime.now(UTC) - timedelta(seconds=5), recordings=[])
    since = datetime.now(UTC) - timedelta(seconds=60)
    assert (await jobs.download(client, since=since, to=tmp_path)).pending == 1
    assert (await jobs.download(client, since=since, to=tmp_path, settle=0)).none == 1
    assert list((tmp_path / "recordings").glob("20*")) == []


async def test_a_day_that_has_not_begun_by_the_clock_of_the_api_is_left_out(
    client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    behind = faults.status(200, headers={"Date": "Sun, 04 Jan 2026 23:00:00 GMT"}, body=b"{}", times=None)
    server.faults.add("sessions.list", behind, when=lambda call: ("limit", "1") in call.params)
    with pytest.raises(SyllableError, match="the API's clock says 2026-01-04 23:00:00"):  # by ours it was long ago
        await jobs.download(client, **SPAN, to=tmp_path)
    monkeypatch.setattr(_walk, "CLOCKS_APART", timedelta(days=10_000))
    report = await jobs.download(client, **SPAN, to=tmp_path)
    assert (report.sessions, report.complete) == (0, True)
    assert saved(tmp_path) == {}


async def test_a_full_disk_ends_the_run(
    client: AsyncSyllableClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def save(*_: object, **__: object) -> SavedRecording:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("syllable_async.RecordingStream.save", save)
    with pytest.raises(OSError, match="No space left"):
        await jobs.download(client, **SPAN, to=tmp_path)
    assert hidden(tmp_path) == []


async def test_a_refused_key_and_a_target_that_is_no_folder_are_raised(server: FakeSyllable, tmp_path: Path) -> None:
    async with AsyncSyllableClient("wrong", base_url=server.url) as stranger:
        with pytest.raises(AuthenticationError):
            await jobs.download(stranger, **SPAN, to=tmp_path)
        with pytest.raises(TargetError, match="no folder of this machine"):
            await jobs.download(stranger, **SPAN, to="s3://bucket/recordings")
