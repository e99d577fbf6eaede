"""The client against the fake on a real socket: settings, lifetime, the operations, errors."""

from __future__ import annotations

import asyncio
import pickle
import wave
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import tenacity

from syllable_async import (
    APIError,
    AsyncSyllableClient,
    AuthenticationError,
    BadRequestError,
    HTTPValidationError,
    InternalServerError,
    ListResponseSession,
    NotFoundError,
    OrderByDirection,
    PermissionDeniedError,
    RateLimitError,
    ResponseValidationError,
    RetryPolicy,
    Session,
    SessionProperties,
    SyllableConnectionError,
    SyllableTimeoutError,
    UntrustedRecordingURLError,
    make_converter,
)
from syllable_async.testing import FakeSyllable, faults
from tests.fake_time import FakeTime
from tests.fault_server import FaultServer, Stall, json_reply

KEY = "CANARY-key-0123456789"
ONCE = RetryPolicy(max_attempts=1)
AT_ONCE = RetryPolicy(initial=0, maximum=0)
Client = AsyncSyllableClient


def names(server: FakeSyllable) -> list[str]:
    return list(server.listed)


def voiced(server: FakeSyllable) -> str:
    """A session that has a recording."""
    return next(name for name in names(server) if server.recordings(name) and server.session(name)["duration"])


# --- bad input -----------------------------------------------------------------------------------------------------

BAD_SETTINGS: dict[str, dict[str, Any]] = {
    "empty key": {"api_key": ""},
    "key with CR LF": {"api_key": f"{KEY}\r\nX: y"},
    "key with NUL": {"api_key": f"{KEY}\0"},
    "key with a space": {"api_key": f"{KEY} "},
    "key not ASCII": {"api_key": f"{KEY}é"},
    "key of a megabyte": {"api_key": KEY * 50_000},
    "key of bytes": {"api_key": KEY.encode()},
    "http elsewhere": {"base_url": "http://api.example.com"},
    "no scheme": {"base_url": "api.example.com"},
    "ftp": {"base_url": "ftp://api.example.com"},
    "userinfo": {"base_url": f"https://user:{KEY}@api.example.com"},
    "query": {"base_url": f"https://api.example.com/?key={KEY}"},
    "fragment": {"base_url": f"https://api.example.com/#{KEY}"},
    "space in the address": {"base_url": "https://api.example .com"},
    "no host": {"base_url": "https://"},
    "bad port": {"base_url": "https://api.example.com:x"},
    "empty address": {"base_url": ""},
    "timeout of 0": {"timeout": 0},
    "negative timeout": {"timeout": -1.0},
    "timeout that is no number": {"timeout": "30"},
    "endless timeout": {"timeout": float("inf")},
    "retries of another kind": {"retries": 3},
    "session of another kind": {"session": object()},
    "converter of another kind": {"converter": object()},
    "header with CR LF": {"headers": {"X-A": f"{KEY}\r\nX: y"}},
    "header name with a space": {"headers": {"X A": KEY}},
    "the key as a header": {"headers": {"Syllable-API-Key": KEY}},
    "header that is no text": {"headers": {"X-A": 5}},
}


@pytest.mark.parametrize("name", BAD_SETTINGS)
def test_settings_that_cannot_be_are_refused_without_showing_secrets(name: str) -> None:
    settings: dict[str, Any] = {"api_key": "key", **BAD_SETTINGS[name]}
    with pytest.raises((ValueError, TypeError)) as caught:
        Client(**settings)
    assert KEY not in f"{caught.value} {caught.value!r}"
    assert str(caught.value)


async def test_a_call_refuses_retries_of_another_kind_before_it_sends(client: Client, server: FakeSyllable) -> None:
    wrong: Any = 3
    with pytest.raises(TypeError, match="retries must be a RetryPolicy"):
        await client.sessions.get_by_id("a", retries=wrong)
    with pytest.raises(TypeError, match="retries must be a RetryPolicy"):
        client.sessions.stream_recording("a", retries=wrong)
    assert not server.requests


