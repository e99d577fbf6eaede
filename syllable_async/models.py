"""What the API sends: frozen attrs classes and string enums.

You want to read a session, and to hand it on as a dict, as JSON or as text:

```python
import asyncio

from syllable_async import AsyncSyllableClient, Session, decode, to_dict, to_json


async def main() -> None:
    async with AsyncSyllableClient() as client:
        page = await client.sessions.list(limit=1)
        session = page.items[0]
        print(session)  # one line for people
        print(session.timestamp, session.agent_name, session.duration)
        row = to_dict(session)  # a dict; `datetime` objects stay
        body = to_json(session)  # bytes
        assert row["session_id"] == session.session_id
        assert decode(body, Session) == session
        transcript = await client.sessions.get_transcript(session.session_id or "")
        print(transcript.to_text(start=session.timestamp))


asyncio.run(main())
```

## FastAPI

Return `to_dict(model)`, and annotate the handler with `dict[str, Any]`. FastAPI cannot serialise attrs classes: a
handler that returns the model itself is a 500 ("vars() argument must have __dict__ attribute"), and one that is
annotated with the model is refused when the application starts. For a large response,
`fastapi.Response(to_json(model), media_type="application/json")` is faster. `AsyncSyllableClient` shows a whole
application.

## Rules

- Every class takes keywords only and cannot be changed. `attrs.evolve(session, duration=3.0)` makes another.
- A list on the wire is a tuple here. A field that is absent or null is `None`.
- An unknown field is ignored. An unknown enum value becomes a member that carries it. So a newer API breaks nothing.
- Every timestamp has a time zone. A timestamp without an offset on the wire is read as UTC.
- `repr` shows `<hidden>` for what identifies or quotes a patient, so hidden and absent differ. `to_dict`, `to_json` and
  `SessionTranscriptionResponse.to_text` show everything.
- A value in another form than the API documents (`"5"` for a number) is read where its meaning is plain, and
  `ResponseDriftWarning` says so once. A value without a plain meaning is a `ResponseValidationError`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

import attrs

__all__ = [
    "DialogMessage",
    "DialogRole",
    "DialogToolCall",
    "InspectLatencyResponse",
    "InvalidRow",
    "LatencyCategory",
    "LatencyEntry",
    "LatencyUnitType",
    "ListResponse",
    "ListResponseSession",
    "ListResponseSessionLabel",
    "OrderByDirection",
    "Session",
    "SessionAction",
    "SessionData",
    "SessionLabel",
    "SessionLabelCreate",
    "SessionLabelProperties",
    "SessionMessage",
    "SessionProperties",
    "SessionRecordingResponse",
    "SessionSummaryResponse",
    "SessionText",
    "SessionTimelineResponse",
    "SessionTranscriptionResponse",
    "SummaryEntry",
    "TimelineEvent",
    "TimelineEventKind",
    "ToolResultData",
    "TranscriptConfidence",
    "TranscriptWordConfidence",
]

T = TypeVar("T")


def _hidden(value: object) -> str:
    """What `repr` shows of a field that identifies or quotes a patient: whether it is there."""
    return "None" if value is None else "<hidden>"


class _Model:
    """What attrs would write for each class, and Python would compile whenever the package is imported."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return _values(self) == _values(other) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(_values(self))

    def __repr__(self) -> str:
        fields = [field for field in attrs.fields(cast("type[attrs.AttrsInstance]", type(self))) if field.repr]
        shows = [field.repr if callable(field.repr) else repr for field in fields]
        values = [f"{field.name}={show(getattr(self, field.name))}" for field, show in zip(fields, shows, strict=True)]
        return f"{type(self).__name__}({', '.join(values)})"


def _values(model: Any) -> tuple[Any, ...]:
    return attrs.astuple(model, recurse=False)


