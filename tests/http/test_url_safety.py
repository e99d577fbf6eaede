"""Which addresses may be contacted, and which never see the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from syllable_async import AsyncSyllableClient, NotFoundError, UntrustedRecordingURLError
from syllable_async._http.url_safety import check_recording_url
from syllable_async.testing import FakeSyllable, faults

Client = AsyncSyllableClient


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://localhost", "http://[::1]:8", "https://x.example/base/"])
def test_valid_base_urls(url: str) -> None:
    assert "key-in-repr" not in repr(Client("key-in-repr", base_url=url))
    assert Client("k", base_url="http://intranet.example", allow_insecure_http=True)


@pytest.mark.parametrize(
    "url",
    ["http://files.example/a", "https://10.0.0.1/a", "https://u@files.example/a", "ftp://files.example/a", "nonsense"],
)
async def test_untrusted_recording_urls_raise(client: Client, server: FakeSyllable, url: str) -> None:
    server.faults.add("sessions.generate_recording_urls", faults.edit_json(lambda body: {**body, "recordings": [url]}))
    with pytest.raises(UntrustedRecordingURLError) as caught:
        await client.sessions.recordings(server.listed[0])
    assert url not in str(caught.value)


@pytest.mark.parametrize("query", ["", "?token=", "?other=1"])
async def test_our_own_recording_urls_need_a_token(client: Client, server: FakeSyllable, query: str) -> None:
    url = f"{server.url}/api/v1/sessions/recording/stream{query}"
    server.faults.add("sessions.generate_recording_urls", faults.edit_json(lambda body: {**body, "recordings": [url]}))
    with pytest.raises(UntrustedRecordingURLError):
        await client.sessions.recordings(server.listed[0])


async def test_a_foreign_host_must_be_allowed_and_never_sees_the_key(
    client: Client, server: FakeSyllable, tmp_path: Path
) -> None:
    async with FakeSyllable(api_key=None, sessions=1) as foreign:
        url = f"{foreign.url}/anything"
        edit = faults.edit_json(lambda body: {**body, "recordings": [url]}, times=3)
        server.faults.add("sessions.generate_recording_urls", edit)
        with pytest.raises(UntrustedRecordingURLError, match="not https"):
            await client.sessions.recordings(server.listed[0])
        (recording,) = await client.sessions.recordings(server.listed[0], allow_hosts=["127.0.0.1"])
        with pytest.raises(NotFoundError):  # once more with a fresh URL, in case the first had expired
            await recording.save(tmp_path / "recording.wav")
        assert all("Syllable-API-Key" not in request.headers for request in foreign.requests)
        assert len(foreign.requests) == 2


def test_base_url_and_token_must_be_strings() -> None:
    wrong: Any = 3
    with pytest.raises(TypeError, match="base_url must be a str, not int"):
        AsyncSyllableClient("key", base_url=wrong)
    with pytest.raises(TypeError, match="token must be a str, not int"):
        AsyncSyllableClient("key").sessions.stream_recording(wrong)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "2130706433", "0x7f.1", "localhost", "x.localhost"])
def test_an_ip_literal_must_be_allowed(host: str) -> None:
    url = f"https://{host}/a.wav"
    with pytest.raises(UntrustedRecordingURLError, match="literal address"):
        check_recording_url(url, ())
    assert str(check_recording_url(url, {host.strip("[]")})) == url
