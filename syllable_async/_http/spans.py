"""One OpenTelemetry span a call, by the conventions for HTTP clients, without an address, id or token in it.

`opentelemetry-api` is imported by who has a tracer to give, and by nobody else.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from yarl import URL

from .._messages import Request
from .._retry import CallState
from ..errors import APIError, SyllableError

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer


class CallSpan(Struct, frozen=True, eq=False):
    """The span of a call, or of a recording with all its connections."""

    span: Span

    @classmethod
    def start(cls, tracer: Tracer, base: str, request: Request) -> CallSpan:
        """Begin a span of kind CLIENT under the caller's current one, named by the method and the path's template."""
        from opentelemetry.trace import SpanKind  # noqa: PLC0415 - only who gave a tracer has it installed

        url = URL(base, encoded=True)
        attributes: dict[str, Any] = {
            "http.request.method": request.method,
            "url.template": request.path_template,
            "server.address": url.host or "",
            "server.port": url.port or 0,
        }
        name = f"{request.method} {request.path_template}"
        return cls(tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes))

    def resumed(self, call: CallState) -> None:
        """A recording is opened again: after a cut, or with a renewed URL."""
        self.span.add_event("recording.resumed", {"http.request.resend_count": call.requests_sent})

    def end(self, call: CallState, status: int | None, error: BaseException | None) -> None:
        """End the span with what came of the call. Messages stay out: `error.type` is a status or a class."""
        if isinstance(error, APIError):
            status = error.status
        if status is not None:
            self.span.set_attribute("http.response.status_code", status)
        if call.requests_sent > 1:
            self.span.set_attribute("http.request.resend_count", call.requests_sent - 1)
        if error is not None:
            self._fail(str(status) if isinstance(error, APIError) else _name_of(error))
        self.span.end()

    def _fail(self, kind: str) -> None:
        from opentelemetry.trace import StatusCode  # noqa: PLC0415 - as above

        self.span.set_attribute("error.type", kind)
        self.span.set_status(StatusCode.ERROR)


class RecordingSpan:
    """The one span of a recording: from its first opening to its end, with an event for each further opening."""

    def __init__(self, tracer: Tracer, base: str, request: Request, call: CallState) -> None:
        self._start = partial(CallSpan.start, tracer, base, request)
        self._call = call
        self._span: CallSpan | None = None

    def opening(self) -> None:
        """A connection is about to be opened."""
        if self._span is None:
            self._span = self._start()
        else:
            self._span.resumed(self._call)

    def end(self, error: BaseException | None) -> None:
        """Nothing more is read. A recording that was never opened has no span."""
        if self._span is not None:
            self._span.end(self._call, None, error)


def _name_of(error: BaseException) -> str:
    cls = type(error)
    return cls.__name__ if isinstance(error, SyllableError) else f"{cls.__module__}.{cls.__qualname__}"