def test_no_key_at_all_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYLLABLESDK_API_KEY_HEADER", raising=False)
    with pytest.raises(ValueError, match="SYLLABLESDK_API_KEY_HEADER"):
        Client()


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://localhost", "http://[::1]:8", "https://x.example/base/"])
def test_addresses_that_are_fine(url: str) -> None:
    assert "key-in-repr" not in repr(Client("key-in-repr", base_url=url))
    assert Client("k", base_url="http://intranet.example", allow_insecure_http=True)


NAIVE = datetime(2026, 1, 1)
AWARE = datetime(2026, 1, 1, tzinfo=UTC)
Call = Callable[[Client], Any]


def by_id(operation: str, bad: str, client: Client) -> Any:
    return getattr(client.sessions, operation)(bad)


BAD_CALLS: dict[str, Call] = {
    "negative limit": lambda c: c.sessions.list(limit=-1),
    "negative page": lambda c: c.sessions.list(page=-1),
    "limit as text": lambda c: c.sessions.list(limit="5"),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    "limit as truth": lambda c: c.sessions.list(limit=True),
    "naive start": lambda c: c.sessions.list(start_datetime=NAIVE),
    "naive end": lambda c: c.sessions.list(end_datetime=NAIVE),
    "end before start": lambda c: c.sessions.list(start_datetime=AWARE, end_datetime=AWARE - timedelta(1)),
    "fields as text": lambda c: c.sessions.list(fields="timestamp"),
    "search_fields as text": lambda c: c.sessions.list(search_fields="agent_id", search_field_values=["x"]),
    "values as text": lambda c: c.sessions.list(search_fields=["agent_id"], search_field_values="x"),
    "unequal lists": lambda c: c.sessions.list(search_fields=["agent_id"], search_field_values=["a", "b"]),
    "fields without values": lambda c: c.sessions.list(search_fields=["agent_id"]),
    "walk of pages of 0": lambda c: c.sessions.list(limit=0).items(),
    "empty token": lambda c: c.sessions.stream_recording(""),
    "token with NUL": lambda c: c.sessions.stream_recording("a\0"),
    **{
        f"{operation} of {bad!r}": partial(by_id, operation, bad)
        for operation in ("get_by_id", "get_full_summary", "generate_recording_urls", "recordings")
        for bad in ("", ".", "..", "a/b", "recording/stream", "..\\x", "a\r\nb", "a\0b", "\ud800")
    },
    "number as id": lambda c: c.sessions.get_by_id(5),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    "request to nowhere": lambda c: c.request("GET"),
    "request with a strange method": lambda c: c.request("BREW", "api"),
    "request with a dot segment": lambda c: c.request("GET", "api", ".."),
    "request with a query in its path": lambda c: c.request("GET", "/api?x=1"),
    "request with an escape in its path": lambda c: c.request("GET", "/api/%2e%2e/x"),
    "request up and out": lambda c: c.request("GET", "/api/../x"),
    "request to another host": lambda c: c.request("GET", "//evil.example/x"),
    "request with an odd query": lambda c: c.request("GET", "api", query={"a": object()}),
    "request with a naive time": lambda c: c.request("GET", "api", query={"a": NAIVE}),
}


@pytest.mark.parametrize("name", BAD_CALLS)
async def test_wrong_arguments_are_refused_before_anything_is_sent(name: str, server: FakeSyllable) -> None:
    async with Client(server.api_key, base_url=server.url) as client:
        with pytest.raises((ValueError, TypeError)):
            await BAD_CALLS[name](client)
        assert client._transport.pool._session is None
    assert len(server.requests) == 0


# --- lifetime ------------------------------------------------------------------------------------------------------


async def test_nothing_is_opened_before_the_first_call(server: FakeSyllable) -> None:
    client = Client(server.api_key, base_url=server.url)
    pager = client.sessions.list()
    stream = client.sessions.stream_recording("token")
    assert client._transport.pool._session is None
    await client.aclose()
    await client.aclose()
    assert (pager, stream, len(server.requests)) == (pager, stream, 0)


