"""The sessions of one fake: a seed's rows, and what was added, changed and deleted since."""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from random import Random
from threading import RLock
from typing import Any, Final, Literal

from .._arguments import integer, items, seconds, text, wrong_type
from .._json import encode_text
from . import documents
from .query import ListQuery
from .seeded import CHAT_SECONDS, SPACING, VOICE, Row, SeededSessions, instant_of, timestamp_text

Listing = Literal["at once", "begin", "end"] | tuple[float, float] | Callable[[Row], float]
"""When a session appears in the list: once it was added; when it begins; when it ends; so many seconds after its
begin, drawn between two bounds or told by a function of the session."""

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "duration": (int, float),
    "prompt_version_number": (int,),
    "is_legacy": (bool,),
    "is_test": (bool,),
    "is_outbound": (bool,),
    "user_terminated": (bool,),
    "transfer_voicemail_detected": (bool,),
    "experiment_variant_is_control": (bool,),
    "timestamp": (str, datetime),
}
_NEVER_IN_PATHS = re.compile(r"\.{0,2}|.*[/\\\x00-\x1f\x7f-\x9f\ud800-\udfff].*", re.DOTALL)
_LONGEST = 4 * 3600.0
_FIRST_LABEL = 10**9
"""Seeded labels have smaller ids."""


