"""One attempt at a recording: redirects followed by hand, the key shown to its own origin only."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping
from functools import partial

import aiohttp
import attrs
from yarl import URL

from .._messages import ByteReply, Framing, Request
from .._retry import Call
from .._timing import Limit
from ..errors import RecordingError, SyllableError
from .auth import KEY_HEADER
from .body import Body
from .connection_errors import FAILURES, connection_error
from .pool import AS_WE_SAY
from .transport import Transport
from .url_safety import check_recording_url, same_origin

MAX_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Opening:
    """Opens a recording's bytes, each time with one request and its redirects.

    Attributes:
        at: a foreign address that was checked; it and what it redirects to never see the key. None: our own endpoint.
        allow_hosts: as in `check_recording_url`, for the redirects.
    """

    transport: Transport
    request: Request
    at: URL | None = None
    allow_hosts: Collection[str] = ()
    call: Call = attrs.field(factory=lambda: Call(None, None))

    async def __call__(self, headers: Mapping[str, str]) -> ByteReply:
        """A reply with a 2xx status, its headers within `timeout`; `headers` are the range's."""
        session = self.transport.connections.session()
        if self.at is None:
            outcome = await self.transport.with_key(partial(self._open, session, headers))
        else:
            outcome = await self._open(session, headers, "")
        if isinstance(outcome, SyllableError):
            raise outcome
        return outcome

    async def _open(
        self, session: aiohttp.ClientSession, headers: Mapping[str, str], key: str
    ) -> _Stream | SyllableError:
        transport, call = self.transport, self.call
        deadline = transport.retrier.rules.deadline
        if not await transport.take_slot(deadline):  # pragma: no cover - it is run; Python 3.11's tracer misses it
            call.connected = False
            return transport.timed_out(self.request, call, "deadline", deadline)
        outcome: _Stream | SyllableError = RecordingError("it was cancelled")
        started = transport.retrier.throttle.clock()
        call.sent += 1
        transport.connections.enter(call)
        try:
            with Limit(transport.timeout):
                outcome = await self._follow(session, headers, key)
        except TimeoutError:
            outcome = transport.timed_out(self.request, call, "timeout", transport.timeout)
        except FAILURES as error:
            outcome = connection_error(error, self.request, call.sent)
        except SyllableError as error:
            outcome = error.with_traceback(None)
        finally:
            if not isinstance(outcome, _Stream):
                transport.connections.slots.release()
        transport.log(self.request, call, outcome, started)
        return outcome

    async def _follow(
        self, session: aiohttp.ClientSession, headers: Mapping[str, str], key: str
    ) -> _Stream | SyllableError:
        """Follow redirects (RFC 9110 §15.4) until something else comes. An origin once left is not trusted again."""
        url = self.at or self.transport.url(self.request)
        for _ in range(MAX_REDIRECTS + 1):
            response = await session.get(
                url,
                headers={**self._headers(key), **headers},
                auto_decompress=False,  # an encoded recording is refused, whatever the coding is
                middlewares=self.transport.connections.middlewares,
                **AS_WE_SAY,
            )
            location = response.headers.get("Location")
            if response.status not in REDIRECTS or location is None:
                return await self._arrived(response)
            response.close()
            target = self._target(url, location, own=bool(key))
            key = key if same_origin(target, url) else ""
            url = target
        return RecordingError(f"more than {MAX_REDIRECTS} redirects")

    async def _arrived(self, response: aiohttp.ClientResponse) -> _Stream | SyllableError:
        if not 200 <= response.status < 300:
            return await self.transport.failure(response, self.request, self.call)
        return _Stream(Body(response), self.request, self.call.sent, self.transport.connections.slots.release)

    def _headers(self, key: str) -> dict[str, str]:
        plain = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if not key:  # headers that the user added are for the API alone
            return {"User-Agent": self.transport.headers["User-Agent"], **plain}
        return {**self.transport.headers, **plain, KEY_HEADER: key}

    def _target(self, url: URL, location: str, *, own: bool) -> URL:
        try:
            target = url.join(URL(location, encoded=True))
        except ValueError:
            target = URL()
        if own and target.user is None and same_origin(target, url):
            return target
        return check_recording_url(str(target), self.allow_hosts)


class _Stream:
    """A `ByteReply` over aiohttp's response; it holds a connection until it is closed."""

    def __init__(self, body: Body, request: Request, attempts: int, release: Callable[[], None]) -> None:
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
        except FAILURES as error:
            problem = connection_error(error, self._request, self._attempts)
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
