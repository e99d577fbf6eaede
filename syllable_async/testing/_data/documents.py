"""What the API says about one session besides its fields, as the API's document describes it: for what a test seeds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from .._arguments import fields, flag, integer, items, number, one_of, text
from .seeded import instant_of, timestamp_text

Check = Callable[[Any, str], Any]
"""Takes a value and its place; returns what is sent, or raises with the place in the text."""


def moment(value: Any, place: str) -> str:
    """A datetime (UTC where it has no offset), or ISO 8601 text, which is shown as it was given."""
    if isinstance(value, datetime):
        return timestamp_text(instant_of(value))
    try:
        datetime.fromisoformat(text(value, place))
    except ValueError:
        pass
    else:
        return str(value)
    raise ValueError(f"{place} is not an ISO 8601 datetime")


def enumerated(*choices: str) -> Check:
    """A str out of an enumeration."""
    return lambda value, place: one_of(value, place, choices)


def list_of(check: Check) -> Check:
    """A list or tuple."""

    def checked(value: Any, place: str) -> list[Any]:
        return [check(item, f"{place}[{number}]") for number, item in enumerate(items(value, place))]

    return checked


def model(required: dict[str, Check], nullable: dict[str, Check]) -> Check:
    """A dict with these fields. Those that may be null are null where they are not given."""
    known = {**required, **nullable}

    def checked(value: Any, place: str) -> dict[str, Any]:
        given = fields(value, place)
        for name in given:
            if name not in known:
                raise TypeError(f"{place} has no field {name!r}; there are {', '.join(known)}")
        for name in required:
            if name not in given:
                raise TypeError(f"{place} must have the field {name!r}")
        found: dict[str, Any] = dict.fromkeys(nullable)
        for name, part in given.items():
            null = part is None and name in nullable
            found[name] = None if null else known[name](part, f"{place}.{name}")
        return found

    return checked


_WORD = model({"word": text}, {"confidence": number, "start": number, "end": number})
_CONFIDENCE = model(
    {"provider": text},
    {
        "model": text,
        "utterance": number,
        "utterance_source": text,
        "words": list_of(_WORD),
        "words_truncated": flag,
    },
)
_TEXT = model({"timestamp": moment}, {"lang": text, "source": text, "text": text, "stt_confidence": _CONFIDENCE})
_ACTION = model(
    {"timestamp": moment},
    {"tool_name": text, "tool_request": text, "tool_result": text, "tool_error": text, "duration_ms": number},
)
_CATEGORY = enumerated("tts", "stt", "llm", "tool", "http")
_LATENCY = model(
    {
        "timestamp": moment,
        "measurement_start": moment,
        "category": _CATEGORY,
        "label": text,
        "unit_type": enumerated("minutes", "seconds", "milliseconds", "microseconds", "nanoseconds"),
        "value": number,
        "value_str": text,
        "time_delta": text,
    },
    {"metadata": list_of(text)},
)
_SUM = model(
    {
        "category": _CATEGORY,
        "event_count": integer,
        "sum_ms": number,
        "sum_str": text,
        "average_ms": number,
        "average_str": text,
    },
    {"sub_category": text},
)
_EVENT = model(
    {"kind": enumerated("transcript", "tool", "latency"), "timestamp": moment, "offset": text},
    {
        "turn_index": integer,
        "source": text,
        "text": text,
        "lang": text,
        "category": text,
        "label": text,
        "metadata": list_of(text),
        "duration_ms": number,
        "tool_request": text,
        "tool_result": text,
        "tool_error": text,
    },
)


def _partial(nullable: dict[str, Check]) -> Check:
    """A dict with some of these fields; what is not given stays out, so that the fake can fill it in."""
    whole = model({}, nullable)

    def checked(value: Any, place: str) -> dict[str, Any]:
        found = whole(value, place)
        for name in value:
            if value[name] is None and name != "session_start":
                raise TypeError(f"{place}.{name} must not be null")
        return {name: part for name, part in found.items() if name in value}

    return checked


summary = model({}, {"summary": text, "rating": text})
transcript = _partial(
    {"session_id": text, "transcription": list_of(_TEXT), "actions": list_of(_ACTION), "transcript_complete": flag}
)
latency = _partial({"session_id": text, "timeline": list_of(_LATENCY), "summary": list_of(_SUM)})
timeline = _partial({"session_id": text, "session_start": moment, "events": list_of(_EVENT)})
_LABELS = list_of(
    model(
        {},
        {
            "type": text,
            "code": text,
            "user_email": text,
            "comments": text,
            "issue_categories": list_of(text),
            "id": lambda value, place: integer(value, place, least=0),
            "timestamp": moment,
        },
    )
)
_MADE_UP = {"type": "human-rating", "code": "GOOD", "user_email": "reviewer@example.com"}


def labels(value: Any, place: str) -> list[dict[str, Any]]:
    """Labels of one session; what must not be null is made up where it is not given, id and timestamp by the store."""
    found: list[dict[str, Any]] = _LABELS(value, place)
    return [{name: _MADE_UP.get(name) if part is None else part for name, part in label.items()} for label in found]