def test_a_client_made_outside_a_loop_works_in_the_first_and_says_so_in_a_second() -> None:
    with FakeSyllable(sessions=3) as server:
        client = Client(server.api_key, base_url=server.url)

        async def one() -> int:
            return len((await client.sessions.list()).items)

        async def one_and_close() -> int:
            async with client:
                return await one()

        loop = asyncio.new_event_loop()
        assert loop.run_until_complete(one()) == 3
        with pytest.raises(RuntimeError, match="another event loop"):
            asyncio.run(one())
        assert loop.run_until_complete(one_and_close()) == 3
        loop.close()
        with pytest.raises(RuntimeError, match="closed"):
            asyncio.run(one())


async def test_a_borrowed_session_is_neither_closed_nor_changed(server: FakeSyllable) -> None:
    async with aiohttp.ClientSession() as session:
        before = dict(session.headers)
        async with Client(server.api_key, base_url=server.url, session=session) as client:
            assert (await client.sessions.list()).items
        assert not session.closed
        assert dict(session.headers) == before
        with pytest.raises(RuntimeError, match="closed"):
            await client.sessions.list()
    client = Client(server.api_key, base_url=server.url, session=session)
    with pytest.raises(RuntimeError, match="session of this AsyncSyllableClient was closed"):
        await client.sessions.list()


