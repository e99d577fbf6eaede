"""The vendor's own client runs against the fake unchanged, sync and async."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import AsyncIterator, Iterator
from enum import Enum
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import BaseModel
from syllable_sdk import SyllableSDK, errors, models

from syllable_async import AsyncSyllableClient
from syllable_async.testing import FakeSyllable

Property = models.SessionProperties


DOCUMENT: dict[str, Any] = {
    "numeric_ids": False,
    "refuse_sids": False,
    "hide_tests": False,
    "refuse_is_outbound": False,
    "redirect_slashes": False,
}
"""What was seen of the live API, switched off."""
FEARED: dict[str, Any] = {
    "listing": "end",
    "totals": "null",
    "bounds_resolution": "milliseconds",
    "timestamp_resolution": "seconds",
    "max_limit": 20,
    "page_size": "asked",
    "recording_urls": "token",
}


@pytest.fixture(scope="module", params=[{}, DOCUMENT], ids=["seen live", "the document"])
def server(request: pytest.FixtureRequest) -> Iterator[FakeSyllable]:
    with FakeSyllable(sessions=300, seed=3, **request.param) as running:
        yield running


class Vendor:
    """Calls an operation of the vendor's by name, with its sync method or its async twin."""

    def __init__(self, sdk: SyllableSDK, *, sync: bool) -> None:
        self._sdk = sdk
        self._sync = sync

    async def __call__(self, operation: str, **arguments: Any) -> Any:
        target: Any = self._sdk
        *groups, name = operation.split(".")
        for group in groups:
            target = getattr(target, group)
        if self._sync:
            return getattr(target, name)(**arguments)
        return await getattr(target, f"{name}_async")(**arguments)

    async def read(self, response: Any) -> bytes:
        data: bytes = response.read() if self._sync else await response.aread()
        return data


@pytest.fixture(params=["sync", "async"])
async def vendor(server: FakeSyllable, request: pytest.FixtureRequest) -> AsyncIterator[Vendor]:
    sdk = SyllableSDK(api_key_header=server.api_key, server_url=server.url)
    with sdk:
        async with sdk:
            yield Vendor(sdk, sync=request.param == "sync")


def a_call(server: FakeSyllable) -> str:
    """The id of a finished call with one recording."""
    return next(
        session_id
        for session_id in server.sessions
        if (row := server.session(session_id))["duration"]
        and row["transfer_voicemail_detected"] is None
        and not row["is_legacy"]
    )


async def test_reads_one_session_everywhere(server: FakeSyllable, vendor: Vendor) -> None:
    session_id = a_call(server)
    session = await vendor("sessions.get_by_id", session_id=session_id)
    assert session.session_id == session_id
    assert session.duration == server.session(session_id)["duration"]
    assert (await vendor("sessions.full_summary.get_by_id", session_id=session_id)).summary
    transcript = await vendor("sessions.transcript.get_by_id", session_id=session_id)
    assert transcript.transcription[0].source == "agent"
    assert (await vendor("sessions.latency.get_by_id", session_id=session_id)).timeline
    assert (await vendor("sessions.timeline.get_by_id", session_id=session_id)).events


async def test_streams_a_recording_of_the_announced_duration(server: FakeSyllable, vendor: Vendor) -> None:
    session_id = a_call(server)
    minted = await vendor("sessions.generate_session_recording_urls", session_id=session_id)
    url: str
    [url] = minted.recordings
    assert url.startswith(f"{server.url}/api/v1/sessions/recording/stream?token=")
    response = await vendor("sessions.session_recording_stream", token=parse_qs(urlsplit(url).query)["token"][0])
    with wave.open(io.BytesIO(await vendor.read(response))) as audio:
        assert audio.getnframes() / audio.getframerate() == server.session(session_id)["duration"]


