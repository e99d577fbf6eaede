"""A session's debug data: the story of its conversation, with each tool call beside the message that it served."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any

from .conversations import Conversation, Document
from .seeded import Row


def session_data(story: Conversation, row: Row, key: str) -> Document:
    """The whole of it. A tool call stands with the next message of the agent's, or else with the last message."""
    messages = [_message(turn) for turn in story.turns]
    for number, action in enumerate(story.actions):
        later = (it for it in messages if it["role"] == "agent" and it["timestamp"] >= action["timestamp"])
        message = next(later, messages[-1] if messages else None)
        if message is not None:
            message["tool_calls"].append(_tool_call(action, tool_call_id(key, number)))
    return {
        "session_id": int(row["session_id"]),
        "source": row["source"] or "",
        "target": row["target"] or "",
        "is_test": bool(row["is_test"]),
        "messages": messages,
    }


def tool_result(story: Conversation, key: str, wanted: str) -> Document | None:
    """The result of one tool call; None where there is no such call."""
    for number, action in enumerate(story.actions):
        if tool_call_id(key, number) == wanted:
            return {"tool_name": action["tool_name"] or "", "tool_result": _parsed(action["tool_result"])}
    return None


def tool_call_id(key: str, number: int) -> str:
    """An id like those of language models."""
    return f"call_{blake2b(f'{key}/{number}'.encode(), digest_size=12).hexdigest()}"


def _message(turn: Document) -> Document:
    return {
        "role": "agent" if turn["source"] == "agent" else "user",
        "dialog": {"text": turn["text"] or ""},
        "tool_calls": [],
        "timestamp": turn["timestamp"],
    }


def _tool_call(action: Document, number: str) -> Document:
    return {
        "tool_call_id": number,
        "tool_name": action["tool_name"] or "",
        "tool_arguments": _parsed(action["tool_request"]),
        "tool_result": _parsed(action["tool_result"]),
        "timestamp": action["timestamp"],
        "display_result": None,
    }


def _parsed(text: str | None) -> Any:
    """JSON as what it means, other text as it is."""
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return text
