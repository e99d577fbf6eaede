"""A page as a walk by key sees it: each row that the server sent with its key and its instant, valid or not."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Self, TypeAlias, cast

import attrs
from msgspec import Struct
from msgspec.structs import replace

from .._messages import Page, page_of
from ..models import InvalidRow, ListResponseSession, Session

Row: TypeAlias = Session | InvalidRow


class KeysetPage(Struct, frozen=True):
    """Columns of one length, in the server's order.

    A row that does not fit its model has its place like any other, so that a walk goes past it. Where its timestamp
    cannot be read it has the instant of the row before it, or else after it: the server put it there.
    """

    rows: tuple[Row, ...]
    keys: tuple[str, ...]
    instants: tuple[datetime, ...]
    """UTC, as on the wire."""
    total_count: int | None = None
    has_invalid: bool = False
    unplaced: tuple[Row, ...] = ()
    """Rows without a timestamp that can be read. Where no row has one, no row has a place, and `rows` is empty."""

    @classmethod
    def of(cls, page: Page[Session, Any] | ListResponseSession) -> Self:
        """The same page."""
        if isinstance(page, ListResponseSession):
            page = page_of(page)
        rows = list[Row](page.rows)
        keys = [_json_key(raw) for raw in page.raw] or [row.session_id or row_key(row) for row in page.rows]
        instants: list[datetime | None]
        if page.instants:  # a user's hook may have made a local time of it, or have read what nobody else can
            instants = [at or _utc(row) for at, row in zip(page.instants, rows, strict=True)]
        else:
            instants = [row.timestamp if row.timestamp.tzinfo is UTC else _utc(row) for row in page.rows]
        for invalid, instant in zip(page.invalid, page.invalid_instants, strict=True):
            rows.insert(invalid.index, invalid)
            keys.insert(invalid.index, row_key(invalid))
            instants.insert(invalid.index, instant)
        unplaced = tuple(row for row, at in zip(rows, instants, strict=True) if at is None) if None in instants else ()
        placed = _placed(instants) if unplaced else cast("list[datetime]", instants)
        if not placed:
            rows, keys = [], []
        return cls(tuple(rows), tuple(keys), tuple(placed), page.total_count, bool(page.invalid), unplaced)

    def between(self, start: datetime, end: datetime) -> KeysetPage:
        """The rows from `start` to `end`, which is not included, of a page in order."""
        part = slice(bisect_left(self.instants, start), bisect_left(self.instants, end))
        return replace(self, rows=self.rows[part], keys=self.keys[part], instants=self.instants[part])

    def invalid_first(self) -> list[tuple[str, datetime, Row]]:
        """So they stand in a log of what was given: they are told at once, while of the others the last are pending."""
        return sorted(self, key=lambda one: not isinstance(one[2], InvalidRow))

    def begins_before(self, other: Self) -> bool:
        """Whether another answer to the same question leaves out rows that this one begins with."""
        if not (self.rows and other.rows):
            return bool(self.rows)
        if self.instants[0] != other.instants[0]:
            return self.instants[0] < other.instants[0]
        return other.keys[0] in self.keys[1:]

    def __iter__(self) -> Iterator[tuple[str, datetime, Row]]:
        return zip(self.keys, self.instants, self.rows, strict=True)


def _utc(row: Any) -> datetime | None:
    """When a row is, UTC; None where a user's hook made something else of it."""
    stamp = getattr(row, "timestamp", None)
    if not isinstance(stamp, datetime) or stamp.tzinfo is None:
        return None
    return stamp if stamp.tzinfo is UTC else stamp.astimezone(UTC)


def _placed(instants: list[datetime | None]) -> list[datetime]:
    """Each row without an instant has that of the one before, or of the first that has one; empty where none has."""
    before = next((instant for instant in instants if instant is not None), None)
    placed = list[datetime]()
    for instant in instants:
        before = instant or before
        if before is not None:
            placed.append(before)
    return placed


def row_key(row: Row) -> str:
    """What a session is known by: its id, or a hash of all its fields where it has none."""
    if isinstance(row, InvalidRow):
        return _json_key(row.raw)
    return row.session_id or _digest(attrs.astuple(row))


def _json_key(raw: Any) -> str:
    return id_of_json(raw) or _digest(raw)


def id_of_json(raw: Any) -> str | None:
    """The id in a session's JSON, None where there is none."""
    found = cast("dict[str, Any]", raw).get("session_id") if isinstance(raw, dict) else None
    return str(found) or None if isinstance(found, str | int) and not isinstance(found, bool) else None


def _digest(content: Any) -> str:
    return "sha256:" + hashlib.sha256(repr(content).encode("utf-8", "surrogatepass")).hexdigest()
