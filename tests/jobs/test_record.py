"""What a file of an export says about itself, and the storage at an address."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import attrs
import pytest

from syllable_async.jobs._day_file import VERSION, Record
from syllable_async.jobs._storage import LocalFolder, TargetError, open_storage, without_password

RECORD = Record(
    origin="https://api.example", filters=(("agent_name", "x"),), with_=("summary",), day=date(2026, 1, 5),
    begun=datetime(2026, 1, 7, tzinfo=UTC), rows=3,
)  # fmt: skip


def test_a_record_survives_json() -> None:
    assert Record.from_json(RECORD.to_json()) == RECORD


def test_walks_are_in_order_by_the_clock_of_the_api_and_within_its_second_by_ours() -> None:
    def began(api: datetime, ours: datetime) -> Record:
        return attrs.evolve(RECORD, begun=min(api, ours), order=(api, ours))

    noon = datetime(2026, 1, 7, 12, tzinfo=UTC)
    second, slow = timedelta(seconds=1), timedelta(hours=2)
    assert began(noon, noon + 0.4 * second).is_later(began(noon, noon + 0.2 * second))
    assert began(noon + second, noon - slow).is_later(began(noon, noon)), "a slow clock of ours"
    assert not began(noon, noon + slow).is_later(began(noon + second, noon)), "a fast clock of ours"
    assert began(noon, noon).is_later(RECORD), "a record of an older version"
    assert not RECORD.is_later(began(noon, noon))
    assert Record.from_json(began(noon, noon).to_json()) == began(noon, noon)


@pytest.mark.parametrize("text", [b"", b"{}", b'{"origin": 1}'])
def test_a_damaged_record_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="its record is damaged"):
        Record.from_json(text)


def test_a_record_without_a_zone_is_damaged() -> None:
    naive = attrs.evolve(RECORD, begun=datetime(2026, 1, 7))
    with pytest.raises(ValueError, match=r"its record is damaged: .*timezone"):
        Record.from_json(naive.to_json())


def test_a_record_of_another_version_is_refused() -> None:
    newer = attrs.evolve(RECORD, version=VERSION + 1)
    with pytest.raises(ValueError, match=f"its record has version {VERSION + 1}"):
        Record.from_json(newer.to_json())


@pytest.mark.parametrize(
    ("address", "without"),
    [
        ("ftp://me:a@b:c@host:21/x", "ftp://me@host:21/x"),
        ("sftp://me:@host/x", "sftp://me@host/x"),
        ("ftp://:pw@host/x", "ftp://@host/x"),
        ("simplecache::ftp://me:pw@host/x", "simplecache::ftp://me@host/x"),
        ("ftp:/me:pw@host/x", "ftp:/me@host/x"),
        ("ftp://me:p/w@host/x", "ftp://me@host/x"),
        ("zip://*.csv::ftp://me:pw@host/x", "zip://*.csv::ftp://me@host/x"),
        *(
            (same, same)
            for same in ("s3://bucket/a:b@c", "ftp://me@host/x", "http://host:80/@", "/data/a:b@c", "a:b@c")
        ),
    ],
)
def test_an_address_is_shown_without_its_password(address: str, without: str) -> None:
    assert without_password(address) == without


def test_an_address_of_a_day_has_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec import core, filesystem  # type: ignore[import-untyped]

    files: Any = filesystem("memory")  # pyright: ignore[reportUnknownVariableType]
    monkeypatch.setattr(core, "url_to_fs", Mock(return_value=(files, "/nowhere")))
    store = open_storage("ftp://me:pw@host/x/")
    assert store.address("sessions-2026-01-05.parquet") == "ftp://me@host/x/sessions-2026-01-05.parquet"
    monkeypatch.setattr(files, "ls", Mock(side_effect=RuntimeError("lost")))
    with pytest.raises(OSError, match=r"^ftp://me@host/x: RuntimeError: lost$"):
        store.names()


def test_a_path_that_was_an_address_is_refused() -> None:
    for place in (Path("s3://bucket/x"), "s3:/bucket/x", "file:/x"):
        with pytest.raises(TargetError, match="an address is text with two slashes"):
            open_storage(place)
    assert open_storage(Path("2026/a:/x")) == LocalFolder(Path("2026/a:/x"))


def test_a_file_address_is_a_folder(tmp_path: Path) -> None:
    assert open_storage(f"file://{tmp_path}") == open_storage(tmp_path) == LocalFolder(tmp_path)
