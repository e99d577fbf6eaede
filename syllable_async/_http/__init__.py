"""Everything that touches aiohttp, and everything that decides what may be sent where."""

from .auth import _key_source
from .pool import Connections
from .requests import any_request, segment
from .status_errors import request_id
from .streaming import Opening
from .transport import Transport
from .url_safety import check_base_url, check_headers, check_recording_url, check_token, own_token

__all__ = [
    "Connections",
    "Opening",
    "Transport",
    "_key_source",
    "any_request",
    "check_base_url",
    "check_headers",
    "check_recording_url",
    "check_token",
    "own_token",
    "request_id",
    "segment",
]
