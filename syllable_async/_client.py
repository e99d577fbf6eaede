"""The client: its settings, its lifetime, its endpoints, and `.request` for the rest of the API."""

from __future__ import annotations

import platform
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self, TypeVar

import aiohttp
import attrs
import msgspec

from ._decoding import Converter, check_converter, decode
from ._endpoints import SessionDebug, SessionLabels, Sessions
from ._http import ApiKey, ConnectionPool, Transport, build_request, check_base_url, check_headers, request_id
from ._retry import RateLimitPause, Retrier, RetryPolicy, RetryQuota, check_policy
from ._timing import SYSTEM_CLOCK, Clock
from ._validators import positive_seconds

__version__ = "1.0.0rc1"

if TYPE_CHECKING:
    # So `typing.get_type_hints` cannot resolve the signatures that name these two: importing them would cost a fifth of
    # the import's time. aiohttp's and httpx's constructors have the same limit.
    from cattrs.preconf.msgspec import MsgspecJsonConverter
    from tenacity import AsyncRetrying

T = TypeVar("T")
_USER_AGENT = f"syllable_async/{__version__} aiohttp/{aiohttp.__version__} Python/{platform.python_version()}"


@attrs.frozen(kw_only=True)
class RawResponse:
    """A successful reply of `client.request`.

    Attributes:
        status: the HTTP status.
        headers: names in lower case.
        body: decompressed.
        request_id: the server's id of the request, if a header gave one.
        attempts: how many requests it took.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    request_id: str | None
    attempts: int
    _converter: Any = attrs.field(repr=False, eq=False, alias="converter")

    def json(self) -> Any:
        """The body's JSON as dicts and lists; `ResponseValidationError` where it is none."""
        return decode(self.body, object)

    def decode(self, cls: type[T]) -> T:
        """The body as `cls`; `ResponseValidationError` where it does not fit."""
        return decode(self.body, cls, self._converter)


class AsyncSyllableClient:
    """A client of the Syllable API. Make one for each event loop and keep it: it pools connections.

    Use it with `async with`, or call `aclose`. Making it opens nothing and needs no running loop.

    Args:
        api_key: the key, or a function (plain or async) that gives it and is asked for each request, so that keys can
            be rotated. None takes the environment variable `SYLLABLESDK_API_KEY_HEADER`.
        base_url: https, or http on this machine.
        session: an aiohttp session to borrow. It is never closed and no header is set on it; proxies, TLS, pool size
            and tracing are set up there. None: a session of the client's own, which takes nothing from the environment.
        retries: a `RetryPolicy`, or a tenacity `AsyncRetrying` whose attempts, wait and retry condition are used.
        timeout: seconds for one attempt, or for a recording the longest silence. Waiting for a free connection does not
            count. None: no limit but the policy's deadline.
        headers: sent with every request to the API.
        converter: from `make_converter()`, with hooks of your own.
        allow_insecure_http: let the key travel unencrypted to a host that is not this machine.

    Raises:
        ValueError: a key, URL, header or number that cannot be right; secrets are not shown.
    """

    sessions: Sessions
    session_labels: SessionLabels
    session_debug: SessionDebug
    _clock: ClassVar[Clock] = SYSTEM_CLOCK

    def __init__(
        self,
        api_key: str | Callable[[], str | Awaitable[str]] | None = None,
        *,
        base_url: str = "https://api.syllable.cloud",
        session: aiohttp.ClientSession | None = None,
        retries: RetryPolicy | AsyncRetrying | None = None,
        timeout: float | None = 30.0,
        headers: Mapping[str, str] | None = None,
        converter: MsgspecJsonConverter | None = None,
        allow_insecure_http: bool = False,
    ) -> None:
        base = check_base_url(base_url, allow_insecure_http=allow_insecure_http)
        if session is not None and not isinstance(session, aiohttp.ClientSession):
            raise TypeError("session must be an aiohttp.ClientSession")
        own = {"User-Agent": _USER_AGENT, "Accept": "application/json"}
        policy = check_policy(RetryPolicy() if retries is None else retries)
        transport = Transport(
            base=base,
            key=ApiKey.from_argument(api_key),
            pool=ConnectionPool(session),
            retrier=Retrier(policy, RetryQuota(), RateLimitPause(self._clock), self._clock),
            timeout=None if timeout is None else positive_seconds("timeout", timeout),
            headers={**own, **check_headers(headers or {})},
        )
        self._set_up(transport, check_converter(converter), is_view=False)

    def _set_up(self, transport: Transport, converter: Converter, *, is_view: bool) -> None:
        self._transport = transport
        self._converter = converter
        self._is_view = is_view
        self.sessions = Sessions(transport, converter)
        self.session_labels = SessionLabels(transport, converter)
        self.session_debug = SessionDebug(transport, converter)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._transport.base} api_key='***'>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an AsyncSyllableClient holds a key and connections and cannot be pickled: make one there")

    async def request(
        self,
        method: str,
        *segments: str,
        query: Mapping[str, object] | Iterable[tuple[str, object]] | None = None,
        json: Any = None,
        retries: RetryPolicy | AsyncRetrying | None = None,
    ) -> RawResponse:
        """Call any endpoint of the API with this client's key, retries, limits and errors.

        Args:
            method: an HTTP method. Calls other than GET, HEAD and OPTIONS are retried only where they certainly never
                arrived.
            segments: the path, each segment percent-encoded: `"api", "v1", "agents", agent_id`. A first one that starts
                with a slash is taken as it is, for a path with a slash at its end: `"/api/v1/agents/"`.
            query: a mapping or pairs; a list, tuple or set repeats its name, `None` is left out.
            json: sent as the body where it is not None; attrs classes, datetimes and enums are understood.
            retries: in place of the client's policy.
        """
        body = None if json is None else msgspec.json.encode(json)
        request = build_request(method, segments, query, body)
        reply = await self._transport.send(request, retries)
        return RawResponse(
            status=reply.status,
            headers={name.lower(): value for name, value in reply.headers.items()},
            body=reply.body,
            request_id=request_id(reply.headers),
            attempts=reply.attempts,
            converter=self._converter,
        )

    def with_options(
        self,
        *,
        retries: RetryPolicy | AsyncRetrying | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Self:
        """A view with other settings that shares connections, retry quota and pause; closing it closes nothing.

        What is not given stays as it is; `headers` are added to the client's.
        """
        old = self._transport
        view = object.__new__(type(self))
        transport = attrs.evolve(
            old,
            retrier=old.retrier.with_policy(retries),
            timeout=old.timeout if timeout is None else positive_seconds("timeout", timeout),
            headers={**old.headers, **check_headers(headers or {})},
        )
        view._set_up(transport, self._converter, is_view=True)
        return view

    async def aclose(self) -> None:
        """Close the connections, unless they are borrowed. The client cannot be used afterwards."""
        if not self._is_view:
            await self._transport.pool.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
