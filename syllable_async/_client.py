"""The client: its settings, its lifetime, its endpoints, and `.request` for the rest of the API."""

from __future__ import annotations

import os
import platform
import weakref
from collections.abc import Awaitable, Callable, Iterable, Mapping
from enum import Enum
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self, TypeVar, cast, overload

import aiohttp
import attrs

from ._decoding import Converter, check_converter, decode
from ._endpoints import Lists, SessionDebug, SessionLabels, Sessions
from ._http import (
    ApiKey,
    Body,
    ConnectionPool,
    Gates,
    PoolLimits,
    Transport,
    build_request,
    check_base_url,
    check_headers,
    plain_headers,
    request_id,
)
from ._pagination import OffsetPager
from ._recordings import DiskThreads
from ._retry import Retrier, RetryPolicy, RetryQuota, check_policy
from ._timing import SYSTEM_CLOCK, Clock
from ._validators import AsyncContextOnly, positive_int, positive_rate, positive_seconds
from .models import InvalidRow

__version__ = "1.0.0rc2"

if TYPE_CHECKING:
    # So `typing.get_type_hints` cannot resolve the signatures that name these two: importing them would cost a fifth of
    # the import's time. aiohttp's and httpx's constructors have the same limit.
    from cattrs.preconf.msgspec import MsgspecJsonConverter
    from opentelemetry.trace import Tracer
    from tenacity import AsyncRetrying

T = TypeVar("T")
BASE_URL = "https://api.syllable.cloud"
ENV_BASE_URL = "SYLLABLE_BASE_URL"
_USER_AGENT = f"syllable_async/{__version__} aiohttp/{aiohttp.__version__} Python/{platform.python_version()}"
_OWN_HEADERS = {"User-Agent": _USER_AGENT, "Accept": "application/json", "Accept-Encoding": "gzip, deflate"}


def _check_authorization(session: aiohttp.ClientSession | None, headers: Mapping[str, str]) -> None:
    """Refuse what aiohttp would refuse at each request."""
    if getattr(session, "auth", None) is not None and any(name.lower() == "authorization" for name in headers):
        raise ValueError("session has auth=, and headers hold Authorization: give only one of them")


def _pool_limits(max_connections: object, max_streams: object) -> PoolLimits:
    given = {"max_connections": max_connections, "max_streams": max_streams}
    for name, value in given.items():
        if value is None:
            raise TypeError(f"{name} must be an int, not None")
    return PoolLimits(**{name: positive_int(name, cast("int", value)) or 1 for name, value in given.items()})


class _Unset(Enum):
    UNSET = "unset"

    def __repr__(self) -> str:
        return "..."


_UNSET = _Unset.UNSET
"""An argument that was not given, where None has a meaning of its own."""