class _OpenEnum(StrEnum):
    """A string enum that keeps a value which a newer API sends: `OrderByDirection("new")` is a member of that value."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        member = str.__new__(cls, value)
        member._name_ = value
        member._value_ = value
        return member


class SessionProperties(_OpenEnum):
    """Fields of a session that `sessions.list` can filter by, sort by and return."""

    TIMESTAMP = "timestamp"
    SESSION_ID = "session_id"
    CONVERSATION_ID = "conversation_id"
    CHANNEL_MANAGER_SERVICE = "channel_manager_service"
    CHANNEL_MANAGER_TYPE = "channel_manager_type"
    CHANNEL_MANAGER_SID = "channel_manager_sid"
    AGENT_TYPE = "agent_type"
    AGENT_ID = "agent_id"
    AGENT_NAME = "agent_name"
    PROMPT_ID = "prompt_id"
    PROMPT_NAME = "prompt_name"
    EXPERIMENT_ID = "experiment_id"
    EXPERIMENT_VARIANT_ID = "experiment_variant_id"
    SOURCE = "source"
    TARGET = "target"
    DURATION = "duration"
    IS_OUTBOUND = "is_outbound"
    IS_LEGACY = "is_legacy"
    IS_TEST = "is_test"


class SessionLabelProperties(_OpenEnum):
    """Fields of a label that `session_labels.list` can filter by, sort by and return."""

    TIMESTAMP = "timestamp"
    SESSION_ID = "session_id"
    TYPE = "type"
    CODE = "code"
    USER_EMAIL = "user_email"
    ISSUE_CATEGORIES = "issue_categories"
    SESSION_ID_LIST = "session_id_list"
    """A filter alone: several session ids in one value, separated by commas."""


class OrderByDirection(_OpenEnum):
    """Direction of `order_by`."""

    ASC = "asc"
    DESC = "desc"


class LatencyCategory(_OpenEnum):
    """What a latency was spent on."""

    TTS = "tts"
    STT = "stt"
    LLM = "llm"
    TOOL = "tool"
    HTTP = "http"


class LatencyUnitType(_OpenEnum):
    """Unit of `LatencyEntry.value`."""

    MINUTES = "minutes"
    SECONDS = "seconds"
    MILLISECONDS = "milliseconds"
    MICROSECONDS = "microseconds"
    NANOSECONDS = "nanoseconds"


class TimelineEventKind(_OpenEnum):
    """What a timeline event stands for."""

    TRANSCRIPT = "transcript"
    TOOL = "tool"
    LATENCY = "latency"


class DialogRole(_OpenEnum):
    """Who speaks in a message of the debug data."""

    AGENT = "agent"
    USER = "user"


def _aware(model: Any, name: str) -> None:
    """Read a timestamp without an offset as UTC. After construction, because decoding calls no field converters."""
    value: object = getattr(model, name)
    if isinstance(value, datetime) and value.tzinfo is None:
        object.__setattr__(model, name, value.replace(tzinfo=UTC))


class _Stamped(_Model):
    """A model with a `timestamp`."""

    __slots__ = ()
    if TYPE_CHECKING:
        timestamp: Any  # a field of each subclass

    def __attrs_post_init__(self) -> None:
        stamp = self.timestamp
        if type(stamp) is not datetime or stamp.tzinfo is None:  # seldom, and a call costs a tenth of a row
            _aware(self, "timestamp")


@attrs.frozen(kw_only=True, eq=False, repr=False)
class InvalidRow(_Model):
    """A row of a list that does not fit its model; `on_invalid_row` of `sessions.list` is called with it.

    Attributes:
        index: 0-based, of the row in its page.
        path: where in the row the problem is, for example `$.duration`.
        problem: what is wrong there, types and never values.
        raw: the row's JSON as dicts and lists; it may quote a patient.
    """

    index: int
    path: str
    problem: str
    raw: Any = attrs.field(repr=_hidden)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Session(_Stamped):
    """One call or chat. Only `timestamp` is certain; any other field may be `None`."""

    timestamp: datetime
    """When the session took place."""
    session_id: str | None = None
    conversation_id: str | None = None
    """The conversation that the session is a part of."""
    channel_manager_service: str | None = None
    channel_manager_type: str | None = None
    channel_manager_sid: str | None = None
    """The channel's own id of the session."""
    agent_id: str | None = None
    agent_name: str | None = None
    agent_type: str | None = None
    agent_timezone: str | None = None
    prompt_id: str | None = None
    prompt_name: str | None = None
    prompt_version: str | None = None
    """A legacy version, written as a timestamp; newer prompts have `prompt_version_number`."""
    prompt_version_number: int | None = None
    experiment_id: str | None = None
    experiment_variant_id: str | None = None
    experiment_variant: str | None = None
    experiment_variant_is_control: bool | None = None
    duration: float | None = None
    """Seconds."""
    session_label_id: str | None = None
    source: str | None = attrs.field(default=None, repr=_hidden)
    """Who called: a phone number, user name or address."""
    target: str | None = attrs.field(default=None, repr=_hidden)
    """The channel target that was called."""
    is_legacy: bool | None = None
    is_test: bool | None = None
    is_outbound: bool | None = None
    user_terminated: bool | None = None
    """Whether the person ended the call; None where it was not a call."""
    transfer_voicemail_detected: bool | None = None
    override_timestamp: str | None = None
    """The time that a test session pretended, as ISO 8601."""

    def __str__(self) -> str:
        duration = "? s" if self.duration is None else f"{self.duration:g} s"
        direction = {True: "outbound", False: "inbound", None: "session"}[self.is_outbound]
        agent = self.agent_name or self.agent_id or "unknown agent"
        test = ", test" if self.is_test else ""
        return f"{self.timestamp.isoformat()} {direction} {self.session_id or '(no id)'}, {agent}, {duration}{test}"


