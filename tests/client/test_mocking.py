"""The client under aioresponses, as users may mock it. It fakes the session, so it proves nothing about the wire."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from aioresponses import aioresponses

from syllable_async import AsyncSyllableClient, InternalServerError, NotFoundError, RetryPolicy
from tests.client.mocking import MockedResponse

API = "https://api.syllable.cloud/api/v1/sessions/"
SESSION = {"timestamp": "2026-01-01T10:00:00Z", "session_id": "s1"}


@pytest.fixture
def mocked() -> Iterator[Any]:
    with aioresponses() as mock:
        yield mock


def answer(body: object, status: int = 200) -> dict[str, Any]:
    text = json.dumps(body)
    return {
        "status": status,
        "body": text,
        "headers": {"Content-Length": str(len(text))},
        "response_class": MockedResponse,
    }


async def test_one_session(mocked: Any) -> None:
    mocked.get(f"{API}s1", **answer(SESSION))
    async with AsyncSyllableClient("key") as client:
        session = await client.sessions.get_by_id("s1")
    assert session.session_id == "s1"
    ((_, (call,)),) = mocked.requests.items()
    assert call.kwargs["headers"]["Syllable-API-Key"] == "key"


async def test_a_list(mocked: Any) -> None:
    page = {"items": [SESSION], "page": 0, "page_size": 25, "total_pages": 1, "total_count": 1}
    mocked.get(re.compile(rf"{API}\?.*"), **answer(page))
    async with AsyncSyllableClient("key") as client:
        assert [session.session_id async for session in client.sessions.list(limit=25)] == ["s1"]


async def test_an_error_that_passes(mocked: Any) -> None:
    mocked.get(f"{API}full-summary/s1", **answer({"detail": "busy"}, 503))
    mocked.get(f"{API}full-summary/s1", **answer({"summary": "Well.", "rating": None}))
    async with AsyncSyllableClient("key", retries=RetryPolicy(initial=0)) as client:
        assert (await client.sessions.get_full_summary("s1")).summary == "Well."


@pytest.mark.parametrize(("status", "error"), [(404, NotFoundError), (501, InternalServerError)])
async def test_an_error_that_stays(mocked: Any, status: int, error: type[Exception]) -> None:
    mocked.post(f"{API}recording/s1", **answer({"detail": "no"}, status))
    async with AsyncSyllableClient("key") as client:
        with pytest.raises(error):
            await client.sessions.generate_recording_urls("s1")
