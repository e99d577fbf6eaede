"""The API without a socket: a call in, a response out."""

from .handlers import API, Tokens
from .response import Answer, error, json_answer
from .routes import OPERATIONS, Call, read_call, slash_redirect

__all__ = ["API", "OPERATIONS", "Answer", "Call", "Tokens", "error", "json_answer", "read_call", "slash_redirect"]
