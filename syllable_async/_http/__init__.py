"""Everything that touches aiohttp, and everything that decides what may be sent where."""

from .auth import ApiKey
from .pace import Gates
from .pool import ConnectionPool, PoolLimits
from .requests import Body, build_request, encode_path_segment
from .status_errors import plain_headers, request_id
from .streaming import RecordingRequest
from .transport import Transport
from .url_safety import check_base_url, check_headers

__all__ = [
    "ApiKey",
    "Body",
    "ConnectionPool",
    "Gates",
    "PoolLimits",
    "RecordingRequest",
    "Transport",
    "build_request",
    "check_base_url",
    "check_headers",
    "encode_path_segment",
    "plain_headers",
    "request_id",
]
