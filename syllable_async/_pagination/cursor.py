"""Where a walk by key stands, small enough to be kept in a file or a column, and complete enough to go on anywhere."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from itertools import accumulate, pairwise
from typing import Self, cast

import attrs
from msgspec import Struct
from msgspec.structs import replace

from .._validators import parse_instant
from .known_ids import MAX_INSTANT, MIN_INSTANT, KnownIds, to_micros
from .query import ListQuery

_NONE = KnownIds.of()
_EARLIEST, _LATEST = to_micros(MIN_INSTANT), to_micros(MAX_INSTANT)


class CursorSpan(Struct, frozen=True, kw_only=True):
    """A span of a walk that is not read to its end."""

    floor: datetime | None = None
    """Older sessions are not given: they were, or another span has them."""
    since: datetime | None = None
    """Where to go on: everything from `floor` up to here was yielded."""
    end: datetime | None = None
    """None: not pinned yet."""
    known: KnownIds = _NONE
    """The sessions at or after `floor` that were yielded."""
    is_checked: bool = True
    """Whether the next page must hold one of those that are known."""


@attrs.frozen(kw_only=True)
class Cursor:
    """The place after one session of `Pager.snapshot` or `Pager.follow`; either can go on from it, in any process.

    It holds ids of sessions (those that can come again), no other data and no filter in clear. Reading it costs the
    same at any place of a walk; `to_json` costs what it holds: about 20 bytes for each session of the overlap.
    """

    fingerprint: str
    """Stands for the filters and the start of the query; another query refuses the cursor."""
    end: datetime | None = None
    """The end of the snapshot; None where it is not pinned, or was reached: then a walk goes on up to its own end."""
    kept_from: datetime | None = None
    """All ids from there on are kept; None: from the beginning."""
    spans: tuple[CursorSpan, ...] = (CursorSpan(),)
    """What is left, oldest first: several spans where the walk was parallel."""
    known: KnownIds = _NONE
    """Other sessions that were yielded and can come again."""

    def forget(self) -> Self:
        """The same place, without the expectation that the sessions next to it are still listed.

        It goes on where a walk was refused because the list is behind: sessions that the list hides meanwhile may be
        lost. No session comes twice.
        """
        return attrs.evolve(self, spans=tuple(replace(span, is_checked=False) for span in self.spans))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self).from_json, (self.to_json(),)

    def to_json(self) -> str:
        """The cursor as one line of JSON."""
        spans = [
            {
                **{name: _text(moment) for name, moment in (("floor", s.floor), ("since", s.since), ("end", s.end))},
                "known": _packed(s.known),
                "check": s.is_checked,
            }
            for s in self.spans
        ]
        fields = {
            "v": 2,
            "query": self.fingerprint,
            "end": _text(self.end),
            "kept_from": _text(self.kept_from),
            "spans": spans,
            "known": _packed(self.known),
        }
        return json.dumps(fields, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` wrote, also that of 1.0.0rc1; anything else is a `ValueError`."""
        try:
            data: object = json.loads(text)
        except (ValueError, RecursionError):
            data = None
        fields = _Fields(cast("dict[str, object]", data) if isinstance(data, dict) else {})
        version = fields.get("v")
        if version not in (1, 2) or isinstance(version, bool | float):
            raise ValueError("this is not the JSON of a cursor")
        fingerprint = fields.string("query")
        if version == 1:
            span = _first_version(fields)
            return cls(fingerprint=fingerprint, end=span.end, kept_from=span.since, spans=(span,))
        found = tuple(_span(one) for one in fields.list("spans"))
        end, kept_from = fields.moment("end"), fields.moment("kept_from")
        _check_order(found, end)
        return cls(fingerprint=fingerprint, end=end, kept_from=kept_from, spans=found, known=fields.known("known"))


def fingerprint(query: ListQuery) -> str:
    """What makes two walks the same walk: filters and start. End, page size and fields may change."""
    return _hash([_filters(query), _utc(query.time_bounds()[0])])


