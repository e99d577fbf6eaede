"""Rules that only show in corners: what is refused by its type, what vanished meanwhile."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from syllable_async import (
    AsyncSyllableClient,
    NotFoundError,
    OrderByDirection,
    RecordingError,
    RetryPolicy,
    SyllableConnectionError,
    UntrustedRecordingURLError,
)
from syllable_async._http.status_errors import parse_retry_after
from syllable_async._http.url_safety import check_recording_url
from syllable_async._recordings.file import PartFile
from syllable_async.testing import FakeSyllable, faults


def test_an_enum_keeps_an_unknown_string_and_refuses_anything_else() -> None:
    assert OrderByDirection("sideways").value == "sideways"
    number: Any = 3
    with pytest.raises(ValueError, match="3 is not a valid OrderByDirection"):
        OrderByDirection(number)


async def test_a_naive_time_in_a_query_is_refused_before_anything_is_sent(
    client: AsyncSyllableClient, server: FakeSyllable
) -> None:
    with pytest.raises(ValueError, match="must be aware"):
        await client.request("GET", "api", "v1", "agents", query={"since": datetime(2026, 5, 1)})
    assert len(server.requests) == 0


def test_a_date_that_no_calendar_has_is_no_retry_after() -> None:
    assert parse_retry_after({"Retry-After": "Mon, 31 Feb 2026 08:00:00 GMT"}, 0.0) is None
    assert parse_retry_after({"Retry-After": "Thu, 01 Jan 1970 00:01:00 GMT"}, 0.0) == 60.0


async def test_a_truth_value_in_a_query_is_written_as_json_does(
    client: AsyncSyllableClient, server: FakeSyllable
) -> None:
    with pytest.raises(NotFoundError):
        await client.request("GET", "api", "v1", "agents", query={"active": True, "deleted": False})
    assert server.requests[0].query == [("active", "true"), ("deleted", "false")]
    assert repr(server.requests) == "<RequestLog of 1>"


def test_a_token_and_an_address_are_text() -> None:
    wrong: Any = 3
    with pytest.raises(TypeError, match="base_url must be a str, not int"):
        AsyncSyllableClient("key", base_url=wrong)
    with pytest.raises(TypeError, match="token must be a str, not int"):
        AsyncSyllableClient("key").sessions.stream_recording(wrong)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "2130706433", "0x7f.1", "localhost", "x.localhost"])
def test_a_recording_does_not_lie_on_a_literal_address_unless_it_is_listed(host: str) -> None:
    url = f"https://{host}/a.wav"
    with pytest.raises(UntrustedRecordingURLError, match="literal address"):
        check_recording_url(url, ())
    assert str(check_recording_url(url, {host.strip("[]")})) == url


def test_a_part_file_that_was_given_up_cannot_be_published(tmp_path: Path) -> None:
    file = PartFile(tmp_path / "a.wav", "recording", overwrite=True)
    file.create()
    file.write([b"RIFF"])
    file.discard()
    with pytest.raises(FileNotFoundError, match="the part file is gone"):
        file.publish()
    assert list(tmp_path.iterdir()) == []


async def test_a_recording_that_the_session_no_longer_has(client: AsyncSyllableClient, server: FakeSyllable) -> None:
    session_id = server.add_session(recordings=[b"RIFF" * 1000])
    (recording,) = await client.sessions.recordings(session_id)
    server.update(session_id, recordings=[])
    server.faults.add("sessions.stream_recording", faults.status(403))
    with pytest.raises(RecordingError, match="no longer has this recording"):
        async with recording:
            pass


async def test_a_borrowed_session_tells_a_connection_that_never_came(unused_tcp_port: int) -> None:
    async with (
        aiohttp.ClientSession() as session,
        AsyncSyllableClient(
            "key", base_url=f"http://127.0.0.1:{unused_tcp_port}", session=session, retries=RetryPolicy(max_attempts=1)
        ) as client,
    ):
        with pytest.raises(SyllableConnectionError) as caught:
            await client.request("POST", "api", "v1", "x", json={})
    assert not caught.value.outcome_unknown
