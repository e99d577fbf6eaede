"""The API without a socket: a call in, a response out."""

from .app import FakeApp, log_entry
from .handlers import API, Tokens
from .response import Answer, error, json_answer
from .routes import OPERATIONS, Call

__all__ = ["API", "OPERATIONS", "Answer", "Call", "FakeApp", "Tokens", "error", "json_answer", "log_entry"]
