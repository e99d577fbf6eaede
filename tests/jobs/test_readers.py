"""Readers of the folder, and an S3 server as its place."""

from __future__ import annotations

# mypy: disable-error-code="import-untyped,import-not-found"
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingImports=false
import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pytest
import pytest_asyncio

from syllable_async import AsyncSyllableClient, RetryPolicy, jobs
from syllable_async.testing import FakeSyllable, faults
from tests.jobs.folder import listed

SPAN: Any = {"since": date(2026, 1, 5), "until": date(2026, 1, 7)}


@pytest_asyncio.fixture
async def server() -> AsyncIterator[FakeSyllable]:
    async with FakeSyllable(sessions=120) as running:
        yield running


async def test_duckdb_pandas_and_polars_read_the_folder(
    client: AsyncSyllableClient, server: FakeSyllable, tmp_path: Path
) -> None:
    """Files with and without what was asked for besides, an empty day, and a list of problems beside them."""
    server.faults.add("sessions.get_full_summary", faults.status(403))
    await jobs.export(client, since=date(2026, 1, 5), until=date(2026, 1, 6), to=tmp_path, with_=["summary"])
    await jobs.export(client, since=date(2026, 1, 4), until=date(2026, 1, 7), to=tmp_path)
    wanted = listed(server)
    query: Any = duckdb.sql(f"SELECT session_id, summary.rating, timestamp FROM '{tmp_path}/*.parquet'")
    duck = query.fetchall()
    assert sorted(row[0] for row in duck) == wanted
    assert sum(row[1] is not None for row in duck) > 10
    frame = pd.read_parquet(tmp_path)
    assert sorted(frame["session_id"]) == wanted
    assert str(frame["timestamp"].dtype) == "datetime64[us, UTC]"
    assert sorted(pl.read_parquet(tmp_path / "*.parquet")["session_id"]) == wanted


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, Any]]:
    """An S3 server, and the options of its file system."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options: dict[str, Any] = {
        "key": "testing",
        "secret": "testing",
        "client_kwargs": {"endpoint_url": f"http://{host}:{port}", "region_name": "us-east-1"},
    }
    yield options
    server.stop()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_objects_are_replaced_whole_while_they_are_read(
    client: AsyncSyllableClient, server: FakeSyllable, s3: dict[str, Any]
) -> None:
    import s3fs

    files: Any = s3fs.S3FileSystem(**s3, skip_instance_cache=True)
    await asyncio.to_thread(lambda: files.call_s3("create_bucket", Bucket="bucket"))
    to: Any = {"to": "s3://bucket/sessions", "storage_options": s3}
    assert (await jobs.export(client, **SPAN, **to)).complete
    wanted, days = listed(server), [f"bucket/sessions/sessions-2026-01-0{day}.parquet" for day in (5, 6)]

    def read() -> list[str]:
        return sorted(name for path in days for name in pl.read_parquet(files.cat_file(path))["session_id"])

    async def read_on() -> None:
        while True:
            assert await asyncio.to_thread(read) == wanted

    reading = asyncio.create_task(read_on())
    for _ in range(3):
        report = await jobs.export(client, **SPAN, **to, refresh=True)
        assert [day.status for day in report.days] == ["written"] * 2
        assert not reading.done()
    reading.cancel()
    await asyncio.wait([reading])
    kept = await jobs.export(client, **SPAN, **to)
    assert {day.status for day in kept.days if day.rows} == {"kept"}
    assert await asyncio.to_thread(read) == wanted
    with pytest.raises(OSError, match="bucket"):
        await jobs.export(client, **SPAN, to="s3://no-such-bucket/x", storage_options=s3)


async def test_an_upload_that_breaks_leaves_the_object_that_stood_there(
    client: AsyncSyllableClient, server: FakeSyllable, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec
    from fsspec.implementations.memory import MemoryFileSystem

    to = "memory://broken/uploads"
    await jobs.export(client, **SPAN, to=to)
    files: Any = fsspec.filesystem("memory")
    path = "/broken/uploads/sessions-2026-01-05.parquet"
    before = files.cat_file(path)

    def breaks(*_: object, **__: object) -> None:
        raise RuntimeError("connection lost")

    impatient = client.with_options(retries=RetryPolicy(max_attempts=1))
    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "put_file", breaks)
        with pytest.raises(OSError, match="connection lost"):
            await jobs.export(impatient, **SPAN, to=to, refresh=True)
    assert files.cat_file(path) == before
    assert sorted(files.ls("/broken/uploads", detail=False)) == [path, path.replace("05.parquet", "06.parquet")]