async def test_every_list_parameter_works(server: FakeSyllable, vendor: Vendor) -> None:
    rows = [server.session(session_id) for session_id in server.sessions]
    start, end = rows[50]["timestamp"], rows[250]["timestamp"]
    wanted = [
        row for row in rows if start <= row["timestamp"] < end and row["agent_id"] == "12" and row["is_test"] is False
    ]
    page = await vendor(
        "sessions.list",
        page=1,
        limit=5,
        search_fields=[Property.AGENT_ID, Property.IS_TEST],
        search_field_values=["12", "false"],
        order_by=Property.DURATION,
        order_by_direction=models.OrderByDirection.DESC,
        fields=[Property.SESSION_ID, Property.DURATION],
        start_datetime=start,
        end_datetime=end,
    )
    durations = sorted((row["duration"] for row in wanted if row["duration"] is not None), reverse=True)
    assert [item.duration for item in page.items] == durations[5:10]
    assert (page.page, page.page_size, page.total_count) == (1, 5, len(wanted))
    assert page.total_pages == -(-len(wanted) // 5)
    assert all(item.model_fields_set == {"timestamp", "session_id", "duration"} for item in page.items)


async def test_walks_every_session_once(server: FakeSyllable, vendor: Vendor) -> None:
    seen: list[str] = []
    for number in range(4):
        page = await vendor("sessions.list", page=number, limit=100)
        seen += [item.session_id for item in page.items]
    assert seen == list(reversed(server.listed))


async def test_wrong_arguments_are_a_422(vendor: Vendor) -> None:
    with pytest.raises(errors.HTTPValidationError) as caught:
        await vendor("sessions.list", limit=-1)
    [complaint] = caught.value.data.detail or []
    assert complaint.loc == ["query", "limit"]
    assert complaint.type == "greater_than_equal"


async def test_a_wrong_key_is_a_401(server: FakeSyllable) -> None:
    with SyllableSDK(api_key_header="wrong", server_url=server.url) as sdk, pytest.raises(errors.APIError) as caught:
        sdk.sessions.list()
    assert caught.value.status_code == 401


async def test_a_malformed_datetime_is_the_400_of_the_list(vendor: Vendor) -> None:
    with pytest.raises(errors.SessionsListBadRequestError) as caught:
        await vendor("sessions.list", start_datetime="yesterday")
    assert caught.value.data.detail == "start_datetime is not an ISO 8601 datetime"


async def test_an_unknown_session_is_a_404(vendor: Vendor) -> None:
    with pytest.raises(errors.APIError) as caught:
        await vendor("sessions.get_by_id", session_id="nobody")
    assert caught.value.status_code == 404


# Beside this project's own client

LISTS: list[dict[str, Any]] = [
    {},
    {"page": 1, "limit": 7},
    {"limit": 0},
    {"search_fields": ["is_test"], "search_field_values": ["true"], "limit": 300},
    {"search_fields": ["agent_type", "agent_name"], "search_field_values": ["ca_v1", "Front Desk"]},
    {"order_by": "duration", "order_by_direction": "asc"},
    {"fields": ["session_id", "duration"], "page": 2},
    {"start_datetime": "2026-01-05T14:00:00.0015Z", "end_datetime": "2026-01-05T19:00:00+02:00"},
]


def plain(value: Any) -> Any:
    """Either client's value as dicts, lists and strings."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast("list[Any]", value)]
    if type(value).__name__ == "Unset":
        return None
    names: list[str] = [field.name for field in getattr(value, "__attrs_attrs__", ())]
    names += list(value.__class__.model_fields) if isinstance(value, BaseModel) else []
    return {name: plain(getattr(value, name)) for name in names} if names else value


@pytest.fixture(params=[{}, DOCUMENT, FEARED], ids=["seen live", "the document", "feared"])
async def odd(request: pytest.FixtureRequest) -> AsyncIterator[FakeSyllable]:
    async with FakeSyllable(sessions=300, seed=3, **request.param) as running:
        yield running


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
async def test_every_operation_gives_what_ours_gives(odd: FakeSyllable, sync: bool) -> None:
    sdk = SyllableSDK(api_key_header=odd.api_key, server_url=odd.url)
    async with AsyncSyllableClient(odd.api_key, base_url=odd.url) as ours, sdk:
        with sdk:
            call = Vendor(sdk, sync=sync)

            async def theirs(operation: str, **arguments: Any) -> Any:
                # The server runs in this loop: a blocking call must leave it free.
                return await (
                    asyncio.to_thread(asyncio.run, call(operation, **arguments))
                    if sync
                    else call(operation, **arguments)
                )

            for arguments in LISTS:
                page = plain(await ours.sessions.list(**arguments))
                assert page == plain(await theirs("sessions.list", **in_their_words(arguments)))
                assert page["items"] or arguments == {"limit": 0}
            for session_id in (a_call(odd), odd.sessions[0], odd.sessions[-1]):
                for read, operation in (
                    (ours.sessions.get_by_id, "sessions.get_by_id"),
                    (ours.sessions.get_full_summary, "sessions.full_summary.get_by_id"),
                    (ours.sessions.get_latency, "sessions.latency.get_by_id"),
                    (ours.sessions.get_timeline, "sessions.timeline.get_by_id"),
                ):
                    assert plain(await read(session_id)) == plain(await theirs(operation, session_id=session_id))
                odd.update(session_id, complete_after=1)
                transcript = await theirs("sessions.transcript.get_by_id", session_id=session_id)
                assert plain(await ours.sessions.get_transcript(session_id)) == plain(transcript)
            minted = await ours.sessions.generate_recording_urls(a_call(odd))
            again = await theirs("sessions.generate_session_recording_urls", session_id=a_call(odd))
            assert minted.session_id == again.session_id
            [mine], [other] = list(minted.recordings or ()), again.recordings
            data = b"".join([chunk async for chunk in ours.sessions.stream_recording(mine.rpartition("=")[2])])
            response = await theirs("sessions.session_recording_stream", token=other.rpartition("=")[2])
            assert data == await call.read(response) == odd.recordings(a_call(odd))[0]


def in_their_words(arguments: dict[str, Any]) -> dict[str, Any]:
    """The same arguments with the vendor's enumerations."""
    found = dict(arguments)
    for name in ("search_fields", "fields"):
        if name in found:
            found[name] = [Property(value) for value in found[name]]
    if "order_by" in found:
        found["order_by"] = Property(found["order_by"])
        found["order_by_direction"] = models.OrderByDirection(found["order_by_direction"])
    return found