@attrs.frozen(kw_only=True)
class RawResponse:
    """A successful response to `client.request`.

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


class AsyncSyllableClient(AsyncContextOnly):
    """A client of the Syllable API. Make one for each event loop and keep it: it pools connections.

    ```python
    import asyncio

    from syllable_async import AsyncSyllableClient, RetryPolicy


    async def main() -> None:
        async with AsyncSyllableClient(rate=20, retries=RetryPolicy(deadline=600)) as client:
            print(await client.sessions.list(limit=1))


    asyncio.run(main())
    ```

    Use it with `async with`, or call `aclose`. Making it opens nothing and needs no running loop. After `aclose` every
    call, walk and recording of it ends with `ClientClosedError`.

    Args:
        api_key: the key, or a function (plain or async) that gives it and is asked for each request, so that keys can
            be rotated. None takes the environment variable `SYLLABLESDK_API_KEY_HEADER`.
        base_url: https, or http on this machine. None takes the environment variable `SYLLABLE_BASE_URL`, and without
            that `https://api.syllable.cloud`.
        session: an aiohttp session to borrow. It is never closed and no header is set on it; proxies, TLS, pool size
            and tracing are set up there. None: a session of the client's own, which takes nothing from the environment.
        retries: a `RetryPolicy`, or a tenacity `AsyncRetrying` whose attempts, wait and retry condition are used.
        timeout: seconds for one attempt, or for a recording the longest silence. Waiting for a free connection does not
            count. None: no limit but the policy's deadline.
        rate: requests a second at most, of all calls of the client and its views, retries included. None: no limit but
            what the API's 429s teach.
        max_connections: calls that are under way at once; the others wait, in the order in which they came.
        max_streams: recordings that are open at once, beside the calls. A borrowed session's own limits hold too.
        headers: sent with every request to the API.
        converter: from `make_converter()`, with hooks of your own. None: one without.
        tracer: from `opentelemetry.trace.get_tracer(…)`: one span a call (a recording is one, its resumes are events),
            named by the path's template; no id, token or query is in it.
        allow_insecure_http: let the key travel unencrypted to a host that is not this machine.

    Raises:
        ValueError: a key, URL, header or number that cannot be right; secrets are not shown.

    ## Limits of time and number

    - `timeout` limits one attempt, and `RetryPolicy.deadline` limits all attempts of a call together. Both begin when
      the call has a connection and its turn. A handler that must answer in time puts `asyncio.timeout` around its call.
    - At most `max_connections` calls are under way, and at most `max_streams` recordings are open beside them. A call
      that waits for 30 s on one of these limits says so in the log.
    - A 429 pauses all calls of the client, and later ones leave at the pace that the API accepts. Where you know the
      API's limit, `rate=` keeps it from the first call on.

    ## FastAPI: one client in a lifespan

    ```python
    from collections.abc import AsyncGenerator
    from contextlib import asynccontextmanager
    from typing import Any

    from fastapi import FastAPI, HTTPException, Request

    from syllable_async import AsyncSyllableClient, NotFoundError, RetryPolicy, to_dict


    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[dict[str, Any], None]:
        async with AsyncSyllableClient(retries=RetryPolicy(deadline=5), timeout=2) as client:
            yield {"syllable": client}


    app = FastAPI(lifespan=lifespan)


    @app.get("/sessions/{session_id}")
    async def show(session_id: str, request: Request) -> dict[str, Any]:
        try:
            return to_dict(await request.state.syllable.sessions.get_by_id(session_id))
        except NotFoundError:
            raise HTTPException(404) from None
    ```

    ## Proxies and TLS

    The client's own session takes nothing from the environment: no proxy, no netrc, no cookies. Lend it a session that
    does: `aiohttp.ClientSession(trust_env=True)` reads `HTTPS_PROXY`, and `AsyncSyllableClient(session=session)` uses
    it. A certificate authority of your own goes into `aiohttp.TCPConnector(ssl=context)`. A borrowed session is never
    closed and gets no header from the client. Its own default headers go wherever its requests go, recording hosts
    included.

    ## Sentry and OpenTelemetry

    Give the client a tracer: `AsyncSyllableClient(tracer=opentelemetry.trace.get_tracer("my-service"))`. Each call is
    one span, named by the path's template, without ids, tokens or queries. What instruments every aiohttp session of a
    process (Sentry, OpenTelemetry) does not see the client's own session. It does see a borrowed one, and there a
    span's URL holds the recording's token. Filter it: `create_trace_config(url_filter=lambda url:
    str(url.with_query(None)))`.

    ## Hooks of your own

    The client decodes every response with a cattrs converter. A hook that you register is called wherever cattrs calls
    it. All other types are still decoded by msgspec, which is faster.

    ```python
    from syllable_async import AsyncSyllableClient, make_converter

    converter = make_converter()
    converter.register_structure_hook(str | None, lambda value, _: value.strip() if value else None)
    client = AsyncSyllableClient("key", converter=converter)
    ```

    ## Security

    - The key travels with each request, to its own origin only. JSON calls follow no redirect. Of a recording at
      most five redirects are followed, to https and to host names, and without the key once its origin was left.
    - `http://` is refused unless it is this machine or `allow_insecure_http=True`.
    - An id is one percent-encoded segment of the path. An id with a slash is refused, because servers decode it.
    - Bytes that arrive on an idle connection of the client's own session close it. They never become a response.
    - A JSON response is at most 64 MiB and a recording at most 4 GiB; both are counted while they stream. A body of
      more than 8 MiB that was compressed to less than a hundredth is refused.
    - Your own `asyncio.timeout` around a call leaves aiohttp's frames, whose local variables hold the key, in the
      traceback of the cancellation. An error reporter that prints local variables shows them.

    ## From the vendor's SDK

    | `syllable_sdk` | `syllable_async` |
    |---|---|
    | `SyllableSDK(api_key_header=...)` | `AsyncSyllableClient(...)` |
    | `sdk.sessions.list_async(page=0, limit=25)` | `await client.sessions.list(page=0, limit=25)` |
    | a loop over `page` | `async for session in client.sessions.list()` |
    | `sdk.sessions.get_by_id_async(session_id=...)` | `await client.sessions.get_by_id(...)` |
    | `sdk.sessions.full_summary.get_by_id_async(session_id=...)` | `await client.sessions.get_full_summary(...)` |
    | `sdk.sessions.generate_session_recording_urls_async(...)` | `await client.sessions.recordings(...)` |
    | `sdk.sessions.session_recording_stream_async(token=...)` | `client.sessions.stream_recording(...)` |
    | `sdk.session_labels.list_async(...)` | `await client.session_labels.list(...)` |
    | `sdk.session_labels.create_async(request=...)` | `await client.session_labels.create(...)` |
    | `sdk.session_debug.get_session_data_by_session_id_async(...)` | `client.session_debug.get_by_session_id(...)` |
    | `sdk.session_debug.get_session_data_by_sid_async(...)` | `client.session_debug.get_by_sid(...)` |
    | `sdk.session_debug.get_session_tool_call_result_by_id_async(...)` | `client.session_debug.get_tool_result(...)` |
    | `RetryConfig`, off unless given | `RetryPolicy`, on unless `max_attempts=1` |
    | `timeout_ms=`, milliseconds | `timeout=`, seconds |
    | `models.Session`: pydantic, `UNSET` | `Session`: attrs, `None` |
    | `errors.APIError`, `errors.HTTPValidationError` | the same names; `status`, `body`, `detail` |
    | any other operation | `await client.request("GET", "/api/v1/agents/")` |
    """

    sessions: Sessions
    """Sessions, their summaries, transcripts and recordings."""
    session_labels: SessionLabels
    """Judgements on sessions."""
    session_debug: SessionDebug
    """What a session's agent said, heard and called."""
    converter: MsgspecJsonConverter
    """Every response is decoded by it."""
    _clock: ClassVar[Clock] = SYSTEM_CLOCK

    def __init__(
        self,
        api_key: str | Callable[[], str | Awaitable[str]] | None = None,
        *,
        base_url: str | None = None,
        session: aiohttp.ClientSession | None = None,
        retries: RetryPolicy | AsyncRetrying | None = None,
        timeout: float | None = 30.0,
        rate: float | None = None,
        max_connections: int = 100,
        max_streams: int = 100,
        headers: Mapping[str, str] | None = None,
        converter: MsgspecJsonConverter | None = None,
        tracer: Tracer | None = None,
        allow_insecure_http: bool = False,
    ) -> None:
        name = "base_url"
        if base_url is None:
            name, base_url = ENV_BASE_URL, os.environ.get(ENV_BASE_URL, BASE_URL)
        base = check_base_url(base_url, allow_insecure_http=allow_insecure_http, name=name)
        if session is not None and not isinstance(session, aiohttp.ClientSession):
            raise TypeError("session must be an aiohttp.ClientSession")
        added = check_headers(headers or {})
        _check_authorization(session, added)
        pool = ConnectionPool(session, self._clock, _pool_limits(max_connections, max_streams), _OWN_HEADERS)
        gates = Gates(self._clock, None if rate is None else positive_rate("rate", rate))
        pool.on_close.append(gates.close)
        policy = check_policy(RetryPolicy() if retries is None else retries)
        transport = Transport(
            base=base,
            key=ApiKey.from_argument(api_key),
            pool=pool,
            gates=gates,
            retrier=Retrier(policy, RetryQuota(self._clock), pool.clock),
            timeout=_check_timeout(timeout),
            headers={**_OWN_HEADERS, **added},
            tracer=tracer,
        )
        self._disk_threads = DiskThreads()
        self._owner: weakref.ref[AsyncSyllableClient] | None = None
        self._set_up(transport, check_converter(converter))

    def _set_up(self, transport: Transport, converter: Converter) -> None:
        self._transport = transport
        self.converter = converter
        self.sessions = Sessions(transport, converter, self._disk_threads)
        self.session_labels = SessionLabels(transport, converter)
        self.session_debug = SessionDebug(transport, converter)
        self._lists = Lists(transport, converter)

    @property
    def base_url(self) -> str:
        """The API's address, without a slash at its end."""
        return str(self._transport.base).rstrip("/")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.base_url} api_key='***'>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "an AsyncSyllableClient holds a key and connections and cannot be pickled: make one in each process"
        )

    async def request(
        self,
        method: str,
        *segments: str | int,
        query: Mapping[str, object] | Iterable[tuple[str, object]] | None = None,
        json: Any = None,
        content: bytes | bytearray | memoryview | str | None = None,
        content_type: str | None = None,
        max_bytes: int = 64 * 2**20,
        retries: RetryPolicy | AsyncRetrying | None = None,
    ) -> RawResponse:
        """Call any endpoint of the API with this client's key, retries, limits and errors.

        ```python
        import asyncio

        from syllable_async import AsyncSyllableClient


        async def main() -> None:
            async with AsyncSyllableClient() as client:
                response = await client.request("GET", "/api/v1/sessions/", query={"limit": 1})
                print(response.status, response.attempts, response.json())


        asyncio.run(main())
        ```

        Args:
            method: an HTTP method. Calls other than GET, HEAD and OPTIONS are retried only where they certainly never
                arrived.
            segments: the path, each segment percent-encoded: `"api", "v1", "agents", agent_id`. A first one that starts
                with a slash is taken as it is, for a path with a slash at its end: `"/api/v1/agents/"`.
            query: a mapping or pairs; a list, tuple or set repeats its name, `None` is left out.
            json: sent as the body where it is not None; attrs classes, datetimes and enums are understood.
            content: a body that is not JSON, in place of `json`; a str is sent as UTF-8.
            content_type: its media type; without it `application/octet-stream`, or `text/plain` for a str.
            max_bytes: the largest response that is read, decompressed; it is held in memory.
            retries: in place of the client's policy.
        """
        body = Body.from_arguments(json, content, content_type)
        largest = positive_int("max_bytes", max_bytes)
        if largest is None:
            raise TypeError("max_bytes must be an int, not None")
        request = build_request(method, segments, query, body, largest)
        response = await self._transport.send(request, retries)
        return RawResponse(
            status=response.status,
            headers=plain_headers(response.headers),
            body=response.body,
            request_id=request_id(response.headers),
            attempts=response.attempts,
            converter=self.converter,
        )

    @overload
    def list(
        self,
        path: str,
        cls: type[dict[Any, Any]] = ...,
        *,
        page: int | None = None,
        limit: int | None = None,
        query: Mapping[str, object] | Iterable[tuple[str, object]] | None = None,
        on_invalid_row: Callable[[InvalidRow], object] | None = None,
        retries: RetryPolicy | AsyncRetrying | None = None,
    ) -> OffsetPager[dict[str, Any]]: ...
    @overload
    def list(
        self,
        path: str,
        cls: type[T],
        *,
        page: int | None = None,
        limit: int | None = None,
        query: Mapping[str, object] | Iterable[tuple[str, object]] | None = None,
        on_invalid_row: Callable[[InvalidRow], object] | None = None,
        retries: RetryPolicy | AsyncRetrying | None = None,
    ) -> OffsetPager[T]: ...
    def list(
        self,
        path: str,
        cls: type[Any] = dict,
        *,
        page: int | None = None,
        limit: int | None = None,
        query: Mapping[str, object] | Iterable[tuple[str, object]] | None = None,
        on_invalid_row: Callable[[InvalidRow], object] | None = None,
        retries: RetryPolicy | AsyncRetrying | None = None,
    ) -> OffsetPager[Any]:
        """Any other list of the API, page by page: `async for agent in client.list("/api/v1/agents/", Agent)`.

        It is for lists that take `page` and `limit` and answer `{"items": […], "page": …, "page_size": …,
        "total_count": …}`; about thirty of the API do. Nothing is sent yet. `await` the result for the one page asked
        for (a `ListResponse`), `async for` over it for every row from that page on, or use its `items` and `pages`.
        Rows are known again by `id` (or `session_id`), and without one by their content.

        Args:
            path: with its slashes, that at the end included, and without a query.
            cls: what a row is: an attrs class, a dataclass, a TypedDict, a msgspec Struct, or dict for the JSON.
            page: 0-based.
            limit: rows a page; a walk without it asks for 100.
            query: what else is asked for, as in `request`: `{"search_fields": ["name"], …}`.
            on_invalid_row: called once with each row that does not fit `cls`; every other row comes. Without it such a
                row ends the walk with `ResponseValidationError`.
            retries: in place of the client's policy.

        Raises:
            TypeError: `cls` is no such class, or an argument is of another type.
            ValueError: the path has a query or does not begin with a slash, or `query` names `page` or `limit`.
        """
        return self._lists.list(
            path, cls, page=page, limit=limit, query=query, on_invalid_row=on_invalid_row, retries=retries
        )

    def with_options(
        self,
        *,
        retries: RetryPolicy | AsyncRetrying | _Unset | None = _UNSET,
        timeout: float | _Unset | None = _UNSET,
        headers: Mapping[str, str] | _Unset | None = _UNSET,
    ) -> Self:
        """A view with other settings that shares connections, retry quota and pace.

        What is not given stays as it is; None means what it means to the client itself: the default policy, no timeout,
        no headers of yours. `headers` are added to the client's. Closing a view closes nothing while its client is
        there; a view that is all one keeps closes what it holds.
        """
        old = self._transport
        if retries is None:
            retries = RetryPolicy()
        if headers is not _UNSET:
            _check_authorization(old.pool.borrowed, headers or {})
        transport = attrs.evolve(
            old,
            retrier=old.retrier if retries is _UNSET else old.retrier.with_policy(retries),
            timeout=old.timeout if timeout is _UNSET else _check_timeout(timeout),
            headers=old.headers if headers is _UNSET else _merge_headers(old.headers, headers),
        )
        view = object.__new__(type(self))
        view.__dict__.update(self.__dict__)
        view._owner = weakref.ref(self) if self._owner is None else self._owner
        view._set_up(transport, self.converter)
        return view

    async def aclose(self) -> None:
        """Close the connections, unless they are borrowed. The client cannot be used afterwards."""
        if self._owner is None or self._owner() is None:
            await self._transport.pool.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


def _check_timeout(timeout: float | None) -> float | None:
    return None if timeout is None else positive_seconds("timeout", timeout)


def _merge_headers(old: Mapping[str, str], headers: Mapping[str, str] | None) -> Mapping[str, str]:
    return _OWN_HEADERS if headers is None else {**old, **check_headers(headers)}