@attrs.frozen(kw_only=True, eq=False, repr=False)
class ListResponse(_Model, Generic[T]):
    """One page of a list: `page` is 0-based, and the totals may be None."""

    items: tuple[T, ...]
    page: int
    """0-based."""
    page_size: int
    total_pages: int | None = None
    total_count: int | None = None


@attrs.frozen(kw_only=True, eq=False, repr=False)
class ListResponseSession(ListResponse[Session]):
    """One page of sessions."""

    items: tuple[Session, ...]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class SessionSummaryResponse(_Model):
    """The summary of a session and how it was rated; either may be missing."""

    summary: str | None = attrs.field(default=None, repr=_hidden)
    rating: str | None = None


@attrs.frozen(kw_only=True, eq=False, repr=False)
class SessionRecordingResponse(_Model):
    """URLs of a session's recordings. They hold tokens, so `repr` hides them."""

    session_id: str | None = None
    recordings: tuple[str, ...] | None = attrs.field(default=None, repr=_hidden)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class TranscriptWordConfidence(_Model):
    """The speech recogniser's confidence in one word; `start` and `end` in seconds."""

    word: str = attrs.field(repr=_hidden)
    confidence: float | None = None
    start: float | None = None
    end: float | None = None


@attrs.frozen(kw_only=True, eq=False, repr=False)
class TranscriptConfidence(_Model):
    """The speech recogniser's confidence in one utterance. Not comparable between providers."""

    provider: str
    model: str | None = None
    utterance: float | None = None
    utterance_source: str | None = None
    """`"provider"` where the provider reported the number, `"derived_min"` where it is the weakest word's."""
    words: tuple[TranscriptWordConfidence, ...] | None = attrs.field(default=None, repr=_hidden)
    words_truncated: bool | None = None


