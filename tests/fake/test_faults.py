"""Every fault does to a plain client what its docstring says, and the queue knows which were met."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import replace
from typing import Any, get_args

import aiohttp
import pytest

from syllable_async.testing import FakeSyllable, Fault, faults
from syllable_async.testing._request_log import OPERATIONS

LIST = "/api/v1/sessions/"
BODY = bytes(range(256)) * 4
UNTYPED: Any = faults
"""For what a type checker would refuse."""


async def page(client: aiohttp.ClientSession, **query: str | int) -> dict[str, Any]:
    async with client.get(LIST, params=query) as answer:
        assert answer.status == 200
        document: dict[str, Any] = await answer.json()
        return document


async def stream(client: aiohttp.ClientSession, server: FakeSyllable) -> str:
    """The URL of a recording of `BODY`."""
    session_id = server.add_session(recordings=[BODY])
    async with client.post(f"/api/v1/sessions/recording/{session_id}") as answer:
        [url] = (await answer.json())["recordings"]
    return str(url)


# The queue


async def test_a_status_comes_as_often_as_scripted(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    server.faults.add("sessions.list", faults.status(503, times=2, retry_after=1.5))
    answers = [await client.get(LIST) for _ in range(3)]
    assert [answer.status for answer in answers] == [503, 503, 200]
    assert [answer.headers.get("Retry-After") for answer in answers] == ["1.5", "1.5", None]
    assert [entry.status for entry in server.requests.to("sessions.list")] == [503, 503, 200]
    assert [entry.fault for entry in server.requests] == ["status 503", "status 503", None]
    server.faults.assert_all_met()


async def test_faults_of_a_route_are_met_in_order(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    server.faults.add("sessions.list", faults.pass_through(), faults.status(500), faults.status(429))
    server.faults.add("sessions.get_by_id", faults.status(404))
    server.faults.add("*", faults.status(502))
    paths = [LIST, LIST, f"{LIST}x", LIST, "/nowhere", LIST]
    assert [(await client.get(path)).status for path in paths] == [200, 500, 404, 429, 502, 200]
    server.faults.assert_all_met()


async def test_a_standing_fault_joins_what_the_queue_brings(
    server: FakeSyllable, client: aiohttp.ClientSession
) -> None:
    server.faults.add("sessions.list", faults.null_totals(times=None), faults.clamp_limit(3))
    first, second = await page(client), await page(client)
    assert (len(first["items"]), first["total_count"]) == (3, None)
    assert (len(second["items"]), second["total_count"]) == (25, None)
    assert server.requests[0].fault == "null totals & clamp limit to 3"
    server.faults.clear()
    assert (await page(client))["total_count"] == len(server.listed)


async def test_only_calls_that_fit_meet_a_fault(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    server.faults.add("sessions.list", faults.status(500), when=lambda call: call.param("page") == "1")
    assert [(await client.get(LIST, params={"page": number})).status for number in (0, 1, 1)] == [200, 500, 200]


async def test_faults_that_were_not_met_are_listed(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    server.faults.add("sessions.list", faults.pass_through(), faults.status(500, times=2))
    server.faults.add("sessions.get_by_id", faults.cut(10))
    server.faults.add("sessions.get_latency", faults.delay(1, times=None))
    await client.get(LIST)
    await client.get(LIST)
    assert server.faults.pending == [
        "sessions.list: status 500 (met 1 of 2 times)",
        "sessions.get_by_id: cut at byte 10 (met 0 of 1 times)",
        "sessions.get_latency: delay 1 s (met 0 of at least 1 times)",
    ]
    with pytest.raises(AssertionError, match=r"not met:\n  sessions.list: status 500 .*\n  sessions.get_by_id"):
        server.faults.assert_all_met()


def test_what_cannot_be_scripted_is_refused() -> None:
    queue = faults.FaultQueue()
    with pytest.raises(ValueError, match=r"no route is called 'sessions.lst'; there are \* and sessions.list"):
        queue.add("sessions.lst", faults.status(500))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 1"):
        faults.status(500, times=0)
    with pytest.raises(ValueError, match="same times"):
        _ = faults.cut(1, times=2) & faults.weaken_etag()


async def test_a_fault_of_your_own_fits_in(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    def teapot(call: faults.Call) -> faults.Answer:
        return faults.Answer(418, {"X-Asked": call.path}, b"short and stout")

    server.faults.add("*", Fault(name="teapot", before=(teapot,)))
    async with client.get(LIST) as answer:
        assert (answer.status, answer.headers["X-Asked"], await answer.text()) == (418, LIST, "short and stout")


# Statuses


async def test_a_status_can_have_a_body_and_headers(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    link = {"detail": {"code": "legacy_session_link", "session_id": "1", "redirect_to": "/x", "message": "moved"}}
    server.faults.add(
        "*",
        faults.status(400, body=link),
        faults.status(502, body=b"<html>", headers={"Content-Type": "text/html"}),
        faults.status(429, retry_after="soon"),
    )
    async with client.get(LIST) as answer:
        assert (answer.status, await answer.json()) == (400, link)
    async with client.get(LIST) as answer:
        assert (answer.status, answer.content_type, await answer.read()) == (502, "text/html", b"<html>")
    async with client.get(LIST) as answer:
        assert (answer.headers["Retry-After"], await answer.json()) == ("soon", {"detail": "Scripted 429"})


async def test_a_redirect_leads_away(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    server.faults.add("sessions.list", faults.redirect("https://other.example/x", 302))
    async with client.get(LIST, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, "https://other.example/x")


async def test_a_rate_limit_counts_by_its_clock(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    now = 0.0
    server.faults.add("*", faults.rate_limit(2, per=10, clock=lambda: now))
    assert [(await client.get(LIST)).status for _ in range(2)] == [200, 200]
    now = 7.5
    refused = await client.get(LIST)
    assert (refused.status, refused.headers["Retry-After"]) == (429, "3")
    now = 10.5
    assert (await client.get(LIST)).status == 200


# Time and connections


async def test_delays_wait_before_the_head_and_in_the_body() -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    async with FakeSyllable(sessions=30, sleep=sleep) as server, aiohttp.ClientSession(server.url) as client:
        server.faults.add("*", faults.delay(5), faults.pause(10, 7), faults.delay(1) & faults.pause(0, 2))
        bodies = [await (await client.get(LIST)).read() for _ in range(4)]
    assert waited == [5, 7, 1, 2]
    assert len(set(bodies)) == 1


async def test_a_stall_ends_with_the_fake(client: aiohttp.ClientSession, server: FakeSyllable) -> None:
    arrived = asyncio.Event()
    server.faults.add(
        "*", Fault(name="stall", before=(lambda _: arrived.set(),), delivery=faults.Delivery(delay=math.inf))
    )
    server.faults.add("*", faults.pause(10, math.inf))
    silent = asyncio.create_task(client.get(LIST))
    await arrived.wait()
    async with client.get(LIST) as answer:
        assert len(await answer.content.readexactly(10)) == 10
        await server.aclose()
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.content.readexactly(1)
    with pytest.raises(aiohttp.ClientConnectionError):
        await silent
    assert [entry.status for entry in server.requests] == [None, 200]


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("reset", [False, True])
async def test_a_body_is_cut_after_byte_n(
    server: FakeSyllable, client: aiohttp.ClientSession, reset: bool, chunked: bool
) -> None:
    server.faults.add("sessions.list", faults.cut(100, reset=reset, chunked=chunked))
    async with client.get(LIST) as answer:
        assert (answer.content_length is None) == chunked
        assert len(await answer.content.readexactly(100)) == 100
        with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientConnectionError)):
            await answer.content.readexactly(1)
    [entry] = server.requests
    assert (entry.status, entry.bytes_sent) == (200, 100)
    assert (await page(client))["total_count"] == len(server.listed)


async def raw(server: FakeSyllable, *, requests: int) -> list[bytes]:
    """What one connection receives for so many requests: heads as far as they came."""
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    heads: list[bytes] = []
    for _ in range(requests):
        writer.write(f"GET {LIST}?limit=0 HTTP/1.1\r\nHost: x\r\nSyllable-API-Key: {server.api_key}\r\n\r\n".encode())
        try:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            size = int(heads[-1].lower().partition(b"content-length:")[2].split()[0])
            await reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            heads.append(b"")
    writer.close()
    return heads


async def test_a_dropped_connection_says_nothing(server: FakeSyllable) -> None:
    for reset in (False, True):
        server.faults.add("*", faults.drop(reset=reset))
        assert await raw(server, requests=1) == [b""]
    assert [entry.status for entry in server.requests] == [None, None]


async def test_a_hung_up_connection_promised_to_stay(server: FakeSyllable) -> None:
    server.faults.add("*", faults.hang_up())
    first, second = await raw(server, requests=2)
    assert first.startswith(b"HTTP/1.1 200")
    assert b"close" not in first.lower()
    assert second == b""
    assert all(await raw(server, requests=2))


# Lists


async def test_a_clamped_limit_is_admitted_or_not(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    server.faults.add("sessions.list", faults.clamp_limit(4), faults.clamp_limit(4, echo_asked=True))
    honest, lying = await page(client, limit=10, page=1), await page(client, limit=10, page=1)
    ids, count = list(reversed(server.listed))[4:8], len(server.listed)
    for answer in (honest, lying):
        assert [item["session_id"] for item in answer["items"]] == ids
    assert [honest["page_size"], honest["total_pages"]] == [4, -(-count // 4)]
    assert [lying["page_size"], lying["total_pages"]] == [10, -(-count // 10)]


async def test_a_page_is_repeated_under_the_number_asked_for(
    server: FakeSyllable, client: aiohttp.ClientSession
) -> None:
    pages = [await page(client, limit=5, page=number) for number in range(3)]
    server.faults.add("sessions.list", faults.repeat_page(), faults.repeat_page(0))
    for expected in (pages[1], pages[0]):
        again = await page(client, limit=5, page=2)
        assert (again["items"], again["page"]) == (expected["items"], 2)


async def test_bounds_can_change(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    start, end = (server.session(server.listed[index])["timestamp"] for index in (0, 29))
    counts: list[int] = []
    for bounds in ("[)", "[]", "()", "(]"):
        server.faults.add("sessions.list", faults.date_bounds(bounds))
        counts.append((await page(client, start_datetime=start, end_datetime=end))["total_count"])
    assert counts == [29, 30, 28, 29]


async def test_documents_can_be_edited_and_broken(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    server.faults.add(
        "sessions.list",
        faults.edit_json(lambda document: [document["page"], "\ud800"]),
        faults.broken_json(),
        faults.content_type("text/html"),
    )
    async with client.get(LIST, params={"page": 7}) as answer:
        assert await answer.json() == [7, "?"]
    async with client.get(LIST) as answer:
        text = await answer.text()
        assert answer.content_length == len(text.encode())
        with pytest.raises(json.JSONDecodeError):
            json.loads(text)
    async with client.get(LIST) as answer:
        assert answer.content_type == "text/html"


# Recordings


async def test_ranges_can_be_ignored(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    url = await stream(client, server)
    server.faults.add("sessions.stream_recording", faults.ignore_range())
    for status, body in ((200, BODY), (206, BODY[1000:])):
        async with client.get(url, headers={"Range": "bytes=1000-"}) as answer:
            assert (answer.status, await answer.read()) == (status, body)


async def test_tags_can_be_other_weak_or_gone(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    url = await stream(client, server)
    script = [faults.etag('"x"'), faults.weaken_etag(), faults.etag(None), faults.weaken_etag() & faults.cut(10)]
    server.faults.add("sessions.stream_recording", *script)
    tags = [(await client.get(url)).headers.get("ETag") for _ in range(5)]
    assert tags == ['"x"', f"W/{tags[4]}", None, f"W/{tags[4]}", tags[4]]
    server.faults.add("sessions.list", faults.weaken_etag())
    assert "ETag" not in (await client.get(LIST)).headers


async def test_ranges_can_be_answered_wrongly(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    url = await stream(client, server)
    script = [faults.content_range("bytes 0-9/10"), faults.content_range(None), faults.unsatisfiable(9)]
    server.faults.add("sessions.stream_recording", *script, faults.unsatisfiable(), faults.content_range("bytes 0-0/1"))
    seen: list[tuple[int, str | None]] = []
    for part in ("bytes=5-", "bytes=5-", "bytes=5-", "bytes=5-", ""):
        async with client.get(url, headers={"Range": part}) as answer:
            seen.append((answer.status, answer.headers.get("Content-Range")))
    assert seen == [(206, "bytes 0-9/10"), (206, None), (416, "bytes */9"), (416, None), (200, None)]


async def test_tokens_expire_midway(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    url = await stream(client, server)
    server.faults.add("sessions.stream_recording", faults.cut(100), faults.expire_tokens(code=401))
    async with client.get(url) as answer:
        assert len(await answer.content.readexactly(100)) == 100
    assert [(await client.get(url)).status for _ in range(2)] == [401, 401]
    assert (await client.get(await stream(client, server))).status == 200
    server.faults.assert_all_met()


# Met or not


async def pending(client: aiohttp.ClientSession, server: FakeSyllable, fault: Fault, path: str = LIST) -> list[str]:
    """What the queue says after one request, which must have been answered as if there were no fault."""
    async with client.get(path) as answer:
        expected = answer.status, await answer.read()
    server.faults.clear()
    server.faults.add("*", fault)
    async with client.get(path) as answer:
        assert (answer.status, await answer.read()) == expected
    return server.faults.pending


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (faults.cut(10**9), "the body has only"),
        (faults.pause(10**9, 1), "the body has only"),
        (faults.cut(10**9) & faults.hang_up(), "the body has only"),
        (faults.edit_json(lambda page: page["nothing"]), "KeyError('nothing')"),
        (faults.edit_json(lambda page: object()), "TypeError"),
        (faults.edit_json(lambda page: page), "it changed nothing"),
        (faults.clamp_limit(1_000), "it changed nothing"),
        (faults.repeat_page(), "it changed nothing"),
        (faults.content_range("bytes 0-0/1"), "it changed nothing"),
        (faults.weaken_etag(), "it changed nothing"),
        (faults.etag(None), "it changed nothing"),
        (faults.content_type("application/json"), "it changed nothing"),
        (faults.ignore_range(), "the request has no Range"),
        (UNTYPED.Fault(name="own", before=(repr,)), "it returned a str"),
        (UNTYPED.Fault(name="own", after=(print,)), "it returned a NoneType"),
        (Fault(name="own", before=(lambda call: {"": None}[call.path],)), "KeyError"),
        (Fault(name="own", query=(lambda query: replace(query, page=1 // query.page),)), "ZeroDivisionError"),
    ],
)
async def test_a_fault_that_could_not_be_applied_was_not_met(
    server: FakeSyllable, client: aiohttp.ClientSession, fault: Fault, why: str
) -> None:
    [told] = await pending(client, server, fault)
    assert f"{fault.name} (met 0 of 1 times; not applied: " in told
    assert why in told


async def test_a_condition_that_raises_lets_the_request_pass(
    server: FakeSyllable, client: aiohttp.ClientSession
) -> None:
    server.faults.add("*", faults.status(503), when=lambda call: int(call.params[0][1]) > 0)
    assert [(await client.get(f"{LIST}{query}")).status for query in ("", "?page=0", "?page=1")] == [200, 200, 503]
    server.faults.assert_all_met()
    server.faults.add("*", faults.status(503), when=lambda call: bool(call.params[7]))
    await client.get(LIST)
    assert server.faults.pending == [
        "*: status 503 (met 0 of 1 times; not applied: IndexError('list index out of range'))"
    ]


async def test_a_fault_of_the_list_does_nothing_elsewhere(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    for fault, path in (
        (faults.clamp_limit(1), f"{LIST}{server.sessions[0]}"),
        (faults.clamp_limit(1), f"{LIST}?limit=x"),
        (faults.date_bounds("[]"), "/nowhere"),
    ):
        [told] = await pending(client, server, fault, path)
        assert "the request did not get as far" in told


async def test_a_fault_that_was_not_met_took_its_turn(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    server.faults.add("*", faults.cut(10**9, times=2), faults.status(503))
    assert [(await client.get(LIST)).status for _ in range(3)] == [200, 200, 503]
    [told] = server.faults.pending
    assert told.startswith("*: cut at byte 1000000000 (met 0 of 2 times; not applied: the body has only ")
    with pytest.raises(AssertionError, match="the body has only"):
        server.faults.assert_all_met()


async def test_what_another_fault_answers_does_not_meet_a_standing_one(
    server: FakeSyllable, client: aiohttp.ClientSession
) -> None:
    server.faults.add("*", faults.null_totals(times=None), faults.status(503))
    async with client.get(LIST) as answer:
        assert await answer.json() == {"detail": "Scripted 503"}
    assert server.faults.pending == [
        "*: null totals (met 0 of at least 1 times; not applied: the request did not get as far)"
    ]
    assert (await page(client))["total_count"] is None
    server.faults.assert_all_met()


async def test_what_changes_an_answer_joins_a_scripted_one(server: FakeSyllable, client: aiohttp.ClientSession) -> None:
    server.faults.add("*", faults.status(503) & faults.content_type("text/html") & faults.broken_json())
    async with client.get(LIST) as answer:
        assert (answer.status, answer.content_type, await answer.text()) == (503, "text/html", '{"detail":"S')
    server.faults.assert_all_met()


async def test_what_the_fakes_own_functions_raise_reaches_the_test() -> None:
    def broken(_: object) -> Any:
        raise KeyError("mine")

    async with (
        FakeSyllable(1, api_key="key", sleep=broken, on_answer=broken) as server,
        aiohttp.ClientSession(server.url, headers={"Syllable-API-Key": "key"}) as client,
    ):
        server.faults.add("sessions.list", faults.delay(1))
        assert (await page(client))["total_count"] == 1
        assert server.faults.pending == [f"{name} raised KeyError('mine')" for name in ("sleep", "on_answer")]
        with pytest.raises(AssertionError, match="sleep raised"):
            server.faults.assert_all_met()
        server.faults.clear()
        server.faults.assert_all_met()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: UNTYPED.status("503"), "code must be an int, not str"),
        (lambda: UNTYPED.status(99), "code must be at least 200"),
        (lambda: UNTYPED.status(600), "code must be at most 599"),
        (lambda: UNTYPED.status(429, retry_after=float("nan")), "retry_after must be a number, not NaN"),
        (lambda: UNTYPED.status(429, headers={"X": 5}), "header X must be a str, not int"),
        (lambda: UNTYPED.status(429, headers={"X": "a\r\nY: b"}), "header X must not hold control characters"),
        (lambda: UNTYPED.status(429, headers={"X\n": "a"}), "a header's name must not hold control characters"),
        (lambda: UNTYPED.status(429, headers=[("a", "b")]), "headers must be a mapping of names to values, not list"),
        (lambda: UNTYPED.status(429, retry_after="1\r\n"), "retry_after must not hold control characters"),
        (lambda: UNTYPED.status(429, body={1, 2}), "Object of type set is not JSON serializable"),
        (lambda: UNTYPED.redirect(5), "location must be a str"),
        (lambda: UNTYPED.redirect("/\r\n"), "location must not hold control characters"),
        (lambda: UNTYPED.redirect("/", 200), "code must be at least 300"),
        (lambda: UNTYPED.rate_limit(0), "requests must be at least 1"),
        (lambda: UNTYPED.rate_limit(1, per=0), "per must be more than 0"),
        (lambda: UNTYPED.rate_limit(1, per=math.inf), "per must be finite"),
        (lambda: UNTYPED.rate_limit(1, clock=0), "clock must be a function"),
        (lambda: UNTYPED.delay(-1), "seconds must not be negative"),
        (lambda: UNTYPED.delay("1"), "seconds must be a number, not str"),
        (lambda: UNTYPED.pause(-1, 1), "at must not be negative"),
        (lambda: UNTYPED.pause(1, math.nan), "seconds must be a number, not NaN"),
        (lambda: UNTYPED.cut(-1), "at must not be negative"),
        (lambda: UNTYPED.cut(1.5), "at must be an int, not float"),
        (lambda: UNTYPED.cut(1, reset="yes"), "reset must be a bool"),
        (lambda: UNTYPED.clamp_limit(-1), "most must not be negative"),
        (lambda: UNTYPED.repeat_page(-1), "page must not be negative"),
        (lambda: UNTYPED.date_bounds("x"), "bounds must be one of"),
        (lambda: UNTYPED.edit_json(5), "change must be a function, not int"),
        (lambda: UNTYPED.content_type(None), "value must be a str"),
        (lambda: UNTYPED.edit_json(asyncio.sleep), "change must be a plain function, not an async one"),
        (lambda: UNTYPED.content_type("a\r\nb"), "value must not hold control characters"),
        (lambda: UNTYPED.etag(5), "value must be a str"),
        (lambda: UNTYPED.etag('"\r\n"'), "value must not hold control characters"),
        (lambda: UNTYPED.content_range("x\n"), "value must not hold control characters"),
        (lambda: UNTYPED.drop() & "x", "what a fault is joined with must be a fault, not str"),
        (lambda: UNTYPED.FaultQueue().add("*"), "no fault was given"),
        (lambda: UNTYPED.content_range(5), "value must be a str"),
        (lambda: UNTYPED.unsatisfiable(-1), "total must not be negative"),
        (lambda: UNTYPED.expire_tokens(code=200), "code must be at least 400"),
        (lambda: UNTYPED.drop(times=-1), "times must be at least 1"),
        (lambda: UNTYPED.drop(times=1.5), "times must be an int"),
        (lambda: UNTYPED.Fault(name=5), "name must be a str"),
        (
            lambda: UNTYPED.Fault(name="x", before=[print]),
            "before, query and after must be tuples of functions, not list",
        ),
        (lambda: UNTYPED.Fault(name="x", after=(5,)), "a hook must be a function, not int"),
        (lambda: UNTYPED.Fault(name="x", delivery=5), "delivery must be a Delivery, not int"),
        (lambda: UNTYPED.FaultQueue().add("*", 503), "a fault must be made by a function of .*faults, not int"),
        (lambda: UNTYPED.FaultQueue().add("*", UNTYPED.drop), "a fault must be made by .*, not function"),
        (lambda: UNTYPED.FaultQueue().add(5, UNTYPED.drop()), "route must be a str, not int"),
        (lambda: UNTYPED.FaultQueue().add("*", UNTYPED.drop(), when=5), "when must be a function, not int"),
    ],
)
def test_wrong_faults_are_refused_with_their_reason(make: Any, reason: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{reason}"):
        make()


def test_routes_and_faults_stand_in_help() -> None:
    for told in (faults.FaultQueue.add.__doc__, faults.__doc__, FakeSyllable.__doc__):
        for route in ("*", *OPERATIONS):
            assert f'`"{route}"`' in str(told)
    for name in set(faults.__all__) - {"Answer", "Call", "Delivery", "NotApplied", "Route"}:
        assert f"`{name}`" in str(faults.__doc__), name
    for route in get_args(get_args(faults.Route)[1]):
        assert route in OPERATIONS
