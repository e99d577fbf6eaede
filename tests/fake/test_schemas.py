"""Every reply fits the JSON Schema that the vendor's own models generate, and holds no field that they do not know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
import pytest

from syllable_async.testing import FakeSyllable
from tests.fake.vendor_document import REPLIES, reply_schema

PLAIN = {"numeric_ids": False, "hide_tests": False}
FEARED = {"listing": "begin", "totals": "null", "timestamp_resolution": "seconds", "recording_urls": "signed"}
NOON = "2026-02-03T12:00:00Z"


@pytest.fixture(scope="module", params=[{}, PLAIN, FEARED], ids=["seen live", "the document", "feared"])
def server(request: pytest.FixtureRequest) -> Iterator[FakeSyllable]:
    with FakeSyllable(sessions=80, seed=11, **request.param) as running:
        running.add_session(
            timestamp=NOON,
            recordings=[b"RIFF"],
            summary={"summary": "short"},
            transcript={"transcription": [{"timestamp": NOON}], "actions": [{"timestamp": NOON}]},
            timeline={"events": [{"kind": "tool", "timestamp": NOON, "offset": "00:00"}]},
        )
        yield running


@pytest.fixture
def client(server: FakeSyllable) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers={"Syllable-API-Key": server.api_key}) as running:
        yield running


def validator(model: Any) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(reply_schema(model), validate_formats=True)


@pytest.mark.parametrize(("method", "path"), [key for key in REPLIES if "{" in key[1]])
def test_replies_about_one_session_fit(method: str, path: str, server: FakeSyllable, client: httpx.Client) -> None:
    checker = validator(REPLIES[method, path])
    for session_id in server.sessions:
        reply = client.request(method, path.replace("{session_id}", session_id))
        assert reply.status_code == 200
        checker.validate(reply.json())


@pytest.mark.parametrize("query", ["", "?limit=0", "?limit=80", "?fields=source", "?page=99"])
def test_pages_fit(query: str, client: httpx.Client) -> None:
    validator(REPLIES["get", "/api/v1/sessions/"]).validate(client.get(f"/api/v1/sessions/{query}").json())


def test_every_field_of_a_session_is_shown(server: FakeSyllable) -> None:
    fields = set(reply_schema(REPLIES["get", "/api/v1/sessions/{session_id}"])["properties"])
    assert set(server.session(server.sessions[0])) == fields


def test_a_misspelt_field_would_be_noticed(server: FakeSyllable) -> None:
    session = server.session(server.sessions[0])
    session["sesion_id"] = session.pop("session_id")
    with pytest.raises(jsonschema_rs.ValidationError):
        validator(REPLIES["get", "/api/v1/sessions/{session_id}"]).validate(session)
