"""One attempt at a recording: redirects followed by hand, the key shown to its own origin only."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping
from functools import partial

import aiohttp
import attrs
from yarl import URL

from .._messages import Framing, Request, StreamedResponse
from .._retry import CallState
from .._timing import Timeout
from ..errors import RecordingError, SyllableError
from .auth import API_KEY_HEADER
from .body import ResponseBody
from .connection_errors import TRANSPORT_EXCEPTIONS, error_for_exception
from .pool import FORCED_REQUEST_OPTIONS
from .transport import Transport
from .url_safety import check_recording_url, same_origin

MAX_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})


@attrs.frozen(eq=False, repr=False, kw_only=True)
class RecordingRequest:
    """Opens a recording's bytes, each time with one request and its redirects.

    Attributes:
        at: a foreign address that was checked; it and what it redirects to never see the key. None: our own endpoint.
        allow_hosts: as in `check_recording_url`, for the redirects.
    """

    transport: Transport
    request: Request
    foreign_url: URL | None = None
    allow_hosts: Collection[str] = ()
    call: CallState = attrs.field(factory=lambda: CallState(None, None))

    async def __call__(self, headers: Mapping[str, str]) -> StreamedResponse:
        """A reply with a 2xx status, its headers within `timeout`; `headers` are the range's."""
        session = self.transport.connections.session()
        if self.foreign_url is None:
            outcome = await self.transport.with_key(partial(self._open, session, headers))
        else:
            outcome = await self._open(session, headers, "")
        if isinstance(outcome, SyllableError):
            raise outcome
        return outcome

    async def _open(
        self, session: aiohttp.ClientSession, headers: Mapping[str, str], key: str
    ) -> AiohttpStreamedResponse | SyllableError:
        transport, call = self.transport, self.call
        deadline = transport.retrier.effective_policy.deadline
        if not await transport.take_slot(deadline):  # pragma: no cover - it is run; Python 3.11's tracer misses it
            call.may_have_been_sent = False
            return transport._timeout_error(self.request, call, "deadline", deadline)
        outcome: AiohttpStreamedResponse | SyllableError = RecordingError("it was cancelled")
        started = transport.retrier.throttle.clock()
        call.requests_sent += 1
        transport.connections.mark_sending(call)
        try:
            with Timeout(transport.timeout):
                outcome = await self._follow_redirects(session, headers, key)
        except TimeoutError:
            outcome = transport._timeout_error(self.request, call, "timeout", transport.timeout)
        except TRANSPORT_EXCEPTIONS as error:
            outcome = error_for_exception(error, self.request, call.requests_sent)
        except SyllableError as error:
            outcome = error.with_traceback(None)
        finally:
            if not isinstance(outcome, AiohttpStreamedResponse):
                transport.connections.slots.release()
        transport._log_attempt(self.request, call, outcome, started)
        return outcome

    async def _follow_redirects(
        self, session: aiohttp.ClientSession, headers: Mapping[str, str], key: str
    ) -> AiohttpStreamedResponse | SyllableError:
        """Follow redirects (RFC 9110 §15.4) until something else comes. An origin once left is not trusted again."""
        url = self.foreign_url or self.transport.url(self.request)
        for _ in range(MAX_REDIRECTS + 1):
            response = await session.get(
                url,
                headers={**self._headers(key), **headers},
                auto_decompress=False,  # an encoded recording is refused, whatever the coding is
                middlewares=self.transport.connections.middlewares,
                **FORCED_REQUEST_OPTIONS,
            )
            location = response.headers.get("Location")
            if response.status not in REDIRECTS or location is None:
                return await self._final_response(response)
            response.close()
            target = self._redirect_target(url, location, own=bool(key))
            key = key if same_origin(target, url) else ""
            url = target
        return RecordingError(f"more than {MAX_REDIRECTS} redirects")

    async def _final_response(self, response: aiohttp.ClientResponse) -> AiohttpStreamedResponse | SyllableError:
        if not 200 <= response.status < 300:
            return await self.transport.read_error(response, self.request, self.call)
        return AiohttpStreamedResponse(
            ResponseBody(response), self.request, self.call.requests_sent, self.transport.connections.slots.release
        )

    def _headers(self, key: str) -> dict[str, str]:
        plain = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if not key:  # headers that the user added are for the API alone
            return {"User-Agent": self.transport.headers["User-Agent"], **plain}
        return {**self.transport.headers, **plain, API_KEY_HEADER: key}

    def _redirect_target(self, url: URL, location: str, *, own: bool) -> URL:
        try:
            target = url.join(URL(location, encoded=True))
        except ValueError:
            target = URL()
        if own and target.user is None and same_origin(target, url):
            return target
        return check_recording_url(str(target), self.allow_hosts)


class AiohttpStreamedResponse:
    """A `StreamedResponse` over aiohttp's response; it holds a connection until it is closed."""

    def __init__(self, body: ResponseBody, request: Request, attempts: int, release: Callable[[], None]) -> None:
        self.status = body.response.status
        self.headers: Mapping[str, str] = body.response.headers
        self.framing: Framing = body.framing
        self._body = body
        self._request = request
        self._attempts = attempts
        self._release: Callable[[], None] | None = release

    async def read(self) -> bytes:
        try:
            return await self._body.read()
        except TRANSPORT_EXCEPTIONS as error:
            problem = error_for_exception(error, self._request, self._attempts)
        raise problem

    async def aclose(self) -> None:
        self._close()

    def _close(self) -> None:
        release, self._release = self._release, None
        if release is not None:
            self._body.response.close()
            release()

    def __del__(self) -> None:
        if self._release is not None:  # else a hundred forgotten streams would stop the client for good
            warnings.warn("a recording was not closed: use `async with` or `aclose()`", ResourceWarning, 2)
            self._close()
