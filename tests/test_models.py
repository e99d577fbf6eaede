"""Models that do more than hold fields: a label that is to be made, and a transcript as text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from syllable_async import (
    OrderByDirection,
    SessionAction,
    SessionLabel,
    SessionLabelCreate,
    SessionText,
    SessionTranscriptionResponse,
)

START = datetime(2026, 2, 1, 10, tzinfo=UTC)
GOOD: dict[str, Any] = {"session_id": 824, "type": "human-rating", "code": "GOOD", "user_email": "a@example.com"}


def said(seconds: float, source: str | None, text: str | None) -> SessionText:
    return SessionText(timestamp=START + timedelta(seconds=seconds), source=source, text=text)


def used(seconds: float, **fields: str | None) -> SessionAction:
    return SessionAction(timestamp=START + timedelta(seconds=seconds), **fields)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def transcript(*lines: SessionText, actions: tuple[SessionAction, ...] = ()) -> SessionTranscriptionResponse:
    return SessionTranscriptionResponse(session_id="824", transcription=lines, actions=actions)


def new_label(without: str | None = None, **changes: Any) -> SessionLabelCreate:
    fields: dict[str, Any] = {**GOOD, **changes}
    fields.pop(without or "", None)
    return SessionLabelCreate(**fields)


def test_a_transcript_reads_line_by_line() -> None:
    script = transcript(said(0, "agent", "Hello."), said(7.9, "user", "I need\nhelp."), said(3723, "agent", "Bye."))
    assert script.to_text() == "00:00 agent: Hello.\n00:07 user: I need help.\n1:02:03 agent: Bye."


def test_times_begin_where_the_session_began() -> None:
    script = transcript(said(10, "agent", "Hello."), said(9.5, "user", "Hi."))
    assert script.to_text() == "00:00 user: Hi.\n00:00 agent: Hello."
    assert script.to_text(start=START) == "00:09 user: Hi.\n00:10 agent: Hello."
    assert script.to_text(start=START + timedelta(seconds=10)) == "-00:01 user: Hi.\n00:00 agent: Hello."


def test_tools_stand_in_brackets_on_request() -> None:
    actions = (
        used(2, tool_name="find", tool_request='{"day": 3}', tool_result='{"found":\ntrue}'),
        used(1, tool_name="find", tool_error="timed out"),
        used(3),
    )
    script = transcript(said(1, "agent", "Wait."), said(4, "agent", "Found."), actions=actions)
    assert script.to_text() == "00:00 agent: Wait.\n00:03 agent: Found."
    assert script.to_text(tools=True).splitlines() == [
        "00:00 agent: Wait.",
        "00:00 [find -> error timed out]",
        '00:01 [find {"day": 3} -> {"found": true}]',
        "00:02 [unknown tool]",
        "00:03 agent: Found.",
    ]


def test_nothing_is_left_out_where_fields_are_missing() -> None:
    assert transcript(said(0, None, "Hello."), said(1, "user", None)).to_text() == "00:00 unknown: Hello.\n00:01 user:"
    assert transcript().to_text(tools=True) == ""


def test_a_start_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        transcript().to_text(start=datetime(2026, 2, 1))


@pytest.mark.parametrize("name", GOOD)
def test_a_label_needs_its_required_fields(name: str) -> None:
    with pytest.raises(TypeError, match=name):
        new_label(without=name)
    with pytest.raises(TypeError, match=name):
        new_label(**{name: None})


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"session_id": "x"}, ValueError),
        ({"session_id": ""}, ValueError),
        ({"session_id": "²"}, ValueError),
        ({"session_id": "1" * 5000}, ValueError),
        ({"session_id": -1}, ValueError),
        ({"session_id": 2**63}, ValueError),
        ({"session_id": str(2**63)}, ValueError),
        ({"session_id": True}, TypeError),
        ({"session_id": 1.0}, TypeError),
        ({"comments": 5}, TypeError),
        ({"comments": "secret\ud800"}, ValueError),
        ({"issue_categories": "secret"}, TypeError),
        ({"issue_categories": 5}, TypeError),
        ({"issue_categories": ["a", 5]}, TypeError),
        ({"issue_categories": ["secret\udfff"]}, ValueError),
        ({"mood": "secret"}, TypeError),
    ],
    ids=ascii,
)
def test_a_label_that_cannot_be(fields: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught:
        new_label(**fields)
    assert "secret" not in str(caught.value)


def test_a_label_takes_a_sessions_id_as_text_and_any_list() -> None:
    label = new_label(session_id="824", issue_categories=iter(["a", "b"]))
    assert (label.session_id, label.issue_categories) == (824, ("a", "b"))


def test_labels_hide_people_and_tell_hidden_from_absent() -> None:
    label = SessionLabel(id=1, timestamp="2026-02-01T10:00:00Z", comments="measles", **GOOD)
    assert repr(label) == (
        "SessionLabel(id=1, session_id=824, type='human-rating', code='GOOD', user_email=<hidden>, "
        "timestamp='2026-02-01T10:00:00Z', comments=<hidden>, issue_categories=None)"
    )
    assert "example.com" not in repr(SessionLabelCreate(**GOOD))


def test_a_value_that_a_newer_api_sends_is_a_member_and_another_type_is_not() -> None:
    assert OrderByDirection("sideways").value == "sideways"
    number: Any = 5
    with pytest.raises(ValueError, match="5 is not a valid OrderByDirection"):
        OrderByDirection(number)
