"""The vendor's own client runs against the fake unchanged, sync and async."""

from __future__ import annotations

import io
import wave
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from syllable_sdk import SyllableSDK, errors, models

from syllable_async.testing import FakeSyllable

Property = models.SessionProperties


@pytest.fixture(scope="module")
def server() -> Iterator[FakeSyllable]:
    with FakeSyllable(sessions=300, seed=3) as running:
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
    assert seen == list(reversed(server.sessions))


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
