"""What can go wrong between here and the server, as aiohttp tells it and as we do."""

from __future__ import annotations

import os
from typing import TypeVar

import aiohttp
from aiohttp.http import HttpProcessingError

from .._messages import Request
from ..errors import SyllableConnectionError
from .content_coding import UnknownCodingError

TRANSPORT_EXCEPTIONS = (aiohttp.ClientError, HttpProcessingError, OSError, EOFError)
"""Everything that aiohttp was seen to raise for a broken connection or response. `TimeoutError` is an `OSError` too."""


E = TypeVar("E", bound=BaseException)


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
    (UnknownCodingError, "the response has a Content-Encoding that was not asked for"),
    ((aiohttp.ClientPayloadError, EOFError), "the response was cut off or is garbled"),
    (aiohttp.ServerDisconnectedError, "the server closed the connection without a response"),
    ((aiohttp.ClientResponseError, HttpProcessingError), "the response is not HTTP"),
    (ConnectionResetError, "the connection was reset"),
)
_HOPELESS = (aiohttp.ClientConnectorCertificateError, aiohttp.ServerFingerprintMismatch, UnknownCodingError)
_NEVER_SENT = (aiohttp.ClientConnectorError, aiohttp.ServerFingerprintMismatch, aiohttp.ClientHttpProxyError)


def error_for_exception(error: BaseException, request: Request, attempts: int) -> SyllableConnectionError:
    """The error of ours for one of aiohttp's."""
    return SyllableConnectionError(
        describe_exception(error),
        method=request.method,
        path=request.path_template,
        attempts=attempts,
        outcome_unknown=not isinstance(error, _NEVER_SENT),
        transient=not isinstance(error, _HOPELESS),
    )


def error_for_bug(error: Exception, request: Request, attempts: int) -> SyllableConnectionError | None:
    """The error of ours for anything else that came out of aiohttp or below it; None: a user's function raised it.

    A host name that IDNA refuses is a `UnicodeError`, a session that its owner closes a `RuntimeError`.
    """
    if _raised_in(error).partition(".")[0] not in _LIBRARIES:
        return None
    return SyllableConnectionError(
        f"the request could not be sent: {type(error).__name__} in aiohttp", method=request.method,
        path=request.path_template, attempts=attempts, outcome_unknown=True, transient=False,
    )  # fmt: skip


_LIBRARIES = frozenset(
    {
        *("aiohttp", "aiohappyeyeballs", "multidict", "yarl", "idna", "uvloop", "syllable_async"),
        *("asyncio", "concurrent", "encodings", "selectors", "socket", "ssl"),
    }
)


def _raised_in(error: Exception) -> str:
    """The module whose frame raised it."""
    trace, module = error.__traceback__, ""
    while trace is not None:
        module, trace = str(trace.tb_frame.f_globals.get("__name__", "")), trace.tb_next
    return module


def without_frames(error: E) -> E:
    """An exception of a user's function that aiohttp called, without the frames between: they hold the key.

    A note says where it was raised. Its causes and contexts lose their frames, too.
    """
    trace, place = error.__traceback__, ""
    while trace is not None:
        place, trace = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}", trace.tb_next
    error.add_note(f"raised at {place}; the frames are left out, because they hold the API key")
    seen: list[BaseException] = []
    pending: list[BaseException | None] = [error]
    while pending:
        each = pending.pop()
        if each is not None and all(each is not one for one in seen):
            seen.append(each)
            each.__traceback__ = None
            pending += [each.__cause__, each.__context__]
    return error