async def test_a_borrowed_sessions_own_middlewares_still_run(server: FakeSyllable) -> None:
    seen: list[str] = []

    async def note(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        seen.append(request.method)
        return await handler(request)

    async with (
        aiohttp.ClientSession(middlewares=[note]) as session,
        Client(server.api_key, base_url=server.url, session=session) as client,
    ):
        await client.sessions.list()
    assert seen == ["GET"]


async def test_forgetting_to_close_warns(server: FakeSyllable) -> None:
    client = Client(server.api_key, base_url=server.url)
    await client.sessions.list()
    session = client._transport.pool._session
    assert session is not None
    with pytest.warns(ResourceWarning, match="AsyncSyllableClient was not closed"):
        del client
    await session.close()


async def test_a_view_shares_everything_but_its_settings(client: Client, server: FakeSyllable) -> None:
    view = client.with_options(retries=ONCE, timeout=5, headers={"X-Team": "blue"})
    await view.sessions.list()
    await client.sessions.list()
    first, second = server.requests
    assert first.headers["X-Team"] == "blue"
    assert "X-Team" not in second.headers
    assert view._transport.pool is client._transport.pool
    assert view._transport.retrier.quota is client._transport.retrier.quota
    await view.aclose()
    assert (await client.sessions.list()).items
    server.faults.add("*", faults.status(503))
    with pytest.raises(InternalServerError):
        await view.sessions.list()


def test_a_client_shows_no_key_and_cannot_be_pickled() -> None:
    client = Client(KEY)
    assert KEY not in f"{client} {client!r} {client._transport!r} {client.sessions!r} {client.sessions.list()!r}"
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(client)


# --- keys ----------------------------------------------------------------------------------------------------------


async def test_the_key_from_the_environment(server: FakeSyllable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYLLABLESDK_API_KEY_HEADER", server.api_key)
    async with Client(base_url=server.url) as client:
        assert (await client.sessions.list()).items


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_a_callable_key_is_asked_each_time_and_once_more_after_a_401(server: FakeSyllable, kind: str) -> None:
    keys = iter([server.api_key, "old", server.api_key, "old", "old"])

    def plain() -> str:
        return next(keys)

    async def asynchronous() -> str:
        return next(keys)

    async with Client(plain if kind == "plain" else asynchronous, base_url=server.url) as client:
        await client.sessions.list()
        await client.sessions.list()
        assert [request.status for request in server.requests] == [200, 401, 200]
        with pytest.raises(AuthenticationError):
            await client.sessions.list()
    assert len(server.requests) == 4


async def test_a_callable_that_gives_no_key_is_refused_before_sending(server: FakeSyllable) -> None:
    async with Client(lambda: "bad key", base_url=server.url) as client:
        with pytest.raises(ValueError, match="printable ASCII"):
            await client.sessions.list()
    assert len(server.requests) == 0


# --- the operations ------------------------------------------------------------------------------------------------


async def test_every_list_parameter_reaches_the_server(client: Client, server: FakeSyllable) -> None:
    start = datetime(2025, 12, 1, 8, tzinfo=timezone(timedelta(hours=2)))
    page = await client.sessions.list(
        page=0,
        limit=5,
        search_fields=[SessionProperties.IS_TEST, "is_legacy"],
        search_field_values=["false", "false"],
        order_by=SessionProperties.DURATION,
        order_by_direction=OrderByDirection.DESC,
        fields=["session_id", SessionProperties.DURATION],
        start_datetime=start,
        end_datetime="2027-01-01T00:00:00Z",
    )
    (request,) = server.requests
    assert request.query == [
        ("page", "0"),
        ("limit", "5"),
        ("search_fields", "is_test"),
        ("search_fields", "is_legacy"),
        ("search_field_values", "false"),
        ("search_field_values", "false"),
        ("order_by", "duration"),
        ("order_by_direction", "desc"),
        ("fields", "session_id"),
        ("fields", "duration"),
        ("start_datetime", "2025-12-01T08:00:00+02:00"),
        ("end_datetime", "2027-01-01T00:00:00Z"),
    ]
    durations = [session.duration for session in page.items]
    assert len(durations) == 5
    assert durations == sorted(durations, key=lambda d: d or 0, reverse=True)
    assert {session.agent_name for session in page.items} == {None}


async def test_what_is_not_given_is_not_sent(client: Client, server: FakeSyllable) -> None:
    page = await client.sessions.list()
    assert isinstance(page, ListResponseSession)
    assert server.requests[0].query == []
    assert server.requests[0].path == "/api/v1/sessions/"
    assert server.requests[0].headers["User-Agent"].startswith("syllable_async/")


async def test_a_walk_sees_every_session_once(client: Client, server: FakeSyllable) -> None:
    seen = [session.session_id async for session in client.sessions.list(limit=7)]
    assert sorted(seen, key=str) == sorted(names(server))
    assert len(server.requests.to("sessions.list")) == -(-len(server.listed) // 7)


async def test_one_session_its_summary_and_its_recording(client: Client, server: FakeSyllable, tmp_path: Path) -> None:
    name = voiced(server)
    session = await client.sessions.get_by_id(name)
    assert session == await client.sessions.get_by_id(name)
    assert isinstance(session, Session)
    assert session.session_id == name
    assert session.timestamp.utcoffset() is not None
    assert (await client.sessions.get_full_summary(name)).summary
    (recording,) = await client.sessions.recordings(name)
    saved = await recording.save(tmp_path)
    assert saved.path.read_bytes() == server.recordings(name)[0]
    with wave.open(str(saved.path)) as audio:
        assert audio.getnframes() / audio.getframerate() == pytest.approx(session.duration, abs=0.05)


async def test_a_recording_by_its_token(client: Client, server: FakeSyllable) -> None:
    name = voiced(server)
    urls = (await client.sessions.generate_recording_urls(name)).recordings
    assert urls is not None
    async with client.sessions.stream_recording(urls[0].partition("token=")[2]) as recording:
        assert recording.total_bytes == len(server.recordings(name)[0])
        data = b"".join([chunk async for chunk in recording])
    assert data == server.recordings(name)[0]
    assert recording.verified == "length"
    with wave.open(BytesIO(data)) as audio:
        assert audio.getnframes() > 0


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
async def test_a_cut_recording_is_resumed(client: Client, server: FakeSyllable, reset: bool) -> None:
    name = voiced(server)
    server.faults.add("sessions.stream_recording", faults.cut(3000, reset=reset), faults.cut(500, reset=reset))
    (recording,) = await client.with_options(retries=AT_ONCE).sessions.recordings(name)
    assert b"".join([chunk async for chunk in recording]) == server.recordings(name)[0]
    server.faults.assert_all_met()
    assert len(server.requests.to("sessions.stream_recording")) == 3


async def test_a_recording_is_minted_again_by_the_policy_it_was_asked_for_with(
    client: Client, server: FakeSyllable
) -> None:
    name = voiced(server)
    (recording,) = await client.sessions.recordings(name, retries=RetryPolicy(max_attempts=1))
    server.faults.add("sessions.stream_recording", faults.status(401))
    server.faults.add("sessions.generate_recording_urls", faults.status(503))
    with pytest.raises(InternalServerError):
        await recording.save(Path("nowhere"))
    server.faults.assert_all_met()
    assert len(server.requests.to("sessions.generate_recording_urls")) == 2


async def test_a_session_without_recordings_has_none(client: Client, server: FakeSyllable) -> None:
    name = str(server.add_session(duration=None, recordings=[]))
    assert await client.sessions.recordings(name) == ()


@pytest.mark.parametrize(
    "url",
    ["http://files.example/a", "https://10.0.0.1/a", "https://u@files.example/a", "ftp://files.example/a", "nonsense"],
)
async def test_recording_urls_that_are_not_trusted(client: Client, server: FakeSyllable, url: str) -> None:
    server.faults.add("sessions.generate_recording_urls", faults.edit_json(lambda body: {**body, "recordings": [url]}))
    with pytest.raises(UntrustedRecordingURLError) as caught:
        await client.sessions.recordings(names(server)[0])
    assert url not in str(caught.value)


@pytest.mark.parametrize("query", ["", "?token=", "?other=1"])
async def test_our_own_recording_urls_need_a_token(client: Client, server: FakeSyllable, query: str) -> None:
    url = f"{server.url}/api/v1/sessions/recording/stream{query}"
    server.faults.add("sessions.generate_recording_urls", faults.edit_json(lambda body: {**body, "recordings": [url]}))
    with pytest.raises(UntrustedRecordingURLError):
        await client.sessions.recordings(names(server)[0])


async def test_a_foreign_recording_needs_leave_and_never_sees_the_key(
    client: Client, server: FakeSyllable, tmp_path: Path
) -> None:
    async with FakeSyllable(api_key=None, sessions=1) as foreign:
        url = f"{foreign.url}/anything"
        edit = faults.edit_json(lambda body: {**body, "recordings": [url]}, times=3)
        server.faults.add("sessions.generate_recording_urls", edit)
        with pytest.raises(UntrustedRecordingURLError, match="not https"):
            await client.sessions.recordings(names(server)[0])
        (recording,) = await client.sessions.recordings(names(server)[0], allow_hosts=["127.0.0.1"])
        with pytest.raises(NotFoundError):  # once more with a fresh URL, in case the first had expired
            await recording.save(tmp_path / "recording.wav")
        assert all("Syllable-API-Key" not in request.headers for request in foreign.requests)
        assert len(foreign.requests) == 2


async def test_an_id_is_one_segment_whatever_it_is(client: Client, server: FakeSyllable) -> None:
    for name in ("recording", "%2e%2e", "%2F", "a?b", "a#b", "x" * 300, "😀", "a b+c"):
        with pytest.raises(NotFoundError):
            await client.sessions.get_by_id(name)
    assert {request.operation for request in server.requests} == {"sessions.get_by_id"}


# --- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, APIError),
        (422, HTTPValidationError),
        (429, RateLimitError),
        (500, InternalServerError),
        (501, InternalServerError),
        (302, APIError),
    ],
)
async def test_each_status_has_its_class(
    client: Client, server: FakeSyllable, status: int, cls: type[APIError]
) -> None:
    server.faults.add("*", faults.status(status, headers={"X-Request-Id": "r-1"}, body=b"<html>PATIENT</html>"))
    with pytest.raises(APIError) as caught:
        await client.sessions.list(retries=ONCE)
    error = caught.value
    assert type(error) is cls
    assert (error.status, error.method, error.path) == (status, "GET", "/api/v1/sessions/")
    assert (error.request_id, error.attempts, error.body) == ("r-1", 1, b"<html>PATIENT</html>")
    assert error.headers["x-request-id"] == "r-1"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.body) == (cls, str(error), b"")
    assert "PATIENT" not in f"{error} {error!r}"
    assert (error.__cause__, error.__context__) == (None, None)


