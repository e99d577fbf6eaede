"""Decoding judged by the vendor's pydantic models: what both accept is equal, what they judge differently is listed."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from syllable_sdk import models as vendor

from syllable_async import ResponseDriftWarning, ResponseValidationError, decode, models
from tests.client.test_against_vendor import plain

REPLIES: dict[str, tuple[Any, Any]] = {
    name: (getattr(models, name), getattr(vendor, name))
    for name in (
        "ListResponseSession",
        "Session",
        "SessionSummaryResponse",
        "SessionRecordingResponse",
        "SessionTranscriptionResponse",
        "InspectLatencyResponse",
        "SessionTimelineResponse",
        "ListResponseSessionLabel",
        "SessionData",
        "ToolResultData",
    )
}
# What only one of the two accepts: our refusal, or the vendor's, and why it stays so. Ten at the most.
WE_REFUSE = {
    r"Expected `(str|int|float|bool|datetime)( \| null)?`, got `(str|int|float|bool)`|Invalid RFC3339 .*": (
        "a value without a plain meaning: infinity as text, a time of day alone, a fraction of a second since 1970"
    ),
    r"Expected `array( \| null)?`, got `(str|int|float|bool)`": "a union of theirs takes text where a list is meant",
    (
        r"Expected `\w+( \| null)?`, got `(object|array)`|Expected `object`, got `(null|str|int|float|bool)`"
        r"|Object missing required field `provider`"
    ): ("what does not fit an optional object passes for their 'unset'"),
}
THEY_REFUSE = {
    "enum": "an enum value that the API adds later lives on with us",
}
MOMENTS = st.datetimes().map(lambda moment: moment.isoformat()) | st.sampled_from(
    ["2026-01-01T10:00:00Z", "2026-01-01T10:00:00+05:30", "2026-01-01 10:00:00.5Z", "2026-01-01", "2026-01-01T10:00Z"]
)
DRIFTED_MOMENTS = st.sampled_from(
    [
        *("2026-01-01", "2026-01-01T10:00", "2026-01-01T10:00Z", "2026-01-01t10:00:00z", "2026-01-01_10:00:00Z"),
        *("2026-01-01T10:00:00,5Z", "2026-01-01T10:00:00.1234567Z", "2026-01-01T10:00:00.999999999+02:00"),
        *(
            "2026-01-01T10:00:00+0530",
            "2026-01-01T10:00:00-08:00",
            "2026-01-01T10:00:00\u221208:00",
            "1767261600",
            1767261600,
            1767261600000,
            0,
            -1,
            1.5,
        ),
    ]
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "string": TEXT,
    "integer": st.integers(-(2**53), 2**53),
    "number": st.floats(allow_nan=False, allow_infinity=False, width=32) | st.integers(-1000, 1000),
    "boolean": st.booleans(),
    "null": st.none(),
}
DRIFTED: dict[str, st.SearchStrategy[Any]] = {
    "integer": st.sampled_from(
        ["5", " 5 ", "5\xa0", "+5", "-5", "5.0", "5_000", "5__0", 5.0, -3.0, True, False, "5.5", 5.5, "", "x"]
    ),
    "number": st.sampled_from(
        ["5", "1.5", " 1.5 ", "1.5\xa0", "1_0.5", "1_", "1e3", "-0.25", ".5", True, False, "", "x"]
    ),
    "boolean": st.sampled_from(
        ["true", "TRUE", "t", "yes", "on", "1", 1, 1.0, "false", "f", "no", "off", "0", 0, 0.0, 2]
    ),
}
WRONG = st.one_of(*SCALARS.values(), st.just([]), st.just({}), st.sampled_from(["5", "true", "1.5", "new"]))


def bodies(schema: dict[str, Any], root: dict[str, Any]) -> st.SearchStrategy[Any]:
    """JSON that a schema describes."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return st.nothing() if name == "Unset" else bodies(root["$defs"][name], root)
    if "anyOf" in schema:
        return st.one_of([bodies(part, root) for part in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("format") == "date-time":
        return MOMENTS | DRIFTED_MOMENTS
    if "type" not in schema:
        return WRONG  # JSON of any kind
    if schema["type"] == "array":
        return st.lists(bodies(schema["items"], root), max_size=2)
    if schema["type"] != "object":
        kind = schema["type"]
        return SCALARS[kind] | DRIFTED[kind] if kind in DRIFTED else SCALARS[kind]
    fields = {name: bodies(part, root) for name, part in schema["properties"].items()}
    required = {name: fields.pop(name) for name in schema.get("required", ())}
    return st.fixed_dictionaries(required, optional={**fields, "a_new_field": WRONG})


def spots(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a JSON value, as a container and a key."""
    keys: Any = list(value) if hasattr(value, "keys") else range(len(value)) if hasattr(value, "append") else ()
    return [spot for key in keys for spot in [(value, key), *spots(value[key])]]


def verdict(function: Any, *args: Any) -> tuple[Any, Exception | None]:
    try:
        return plain(function(*args)), None
    except (ResponseValidationError, ValidationError, ValueError) as error:
        return None, error


SOURCES = {None, *(source.value for source in vendor.UtteranceSource)}
UNMARSHAL: Any = import_module("syllable_sdk.utils").unmarshal_json
SEEN: set[str] = set()


def judge(name: str, body: Any) -> None:
    ours, theirs = REPLIES[name]
    text = json.dumps(body)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResponseDriftWarning)
        mine, my_error = verdict(decode, text.encode(), ours)
    other, their_error = verdict(UNMARSHAL, text, theirs)
    if my_error is None and their_error is None:
        if name == "SessionTranscriptionResponse" and other["transcript_complete"] is None:
            other["transcript_complete"] = False  # a bool with us: what is not said to be complete is not
        if name == "SessionTranscriptionResponse":
            _forget_confidences_of_new_sources(mine, other)
        assert mine == other
    elif my_error is not None and their_error is None:
        assert isinstance(my_error, ResponseValidationError)
        reason = next((why for pattern, why in WE_REFUSE.items() if re.fullmatch(pattern, my_error.problem)), None)
        assert reason is not None, f"we alone refuse: {my_error}"
        SEEN.add(reason)
    elif their_error is not None and my_error is None:
        assert isinstance(their_error, ValidationError)
        kinds = {error["type"] for error in their_error.errors()} - {"model_type", "model_attributes_type"}
        assert kinds <= set(THEY_REFUSE), f"they alone refuse: {their_error}"
        SEEN.update(THEY_REFUSE[kind] for kind in kinds)


def _forget_confidences_of_new_sources(mine: Any, other: Any) -> None:
    """A confidence whose `utterance_source` the API added later is "unset" for them; it lives on with us."""
    for ours, theirs in zip(mine["transcription"], other["transcription"], strict=True):
        confidence = ours.get("stt_confidence")
        if confidence and theirs["stt_confidence"] is None and confidence["utterance_source"] not in SOURCES:
            ours["stt_confidence"] = None


@pytest.mark.parametrize("examples", [60, pytest.param(1100, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", REPLIES)
def test_both_clients_read_the_same_in_a_reply(name: str, examples: int, counted: Callable[[str, int], None]) -> None:
    schema = TypeAdapter(REPLIES[name][1]).json_schema()

    @settings(max_examples=examples, phases=[Phase.generate])
    @given(st.data())
    def each(data: st.DataObject) -> None:
        body = data.draw(bodies(schema, schema))
        judge(name, body)
        places = spots(body)
        if places:  # and once more with something in it that is not as it should be
            container, key = data.draw(st.sampled_from(places))
            container[key] = data.draw(WRONG)
            judge(name, body)
        counted("replies read by both clients", 1 + bool(places))

    each()


AT = {"timestamp": "2026-01-01T10:00:00Z"}
WORDS = {"provider": "p", "words": "x"}
NO_WORD = {"provider": "p", "words": [None]}
TRANSCRIPT: dict[str, Any] = {"session_id": "", "transcription": [], "actions": []}
CASES: list[tuple[str, Any]] = [
    ("Session", {**AT, "duration": "inf"}),
    ("SessionTranscriptionResponse", {**TRANSCRIPT, "transcription": [{**AT, "stt_confidence": {}}]}),
    ("SessionTranscriptionResponse", {**TRANSCRIPT, "transcription": [{**AT, "stt_confidence": WORDS}]}),
    ("SessionTranscriptionResponse", {**TRANSCRIPT, "transcription": [{**AT, "stt_confidence": NO_WORD}]}),
    ("SessionTimelineResponse", {"session_id": "", "events": [{"kind": "new", **AT, "offset": "0"}]}),
]


def test_the_list_of_differences_is_short_and_each_is_real() -> None:
    assert len(WE_REFUSE) + len(THEY_REFUSE) <= 4
    SEEN.clear()
    for name, body in CASES:
        judge(name, body)
    assert sorted(SEEN) == sorted({*WE_REFUSE.values(), *THEY_REFUSE.values()})
