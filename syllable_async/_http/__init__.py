"""Everything that touches aiohttp, and everything that decides what may be sent where."""

from .auth import _key_source
from .pool import ConnectionPool
from .requests import build_request, encode_path_segment
from .status_errors import request_id
from .streaming import RecordingRequest
from .transport import Transport
from .url_safety import check_base_url, check_headers, check_recording_token, check_recording_url, token_of_api_url

__all__ = [
    "ConnectionPool",
    "RecordingRequest",
    "Transport",
    "_key_source",
    "build_request",
    "check_base_url",
    "check_headers",
    "check_recording_token",
    "check_recording_url",
    "encode_path_segment",
    "request_id",
    "token_of_api_url",
]