async def test_the_details_of_a_422(client: Client) -> None:
    with pytest.raises(HTTPValidationError) as caught:
        await client.sessions.list(order_by="nonsense")
    (detail,) = caught.value.detail
    assert detail.loc == ("query", "order_by")
    assert "Input should be" in detail.msg
    assert detail.type == "enum"


DETAILS: list[tuple[bytes, object]] = [
    (b'{"detail":"no"}', "no"),
    (b'{"detail":{"code":"legacy_session_link","session_id":"x"}}', {"code": "legacy_session_link", "session_id": "x"}),
    (b'{"detail":5}', None),
    (b"[]", None),
    (b"", None),
    (b"\xff\xfe", None),
    (b"[" * 60_000, None),
]


@pytest.mark.parametrize(("body", "detail"), DETAILS)
async def test_the_detail_of_a_400_or_none(client: Client, server: FakeSyllable, body: bytes, detail: object) -> None:
    server.faults.add("*", faults.status(400, body=body), faults.status(422, body=body))
    with pytest.raises(BadRequestError) as caught:
        await client.sessions.list()
    assert caught.value.detail == detail
    with pytest.raises(HTTPValidationError) as invalid:
        await client.sessions.list()
    assert invalid.value.detail == ()


async def test_a_server_that_is_not_there() -> None:
    async with Client("k", base_url="http://127.0.0.1:9") as client:
        with pytest.raises(SyllableConnectionError) as caught:
            await client.sessions.get_by_id("secret-id", retries=AT_ONCE)
    assert caught.value.attempts == 4
    assert not caught.value.outcome_unknown
    assert "secret-id" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