class Store:
    """Every public method may be called from any thread."""

    def __init__(self, seed: int, count: int, *, numeric_ids: bool = True, listing: Listing = "at once") -> None:
        self._rows = SeededSessions(seed, numeric_ids=numeric_ids)
        self._seed = seed
        self._listing = listing
        self._listed: dict[int, float] = {}
        self._next = count
        self._changed: dict[int, Row] = {}
        self._deleted: set[int] = set()
        self._instants: dict[int, int] = {}
        self._foreign_ids: dict[str, int] = {}
        self._extras: dict[int, dict[str, Any]] = {}
        self._order: Sequence[int] = range(count)
        self._real: list[int] | None = None
        self.keeps_time = listing != "at once"
        """Whether sessions begin and end as time goes by."""
        self.lists_late = self.keeps_time
        """Whether a session can exist and not be listed yet."""
        self._columns: dict[str, list[Any]] = {}
        self._matches: dict[tuple[Any, ...], list[int]] = {}
        self._next_label = _FIRST_LABEL
        self.version = 0
        """Another number after each write."""
        self.lock = RLock()

    # Reading

    def __len__(self) -> int:
        return len(self._order)

    def row(self, index: int) -> Row:
        """The session at an index: not a copy where it was changed, so not to be written to."""
        changed = self._changed.get(index)
        return self._rows[index] if changed is None else changed

    def text(self, index: int) -> str:
        """The session at an index as JSON."""
        changed = self._changed.get(index)
        return self._rows.text(index) if changed is None else encode_text(changed)

    def instant(self, index: int) -> int:
        """The moment that the list orders and filters by, in microseconds since 1970."""
        moved = self._instants.get(index)
        return self._rows.instant(index) if moved is None else moved

    def extras(self, index: int) -> Mapping[str, Any]:
        """What was set by hand and is no field of a session: see `EXTRAS`."""
        return self._extras.get(index, {})

    def end(self, index: int) -> float:
        """When the session ends, in microseconds since 1970; infinite for a call whose duration is null."""
        row = self.row(index)
        length: float | None = row["duration"]
        if length is None:
            length = math.inf if row["channel_manager_type"] in VOICE else CHAT_SECONDS
        return self.instant(index) + length * 1_000_000

    def listed_at(self, index: int) -> float:
        """When the session appears in the list, in microseconds since 1970."""
        found = self._listed.get(index)
        if found is None:
            found = self._listed[index] = self._listing_time(index)
        return found

    def _listing_time(self, index: int) -> float:
        after: float | None = self.extras(index).get("listed_after")
        if after is None and self._listing == "at once":
            return -math.inf
        if after is None and self._listing == "end":
            return self.end(index)
        return self.instant(index) + 1_000_000 * (self._delay(index) if after is None else after)

    def _delay(self, index: int) -> float:
        """Seconds from a session's begin to its place in the list, for the listings that are neither name nor end."""
        if callable(self._listing):
            return self._listing(dict(self.row(index)))
        if isinstance(self._listing, str):
            return 0.0
        return Random(f"{self._seed}/listed/{index}").uniform(*self._listing)

    def find(self, session_id: str) -> int | None:
        """The index of a session that exists."""
        index = self._foreign_ids.get(session_id)
        if index is None:
            index = self._rows.index(session_id)
            if index is None or index >= self._next or index in self._deleted:
                return None
            if index in self._changed and self._changed[index]["session_id"] != session_id:
                return None
        return index

    def existing(self, session_id: str) -> int:
        """As `find`; `KeyError` if there is none."""
        index = self.find(session_id)
        if index is None:
            raise KeyError(session_id)
        return index

    def find_by_sid(self, service: str, sid: str) -> str | None:
        """The id of the session with a channel's service and id."""
        services, sids = self._column("channel_manager_service"), self._column("channel_manager_sid")
        found = (index for index in self._order if sids[index] == sid and services[index] == service)
        index = next(found, None)
        return None if index is None else self.row(index)["session_id"]

    def indices(self) -> Sequence[int]:
        """The indices of all sessions, oldest first."""
        return self._order

    def ids(self) -> tuple[str, ...]:
        """All ids, oldest session first."""
        with self.lock:
            found = (self._id(index) for index in self._order)
            return tuple(session_id for session_id in found if session_id is not None)

    def _id(self, index: int) -> str | None:
        changed = self._changed.get(index)
        return self._rows.session_id(index) if changed is None else changed["session_id"]

    def page(self, query: ListQuery) -> tuple[list[int], int]:
        """The indices of one page and the number of sessions that match on all pages."""
        with self.lock:
            found = self._order if query.tests else self._without_tests()
            low, high = self._window(found, query)
            late = self.lists_late and query.listed_by is not None
            if late or query.search or query.order_by not in {None, "timestamp"}:
                found = self._select(found, query, low, high)
                low, high = 0, len(found)
            first, last = query.page * query.limit, (query.page + 1) * query.limit
            if query.descending:
                rows = list(reversed(found[max(low, high - last) : max(low, high - first)]))
            else:
                rows = list(found[min(high, low + first) : min(high, low + last)])
            return rows, max(0, high - low)

    def _without_tests(self) -> list[int]:
        """The order without test sessions, found out when somebody asks and kept from then on."""
        if self._real is None:
            self._real = [index for index in self._order if not self._is_test(index)]
        return self._real

    def _is_test(self, index: int) -> bool:
        changed = self._changed.get(index)
        return bool(self._rows.is_test(index) if changed is None else changed["is_test"])

    def _window(self, order: Sequence[int], query: ListQuery) -> tuple[int, int]:
        low, high = 0, len(order)
        if query.start is not None:
            before = bisect_left if query.bounds[0] == "[" else bisect_right
            low = before(order, query.start, key=self.instant)
        if query.end is not None:
            before = bisect_right if query.bounds[1] == "]" else bisect_left
            high = before(order, query.end, key=self.instant)
        return low, max(low, high)

    def _select(self, order: Sequence[int], query: ListQuery, low: int, high: int) -> list[int]:
        """The matching indices in ascending order. Kept until the data changes, so that a walk selects once."""
        by = query.listed_by if self.lists_late else None
        key = (query.search, query.order_by, low, high, query.tests, by)
        found = self._matches.get(key)
        if found is None:
            found = [index for index in order[low:high] if by is None or self.listed_at(index) <= by]
            for name, wanted in query.search:
                column = self._column(name)
                found = [index for index in found if column[index] == wanted]
            if query.order_by not in {None, "timestamp"}:
                column = self._column(str(query.order_by))
                found.sort(key=lambda index: (column[index] is None, column[index]))
            if len(self._matches) >= 16:
                self._matches.clear()
            self._matches[key] = found
        return found

    def _column(self, name: str) -> list[Any]:
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = [self._cell(index, name) for index in range(self._next)]
        return column

    def _cell(self, index: int, name: str) -> Any:
        return self.instant(index) if name == "timestamp" else self.row(index)[name]

    # Writing

    def add(self, values: dict[str, Any]) -> str:
        """A new session: what is not given is made up from the seed. It is no test session, and after all others."""
        with self.lock:
            index = self._next
            fields, extras = _checked(values)
            row = {**self._rows.real(index), "timestamp": self._after_newest(), **fields}
            self._number_labels(row, fields, extras)
            self._check_id(row["session_id"], index)
            self._next += 1
            for name, column in self._columns.items():
                column.append(None if name == "timestamp" else row[name])
            self._put(index, row, extras)
            return row["session_id"] or ""

    def update(self, session_id: str, values: dict[str, Any]) -> None:
        """Change fields of a session; `KeyError` if there is none of that id."""
        with self.lock:
            index = self.existing(session_id)
            fields, extras = _checked(values)
            row = {**self.row(index), **fields}
            self._number_labels(row, fields, extras)
            self._check_id(row["session_id"], index)
            self._remove(index)
            self._put(index, row, extras)

    def delete(self, session_id: str) -> None:
        """Remove a session; `KeyError` if there is none of that id."""
        with self.lock:
            index = self.existing(session_id)
            self._remove(index)
            self._deleted.add(index)
            self._changed.pop(index, None)
            self._extras.pop(index, None)

    def _number_labels(self, row: Row, fields: Row, extras: dict[str, Any]) -> None:
        """Give new labels their ids, and the session the last one's."""
        labels: list[dict[str, Any]] | None = extras.get("labels")
        if labels is None:
            return
        if labels and not (row["session_id"] or "").isdecimal():
            raise ValueError("labels need a session_id that is a number")
        for label in labels:
            if label["id"] is None:
                label["id"] = self._next_label
                self._next_label += 1
        if "session_label_id" not in fields:
            row["session_label_id"] = str(labels[-1]["id"]) if labels else None

    def _check_id(self, session_id: str | None, index: int) -> None:
        if session_id is None:
            return
        if _NEVER_IN_PATHS.fullmatch(session_id):
            raise ValueError("a path cannot hold this session_id: it is empty, only dots, or has slashes or controls")
        if self.find(session_id) not in {None, index}:
            raise ValueError("a session of this session_id exists already")

    def _after_newest(self) -> str:
        newest = self.instant(self._order[-1]) if self._order else self._rows.instant(0)
        return timestamp_text(newest + SPACING)

    def _put(self, index: int, row: Row, extras: dict[str, Any]) -> None:
        self._instants[index] = instant_of(datetime.fromisoformat(row["timestamp"]))
        self._changed[index] = row
        self._extras[index] = {**self.extras(index), **extras}
        self._listed.pop(index, None)
        self.lists_late = self.lists_late or "listed_after" in extras
        if row["session_id"] is not None and row["session_id"] != self._rows.session_id(index):
            self._foreign_ids[row["session_id"]] = index
        for name, column in self._columns.items():
            column[index] = self._cell(index, name)
        insort(self._written(), index, key=self._position)
        if self._real is not None and not row["is_test"]:
            insort(self._real, index, key=self._position)

    def _remove(self, index: int) -> None:
        orders = [self._written()]
        if self._real is not None and not self._is_test(index):
            orders.append(self._real)
        for order in orders:
            del order[bisect_left(order, self._position(index), key=self._position)]
        self._foreign_ids.pop(self.row(index)["session_id"], None)

    def _position(self, index: int) -> tuple[int, int]:
        return self.instant(index), index

    def _written(self) -> list[int]:
        """The order as a list that can be written to, with everything forgotten that was derived from it."""
        self.version += 1
        self._matches.clear()
        if not isinstance(self._order, list):
            self._order = list(self._order)
        return self._order


