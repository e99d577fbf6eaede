"""What a reader finds in a folder of an export."""

from __future__ import annotations

# mypy: disable-error-code="import-untyped"
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
import stat
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from syllable_async.jobs._day_file import KEY, Record
from syllable_async.testing import FakeSyllable


def rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of all files."""
    return [row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def ids(folder: Path) -> list[str]:
    """The ids of all files, sorted: one that is there twice comes twice."""
    return sorted(row["session_id"] for row in rows(folder))


def record(folder: Path, day: date) -> Record:
    """What a day's file says about itself."""
    return Record.from_json(pq.read_metadata(folder / f"sessions-{day}.parquet").metadata[KEY])


def row_groups(folder: Path, day: date) -> int:
    """How many row groups a day's file has."""
    groups: int = pq.read_metadata(folder / f"sessions-{day}.parquet").num_row_groups
    return groups


def listed(server: FakeSyllable, day: date | None = None) -> list[str]:
    """The ids that the fake lists, sorted; with `day` those of that UTC day."""
    found = [name for name in server.listed if day is None or server.session(name)["timestamp"][:10] == str(day)]
    return sorted(found)


def modes(folder: Path) -> set[int]:
    """The modes of all files and folders in it."""
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}


def hidden(folder: Path) -> list[str]:
    """Files that no reader should see, such as parts."""
    return [path.name for path in folder.rglob(".*")]
