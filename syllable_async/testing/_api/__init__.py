"""The API without a socket: a call in, a response out."""

from .app import FakeApp, log_entry
from .handlers import API
from .recordings import Tokens
from .response import Answer, error, json_answer
from .routes import Call
from .settings import Echo, RecordingList, RecordingUrls, Settings, Totals, check_key, check_now

__all__ = [
    "API",
    "Answer",
    "Call",
    "Echo",
    "FakeApp",
    "RecordingList",
    "RecordingUrls",
    "Settings",
    "Tokens",
    "Totals",
    "check_key",
    "check_now",
    "error",
    "json_answer",
    "log_entry",
]
