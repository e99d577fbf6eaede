"""What was seen of the live API, and what is only feared of it: each setting does what its docstring says."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from syllable_async.testing import FakeSyllable, faults

LIST = "/api/v1/sessions/"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
Document = dict[str, Any]


@asynccontextmanager
async def running(**settings: Any) -> AsyncGenerator[tuple[FakeSyllable, Client]]:
    async with (
        FakeSyllable(settings.pop("sessions", 0), **settings) as server,
        aiohttp.ClientSession(server.url, headers={"Syllable-API-Key": server.api_key}) as session,
    ):
        yield server, Client(session)


class Client:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def get(self, path: str, *query: tuple[str, str]) -> tuple[int, Any]:
        async with self._session.get(path, params=list(query), allow_redirects=False) as answer:
            text = await answer.text()
            return answer.status, await answer.json() if text else answer.headers.get("Location")

    async def page(self, **query: str | int) -> Document:
        status, document = await self.get(LIST, *((name, str(value)) for name, value in query.items()))
        assert status == 200
        found: Document = document
        return found

    async def ids(self, *query: tuple[str, str]) -> list[str]:
        status, document = await self.get(LIST, ("limit", "1000"), *query)
        assert status == 200
        return [item["session_id"] for item in document["items"]]


def search(name: str, value: str) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("search_fields", name), ("search_field_values", value)


class Now:
    """A wall clock that stands still."""

    def __init__(self, moment: datetime = NOON) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment

    def pass_by(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


# Seen of the live API


async def test_ids_are_numbers_written_as_strings_or_uuids() -> None:
    for numeric in (True, False):
        async with running(sessions=200, numeric_ids=numeric) as (server, client):
            assert all(name.isdigit() is numeric for name in server.sessions)
            assert (await client.get(f"{LIST}{server.sessions[-1]}"))[0] == 200
            added = server.add_session()
            assert added.isdigit() is numeric
            assert (await client.get(f"{LIST}{added}"))[1]["session_id"] == added


@pytest.mark.parametrize("path", ["", "full-summary/", "transcript/", "latency/", "timeline/"])
async def test_a_sid_in_place_of_an_id_is_a_400(path: str) -> None:
    sid = f"CA{'0a' * 16}"
    for refuse, status in ((True, 400), (False, 404)):
        async with running(refuse_sids=refuse) as (server, client):
            session_id = server.add_session(channel_manager_sid=sid, is_test=False)
            assert (await client.get(f"{LIST}{path}{sid}"))[0] == status
            assert (await client.get(f"{LIST}{path}nobody"))[0] == 404
            assert (await client.get(f"{LIST}{path}{session_id}"))[0] == 200
            assert await client.ids(*search("channel_manager_sid", sid)) == [session_id]


async def test_test_sessions_are_left_out_unless_the_filter_adds_them() -> None:
    async with running(sessions=300) as (server, client):
        tests = [name for name in server.sessions if server.session(name)["is_test"]]
        real = [name for name in server.sessions if name not in tests]
        assert len(tests) > 10
        assert await client.ids() == list(reversed(real)) == list(reversed(server.listed))
        assert await client.ids(*search("is_test", "false")) == list(reversed(real))
        assert await client.ids(*search("is_test", "true")) == list(reversed(server.sessions))
        assert (await client.page(limit=1))["total_count"] == len(real)
        assert (await client.get(f"{LIST}{tests[0]}"))[1]["is_test"] is True
        server.update(tests[0], is_test=False)
        server.update(real[0], is_test=True)
        server.delete(tests[1])
        assert set(await client.ids()) == {*real[1:], tests[0]} == set(server.listed)


async def test_the_plain_document_shows_test_sessions_and_filters_by_them() -> None:
    async with running(sessions=300, hide_tests=False) as (server, client):
        tests = [name for name in server.sessions if server.session(name)["is_test"]]
        assert await client.ids() == list(reversed(server.sessions)) == list(reversed(server.listed))
        assert await client.ids(*search("is_test", "true")) == list(reversed(tests))
        assert len(await client.ids(*search("is_test", "false"))) == 300 - len(tests)


async def test_is_outbound_is_no_search_field_but_everything_else() -> None:
    async with running(sessions=50) as (_, client):
        status, document = await client.get(LIST, *search("is_outbound", "true"))
        [complaint] = document["detail"]
        assert (status, complaint["loc"], complaint["type"]) == (422, ["query", "search_fields", 0], "enum")
        assert (await client.get(LIST, ("order_by", "is_outbound"), ("fields", "is_outbound")))[0] == 200
    async with running(sessions=50, refuse_is_outbound=False) as (server, client):
        outbound = [name for name in server.listed if server.session(name)["is_outbound"]]
        assert await client.ids(*search("is_outbound", "true")) == list(reversed(outbound))


async def test_a_missing_slash_is_a_307_or_nothing() -> None:
    async with running() as (server, client):
        assert await client.get(LIST.rstrip("/")) == (307, f"{server.url}{LIST}")
    async with running(redirect_slashes=False) as (_, client):
        assert (await client.get(LIST.rstrip("/")))[0] == 404


# Late listing


def call(server: FakeSyllable, **fields: Any) -> str:
    return server.add_session(is_test=False, channel_manager_type="voice_sip_v1", **{"timestamp": NOON, **fields})


async def test_without_late_listing_a_session_is_listed_when_it_was_added() -> None:
    async with running(now=Now()) as (server, client):
        future = call(server, timestamp=NOON + timedelta(days=1))
        assert await client.ids() == [future]


async def test_sessions_are_listed_when_they_begin_and_have_no_duration_until_they_end() -> None:
    now = Now(NOON - timedelta(seconds=1))
    async with running(listing="begin", now=now) as (server, client):
        session_id = call(server, duration=60, recordings=[b"x"])
        assert await client.ids() == []
        assert (await client.get(f"{LIST}{session_id}"))[0] == 404
        now.pass_by(1)
        for shown in ((await client.page())["items"][0], (await client.get(f"{LIST}{session_id}"))[1]):
            assert (shown["session_id"], shown["duration"]) == (session_id, None)
        assert (await client.get(f"{LIST}full-summary/{session_id}"))[1] == {"summary": None, "rating": None}
        now.pass_by(60)
        assert (await client.page(fields="duration"))["items"][0]["duration"] == 60
        assert (await client.get(f"{LIST}{session_id}"))[1]["duration"] == 60


async def test_sessions_are_listed_when_they_end() -> None:
    now = Now()
    async with running(listing="end", now=now) as (server, client):
        long, short, endless = call(server, duration=100), call(server, duration=10), call(server, duration=None)
        chat = server.add_session(is_test=False, channel_manager_type="web_chat_v1", duration=None, timestamp=NOON)
        seen: list[list[str]] = []
        for seconds in (9, 1, 35, 55):
            now.pass_by(seconds)
            seen.append(await client.ids())
            assert seen[-1] == list(reversed(server.listed))
        assert seen == [[], [short], [chat, short], [chat, short, long]]
        assert (await client.get(f"{LIST}{endless}"))[1]["duration"] is None
        assert (await client.page())["total_count"] == 3
        assert (await client.page(start_datetime=NOON.isoformat(), order_by="duration"))["total_count"] == 3


def twice_its_duration(row: Document) -> float:
    return 2 * float(row["duration"])


async def test_sessions_are_listed_by_a_distribution_or_a_function_and_one_by_one() -> None:
    now = Now()
    async with running(listing=(100, 200), now=now) as (server, client):
        for number in range(50):
            call(server, session_id=str(number))
        never = call(server, listed_after=math.inf)
        counts: list[int] = []
        for seconds in (99, 51, 51):
            now.pass_by(seconds)
            counts.append(len(await client.ids()))
        assert counts[0] == 0 < counts[1] < counts[2] == 50
        assert never not in server.listed
    async with running(listing=twice_its_duration, now=now) as (server, client):
        call(server, timestamp=now(), duration=5, session_id="5")
        now.pass_by(9)
        assert await client.ids() == []
        now.pass_by(1)
        assert await client.ids() == ["5"]
    async with running(now=now) as (server, client):
        late, plain = call(server, listed_after=500, timestamp=now()), call(server)
        assert await client.ids() == [plain]
        server.update(late, listed_after=0)
        assert await client.ids() == [late, plain]


async def test_the_same_seed_lists_alike() -> None:
    now = Now(datetime(2026, 1, 5, 18, tzinfo=UTC))
    fakes = [FakeSyllable(500, seed=seed, listing=(0, 7_200), now=now) for seed in (1, 1, 2)]
    assert fakes[0].listed == fakes[1].listed != fakes[2].listed
    assert 0 < len(fakes[0].listed) < len([name for name in fakes[0].sessions if name])


# A replica that is behind


async def test_a_replica_gets_every_write_later_and_single_sessions_at_once() -> None:
    clock = 0.0
    async with running(sessions=20, replica_lag=10, clock=lambda: clock) as (server, client):
        before = await client.ids()
        added = call(server, timestamp=NOON + timedelta(days=300))
        server.delete(before[0])
        server.update(before[1], agent_name="renamed")
        assert await client.ids() == before
        assert (await client.page())["total_count"] == len(before)
        assert (await client.get(f"{LIST}{added}"))[0] == 200
        assert (await client.get(f"{LIST}{before[0]}"))[0] == 404
        clock = 9.9
        assert await client.ids() == before
        clock = 10
        assert await client.ids() == [added, *before[1:]]
        assert (await client.page())["items"][1]["agent_name"] == "renamed"


async def test_a_replica_can_answer_some_calls_and_never_catch_up_by_itself() -> None:
    async with running(replica_lag=math.inf, replica="random") as (server, client):
        summary: Document = {"rating": "Good"}
        session_id = call(server, summary=summary)
        summary["rating"] = 5  # what was given is not read again
        seen = [await client.ids() for _ in range(40)]
        assert 5 < seen.count([]) < 35
        assert seen.count([]) + seen.count([session_id]) == 40
        server.catch_up()
        assert [await client.ids() for _ in range(10)] == [[session_id]] * 10


# Totals, resolutions, limits


async def test_totals_are_exact_null_or_capped() -> None:
    for totals, shown in (("exact", (4, 40)), ("null", (None, None)), (25, (3, 25)), (1_000, (4, 40))):
        async with running(sessions=40, hide_tests=False, totals=totals) as (_, client):
            page = await client.page(limit=10, page=3)
            assert (page["total_pages"], page["total_count"]) == shown
            assert len(page["items"]) == 10


@pytest.mark.parametrize(
    ("resolution", "shown"),
    [("microseconds", "12:00:01.234567Z"), ("milliseconds", "12:00:01.234000Z"), ("seconds", "12:00:01Z")],
)
async def test_times_are_shown_as_coarse_as_asked(resolution: str, shown: str) -> None:
    moment = NOON + timedelta(seconds=1, microseconds=234_567)
    async with running(timestamp_resolution=resolution) as (server, client):
        session_id = call(server, timestamp=moment, override_timestamp="2026-03-02T12:00:01.234567+02:00")
        for row in ((await client.page())["items"][0], (await client.get(f"{LIST}{session_id}"))[1]):
            assert row["timestamp"] == f"2026-03-02T{shown}"
            assert row["override_timestamp"] == f"2026-03-02T{shown.replace('Z', '+02:00')}"
        assert (await client.page(fields="session_id"))["items"][0]["timestamp"] == f"2026-03-02T{shown}"
        assert len(await client.ids(("start_datetime", moment.isoformat()))) == 1
        assert await client.ids(("start_datetime", (moment + timedelta(microseconds=1)).isoformat())) == []
        assert server.session(session_id)["timestamp"] == "2026-03-02T12:00:01.234567Z"


async def test_bounds_are_cut_as_coarse_as_asked() -> None:
    moment = NOON + timedelta(microseconds=1_500)
    found: list[tuple[int, int]] = []
    for resolution in ("microseconds", "milliseconds", "seconds"):
        async with running(bounds_resolution=resolution) as (server, client):
            call(server, timestamp=moment)
            after = ("start_datetime", (moment + timedelta(microseconds=1)).isoformat())
            until = ("end_datetime", (moment + timedelta(microseconds=1)).isoformat())
            found.append((len(await client.ids(after)), len(await client.ids(until))))
    assert found == [(0, 1), (1, 0), (1, 0)]


async def test_a_limit_is_clamped_and_the_clamp_changes() -> None:
    async with running(sessions=40, hide_tests=False, max_limit=7) as (_, client):
        first, second = await client.page(limit=10), await client.page(limit=10, page=1)
        assert (len(first["items"]), first["page_size"], first["total_pages"]) == (7, 7, 6)
        assert first["items"][-1]["timestamp"] >= second["items"][0]["timestamp"]
        assert (await client.page(limit=3))["page_size"] == 3
    async with running(sessions=40, hide_tests=False, max_limit=(5, 8), page_size="asked") as (_, client):
        pages = [await client.page(limit=10) for _ in range(4)]
        assert [len(page["items"]) for page in pages] == [5, 8, 5, 8]
        assert {page["page_size"] for page in pages} == {10}


async def test_faults_join_oddities() -> None:
    async with running(sessions=40, max_limit=7) as (server, client):
        server.faults.add("sessions.list", faults.clamp_limit(3), faults.date_bounds("(]"))
        assert len((await client.page())["items"]) == 3
        assert len((await client.page())["items"]) == 7
        server.faults.assert_all_met()


# What cannot be


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"sessions": -1}, "sessions must not be negative"),
        ({"sessions": True}, "sessions must be an int, not bool"),
        ({"seed": "x"}, "seed must be an int, not str"),
        ({"api_key": 5}, "api_key must be a str, not int"),
        ({"api_key": ""}, "api_key must be printable"),
        ({"api_key": "a\r\nb"}, "api_key must be printable"),
        ({"api_key": " a"}, "api_key must be printable"),
        ({"bounds": "x"}, r"bounds must be one of '\[\)', '\[\]', '\(\)', '\(\]', not 'x'"),
        ({"bounds": None}, "bounds must be a str, not NoneType"),
        ({"host": 5}, "host must be a str"),
        ({"port": -1}, "port must not be negative"),
        ({"port": 65_536}, "port must be at most 65535"),
        ({"ssl_context": True}, "ssl_context must be an ssl.SSLContext, not bool"),
        ({"log_limit": -1}, "log_limit must not be negative"),
        ({"log_limit": "1"}, "log_limit must be an int"),
        ({"clock": 5}, "clock must be a function"),
        ({"sleep": 5}, "sleep must be a function"),
        ({"on_answer": 5}, "on_answer must be a function"),
        ({"on_answer": asyncio.sleep}, "on_answer must be a plain function, not an async one"),
        ({"now": NOON}, "now must be a function"),
        ({"now": lambda: datetime(2026, 1, 1)}, "now must give an aware datetime"),
        ({"token_lifetime": -1}, "token_lifetime must not be negative"),
        ({"token_lifetime": math.nan}, "token_lifetime must be a number, not NaN"),
        ({"numeric_ids": "yes"}, "numeric_ids must be a bool, not str"),
        ({"hide_tests": None}, "hide_tests must be a bool"),
        ({"listing": "later"}, "listing must be one of 'at once', 'begin', 'end', not 'later'"),
        ({"listing": 5}, "listing, where it is neither a name nor two numbers, must be a function, not int"),
        ({"listing": (5, 1)}, "listing must be two finite numbers"),
        ({"listing": (0, math.inf)}, "listing must be two finite numbers"),
        ({"listing": (1, 2, 3)}, "listing must be two numbers"),
        ({"replica_lag": -1}, "replica_lag must not be negative"),
        ({"replica": "both"}, "replica must be one of 'sticky', 'random'"),
        ({"totals": "some"}, "totals must be one of 'exact', 'null'"),
        ({"totals": -5}, "totals must not be negative"),
        ({"totals": None}, "totals must be an int"),
        ({"bounds_resolution": "days"}, "bounds_resolution must be one of"),
        ({"timestamp_resolution": 1}, "timestamp_resolution must be a str"),
        ({"max_limit": 0}, "max_limit must be at least 1"),
        ({"max_limit": []}, "max_limit must be an int or some of them"),
        ({"max_limit": "25"}, "max_limit must be an int or some of them"),
        ({"max_limit": [5, "x"]}, "max_limit must be an int, not str"),
        ({"page_size": "mine"}, "page_size must be one of 'served', 'asked'"),
        ({"recording_urls": "ftp"}, "recording_urls must be one of 'own', 'token'"),
        ({"public_url": "api.example.com"}, "public_url must be a scheme and a host"),
        ({"public_url": "https://api.example.com/x"}, "public_url must be a scheme and a host"),
        ({"recording_list": "odd"}, "recording_list must be one of"),
    ],
)
def test_wrong_settings_are_refused_with_their_reason(arguments: Document, reason: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{reason}"):
        FakeSyllable(**arguments)


def test_every_setting_stands_in_help() -> None:
    told = inspect.getdoc(FakeSyllable) or ""
    for name in inspect.signature(FakeSyllable).parameters:
        assert f"\n    {name}: " in told, name
