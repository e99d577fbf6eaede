"""A recording's redirects: where they may lead, and how many are followed. The matrix has more (`FAULTS.md`, 35)."""

from __future__ import annotations

import pytest

from syllable_async import AsyncSyllableClient, RecordingError, RetryPolicy, UntrustedRecordingURLError
from tests.fault_server import Exchange, FaultServer, reply

WRONG: dict[str, tuple[str, type[Exception], str, int]] = {
    "to itself": ("", RecordingError, "more than 5 redirects", 6),
    "to what is no address": ("\x1f//[::1/r", UntrustedRecordingURLError, "not an absolute", 1),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_redirect_that_leads_nowhere_is_an_error(name: str) -> None:
    location, error, text, requests = WRONG[name]
    redirect: Exchange = reply(302, b"", {"Location": location})
    once = RetryPolicy(max_attempts=1)
    async with (
        FaultServer([], always=redirect) as server,
        AsyncSyllableClient("k", base_url=server.url, retries=once) as client,
    ):
        with pytest.raises(error, match=text):
            await client.sessions.stream_recording("token").__aenter__()
    assert len(server.requests) == requests
