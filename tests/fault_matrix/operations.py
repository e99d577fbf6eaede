"""The operations of the matrix: the good answer of each, and what a caller makes of it."""

from __future__ import annotations

import json
from typing import Any

import attrs

from tests.fault_matrix.secrets import PATIENT, SESSION_ID, TOKEN
from tests.fault_server import Instruction, json_reply, reply

NOON = "2024-05-01T12:00:00Z"
RECORDING = bytes(range(256)) * 16
ETAG = '"v1"'


@attrs.frozen(eq=False)
class Operation:
    """One of the calls of FAULTS.md.

    Attributes:
        name: `L` one page, `W` a walk, `G…` the reads of one session, `U` the POST for URLs, `D` a recording,
            `P` a POST through `client.request`.
        method: of the request.
        path: of the request.
        document: the good answer; None where it is not JSON.
        value: what the caller gets from it, in plain values.
    """

    name: str
    method: str
    path: str
    document: Any = attrs.field(repr=False)
    value: Any = attrs.field(repr=False)

    @property
    def body(self) -> bytes:
        return RECORDING if self.document is None else json.dumps(self.document).encode()

    @property
    def good(self) -> list[Instruction]:
        """The answer that ends the faults."""
        if self.document is None:
            return reply(200, RECORDING, {"ETag": ETAG, "Content-Type": "application/octet-stream"})
        return json_reply(self.document)


_SESSION = {"timestamp": NOON, "session_id": SESSION_ID, "source": PATIENT}
_PAGE = {"items": [_SESSION], "page": 0, "page_size": 25, "total_pages": 1, "total_count": 1}
_SAID = {"timestamp": NOON, "text": PATIENT}
_EVENT = {"kind": "transcript", "timestamp": NOON, "offset": "0s", "text": PATIENT}
_URL = f"https://media.example/{SESSION_ID}?token={TOKEN}"
_READS = f"/api/v1/sessions/{{}}{SESSION_ID}"
_DURATION = {
    "timestamp": NOON, "measurement_start": NOON, "category": "llm", "label": PATIENT, "unit_type": "seconds",
    "value": 1.5, "value_str": "1.5", "time_delta": "0s",
}  # fmt: skip

PAGE = Operation("L", "GET", "/api/v1/sessions/", _PAGE, [PATIENT])
WALK = Operation("W", "GET", "/api/v1/sessions/", _PAGE, [PATIENT])
SESSION = Operation("G-session", "GET", _READS.format(""), _SESSION, PATIENT)
SUMMARY = Operation("G-summary", "GET", _READS.format("full-summary/"), {"summary": PATIENT, "rating": "good"}, PATIENT)
TRANSCRIPT = Operation(
    "G-transcript", "GET", _READS.format("transcript/"),
    {"session_id": SESSION_ID, "transcription": [_SAID], "actions": []}, [PATIENT],
)  # fmt: skip
LATENCY = Operation(
    "G-latency", "GET", _READS.format("latency/"), {"session_id": SESSION_ID, "timeline": [_DURATION]}, [PATIENT]
)
TIMELINE = Operation(
    "G-timeline", "GET", _READS.format("timeline/"), {"session_id": SESSION_ID, "events": [_EVENT]}, [PATIENT]
)
URLS = Operation("U", "POST", _READS.format("recording/"), {"session_id": SESSION_ID, "recordings": [_URL]}, [_URL])
DOWNLOAD = Operation("D", "GET", "/api/v1/sessions/recording/stream", None, RECORDING)
POST = Operation("P", "POST", "/api/v1/session_labels/", {"id": 7, "note": PATIENT}, PATIENT)

READS = (SESSION, SUMMARY, TRANSCRIPT, LATENCY, TIMELINE)
JSON = (PAGE, WALK, *READS, URLS)
"""The calls that answer with JSON and are safe to repeat."""
REPEATABLE = (*JSON, DOWNLOAD)
ALL = (*REPEATABLE, POST)
