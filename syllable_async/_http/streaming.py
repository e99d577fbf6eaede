"""One attempt at a recording: redirects followed by hand, the key shown to its own origin only."""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Collection, Mapping
from functools import cache, partial

import aiohttp
import attrs
from yarl import URL

from .._messages import Framing, Request, StreamedResponse
from .._retry import CallState
from ..errors import ClientClosedError, RecordingError, SyllableError
from .aiohttp_internals import end_body
from .auth import API_KEY_HEADER, NO_KEY, Secret
from .body import ResponseBody
from .connection_errors import TRANSPORT_EXCEPTIONS, error_for_exception
from .pool import FORCED_REQUEST_OPTIONS, ConnectionPool, closed_error
from .requests import build_url
from .spans import RecordingSpan
from .transport import Transport
from .url_safety import (
    check_recording_token,
    check_recording_url,
    exact_url,
    query_of_api_recording,
    redirect_target,
    same_origin,
)

MAX_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})


@attrs.frozen(eq=False, repr=False, kw_only=True)
class RecordingRequest:
    """Opens a recording's bytes, each time with one request and its redirects.

    Attributes:
        call: the recording that is opened, with all its connections.
        span: of the recording, where the client has a tracer.
        foreign_url: an address that was checked; it and what it redirects to never see the key. None: our own endpoint.
        allow_hosts: as in `check_recording_url`, for the redirects.
    """

    transport: Transport
    request: Request
    call: CallState
    foreign_url: URL | None = None
    allow_hosts: Collection[str] = ()
    span: RecordingSpan | None = None

    def traced(self) -> RecordingRequest:
        """The same with a span of its own, where the client has a tracer."""
        tracer = self.transport.tracer
        if tracer is None:
            return self
        return attrs.evolve(self, span=RecordingSpan(tracer, self.transport.base, self.request, self.call))

    @classmethod
    def from_token(
        cls, transport: Transport, path: str, token: str, call: CallState, allow_hosts: Collection[str] = ()
    ) -> RecordingRequest:
        """A recording at `path`, our own endpoint, asked for with the key.

        Raises:
            TypeError, ValueError: the token is no str, is empty, or holds control characters; it is not shown.
        """
        check_recording_token(token)
        request = Request(method="GET", path_template=path, path=path, query=(("token", token),))
        return cls(transport=transport, request=request, call=call, allow_hosts=allow_hosts)

    @classmethod
    def from_url(
        cls, transport: Transport, path: str, url: str, call: CallState, allow_hosts: Collection[str] = ()
    ) -> RecordingRequest:
        """What the API gave: its own recordings go through the endpoint at `path` with the key, foreign ones without.

        Raises:
            UntrustedRecordingURLError: neither the API's own nor https, or it carries a user name.
        """
        query, foreign_url = query_of_api_recording(url, f"{transport.base}{path}", path), None
        if query is not None:
            request = Request(method="GET", path_template=path, path=path, query=query)
        else:
            request = Request(method="GET", path_template="(recording on another host)", path="")
            foreign_url = check_recording_url(url, allow_hosts)
        return cls(transport=transport, request=request, call=call, foreign_url=foreign_url, allow_hosts=allow_hosts)

    def is_same_recording(self, other: RecordingRequest) -> bool:
        """Whether a newer URL can be of the same recording: on a foreign host its path has to be the same.

        Of the API's own recordings only the token is known, which is another each time.
        """
        if self.foreign_url is None or other.foreign_url is None:
            return self.foreign_url is other.foreign_url
        return self.foreign_url.raw_path == other.foreign_url.raw_path

    def open(self, headers: Mapping[str, str]) -> Awaitable[StreamedResponse]:
        """A response with a 2xx status, its headers within `timeout`; `headers` are the range's."""
        if self.span is not None:
            self.span.opening()
        exchange = partial(self._follow_redirects, headers)
        return self.transport.attempt(
            self.request, self.call, exchange, with_key=self.foreign_url is None, keep_slot=True,
            origin="" if self.foreign_url is None else str(self.foreign_url.origin()),
        )  # fmt: skip

    async def _follow_redirects(
        self, headers: Mapping[str, str], session: aiohttp.ClientSession, secret: Secret
    ) -> AiohttpStreamedResponse | SyllableError:
        """Follow redirects (RFC 9110 §15.4) until something else comes. An origin once left is not trusted again."""
        url = self.foreign_url or build_url(self.transport.base_url, self.request)
        for _ in range(MAX_REDIRECTS + 1):
            response = await session.get(
                url,
                headers={**self._headers(secret), **headers},
                auto_decompress=False,  # an encoded recording is refused, whatever the coding is
                middlewares=self.transport.pool.middlewares,
                **FORCED_REQUEST_OPTIONS,
            )
            location = response.headers.get("Location")
            if 200 <= response.status < 300:
                return AiohttpStreamedResponse(
                    ResponseBody(response), self.request, self.call.requests_sent, self.transport.pool
                )
            if response.status not in REDIRECTS or location is None:
                return await self.transport.read_error(response, self.request, self.call)
            response.close()
            target = self._redirect_target(url, location, own=secret is not NO_KEY)
            secret = secret if same_origin(target, url) else NO_KEY
            url = target
        return RecordingError(f"more than {MAX_REDIRECTS} redirects")

    def _headers(self, secret: Secret) -> dict[str, str]:
        plain = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if secret is NO_KEY:  # headers that the user added are for the API alone
            return {"User-Agent": self.transport.headers["User-Agent"], **plain}
        return {**self.transport.headers, **plain, API_KEY_HEADER: secret.value}

    def _redirect_target(self, url: URL, location: str, *, own: bool) -> URL:
        try:
            text = redirect_target(url, location)
        except ValueError:
            text = ""
        target = exact_url(text)
        if own and target is not None and target.user is None and same_origin(target, url):
            return target
        return check_recording_url(text, self.allow_hosts)


