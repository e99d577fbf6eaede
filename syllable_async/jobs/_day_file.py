"""Files of an export: what each says about itself, when it is final, and what may replace it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import date, timedelta
from typing import Literal, Self

import attrs
import msgspec

from ._days import Aware, bounds
from ._problems import Problem, list_problems
from ._schema import read_metadata
from ._storage import DATE, Part, Storage, TargetError

KEY = b"syllable_async"
"""Of the record in a file's key-value metadata."""
VERSION = 1
TAIL = 2**16
"""Bytes at a file's end that are read first; they hold the footer of all but large files."""
NAME = re.compile(rf"sessions-{DATE}\.parquet")
FEWER = 0.9
"""A file with less than this share of the rows that stand there is taken for a mistake."""
Outcome = Literal["written", "superseded", "fewer", "wider"]


@attrs.frozen(kw_only=True)
class Record:
    """What a file says about itself. `begun`: when its walk began, by the earlier of our clock and the API's."""

    origin: str
    filters: tuple[tuple[str, str], ...]
    with_: tuple[str, ...]
    day: date
    begun: Aware
    order: tuple[Aware, Aware] | None = None
    """When its walk began by the API's clock, whose seconds are whole, and by ours; tells later walks from earlier."""
    rows: int = 0
    problems: int = 0
    """Sessions, or parts of sessions, that could not be read: they stand in `_problems/`."""
    passing: int = 0
    """Those of the problems that may pass."""
    version: int = VERSION

    def is_later(self, other: Self) -> bool:
        """Whether its walk began after another's."""
        return (self.order or (self.begun, self.begun)) > (other.order or (other.begun, other.begun))

    def is_final(self, settle: timedelta) -> bool:
        """Whether no later run has to write the day again. An empty answer proves nothing about a day."""
        return self.rows > 0 and not self.passing and self.begun >= bounds(self.day)[1] + settle

    def to_json(self) -> bytes:
        """For the file's metadata."""
        start, end = bounds(self.day)
        return msgspec.json.encode({"start": start, "end": end, **attrs.asdict(self)})

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Read what `to_json` wrote; `ValueError` for anything else."""
        try:
            found = msgspec.json.decode(text, type=cls)
        except msgspec.DecodeError as error:
            raise ValueError(f"its record is damaged: {error}") from None
        if found.version != VERSION:
            raise ValueError(f"its record has version {found.version}")
        return found


@attrs.frozen
class DayFiles:
    """The files of one export: of one API, with one set of filters."""

    storage: Storage
    origin: str
    filters: tuple[tuple[str, str], ...]

    def open(self, days: Sequence[date]) -> dict[date, Record]:
        """Make the target ready; the records of the days that stand there.

        Raises:
            TargetError: the target holds something else.
        """
        self.storage.prepare()
        files = [name for name in self.storage.names() if name.endswith(".parquet") and not name.startswith((".", "_"))]
        for name in files:
            if not NAME.fullmatch(name):
                raise TargetError(f"{self.storage.address(name)} is no file of this program: give another folder")
        mine = {name_of(day): day for day in days}
        # One file of another span speaks for all of them: each was compared with one before it was written.
        others = sorted(set(files) - set(mine))[-1:]
        found = {name: self._read(name) for name in [*others, *(name for name in mine if name in files)]}
        return {mine[name]: record for name, record in found.items() if name in mine and record is not None}

    def _read(self, name: str) -> Record | None:
        """A file's record; None where there is no file.

        Raises:
            TargetError: it is of another program, another API, or has other filters.
        """
        try:
            tail = self.storage.tail(name, TAIL)
            footer = int.from_bytes(tail[-8:-4], "little") + 8
            if footer > len(tail):
                tail = self.storage.tail(name, footer)
            record = Record.from_json(read_metadata(tail)[KEY])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError) as error:
            raise TargetError(f"{self.storage.address(name)} is no file of this program: {error}") from None
        if record.origin != self.origin:
            raise TargetError(f"{self.storage.address(name)} is of {record.origin}, not of {self.origin}")
        if record.filters != self.filters:
            raise TargetError(f"{self.storage.address(name)} was exported with other filters: give another folder")
        return record

    def part(self, day: date) -> AbstractContextManager[Part]:
        """A file for a day, which no reader sees before it is published."""
        return self.storage.part(name_of(day))

    def address(self, day: date) -> str:
        """What a reader of a day opens."""
        return self.storage.address(name_of(day))

    def publish(
        self, part: Part, record: Record, problems: Iterable[Problem], *, fewer: bool
    ) -> tuple[Outcome, Record | None]:
        """Put a day in place, unless a walk that began later did, or parts or most of its rows would go.

        Returns:
            What came of it, and what stood there before.

        Raises:
            TargetError: another API or other filters came into the folder meanwhile.
        """
        name = name_of(record.day)
        with self.storage.exclusively():
            held = self._read(name)
            if held is not None and held.is_later(record):
                return "superseded", held
            if held is not None and not set(held.with_) <= set(record.with_):
                return "wider", held
            if held is not None and record.rows < FEWER * held.rows and not fewer:
                return "fewer", held
            if held is None:
                for other in sorted(found for found in self.storage.names() if NAME.fullmatch(found))[-1:]:
                    self._read(other)
            list_problems(self.storage, record.day, problems)
            self.storage.put(part, name)
        return "written", held


def name_of(day: date) -> str:
    """The name of a day's file."""
    return f"sessions-{day}.parquet"
