"""Labels: those that a seed describes, and those that were given; which of them a query means."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from random import Random
from typing import Any

from .query import ListQuery
from .seeded import Row, instant_of, timestamp_text
from .store import Store

Label = dict[str, Any]
_HOUR = 3_600_000_000
_CODES = ("GOOD", "GOOD", "OK", "BAD", "N/A")
_ISSUES = ("Silent treatment", "Speech transcription (STT)", "Wrong tool", "Too slow")
REQUIRED = ("session_id", "type", "code", "user_email", "id", "timestamp")
"""What a projection never leaves out."""


class Labels:
    """The labels of a store's sessions. A label's session id is a number, so other sessions have none."""

    def __init__(self, store: Store, seed: int) -> None:
        self._store = store
        self._seed = seed
        self._all: tuple[int, list[Label]] = (-1, [])

    def of(self, index: int) -> list[Label]:
        """A session's labels, in the order they were made."""
        row = self._store.row(index)
        if not (row["session_id"] or "").isdecimal():
            return []
        given: list[Label] | None = self._store.extras(index).get("labels")
        if given is None:
            given = [self._seeded(row)] if (row["session_label_id"] or "").isdecimal() else []
        later = timestamp_text(self._store.instant(index) + _HOUR)
        return [
            {"session_id": int(row["session_id"]), **label, "timestamp": label["timestamp"] or later} for label in given
        ]

    def _seeded(self, row: Row) -> Label:
        rng = Random(f"{self._seed}/label/{row['session_label_id']}")
        code = rng.choice(_CODES)
        return {
            "type": rng.choice(("auto-rating", "human-rating")),
            "code": code,
            "user_email": f"rater{rng.randrange(9)}@example.com",
            "comments": "The caller had to repeat the wish." if code == "BAD" else None,
            "issue_categories": rng.sample(_ISSUES, rng.randrange(3)) if code != "N/A" else None,
            "id": int(row["session_label_id"]),
            "timestamp": None,
        }

    def all(self) -> list[Label]:
        """Every label. Kept until the sessions change."""
        version, found = self._all
        if version != self._store.version:
            found = [label for index in self._store.indices() for label in self.of(index)]
            self._all = self._store.version, found
        return found

    def page(self, query: ListQuery) -> tuple[list[Label], int]:
        """One page, and the number of labels that match on all pages."""
        found = [label for label in self.all() if _is_wanted(label, query)]
        key = {None: "timestamp", "session_id_list": "session_id"}.get(query.order_by, query.order_by)
        found.sort(key=lambda label: (_cell(label, str(key)), label["id"]), reverse=query.descending)
        first = query.page * query.limit
        return [_projected(label, query.fields) for label in found[first : first + query.limit]], len(found)


def _cell(label: Label, name: str) -> Any:
    if name == "timestamp":
        return instant_of(datetime.fromisoformat(label[name]))
    return label[name] or [] if name == "issue_categories" else label[name]


def _is_wanted(label: Label, query: ListQuery) -> bool:
    instant = _cell(label, "timestamp")
    if query.start is not None and not (query.start < instant or (query.bounds[0] == "[" and query.start == instant)):
        return False
    if query.end is not None and not (instant < query.end or (query.bounds[1] == "]" and query.end == instant)):
        return False
    return all(_has(label, name, wanted) for name, wanted in query.search)


def _has(label: Label, name: str, wanted: Any) -> bool:
    if name == "session_id_list":
        return label["session_id"] in wanted
    found = _cell(label, name)
    return bool(wanted in found if name == "issue_categories" else wanted == found)


def _projected(label: Label, names: Iterable[str]) -> Label:
    names = set(names)
    return {name: value for name, value in label.items() if not names or name in REQUIRED or name in names}