@cache
def keep_freed_memory() -> None:
    """Have glibc keep what chunks free; else it gives the top of its heap back at each, and faults it in anew.

    What it keeps is twice the largest block that it ever mapped and freed (mallopt(3), `M_MMAP_THRESHOLD`), so one is:
    the pages of this are never touched. In a process that has just begun a recording comes 2.5 times as fast so.
    """
    bytes(4 * 2**20)


class AiohttpStreamedResponse:
    """A `StreamedResponse` over aiohttp's response; it holds a connection and its slot until it is closed."""

    def __init__(self, body: ResponseBody, request: Request, attempts: int, pool: ConnectionPool) -> None:
        self.status = body.response.status
        self.headers: Mapping[str, str] = body.response.headers
        self.framing: Framing = body.framed_by
        self._body = body
        self._request = request
        self._attempts = attempts
        self._pool = pool
        self._is_open = True
        keep_freed_memory()
        pool.stream_opened(self)

    async def read(self) -> bytes:
        problem: SyllableError
        try:
            chunk = await self._body.read()
        except TRANSPORT_EXCEPTIONS as error:
            problem = error_for_exception(error, self._request, self._attempts)
        except ClientClosedError as error:
            problem = error.with_traceback(None)
        else:
            if chunk or not self._pool.is_gone:
                return chunk
            problem = closed_error()  # an end that closing the session made says nothing about the body
        raise problem

    async def aclose(self) -> None:
        self._close("the recording was closed while it was read")

    def abort(self) -> None:
        """The client is closed: whoever reads is told at once."""
        self._close(str(closed_error()))

    def _close(self, reason: str) -> None:
        if self._is_open:
            self._is_open = False
            self._pool.open_streams.discard(self)
            end_body(self._body.response, ClientClosedError(reason))
            self._body.response.close()
            self._pool.streams.release()

    def __del__(self) -> None:
        if getattr(self, "_is_open", False):  # else a hundred forgotten streams would stop the client for good
            warnings.warn("a recording was not closed: use `async with` or `aclose()`", ResourceWarning, 2)
            self._pool.run_in_loop(self.abort)
