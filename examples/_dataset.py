"""The dataset that an export fills, and its manifest.

    target/day=2026-01-05/20260105T000000.000000Z.parquet    one file for each window of time
    target/_export/job.json                                  what is exported, and its windows
    target/_export/done/20260105T000000.000000Z.json         this window's file is whole
    target/_export/parts/                                    files that are being written

A window's file gets its name when it is whole, and always the same name: whoever writes a window once more, after a
kill or beside somebody else, replaces it by its like. So nothing is lost or doubled, and nothing needs a lock.
Readers pass over names that begin with an underscore.
"""

# pyarrow and fsspec come without types.
# mypy: disable-error-code="import-untyped"
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import datetime
from functools import cache
from io import UnsupportedOperation
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints
from uuid import uuid4

import attrs
import pyarrow as pa
from fsspec.core import url_to_fs

from syllable_async import Session, SessionSummaryResponse, SessionTranscriptionResponse, TimeWindow


@cache
def schema(*, transcripts: bool) -> Any:
    """The columns, from the models: a field that a model gets is a column here."""
    models: list[type] = [Session, SessionSummaryResponse, *([SessionTranscriptionResponse] if transcripts else [])]
    columns = {name: hint for model in models for name, hint in get_type_hints(model).items()}
    return pa.schema([(name, _arrow_type(hint)) for name, hint in columns.items()])


def _arrow_type(hint: Any) -> Any:
    if isinstance(hint, UnionType):  # every union of the models is one with None
        hint = get_args(hint)[0]
    if get_origin(hint) is tuple:
        return pa.list_(_arrow_type(get_args(hint)[0]))
    if attrs.has(hint):
        return pa.struct([(name, _arrow_type(inner)) for name, inner in get_type_hints(hint).items()])
    plain: dict[Any, Any] = {
        bool: pa.bool_(),
        int: pa.int64(),
        float: pa.float64(),
        datetime: pa.timestamp("us", "UTC"),
    }
    return plain.get(hint, pa.string())


@attrs.frozen
class Job:
    """What is exported, and from where."""

    source: str
    start: datetime
    end: datetime
    transcripts: bool

    def plain(self) -> dict[str, Any]:
        """The job as JSON knows it."""
        return {**attrs.asdict(self), "start": self.start.isoformat(), "end": self.end.isoformat()}


class Dataset:
    """A folder, or any other place that fsspec has an address for."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.files: Any
        self._root: str
        self.files, self._root = url_to_fs(target)
        self._manifest = f"{self._root}/_export"

    def windows(self, job: Job) -> list[TimeWindow] | None:
        """The windows of this job if it was begun here; None if nothing is here yet.

        Raises:
            FileExistsError: something else is here. It was not touched.
            OSError: nothing can be written here.
        """
        if not self.files.exists(f"{self._manifest}/job.json"):
            found: list[str] = self.files.ls(self._root, detail=False) if self.files.exists(self._root) else []
            if any(name.rstrip("/") != self._manifest for name in found):
                raise FileExistsError(f"{self.target} has other contents; nothing was written")
            self._put("parts/probe", {})  # whoever may not write here learns it before the work begins
            return None
        manifest = json.loads(self.files.cat_file(f"{self._manifest}/job.json"))
        if manifest["job"] != job.plain():
            raise FileExistsError(f"{self.target} holds another export, of {manifest['job']}; nothing was written")
        parse = datetime.fromisoformat
        return [TimeWindow(parse(start), parse(end), count) for start, end, count in manifest["windows"]]

    def begin(self, job: Job, windows: list[TimeWindow]) -> None:
        """Keep the plan. A later run goes by it and makes no other."""
        plan = [(window.start.isoformat(), window.end.isoformat(), window.count) for window in windows]
        self._put("job.json", {"job": job.plain(), "windows": plan})

    def rows(self, window: TimeWindow) -> int | None:
        """How many rows the window's file has; None if it is not whole."""
        try:
            done = json.loads(self.files.cat_file(f"{self._manifest}/done/{_name(window)}.json"))
            return int(done["rows"]) if self.files.size(self._path(window)) == done["bytes"] else None
        except FileNotFoundError:
            return None

    def part(self, window: TimeWindow) -> str:
        """A path to write a window to that nobody else uses."""
        self.files.makedirs(f"{self._manifest}/parts", exist_ok=True)
        return f"{self._manifest}/parts/{_name(window)}.{uuid4().hex}"

    def publish(self, part: str, window: TimeWindow, rows: int) -> None:
        """Give a whole file its name, then say that it is there."""
        size: int = self.files.size(part)
        self._move(part, self._path(window))
        self._put(f"done/{_name(window)}.json", {"rows": rows, "bytes": size})

    def finish(self) -> None:
        """Remove what killed writers left behind."""
        with suppress(FileNotFoundError):
            self.files.rm(f"{self._manifest}/parts", recursive=True)

    def _path(self, window: TimeWindow) -> str:
        return f"{self._root}/day={window.start:%Y-%m-%d}/{_name(window)}.parquet"

    def _put(self, name: str, document: object) -> None:
        part = f"{self._manifest}/parts/{uuid4().hex}"
        self.files.makedirs(f"{self._manifest}/parts", exist_ok=True)
        with self.files.open(part, "wb") as file:
            file.write(json.dumps(document, indent=1).encode())
            to_disk(file)
        self._move(part, f"{self._manifest}/{name}")

    def _move(self, part: str, path: str) -> None:
        """One step on a disk; an object store shows a new object only when it is whole."""
        self.files.makedirs(path.rpartition("/")[0], exist_ok=True)
        self.files.mv(part, path)


def to_disk(file: Any) -> None:
    """What the manifest calls done must outlive a power cut, where there is a disk."""
    file.flush()
    with suppress(AttributeError, UnsupportedOperation):  # only local files have a number
        os.fsync(file.fileno())


def _name(window: TimeWindow) -> str:
    return f"{window.start:%Y%m%dT%H%M%S.%fZ}"