def fingerprints(query: ListQuery) -> tuple[str, str]:
    """Those that a cursor may have: today's, and that of 1.0.0rc1, which held the end too."""
    return fingerprint(query), _hash([_filters(query), [_utc(bound) for bound in query.time_bounds()]])


def _filters(query: ListQuery) -> list[tuple[str, str]]:
    return sorted(zip(query.search_fields or (), query.search_field_values or (), strict=True))


def _utc(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()


def _hash(parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _packed(known: KnownIds) -> list[object]:
    """Ids, and the microseconds from each timestamp to the next."""
    micros = known.micros
    return [known.ids, [*micros[:1], *(after - before for before, after in pairwise(micros))]]


def _damaged(name: str) -> ValueError:
    return ValueError(f"the cursor's {name} is damaged")


class _Fields(dict[str, object]):
    """An object of the JSON, read field by field."""

    def string(self, name: str) -> str:
        value = self.get(name)
        if not isinstance(value, str):
            raise _damaged(name)
        return value

    def list(self, name: str) -> list[object]:
        value = self.get(name)
        if not isinstance(value, list):
            raise _damaged(name)
        return cast("list[object]", value)

    def moment(self, name: str) -> datetime | None:
        value = self.get(name)
        if value is not None and not isinstance(value, str):
            raise _damaged(name)
        return None if value is None else parse_instant(f"the cursor's {name}", value)

    def known(self, name: str) -> KnownIds:
        parts = self.list(name)
        if len(parts) != 2 or not all(isinstance(part, list) for part in parts):
            raise _damaged(name)
        ids, steps = (cast("list[object]", part) for part in parts)
        if len(ids) != len(steps) or not _all(ids, str) or not _all(steps, int):
            raise _damaged(name)
        try:
            known = KnownIds.of(cast("list[str]", ids), accumulate(cast("list[int]", steps)))
        except OverflowError:
            raise _damaged(name) from None
        if any(not _EARLIEST <= micros <= _LATEST for micros in known.micros):
            raise _damaged(name)
        return known


def _all(values: list[object], kind: type) -> bool:
    return all(type(value) is kind for value in values)


def _span(value: object) -> CursorSpan:
    if not isinstance(value, dict):
        raise _damaged("spans")
    fields = _Fields(cast("dict[str, object]", value))
    begin, since, end = (fields.moment(name) for name in ("floor", "since", "end"))
    check = fields.get("check")
    if not isinstance(check, bool):
        raise _damaged("check")
    return CursorSpan(floor=begin, since=since, end=end, known=fields.known("known"), is_checked=check)


def _check_order(spans: tuple[CursorSpan, ...], end: datetime | None) -> None:
    """Spans lie one after the other, and before the end."""
    reached = MIN_INSTANT
    is_open = len(spans) == 1 and spans[0].end is None
    if not spans or (end is None and not is_open):
        raise _damaged("spans")
    for span in spans:
        begin, limit = span.floor or MIN_INSTANT, span.end or end or MAX_INSTANT
        if begin < reached:
            raise _damaged("spans")
        if max(begin, span.since or MIN_INSTANT) > limit or (end is not None and limit > end):
            raise ValueError("the cursor's end is before its start")
        reached = limit


def _first_version(fields: _Fields) -> CursorSpan:
    """A cursor of 1.0.0rc1: one span, and ids at or after `since` without their timestamps."""
    end, reached, since = (fields.moment(name) for name in ("end", "reached", "since"))
    ids = fields.list("known")
    if not _all(ids, str):
        raise _damaged("known")
    if end is not None and since is not None and since > end:
        raise ValueError("the cursor's end is before its start")
    at = to_micros(reached or since or MIN_INSTANT)
    known = KnownIds.of(cast("list[str]", ids), [at] * len(ids))
    return CursorSpan(floor=since, since=since, end=end, known=known)
