"""What can go wrong between here and the server, as aiohttp tells it and as we do."""

from __future__ import annotations

import os

import aiohttp
from aiohttp.http import HttpProcessingError

from .._messages import Request
from ..errors import SyllableConnectionError

TRANSPORT_EXCEPTIONS = (aiohttp.ClientError, HttpProcessingError, OSError, EOFError)
"""Everything that aiohttp was seen to raise for a broken connection or reply. `TimeoutError` is an `OSError` too."""


class AutomaticRetryBlocked(aiohttp.ClientError):
    """Takes the place of an error after which aiohttp would send the request again by itself, uncounted."""


def describe_exception(error: BaseException) -> str:
    """What happened, without address, key or query."""
    if isinstance(error, AutomaticRetryBlocked):
        return str(error)
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    number = getattr(error, "errno", None) or getattr(error.__cause__, "errno", None)
    return f"the connection failed: {os.strerror(number)}" if isinstance(number, int) else "the connection failed"


_REASONS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (
        (aiohttp.ClientConnectorCertificateError, aiohttp.ServerFingerprintMismatch),
        "the TLS certificate is not trusted",
    ),
    (aiohttp.ClientConnectorSSLError, "the TLS handshake failed"),
    (aiohttp.ClientConnectorDNSError, "the host name could not be resolved"),
    ((aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError), "the proxy did not connect"),
    ((aiohttp.ClientPayloadError, EOFError), "the reply was cut off or is garbled"),
    (aiohttp.ServerDisconnectedError, "the server closed the connection without an answer"),
    ((aiohttp.ClientResponseError, HttpProcessingError), "the reply is not HTTP"),
    (ConnectionResetError, "the connection was reset"),
)
_UNTRUSTED = (aiohttp.ClientConnectorCertificateError, aiohttp.ServerFingerprintMismatch)
_NEVER_SENT = (aiohttp.ClientConnectorError, aiohttp.ServerFingerprintMismatch, aiohttp.ClientHttpProxyError)


def error_for_exception(error: BaseException, request: Request, attempts: int) -> SyllableConnectionError:
    """The error of ours for one of aiohttp's."""
    return SyllableConnectionError(
        describe_exception(error),
        method=request.method,
        path=request.path_template,
        attempts=attempts,
        outcome_unknown=not isinstance(error, _NEVER_SENT),
        transient=not isinstance(error, _UNTRUSTED),
    )
