"""What was said and done in a session, and how long it took: transcript, latency and timeline tell one story."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any

from .seeded import CHAT_SECONDS, VOICE, Row, instant_of, timestamp_text

Document = dict[str, Any]
_Step = tuple[str, str, list[str] | None, float]
"""Category, label, metadata, and the share of the time that there is."""

_OPENING = {
    "Reception": ("Thank you for calling, how can I help you?", "I would like to talk to somebody about a visit."),
    "Scheduling": ("Appointment line, what can I do for you?", "I need to move my appointment to next week."),
    "Refills": ("Pharmacy refills, how can I help?", "I am running out of my prescription."),
    "Billing": ("Billing, what is your question?", "I got a bill that I do not understand."),
    "Reminders": ("Hello, this is a reminder of your appointment tomorrow.", "Oh yes, thank you. I will be there."),
    "Web chat": ("Hi! What are you looking for?", "Where do I park when I visit?"),
}
_TOOLS = {
    "Reception": "transfer_lookup",
    "Scheduling": "find_slots",
    "Refills": "refill_status",
    "Billing": "bill_lookup",
    "Reminders": "confirm_appointment",
    "Web chat": "search_pages",
}
_MIDDLE = (
    ("agent", "Let me look that up for you."),
    ("user", "Sure, take your time."),
    ("agent", "I have found it. Is the number you are calling from still right?"),
    ("user", "Yes, it is."),
    ("agent", "Good. Is there anything else that I should note?"),
    ("user", "No, just that one thing."),
)
_CLOSING = (("agent", "All done. You will get a message with the details."), ("user", "Thank you, goodbye."))
_SECONDS_PER_TURN = 5.0
_RATINGS = ("Great", "Good", "Good", "Fair", "Poor")


@dataclass(slots=True)
class Conversation:
    """Everything on one clock: offsets in seconds from the session's start."""

    session_id: str
    start: int
    turns: list[Document] = field(default_factory=list[Document])
    actions: list[Document] = field(default_factory=list[Document])
    latencies: list[Document] = field(default_factory=list[Document])

    def at(self, offset: float) -> str:
        """The moment of an offset, as text."""
        return timestamp_text(self.start + round(offset * 1_000_000))


def conversation(row: Row, key: str) -> Conversation:
    """The conversation that a seed describes for a session. It fits the session's start and duration."""
    rng = Random(key)
    story = Conversation(row["session_id"], instant_of(datetime.fromisoformat(row["timestamp"])))
    voice = row["channel_manager_type"] in VOICE
    duration = row["duration"] if row["duration"] is not None else CHAT_SECONDS
    lines = list(_script(row, duration))
    slot = duration / (len(lines) or 1)
    for number, (source, text) in enumerate(lines):
        offset = slot * (number + (0.5 if number else 0.1) * rng.random())
        story.turns.append(_turn(story, offset, source, text, rng if voice else None))
        if source == "agent" and number:
            _work(story, row, rng, offset, slot * 0.4, voice=voice, tool=number == 2)
    return story


def _script(row: Row, duration: float) -> Iterator[tuple[str, str]]:
    count = max(2, min(40, int(duration / _SECONDS_PER_TURN)))
    if not duration:
        return
    greeting, wish = _OPENING.get(row["prompt_name"], _OPENING["Reception"])
    yield "agent", greeting
    yield "user", wish
    for number in range(count - 4):
        yield _MIDDLE[number % len(_MIDDLE)]
    if count >= 4:
        yield from _CLOSING


def _turn(story: Conversation, offset: float, source: str, text: str, rng: Random | None) -> Document:
    heard = source == "user" and rng is not None and rng.random() < 0.8
    return {
        "timestamp": story.at(offset),
        "lang": "en-US",
        "source": source,
        "text": text,
        "stt_confidence": _confidence(text, rng) if heard and rng else None,
    }


def _confidence(text: str, rng: Random) -> Document:
    words: list[Document] = []
    clock = 0.0
    for word in text.rstrip(".").split():
        length = round(0.08 + 0.05 * len(word), 2)
        score = round(0.6 + 0.4 * rng.random(), 3)
        words.append({"word": word, "confidence": score, "start": round(clock, 2), "end": round(clock + length, 2)})
        clock += length + 0.04
    return {
        "provider": "deepgram",
        "model": "nova-3",
        "utterance": min(word["confidence"] for word in words),
        "utterance_source": "derived_min",
        "words": words,
        "words_truncated": False,
    }


def _work(story: Conversation, row: Row, rng: Random, end: float, room: float, *, voice: bool, tool: bool) -> None:
    """What happened before the agent spoke at `end`, all of it within `room` seconds."""
    steps: list[_Step] = [("llm", "llm_response", ["Gpt-4.1", "OpenAI"], 0.35)]
    if voice:
        steps = [("stt", "stt_processing", ["Nova-3", "Deepgram"], 0.1), *steps, ("tts", "tts_synthesis", None, 0.15)]
    if tool:
        steps.append(("tool", _TOOLS.get(row["prompt_name"], "lookup"), None, 0.25))
    clock = end - room
    for step in steps:
        category, label, _, share = step
        seconds = room * share * (0.5 + 0.5 * rng.random())
        story.latencies.append(_latency(story, clock, seconds, step))
        if category == "tool":
            story.actions.append(_action(story, clock, seconds, label, rng))
        clock += seconds


