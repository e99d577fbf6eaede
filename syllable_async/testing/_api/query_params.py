"""The query of the list, read the way FastAPI and pydantic read it, refusals included."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from .._data import MICROSECONDS, ListQuery, Resolution, instant_of
from .settings import Settings

Params = Sequence[tuple[str, str]]

PROPERTIES = (
    "timestamp",
    "session_id",
    "conversation_id",
    "channel_manager_service",
    "channel_manager_type",
    "channel_manager_sid",
    "agent_type",
    "agent_id",
    "agent_name",
    "prompt_id",
    "prompt_name",
    "experiment_id",
    "experiment_variant_id",
    "source",
    "target",
    "duration",
    "is_outbound",
    "is_legacy",
    "is_test",
)
SEARCHABLE = tuple(name for name in PROPERTIES if name != "is_outbound")
"""What the live API was seen to take as a search field, though its document lists them all."""
DIRECTIONS = ("asc", "desc")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}

# What pydantic reads as an integer: "+1", "1_000", "0__1" and "1.0", white space around it (Rust's idea of that).
_INTEGER = re.compile(r"([+-]?)(?:0[0_]*+(?=\d))?(\d+(?:_\d+)*)(?:\.0+)?", re.ASCII)
_LONGEST_INTEGER = 4_300
_WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


class UnprocessableError(Exception):
    """A 422: one dict per error, as pydantic words them."""

    def __init__(self, detail: list[dict[str, Any]]) -> None:
        super().__init__(detail)
        self.detail = detail


class BadQueryError(Exception):
    """A 400 with a sentence, for what the schema cannot refuse."""


class QueryReader:
    """Reads parameters one by one and collects what is wrong with them, as FastAPI does."""

    def __init__(self, params: Params, place: str = "query") -> None:
        self._params = params
        self._place = place
        self.errors: list[dict[str, Any]] = []

    def last(self, name: str) -> str | None:
        found: str | None = None
        for key, value in self._params:
            if key == name:
                found = value
        return found

    def all(self, name: str) -> list[str]:
        return [value for key, value in self._params if key == name]

    def add_error(self, kind: str, loc: Iterable[str | int], msg: str, value: object, **ctx: object) -> None:
        complaint: dict[str, Any] = {"type": kind, "loc": [self._place, *loc], "msg": msg, "input": value}
        if ctx:
            complaint["ctx"] = ctx
        self.errors.append(complaint)

    def non_negative_int(self, name: str, default: int) -> int:
        text = self.last(name)
        if text is None:
            return default
        number = self.parse_integer(text, [name])
        if number is not None and number < 0:
            self.add_error("greater_than_equal", [name], "Input should be greater than or equal to 0", text, ge=0)
        return default if number is None else number

    def parse_integer(self, text: str, loc: list[str | int]) -> int | None:
        match = _INTEGER.fullmatch(text.strip(_WHITE_SPACE))
        if match is None:
            message = "Input should be a valid integer, unable to parse string as an integer"
            self.add_error("int_parsing", loc, message, text)
            return None
        sign, digits = match[1], match[2].replace("_", "").lstrip("0")
        if len(digits) > _LONGEST_INTEGER:
            message = "Unable to parse input string as an integer, exceeded maximum size"
            self.add_error("int_parsing_size", loc, message, text)
            return None
        return int(f"{sign}{digits or 0}")

    def choice(self, name: str, choices: tuple[str, ...]) -> str | None:
        text = self.last(name)
        return None if text is None else self._checked(text, choices, [name])

    def choices(self, name: str, choices: tuple[str, ...]) -> list[str]:
        return [self._checked(text, choices, [name, index]) for index, text in enumerate(self.all(name))]

    def _checked(self, text: str, choices: tuple[str, ...], loc: list[str | int]) -> str:
        if text not in choices:
            expected = _listed(choices)
            self.add_error("enum", loc, f"Input should be {expected}", text, expected=expected)
        return text


def _listed(choices: tuple[str, ...]) -> str:
    quoted = [f"'{choice}'" for choice in choices]
    return f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def read_list_query(params: Params, settings: Settings) -> ListQuery:
    """The query of `GET /api/v1/sessions/`; raises `UnprocessableError` or `BadQueryError`."""
    if not params:
        return ListQuery(bounds=settings.bounds, descending=True, tests=not settings.hide_tests)
    reader = QueryReader(params)
    page = reader.non_negative_int("page", 0)
    limit = reader.non_negative_int("limit", 25)
    names = reader.choices("search_fields", SEARCHABLE if settings.refuse_is_outbound else PROPERTIES)
    values = reader.all("search_field_values")
    order_by = reader.choice("order_by", PROPERTIES)
    direction = reader.choice("order_by_direction", DIRECTIONS)
    fields = reader.choices("fields", PROPERTIES)
    if reader.errors:
        raise UnprocessableError(reader.errors)
    if len(names) != len(values):
        raise BadQueryError("search_fields and search_field_values must have the same length")
    search = tuple((name, _filter_value(name, value)) for name, value in zip(names, values, strict=True))
    tests = not settings.hide_tests or ("is_test", True) in search
    if settings.hide_tests:
        # Seen of the live API: the filter adds test sessions, and restricts to nothing.
        search = tuple(part for part in search if part[0] != "is_test")
    return ListQuery(
        page=page,
        limit=limit,
        search=search,
        tests=tests,
        order_by=order_by,
        descending=direction == "desc" if direction else order_by is None,
        fields=tuple(fields),
        start=_moment(reader, "start_datetime", settings.bounds_resolution),
        end=_moment(reader, "end_datetime", settings.bounds_resolution),
        bounds=settings.bounds,
    )


def read_id(text: str, name: str) -> int:
    """A segment of the path that is a number; raises `UnprocessableError`."""
    reader = QueryReader((), "path")
    number = reader.parse_integer(text, [name])
    if number is None:
        raise UnprocessableError(reader.errors)
    return number


def read_token(params: Params) -> str:
    """The token of the recording stream; raises `UnprocessableError` where it is missing."""
    reader = QueryReader(params)
    token = reader.last("token")
    if token is None:
        reader.add_error("missing", ["token"], "Field required", None)
        raise UnprocessableError(reader.errors)
    return token


def _moment(reader: QueryReader, name: str, resolution: Resolution) -> int | None:
    text = reader.last(name)
    if text is None:
        return None
    grain = MICROSECONDS[resolution]
    return parse_moment(text, name) // grain * grain


def parse_moment(text: str, name: str) -> int:
    """An ISO 8601 text in microseconds since 1970; raises `BadQueryError`."""
    try:
        return instant_of(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        pass
    raise BadQueryError(f"{name} is not an ISO 8601 datetime")


def _filter_value(name: str, text: str) -> Any:
    """The value that a session's field must equal."""
    if name == "timestamp":
        return parse_moment(text, name)
    if name.startswith("is_"):
        wanted = _BOOLEANS.get(text.lower())
        if wanted is None:
            raise BadQueryError(f"{name} must be true or false")
        return wanted
    if name == "duration":
        return _number(text)
    return text


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        pass
    raise BadQueryError("duration must be a number")
