"""Labels: the list, one of them, and a new one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from .._data import Labels, ListQuery, ReplicatedStore, instant_of, timestamp_text
from .query_params import BadQueryError, QueryReader, UnprocessableError, parse_moment, read_id
from .request_body import read_label
from .response import Answer, error, json_answer
from .routes import Call
from .settings import Settings

PROPERTIES = ("timestamp", "session_id", "type", "code", "user_email", "issue_categories", "session_id_list")


class LabelHandlers:
    """Answers the calls of `session_labels`; `envelope` makes what stands beside a page's items."""

    def __init__(
        self,
        sessions: ReplicatedStore,
        settings: Settings,
        seed: int,
        now: Callable[[], datetime],
        envelope: Callable[[ListQuery, int], dict[str, int | None]],
    ) -> None:
        self._sessions = sessions
        self._store = sessions.primary
        self._settings = settings
        self._now = now
        self._envelope = envelope
        self._labels = Labels(sessions.primary, seed)
        self.operations: dict[str, Callable[[Call], Answer]] = {
            "session_labels.list": self._list,
            "session_labels.get_by_id": self._one,
            "session_labels.create": self._create,
        }

    def _list(self, call: Call) -> Answer:
        query = read_label_query(call, self._settings)
        for change in call.adjust:
            query = change(query)
        with self._store.lock:
            items, count = self._labels.page(query)
        return json_answer({"items": items, **self._envelope(query, count)})

    def _one(self, call: Call) -> Answer:
        wanted = read_id(call.segments[0], "session_label_id")
        with self._store.lock:
            found = next((label for label in self._labels.all() if label["id"] == wanted), None)
        return error(404, "Session label not found") if found is None else json_answer(found)

    def _create(self, call: Call) -> Answer:
        label = read_label(call)
        session_id = str(label.pop("session_id"))
        with self._store.lock:
            index = self._store.find(session_id)
            if index is None:
                return error(404, "Session not found")
            known = [{name: it[name] for name in it if name != "session_id"} for it in self._labels.of(index)]
            made = {**label, "timestamp": timestamp_text(instant_of(self._now()))}
            self._sessions.update(session_id, {"labels": [*known, made]})
            return json_answer(self._labels.of(index)[-1])


def read_label_query(call: Call, settings: Settings) -> ListQuery:
    """The query of `GET /api/v1/session_labels/`; raises `UnprocessableError` or `BadQueryError`."""
    reader = QueryReader(call.params)
    page = reader.non_negative_int("page", 0)
    limit = reader.non_negative_int("limit", 25)
    names = reader.choices("search_fields", PROPERTIES)
    values = reader.all("search_field_values")
    order_by = reader.choice("order_by", PROPERTIES)
    direction = reader.choice("order_by_direction", ("asc", "desc"))
    fields = reader.choices("fields", PROPERTIES)
    if reader.errors:
        raise UnprocessableError(reader.errors)
    if len(names) != len(values):
        raise BadQueryError("search_fields and search_field_values must have the same length")
    start, end = reader.last("start_datetime"), reader.last("end_datetime")
    return ListQuery(
        page=page,
        limit=limit,
        search=tuple((name, _filter_value(name, value)) for name, value in zip(names, values, strict=True)),
        order_by=order_by,
        descending=direction == "desc" if direction else order_by is None,
        fields=tuple(fields),
        start=None if start is None else parse_moment(start, "start_datetime"),
        end=None if end is None else parse_moment(end, "end_datetime"),
        bounds=settings.bounds,
    )


def _filter_value(name: str, text: str) -> Any:
    if name == "timestamp":
        return parse_moment(text, name)
    if name == "session_id":
        return _number(name, text)
    if name == "session_id_list":
        return frozenset(_number(name, part) for part in text.split(","))
    return text


def _number(name: str, text: str) -> int:
    digits = text.strip()
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 20):
        raise BadQueryError(f"{name} must hold numbers")
    return int(digits)