def _latency(story: Conversation, start: float, seconds: float, step: _Step) -> Document:
    category, label, metadata, _ = step
    value = round(seconds * 1_000, 1)
    return {
        "timestamp": story.at(start + seconds),
        "measurement_start": story.at(start),
        "category": category,
        "label": label,
        "metadata": metadata,
        "unit_type": "milliseconds",
        "value": value,
        "value_str": f"{value} ms",
        "time_delta": _clock_text(start + seconds),
    }


def _action(story: Conversation, start: float, seconds: float, name: str, rng: Random) -> Document:
    failed = rng.random() < 0.1
    return {
        "timestamp": story.at(start),
        "tool_name": name,
        "tool_request": json.dumps({"query": "caller", "limit": 1}),
        "tool_result": None if failed else json.dumps({"found": True}),
        "tool_error": json.dumps({"message": "upstream timed out"}) if failed else None,
        "duration_ms": round(seconds * 1_000, 1),
    }


def _clock_text(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"


def transcript(story: Conversation, share: float, *, complete: bool) -> Document:
    """The transcript as far as it has arrived: the first `share` of turns and actions."""
    return {
        "session_id": story.session_id,
        "transcription": story.turns[: round(len(story.turns) * share)],
        "actions": story.actions[: round(len(story.actions) * share)],
        "transcript_complete": complete,
    }


def latency(story: Conversation) -> Document:
    """The latency report: every measurement, and their sums by category and label."""
    groups: dict[tuple[str, str], list[float]] = {}
    for entry in story.latencies:
        groups.setdefault((entry["category"], entry["label"]), []).append(entry["value"])
    summary = [_sum(category, label, values) for (category, label), values in groups.items()]
    return {"session_id": story.session_id, "timeline": story.latencies, "summary": summary}


def _sum(category: str, label: str, values: list[float]) -> Document:
    total = round(sum(values), 1)
    average = round(total / len(values), 1)
    return {
        "category": category,
        "sub_category": label,
        "event_count": len(values),
        "sum_ms": total,
        "sum_str": f"{total} ms",
        "average_ms": average,
        "average_str": f"{average} ms",
    }


def timeline(story: Conversation) -> Document:
    """The consolidated timeline. A tool call shows once, as a tool event: its latency entry is left out."""
    events = [*_said(story), *_used(story), *_measured(story)]
    events.sort(key=_order)
    turn: int | None = None
    for event in events:
        if event["kind"] == "transcript":
            turn = event["turn_index"]
        event["turn_index"] = turn
    return {"session_id": story.session_id, "session_start": timestamp_text(story.start), "events": events}


def _order(event: Document) -> tuple[int, bool]:
    return instant_of(datetime.fromisoformat(event["timestamp"])), event["kind"] != "transcript"


def _event(story: Conversation, kind: str, timestamp: str, **values: object) -> Document:
    offset = (instant_of(datetime.fromisoformat(timestamp)) - story.start) / 1_000_000
    shown = _clock_text(max(0, offset))  # a test may give a transcript of another time than its session's
    return {"kind": kind, "timestamp": timestamp, "offset": shown, "turn_index": None, **values}


def _said(story: Conversation) -> Iterator[Document]:
    for number, turn in enumerate(story.turns):
        words = {name: turn[name] for name in ("source", "text", "lang")}
        yield {**_event(story, "transcript", turn["timestamp"], **words), "turn_index": number}


def _used(story: Conversation) -> Iterator[Document]:
    names = ("duration_ms", "tool_request", "tool_result", "tool_error")
    for action in story.actions:
        details = {name: action[name] for name in names}
        yield _event(story, "tool", action["timestamp"], category="tool", label=action["tool_name"], **details)


def _measured(story: Conversation) -> Iterator[Document]:
    for entry in story.latencies:
        if entry["category"] != "tool":
            details = {name: entry[name] for name in ("category", "label", "metadata")}
            yield _event(story, "latency", entry["measurement_start"], **details, duration_ms=entry["value"])


def summary(row: Row, key: str) -> Document:
    """Summary and rating; either may be null, both are for a session that still runs."""
    rng = Random(key)
    if (row["channel_manager_type"] in VOICE and row["duration"] is None) or rng.random() < 0.05:
        return {"summary": None, "rating": None}
    wish = _OPENING.get(row["prompt_name"], _OPENING["Reception"])[1]
    text = f'The user said "{wish}" and {row["agent_name"] or "the agent"} took care of it.'
    return {"summary": text, "rating": rng.choice(_RATINGS) if rng.random() < 0.9 else None}
