"""Prism, which reads the vendor's document by itself, takes every request of ours.

Run where `prism` is found (`npm install -g @stoplight/prism-cli`), or where `PRISM` names it; the document lies beside
the checkout.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from syllable_async import (
    AsyncSyllableClient,
    HTTPValidationError,
    ResponseValidationError,
    RetryPolicy,
    SessionLabelCreate,
    SessionLabelProperties,
    SessionProperties,
)

DOCUMENT = Path(__file__).parents[3] / "shared" / "wire" / "openapi-sessions.json"
PRISM = os.environ.get("PRISM") or shutil.which("prism")
pytestmark = [
    pytest.mark.filterwarnings("ignore::syllable_async.ResponseDriftWarning"),
    pytest.mark.long,
    pytest.mark.skipif(not PRISM or not DOCUMENT.exists(), reason="no prism, or no document beside the checkout"),
]
Client = AsyncSyllableClient
WINDOW: dict[str, Any] = {"start_datetime": "2026-01-01T00:00:00Z", "end_datetime": "2026-02-01T00:00:00+02:00"}
NEW: dict[str, Any] = {"session_id": 824, "type": "human-rating", "code": "GOOD", "user_email": "a@example.com"}
PAGE: dict[str, Any] = {"page": 2, "limit": 5, "order_by": "timestamp", "order_by_direction": "desc", **WINDOW}


KNOWN = [it for it in SessionProperties if not it.startswith("experiment_")]
"""Properties of a session that the document has; the vendor's later releases have more."""


async def page(client: Client, **arguments: Any) -> object:
    return await client.sessions.list(**arguments)


async def stream(client: Client) -> None:
    async with client.sessions.stream_recording("a token/+&=") as recording:
        async for _ in recording:
            pass


CALLS: dict[str, Callable[[Client], Awaitable[object]]] = {
    "list": page,
    "list, all": lambda client: page(client, **PAGE, fields=KNOWN),
    "list, filtered": lambda client: page(client, search_fields=KNOWN, search_field_values=["a b&c"] * len(KNOWN)),
    "session": lambda client: client.sessions.get_by_id("824"),
    "odd id": lambda client: client.sessions.get_by_id("a?b#c d"),
    "summary": lambda client: client.sessions.get_full_summary("824"),
    "transcript": lambda client: client.sessions.get_transcript("824"),
    "latency": lambda client: client.sessions.get_latency("824"),
    "timeline": lambda client: client.sessions.get_timeline("824"),
    "recordings": lambda client: client.sessions.generate_recording_urls("824"),
    "stream": stream,
    "labels": lambda client: client.session_labels.list(),
    "labels, all": lambda client: client.session_labels.list(**PAGE, fields=[*SessionLabelProperties]),
    "labels, filtered": lambda client: client.session_labels.list(
        search_fields=["session_id_list", "code"], search_field_values=["824,825", "GOOD"]
    ),
    "label": lambda client: client.session_labels.get_by_id(5),
    "new label": lambda client: client.session_labels.create(SessionLabelCreate(**NEW)),
    "new label, all": lambda client: client.session_labels.create(
        SessionLabelCreate(**NEW, comments="ü", issue_categories=["Too slow"])
    ),
    "by sid": lambda client: client.session_debug.get_by_sid("hedy", "CA 1"),
    "by id": lambda client: client.session_debug.get_by_session_id("824"),
    "tool": lambda client: client.session_debug.get_tool_result(824, "call_1"),
}


@pytest.fixture(scope="module")
def prism() -> Iterator[str]:
    """The address of a mock server that answers a request which does not fit the document by a 4xx."""
    command = [str(PRISM), "mock", "-h", "127.0.0.1", "-p", "0", str(DOCUMENT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        assert running.stdout is not None
        try:
            line = next((line for line in running.stdout if "listening on http" in line), "")
            assert line, "prism did not start"
            yield line[line.index("http://") :].split()[0].strip("\x1b[0m")
        finally:
            running.kill()


@pytest.mark.parametrize("name", CALLS)
async def test_prism_takes_every_request_of_ours(prism: str, name: str) -> None:
    async with Client("key", base_url=prism, retries=RetryPolicy(max_attempts=1)) as client:
        # Its answers are the document's examples, and some of these are texts where the schema says numbers.
        with suppress(ResponseValidationError):
            await CALLS[name](client)


async def test_what_does_not_fit_is_refused(prism: str) -> None:
    """Else the test above would prove nothing."""
    async with Client("key", base_url=prism, retries=RetryPolicy(max_attempts=1)) as client:
        with pytest.raises(HTTPValidationError):
            await client.sessions.list(order_by="mood")
        with pytest.raises(HTTPValidationError):
            await client.request("POST", "/api/v1/session_labels/", json={"code": "GOOD"})
    async with httpx.AsyncClient() as without_key:
        assert (await without_key.get(f"{prism}/api/v1/sessions/")).status_code == 401
