"""Async client for the sessions of the Syllable platform: AI phone and chat agents.

A session is one call or one chat. You want to read single sessions in a service, walk over all of them in a job, or
download their recordings:

```python
import asyncio

from syllable_async import AsyncSyllableClient


async def main() -> None:
    async with AsyncSyllableClient() as client:  # the key is in SYLLABLESDK_API_KEY_HEADER
        page = await client.sessions.list(limit=5)  # one page
        for session in page.items:
            summary = await client.sessions.get_full_summary(session.session_id or "")
            print(session, summary.rating)
        async for session in client.sessions.list():  # every session
            for recording in await client.sessions.recordings(session.session_id or ""):
                await recording.save(directory="recordings", if_exists="skip")


asyncio.run(main())
```

| You want | Write | Read |
|---|---|---|
| a client | `async with AsyncSyllableClient() as client` | `AsyncSyllableClient` |
| one session | `await client.sessions.get_by_id(id)` | `Sessions` |
| one page of sessions | `await client.sessions.list(limit=25)` | `Sessions.list` |
| every session | `async for session in client.sessions.list()` | `Pager` |
| an export that misses nothing | `client.sessions.list().snapshot()` | `Pager.snapshot` |
| new sessions as they appear | `client.sessions.list().follow()` | `Pager.follow` |
| a recording | `await recording.save(directory="recordings")` | `RecordingStream` |
| recordings of many sessions | `client.sessions.download_recordings(ids, "calls")` | `Sessions.download_recordings` |
| a judgement on a session | `await client.session_labels.create(label)` | `SessionLabels` |
| what an agent's tools did | `await client.session_debug.get_by_session_id(id)` | `SessionDebug` |
| another endpoint of the API | `await client.request("GET", "/api/v1/agents/")` | `AsyncSyllableClient.request` |
| more or fewer retries | `retries=RetryPolicy(...)` | `RetryPolicy` |
| to handle a failure | `except NotFoundError` | `syllable_async.errors` |
| the fields of a session | `session.duration` | `syllable_async.models` |
| to test your service | `FakeSyllable(sessions=100)` | `syllable_async.testing` |

## Rules

- Make one client for each event loop and keep it: it holds the connections. Do not share it between threads.
- Every call ends. It raises an error under `SyllableError`, or `ValueError` or `TypeError` for wrong arguments.
- Every time without a unit is in seconds. Every `datetime` that you give must have a time zone.
- No error, log line or `repr` shows a key, a token, a query or a body. The log is `syllable_async`: a request is DEBUG,
  a retry is INFO, a call that gives up is WARNING.
"""

import logging as _logging
from typing import get_type_hints as _get_type_hints

import attrs as _attrs

from ._client import AsyncSyllableClient, RawResponse, __version__
from ._decoding import decode, make_converter, to_dict, to_json
from ._endpoints import SessionDebug, SessionLabels, Sessions
from ._pagination import Cursor, OffsetPager, Pager
from ._recordings import DownloadOutcome, RecordingStream, SavedRecording
from ._retry import RetryPolicy
from .errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    HTTPValidationError,
    IncompleteRecordingError,
    InternalServerError,
    NotFoundError,
    PaginationDriftWarning,
    PaginationError,
    PermissionDeniedError,
    RateLimitError,
    RecordingChangedError,
    RecordingError,
    ResponseDriftWarning,
    ResponseValidationError,
    SyllableConnectionError,
    SyllableError,
    SyllableTimeoutError,
    UntrustedRecordingURLError,
    ValidationError,
)
from .models import (
    DialogMessage,
    DialogRole,
    DialogToolCall,
    InspectLatencyResponse,
    InvalidRow,
    LatencyCategory,
    LatencyEntry,
    LatencyUnitType,
    ListResponse,
    ListResponseSession,
    ListResponseSessionLabel,
    OrderByDirection,
    Session,
    SessionAction,
    SessionData,
    SessionLabel,
    SessionLabelCreate,
    SessionLabelProperties,
    SessionMessage,
    SessionProperties,
    SessionRecordingResponse,
    SessionSummaryResponse,
    SessionText,
    SessionTimelineResponse,
    SessionTranscriptionResponse,
    SummaryEntry,
    TimelineEvent,
    TimelineEventKind,
    ToolResultData,
    TranscriptConfidence,
    TranscriptWordConfidence,
)

__all__ = [
    "APIError",
    "AsyncSyllableClient",
    "AuthenticationError",
    "BadRequestError",
    "ClientClosedError",
    "Cursor",
    "DialogMessage",
    "DialogRole",
    "DialogToolCall",
    "DownloadOutcome",
    "HTTPValidationError",
    "IncompleteRecordingError",
    "InspectLatencyResponse",
    "InternalServerError",
    "InvalidRow",
    "LatencyCategory",
    "LatencyEntry",
    "LatencyUnitType",
    "ListResponse",
    "ListResponseSession",
    "ListResponseSessionLabel",
    "NotFoundError",
    "OffsetPager",
    "OrderByDirection",
    "Pager",
    "PaginationDriftWarning",
    "PaginationError",
    "PermissionDeniedError",
    "RateLimitError",
    "RawResponse",
    "RecordingChangedError",
    "RecordingError",
    "RecordingStream",
    "ResponseDriftWarning",
    "ResponseValidationError",
    "RetryPolicy",
    "SavedRecording",
    "Session",
    "SessionAction",
    "SessionData",
    "SessionDebug",
    "SessionLabel",
    "SessionLabelCreate",
    "SessionLabelProperties",
    "SessionLabels",
    "SessionMessage",
    "SessionProperties",
    "SessionRecordingResponse",
    "SessionSummaryResponse",
    "SessionText",
    "SessionTimelineResponse",
    "SessionTranscriptionResponse",
    "Sessions",
    "SummaryEntry",
    "SyllableConnectionError",
    "SyllableError",
    "SyllableTimeoutError",
    "TimelineEvent",
    "TimelineEventKind",
    "ToolResultData",
    "TranscriptConfidence",
    "TranscriptWordConfidence",
    "UntrustedRecordingURLError",
    "ValidationError",
    "__version__",
    "decode",
    "make_converter",
    "to_dict",
    "to_json",
]

_logging.getLogger(__name__).addHandler(_logging.NullHandler())

for _public in [globals()[_name] for _name in __all__]:
    # Pickles, `help` and documentation name the place to import from, not the private module, which may move.
    if getattr(_public, "__module__", "").startswith("syllable_async._"):
        if _attrs.has(_public):  # annotations are strings, which are looked up in the module that `__module__` names
            _public.__annotations__ = _get_type_hints(_public)
            _attrs.resolve_types(_public)
        _public.__module__ = __name__
