"""`examples/export_parquet.py`: exact against the server, over faults and kills, and careful with its target."""

from __future__ import annotations

import importlib
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import duckdb
import pytest
from _dataset import Dataset, Job, schema
from _export import Exporter, prepare
from export_parquet import arguments

from syllable_async import AsyncSyllableClient, Session, SessionSummaryResponse, SessionTranscriptionResponse
from syllable_async.testing import FakeSyllable, faults
from tests.examples.exports import done, expected, exported, files_of, running, sometimes, until_asked

NAME = "export_parquet.py"


@pytest.fixture
def server() -> Iterator[FakeSyllable]:
    with FakeSyllable(sessions=300, hide_tests=False) as server:
        yield server


@pytest.mark.parametrize("sessions", [5_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_is_exact_although_one_request_of_20_fails(sessions: int, tmp_path: Path) -> None:
    with FakeSyllable(sessions, hide_tests=False) as server:
        sometimes(server)
        with running(NAME, server, tmp_path / "out") as program:
            assert f"{sessions:,} sessions in" in program.finish()
        rows = exported(tmp_path / "out")
        assert len(rows) == sessions
        assert rows == expected(server)
        server.faults.assert_all_met()


def test_brings_transcripts_when_asked(server: FakeSyllable, tmp_path: Path) -> None:
    for name in server.sessions:
        server.update(name, complete_after=1)
    sometimes(server)
    with running(NAME, server, tmp_path / "out", "--transcripts") as program:
        program.finish()
    rows = exported(tmp_path / "out")
    assert rows == expected(server, transcripts=True)
    assert any(row["actions"] for row in rows)


def test_prints_how_to_read_the_dataset(server: FakeSyllable, tmp_path: Path) -> None:
    with running(NAME, server, tmp_path / "out") as program:
        lines = program.finish().splitlines()
    [query] = [line for line in lines if line.startswith("duckdb.sql")]
    days = eval(query, {"duckdb": duckdb}).fetchall()
    assert sum(count for _, count, _ in days) == 300
    assert lines[-1] == f'pandas.read_parquet("{tmp_path / "out"}")'
    # What pandas reads it with.
    parquet: Any = importlib.import_module("pyarrow.parquet")
    assert parquet.read_table(tmp_path / "out").num_rows == 300


@pytest.mark.parametrize("after", [(1, 1_300), pytest.param(tuple(range(1, 1_250, 50)), marks=pytest.mark.long)])
def test_loses_and_doubles_nothing_when_it_is_killed(after: tuple[int, ...], tmp_path: Path) -> None:
    with FakeSyllable(sessions=2_500, hide_tests=False) as server:
        server.faults.add("*", faults.delay(0.01, times=None))
        sometimes(server)
        for requests in after:
            with running(NAME, server, tmp_path / "out") as program:
                until_asked(server, requests, program)
                program.kill()
        safe = done(tmp_path / "out")
        stamps = [path.stat().st_mtime_ns for path in safe]
        assert list(tmp_path.glob("out/_export/parts/*"))
        server.faults.clear()
        with running(NAME, server, tmp_path / "out") as program:
            program.finish()
        assert exported(tmp_path / "out") == expected(server)
        assert [path.stat().st_mtime_ns for path in safe] == stamps
        assert not (tmp_path / "out/_export/parts").exists()
        server.requests.clear()
        with running(NAME, server, tmp_path / "out") as program:
            assert "2,500 sessions in" in program.finish()
        assert len(server.requests) == 0


def test_goes_on_when_the_api_lets_it_in_again(tmp_path: Path) -> None:
    with FakeSyllable(sessions=2_500, hide_tests=False) as server:
        server.faults.add("*", faults.status(401, times=None), when=lambda _: len(server.requests) > 1_500)
        with running(NAME, server, tmp_path / "out") as program:
            said = program.fail()
        assert "401" in said
        assert "The same command goes on from here." in said
        safe = done(tmp_path / "out")
        assert safe
        server.faults.clear()
        with running(NAME, server, tmp_path / "out") as program:
            program.finish()
        assert exported(tmp_path / "out") == expected(server)
        assert set(safe) < set(done(tmp_path / "out"))


def test_says_that_a_span_has_no_sessions(server: FakeSyllable, tmp_path: Path) -> None:
    for span, said in ((("2020-01-01", "2020-02-01"), "There are no sessions"), (("2026-02-01", "2026-01-01"), "")):
        with running(NAME, server, tmp_path / "out", span=span) as program:
            assert said in (program.finish() if said else program.fail())
    assert not list(tmp_path.glob("out/day=*"))


def test_refuses_a_target_with_other_contents(server: FakeSyllable, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/precious.txt").write_text("precious")
    with running(NAME, server, tmp_path / "out") as program:
        said = program.fail()
    assert said == f"Stopped: {tmp_path / 'out'} has other contents; nothing was written\n"
    assert files_of(tmp_path) == {str(tmp_path / "out/precious.txt"): b"precious"}
    assert len(server.requests) == 0


@pytest.mark.parametrize("wrong", ["--rate=0", "--rate=nan", "--rate=x", "--requests=0", "--requests=1.5"])
def test_takes_only_numbers_that_make_sense(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments().parse_args(["2026-01-05", "2026-01-06", "out", wrong])
    assert wrong.split("=", maxsplit=1)[0] in capsys.readouterr().err


def job(first: int, last: int, *, transcripts: bool = False, source: str = "here") -> Job:
    start, end = (datetime(2026, 1, day, tzinfo=UTC) for day in (first, last))
    return Job(source, start, end, transcripts)


def test_refuses_a_file_and_another_export(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(FileExistsError, match="other contents"):
        Dataset(str(tmp_path / "file")).windows(job(5, 6))
    dataset = Dataset(str(tmp_path / "out"))
    assert dataset.windows(job(5, 6)) is None
    assert dataset.windows(job(5, 6)) is None  # killed before it had a plan
    dataset.begin(job(5, 6), [])
    before = files_of(tmp_path)
    assert dataset.windows(job(5, 6)) == []
    for other in (job(5, 7), job(4, 6), job(5, 6, transcripts=True), job(5, 6, source="there")):
        with pytest.raises(FileExistsError, match="another export"):
            dataset.windows(other)
    assert files_of(tmp_path) == before


@contextmanager
def as_nobody() -> Generator[None]:
    """Root may write everywhere."""
    me = os.geteuid()
    if me == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(me)


def test_learns_that_it_may_not_write_before_it_asks_for_anything(tmp_path: Path) -> None:
    dataset = Dataset(str(tmp_path / "out"))
    tmp_path.chmod(0o500)
    with as_nobody(), pytest.raises(PermissionError):
        dataset.windows(job(5, 6))
    assert not list(tmp_path.iterdir())


async def test_writes_to_any_place_that_fsspec_knows_and_keeps_the_row_of_a_deleted_session() -> None:
    parquet: Any = importlib.import_module("pyarrow.parquet")
    dataset = Dataset("memory://sessions")
    async with (
        FakeSyllable(300, hide_tests=False) as server,
        AsyncSyllableClient(server.api_key, base_url=server.url) as client,
    ):
        server.faults.add("sessions.get_full_summary", faults.status(404))
        [window] = await prepare(client, dataset, job(5, 6))
        assert (
            await Exporter(client, dataset, transcripts=False, requests=9).write(window) == dataset.rows(window) == 300
        )
        assert await prepare(client, dataset, job(5, 6)) == [window]
    rows = parquet.read_table("/sessions", filesystem=dataset.files).to_pylist()
    assert {row["session_id"] for row in rows} == set(server.sessions)
    assert rows[0]["summary"] is None
    dataset.files.rm(f"/sessions/day=2026-01-05/{window.start:%Y%m%dT%H%M%S.%fZ}.parquet")
    assert dataset.rows(window) is None


def test_has_a_column_for_each_field_of_the_models() -> None:
    models = (Session, SessionSummaryResponse, SessionTranscriptionResponse)
    columns = {field.name for model in models for field in attrs.fields(model)}
    described = schema(transcripts=True)
    assert set(described.names) == columns
    types = {
        name: str(described.field(name).type) for name in ("timestamp", "duration", "prompt_version_number", "is_test")
    }
    assert types == {
        "timestamp": "timestamp[us, tz=UTC]",
        "duration": "double",
        "prompt_version_number": "int64",
        "is_test": "bool",
    }
    assert str(described.field("transcription").type).startswith("list<item: struct<timestamp: timestamp[us, tz=UTC]")