@attrs.frozen(kw_only=True, eq=False, repr=False)
class SessionText(_Stamped):
    """One message between the person and the agent."""

    timestamp: datetime
    lang: str | None = None
    source: str | None = attrs.field(default=None, repr=_hidden)
    """Who said it."""
    text: str | None = attrs.field(default=None, repr=_hidden)
    stt_confidence: TranscriptConfidence | None = None
    """None means "not captured", never "no confidence"."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class SessionAction(_Stamped):
    """One use of a tool by the agent."""

    timestamp: datetime
    tool_name: str | None = None
    tool_request: str | None = attrs.field(default=None, repr=_hidden)
    tool_result: str | None = attrs.field(default=None, repr=_hidden)
    tool_error: str | None = attrs.field(default=None, repr=_hidden)
    duration_ms: float | None = None


@attrs.frozen(kw_only=True, eq=False, repr=False)
class SessionTranscriptionResponse(_Model):
    """The transcript of a session.

    `transcript_complete` is True only when everything that the session wrote has arrived. It never turns True for a
    session that still runs, for a channel that reports no count (only voice does) or for old sessions.
    """

    session_id: str
    transcription: tuple[SessionText, ...] = attrs.field(repr=_hidden)
    actions: tuple[SessionAction, ...] = attrs.field(repr=_hidden)
    transcript_complete: bool = False

    def to_text(self, *, start: datetime | None = None, tools: bool = False) -> str:
        """The transcript as lines to read, oldest first: `00:07 user: I need to move my appointment.`.

        Each message is one line: its time since the start as minutes and seconds (`1:02:03` from an hour on), who said
        it, and its text with line breaks made spaces. The text quotes the patient.

        Args:
            start: when the session began, an aware datetime, such as `Session.timestamp`. None: the earliest timestamp
                of the transcript, for a transcript does not say when its session began.
            tools: show the uses of tools too, in brackets: `00:12 [find_slots {"day": 3} -> {"found": true}]`.

        Raises:
            ValueError: `start` has no time zone.
        """
        if start is not None and start.utcoffset() is None:
            raise ValueError("start has no time zone; it must be aware, for example Session.timestamp")
        lines = [(said.timestamp, _line_of_text(said)) for said in self.transcription]
        uses = [(used.timestamp, _line_of_action(used)) for used in self.actions]
        begin = start or min((moment for moment, _ in lines + uses), default=None)
        lines += uses if tools else []
        lines.sort(key=lambda line: line[0])  # stable: what happened at one moment keeps the server's order
        return "\n".join([f"{_offset(moment, begin or moment)} {line}" for moment, line in lines])


def _line_of_text(said: SessionText) -> str:
    return f"{said.source or 'unknown'}: {_one_line(said.text)}".rstrip()


def _line_of_action(used: SessionAction) -> str:
    outcome = f"error {_one_line(used.tool_error)}" if used.tool_error else _one_line(used.tool_result)
    call = f"{used.tool_name or 'unknown tool'} {_one_line(used.tool_request)}".rstrip()
    return f"[{call} -> {outcome}]" if outcome else f"[{call}]"


def _one_line(text: str | None) -> str:
    return " ".join((text or "").splitlines())


def _offset(moment: datetime, start: datetime) -> str:
    """Whole seconds since the start; below zero where the clocks of the call and its transcript disagree."""
    seconds = math.floor((moment - start).total_seconds())
    minutes, rest = divmod(abs(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{'-' if seconds < 0 else ''}{f'{hours}:' if hours else ''}{minutes:02d}:{rest:02d}"


@attrs.frozen(kw_only=True, eq=False, repr=False)
class LatencyEntry(_Model):
    """One measured latency: `value` in `unit_type`."""

    timestamp: datetime
    measurement_start: datetime
    category: LatencyCategory
    label: str
    unit_type: LatencyUnitType
    value: float
    value_str: str
    time_delta: str
    metadata: tuple[str, ...] | None = attrs.field(default=None, repr=_hidden)

    def __attrs_post_init__(self) -> None:
        _aware(self, "timestamp")
        _aware(self, "measurement_start")


@attrs.frozen(kw_only=True, eq=False, repr=False)
class SummaryEntry(_Model):
    """Latencies of one category added up; `sum_ms` and `average_ms` in milliseconds."""

    category: LatencyCategory
    event_count: int
    sum_ms: float
    sum_str: str
    average_ms: float
    average_str: str
    sub_category: str | None = None


@attrs.frozen(kw_only=True, eq=False, repr=False)
class InspectLatencyResponse(_Model):
    """Where a session's time went, entry by entry and added up."""

    session_id: str
    timeline: tuple[LatencyEntry, ...]
    summary: tuple[SummaryEntry, ...] | None = None


@attrs.frozen(kw_only=True, eq=False, repr=False)
class TimelineEvent(_Stamped):
    """One event of a session: something said, a tool used, or a latency. `offset` is from the session's start."""

    kind: TimelineEventKind
    timestamp: datetime
    offset: str
    turn_index: int | None = None
    source: str | None = attrs.field(default=None, repr=_hidden)
    text: str | None = attrs.field(default=None, repr=_hidden)
    lang: str | None = None
    category: str | None = None
    label: str | None = None
    metadata: tuple[str, ...] | None = attrs.field(default=None, repr=_hidden)
    duration_ms: float | None = None
    tool_request: str | None = attrs.field(default=None, repr=_hidden)
    tool_result: str | None = attrs.field(default=None, repr=_hidden)
    tool_error: str | None = attrs.field(default=None, repr=_hidden)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class SessionTimelineResponse(_Model):
    """A session's events in order."""

    session_id: str
    events: tuple[TimelineEvent, ...] = attrs.field(repr=_hidden)
    session_start: datetime | None = None

    def __attrs_post_init__(self) -> None:
        _aware(self, "session_start")