async def test_a_reply_that_is_not_the_schemas(client: Client, server: FakeSyllable) -> None:
    server.faults.add("*", faults.broken_json(), faults.status(200, body=b"<html>"), faults.status(204, body=b""))
    for _ in range(3):
        with pytest.raises(ResponseValidationError):
            await client.sessions.list()
    server.faults.assert_all_met()


@pytest.mark.parametrize(("timeout", "deadline", "limit"), [(0.02, 9.0, "timeout"), (9.0, 0.02, "deadline")])
async def test_a_limit_ends_a_call_and_says_which(
    server: FakeSyllable, timeout: float, deadline: float, limit: str
) -> None:
    server.faults.add("*", faults.delay(float("inf"), times=None))
    policy = RetryPolicy(max_attempts=1, deadline=deadline)
    async with Client(server.api_key, base_url=server.url, timeout=timeout, retries=policy) as client:
        with pytest.raises(SyllableTimeoutError, match=rf"the {limit} of 0.02 s") as caught:
            await client.sessions.list()
    assert (caught.value.limit, caught.value.seconds) == (limit, 0.02)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


FAILURES: dict[str, Any] = {
    "status": faults.status(500),
    "cut": faults.cut(10),
    "reset": faults.cut(10, reset=True),
    "dropped": faults.drop(),
    "broken": faults.broken_json(),
    "late": faults.delay(float("inf")),
    "redirect": faults.redirect("/elsewhere"),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_no_failure_keeps_a_connection(server: FakeSyllable, name: str) -> None:
    """A pool of one: a connection that is not given back would stop the second call."""
    server.faults.add("*", FAILURES[name])
    connector = aiohttp.TCPConnector(limit=1)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        Client(server.api_key, base_url=server.url, session=session, timeout=0.1, retries=ONCE) as client,
    ):
        with pytest.raises((APIError, SyllableConnectionError, ResponseValidationError)):
            await client.sessions.list()
        assert (await asyncio.wait_for(client.sessions.get_by_id(names(server)[0]), 5)).session_id
    server.faults.assert_all_met()


async def test_waiting_for_a_connection_is_no_part_of_an_attempt(server: FakeSyllable) -> None:
    server.faults.add("*", faults.delay(0.03, times=None))
    connector = aiohttp.TCPConnector(limit=1)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        Client(server.api_key, base_url=server.url, session=session, timeout=0.1, retries=ONCE) as client,
    ):
        await asyncio.gather(*(client.sessions.get_by_id(names(server)[0]) for _ in range(8)))
        short = RetryPolicy(max_attempts=1, deadline=0.06)
        results = await asyncio.gather(
            *(client.sessions.get_by_id(names(server)[0], retries=short) for _ in range(8)), return_exceptions=True
        )
    late = [result for result in results if isinstance(result, SyllableTimeoutError)]
    assert late
    assert {error.limit for error in late} == {"deadline"}
    assert any(error.attempts == 0 and not error.outcome_unknown for error in late)


