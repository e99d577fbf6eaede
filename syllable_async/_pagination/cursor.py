"""Where a walk by key stands, small enough to be kept in a file or a column, and complete enough to go on anywhere."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Self, cast

import attrs

from .._validators import parse_instant
from .query import ListQuery


@attrs.frozen(kw_only=True)
class Cursor:
    """The place after one session of `Pager.snapshot` or `Pager.follow`; either can go on from it, in any process.

    It holds ids of sessions (those within the overlap), no other data and no filter in clear.
    """

    fingerprint: str
    """Stands for the filters and bounds of the query; another query refuses the cursor."""
    end: datetime | None = None
    """The pinned end of a snapshot."""
    reached: datetime | None = None
    """The newest timestamp that was yielded; None before the first."""
    since: datetime | None = None
    """Where to go on: everything older was yielded."""
    known: tuple[str, ...] = attrs.field(default=(), repr=False)
    """Ids at or after `since` that were yielded."""

    def to_json(self) -> str:
        """The cursor as one line of JSON."""
        moments = {name: getattr(self, name) for name in ("end", "reached", "since")}
        times = {name: moment and moment.isoformat() for name, moment in moments.items()}
        return json.dumps({"v": 1, "query": self.fingerprint, **times, "known": self.known}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` wrote; anything else is a `ValueError`."""
        try:
            data: object = json.loads(text)
        except ValueError:
            data = None
        if not isinstance(data, dict) or cast("dict[str, object]", data).get("v") != 1:
            raise ValueError("this is not the JSON of a cursor")
        fields = cast("dict[str, object]", data)
        query, known = fields.get("query"), _strings(fields.get("known"))
        if not isinstance(query, str) or known is None:
            raise ValueError("the cursor's JSON is damaged")
        end, reached, since = (_moment(name, fields.get(name)) for name in ("end", "reached", "since"))
        return cls(fingerprint=query, end=end, reached=reached, since=since, known=known)


def fingerprint(query: ListQuery) -> str:
    """What makes two walks the same walk: filters and bounds. Page size and fields may change on the way."""
    pairs = sorted(zip(query.search_fields or (), query.search_field_values or (), strict=True))
    bounds = [moment and moment.astimezone(UTC).isoformat() for moment in query.time_bounds()]
    return hashlib.sha256(json.dumps([pairs, bounds]).encode()).hexdigest()[:16]


def _strings(value: object) -> tuple[str, ...] | None:
    items = tuple(cast("list[object]", value)) if isinstance(value, list) else (None,)
    strings = tuple(item for item in items if isinstance(item, str))
    return strings if len(strings) == len(items) else None


def _moment(name: str, value: object) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError(f"the cursor's {name} is damaged")  # noqa: TRY004 - it is the value of the JSON that is wrong
    return parse_instant(f"the cursor's {name}", value)