def _check_text(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """Refuse what is no text, or text that UTF-8 cannot carry; the value is not shown."""
    if value is not None or attribute.default is attrs.NOTHING:
        _text(attribute.name, value)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise ValueError(f"{name} must not hold lone surrogates")
    return value


def _session_number(value: int | str) -> int:
    """A session's id as the number that a label wants: `Session.session_id` writes it as text."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError(f"session_id must be an int or its digits as a str, not {type(value).__name__}")
    is_number = value.isascii() and value.isdecimal() and len(value) < 20 if isinstance(value, str) else value >= 0
    if not is_number or int(value) >= 2**63:
        raise ValueError("session_id must be a number from 0 to 2 ** 63 - 1, or its digits as a str")
    return int(value)


def _texts(values: Iterable[str] | None) -> tuple[str, ...] | None:
    """Several texts as a tuple. A single str is refused: its letters were not meant."""
    if values is None:
        return None
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise TypeError(f"issue_categories must be a list of str, not a {type(values).__name__}")
    return tuple([_text("issue_categories", value) for value in values])


@attrs.frozen(kw_only=True, eq=False, repr=False)
class SessionLabelCreate(_Model):
    """A label to be made by `client.session_labels.create`. It can never be changed or removed.

    Attributes:
        session_id: of the session, an int or its digits as a str, as `Session.session_id` has them.
        type: `"auto-rating"` or `"human-rating"`.
        code: `"GOOD"`, `"OK"`, `"BAD"` or `"N/A"`.
        user_email: of the person who judges.
        comments: more details.
        issue_categories: what went wrong in the session.

    Raises:
        TypeError: a required field is missing, or a value is of another type.
        ValueError: `session_id` is not a number, or a text holds a lone surrogate. The error shows no value.
    """

    session_id: int = attrs.field(converter=_session_number)
    type: str = attrs.field(validator=_check_text)
    code: str = attrs.field(validator=_check_text)
    user_email: str = attrs.field(validator=_check_text, repr=_hidden)
    comments: str | None = attrs.field(default=None, validator=_check_text, repr=_hidden)
    issue_categories: tuple[str, ...] | None = attrs.field(default=None, converter=_texts, repr=_hidden)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class SessionLabel(_Model):
    """A judgement on a session: its quality, and what went wrong in it."""

    id: int
    """Of the label."""
    session_id: int
    """Of the session; `Session.session_id` has the same number as text."""
    type: str
    """`"auto-rating"` or `"human-rating"`."""
    code: str
    """`"GOOD"`, `"OK"`, `"BAD"` or `"N/A"`."""
    user_email: str = attrs.field(repr=_hidden)
    """Of the person who made the label."""
    timestamp: str
    """When the label was made. The API promises a text; its examples are ISO 8601."""
    comments: str | None = attrs.field(default=None, repr=_hidden)
    issue_categories: tuple[str, ...] | None = attrs.field(default=None, repr=_hidden)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class ListResponseSessionLabel(ListResponse[SessionLabel]):
    """One page of labels."""

    items: tuple[SessionLabel, ...]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class DialogMessage(_Model):
    """What was said in a message."""

    text: str = attrs.field(repr=_hidden)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class DialogToolCall(_Stamped):
    """One call of a tool by the agent. Arguments and results are JSON of any kind: dicts, lists, texts, numbers."""

    tool_call_id: str
    """For `client.session_debug.get_tool_result`."""
    tool_name: str
    tool_arguments: Any = attrs.field(repr=_hidden)
    tool_result: Any = attrs.field(repr=_hidden)
    """None unless the tool is set to hand its result on."""
    timestamp: datetime
    display_result: Any = attrs.field(default=None, repr=_hidden)
    """The result as it is shown to people."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class SessionMessage(_Stamped):
    """One message of a session, and the tools that were called for it."""

    role: DialogRole
    dialog: DialogMessage
    tool_calls: tuple[DialogToolCall, ...]
    timestamp: datetime


@attrs.frozen(kw_only=True, eq=False, repr=False)
class SessionData(_Model):
    """A session's debug data: every message with its calls of tools."""

    session_id: int
    source: str = attrs.field(repr=_hidden)
    target: str = attrs.field(repr=_hidden)
    is_test: bool
    messages: tuple[SessionMessage, ...] = attrs.field(repr=_hidden)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class ToolResultData(_Model):
    """The whole result of one call of a tool, JSON of any kind."""

    tool_name: str
    tool_result: Any = attrs.field(repr=_hidden)