def listed_part(values: Mapping[str, Any]) -> dict[str, Any]:
    """What of a session's values shows in the list."""
    return {name: value for name, value in values.items() if name in FIELDS or name in {"labels", "listed_after"}}


def _checked(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fields of a session and extras, apart, each of the type that it must have."""
    if isinstance(values.get("summary"), dict):
        values = {**values, **documents.summary(values["summary"], "summary")}
    fields = {name: _typed(name, value) for name, value in values.items() if name not in EXTRAS}
    if not 0 <= (fields.get("duration") or 0) <= _LONGEST:
        raise ValueError(f"duration must lie between 0 and {_LONGEST:g} seconds")
    return fields, {name: _typed_extra(name, value) for name, value in values.items() if name in EXTRAS}


def _typed(name: str, value: Any) -> Any:
    if name not in FIELDS:
        known = ", ".join((*sorted(FIELDS), *sorted(EXTRAS)))
        raise TypeError(f"a session has no field {name!r}; there are {known}")
    if value is None and name != "timestamp":
        return None
    types = _TYPES.get(name, (str,))
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise TypeError(f"{name} cannot be a {type(value).__name__}")
    return documents.moment(value, name) if name == "timestamp" else value


def _typed_extra(name: str, value: Any) -> Any:
    if name in {"summary", "rating"}:
        return None if value is None else text(value, name)
    return _DOCUMENTS[name](value, name)


def _recordings(value: Any, place: str) -> list[bytes]:
    found = items(value, place, "a list of bytes")
    for number, recording in enumerate(found):
        if not isinstance(recording, bytes | bytearray | memoryview):
            raise wrong_type(recording, f"{place}[{number}]", "bytes")
    return [bytes(recording) for recording in found]


FIELDS = frozenset(SeededSessions(0)[0])
"""The fields of a session."""
_DOCUMENTS: Final[dict[str, documents.Check]] = {
    "transcript": documents.transcript,
    "latency": documents.latency,
    "timeline": documents.timeline,
    "recordings": _recordings,
    "labels": documents.labels,
    "complete_after": lambda value, place: integer(value, place, least=1),
    "listed_after": seconds,
}
EXTRAS = frozenset({"summary", "rating", *_DOCUMENTS})
"""What else a session can be given."""