async def test_retries_reach_the_server_and_are_counted(
    server: FakeSyllable, timeless: type[Client], fake_time: FakeTime
) -> None:
    server.faults.add("*", faults.status(503, times=2, retry_after=7), faults.drop())
    async with timeless(server.api_key, base_url=server.url) as client:
        reply = await client.request("GET", "api", "v1", "sessions", names(server)[0])
    assert reply.attempts == 4
    assert reply.decode(Session).session_id == names(server)[0]
    assert fake_time.sleeps[:2] == [7, 7]
    server.faults.assert_all_met()


async def test_a_tenacity_object_on_the_client_and_on_a_call(server: FakeSyllable) -> None:
    server.faults.add("*", faults.status(404, times=2))
    users = tenacity.AsyncRetrying(retry=tenacity.retry_if_exception_type(NotFoundError), wait=tenacity.wait_none())
    async with Client(server.api_key, base_url=server.url, retries=users) as client:
        assert (await client.sessions.list()).items
        server.faults.add("*", faults.status(404, times=2))
        with pytest.raises(NotFoundError):
            await client.sessions.list(retries=ONCE)


# --- any endpoint --------------------------------------------------------------------------------------------------


async def test_any_endpoint(client: Client, server: FakeSyllable) -> None:
    query = {"limit": 2, "fields": ["session_id"], "page": None, "start_datetime": AWARE - timedelta(days=99)}
    reply = await client.request("GET", "/api/v1/sessions/", query=query)
    assert reply.status == 200
    assert len(reply.json()["items"]) == 2
    assert reply.decode(ListResponseSession).page_size == 2
    assert reply.headers["content-type"].startswith("application/json")
    assert server.requests[0].query[0] == ("limit", "2")
    with pytest.raises(NotFoundError) as caught:
        await client.request("DELETE", "api", "v1", "agents", "secret-id")
    assert caught.value.path == "/api/v1/agents/{}"
    with pytest.raises(NotFoundError) as caught:
        await client.request("POST", "/api/v1/agents/", "secret-id", json={"name": "x", "at": AWARE})
    assert caught.value.path == "/api/v1/agents/{}"
    assert server.requests[-1].headers["Content-Type"] == "application/json"
    with pytest.raises(ResponseValidationError):
        (await client.request("GET", "/api/v1/sessions/", query=[("limit", 1)])).decode(Session)


async def test_a_users_converter_serves_every_reply(server: FakeSyllable) -> None:
    converter = make_converter()
    converter.register_structure_hook(datetime, lambda value, _: f"at {value}")
    async with Client(server.api_key, base_url=server.url, converter=converter) as client:
        listed = (await client.sessions.list(limit=1)).items[0]
        raw = await client.request("GET", "api", "v1", "sessions", names(server)[0])
        assert str(listed.timestamp).startswith("at 20")
        assert str(raw.decode(Session).timestamp).startswith("at 20")


# --- what a pooled connection may bring ----------------------------------------------------------------------------


async def test_a_connection_is_used_again() -> None:
    good = json_reply({"timestamp": "2026-01-01T00:00:00Z", "session_id": "good"})
    async with FaultServer([[*good], [*good], [*good]]) as server, Client("k", base_url=server.url) as client:
        for _ in range(3):
            await client.sessions.get_by_id("x")
        assert len(server.connections) == 1


async def test_an_answer_that_comes_while_nobody_asked_is_nobodys_answer() -> None:
    late = {"timestamp": "2020-01-01T00:00:00Z", "session_id": "late"}
    good = {"timestamp": "2026-01-01T00:00:00Z", "session_id": "good"}
    script = [[*json_reply(good), Stall("idle"), *json_reply(late)], json_reply(good)]
    async with FaultServer(script) as server, Client("k", base_url=server.url) as client:
        assert (await client.sessions.get_by_id("x")).session_id == "good"
        await server.release("idle")
        assert (await client.sessions.get_by_id("x")).session_id == "good"
        assert len(server.connections) == 2
