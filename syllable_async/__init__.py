"""Async-first client for the sessions part of the Syllable platform's API.

Make one `AsyncSyllableClient` for each event loop, keep it, and use its `sessions`:

    async with AsyncSyllableClient() as client:
        async for session in client.sessions.list(limit=100):
            ...

Errors are under `SyllableError`. `syllable_async.testing` has a server for your own tests.
"""

import logging as _logging
from typing import get_type_hints as _get_type_hints

import attrs as _attrs

from ._client import AsyncSyllableClient, RawResponse, __version__
from ._decoding import decode, make_converter, to_dict, to_json
from ._endpoints import SessionDebug, SessionLabels, Sessions
from ._pagination import Cursor, Pager, TimeWindow
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
    "ListResponseSession",
    "ListResponseSessionLabel",
    "NotFoundError",
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
    "TimeWindow",
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
