"""Every reply fits the JSON Schema that the vendor's own models generate, and holds no field that they do not know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
import pytest

from syllable_async.testing import FakeSyllable
from tests.fake.vendor_document import DEBUG, LABELS, REPLIES, ROOT, reply_schema

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
            session_id="7",
            labels=[{}, {"comments": "again", "issue_categories": ["Too slow"]}],
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


@pytest.mark.parametrize(("method", "path"), [key for key in REPLIES if "{session_id}" in key[1] and ROOT in key[1]])
def test_replies_about_one_session_fit(method: str, path: str, server: FakeSyllable, client: httpx.Client) -> None:
    checker = validator(REPLIES[method, path])
    for session_id in server.sessions:
        reply = client.request(method, path.replace("{session_id}", session_id))
        assert reply.status_code == 200
        checker.validate(reply.json())


def test_labels_and_debug_data_fit(server: FakeSyllable, client: httpx.Client) -> None:
    page = client.get(f"{LABELS}/?limit=1000").json()
    validator(REPLIES["get", f"{LABELS}/"]).validate(page)
    one = validator(REPLIES["get", f"{LABELS}/{{session_label_id}}"])
    for label in page["items"]:
        assert client.get(f"{LABELS}/{label['id']}").json() == label
        one.validate(label)
    whole = validator(REPLIES["get", f"{DEBUG}/session_id/{{session_id}}"])
    result = validator(REPLIES["get", f"{DEBUG}/tool_result/{{session_id}}/{{tool_call_id}}"])
    calls = 0
    for session_id in filter(str.isdecimal, server.sessions):
        data = client.get(f"{DEBUG}/session_id/{session_id}").json()
        whole.validate(data)
        for call in (call for message in data["messages"] for call in message["tool_calls"]):
            calls += 1
            found = client.get(f"{DEBUG}/tool_result/{session_id}/{call['tool_call_id']}").json()
            result.validate(found)
            assert (found["tool_name"], found["tool_result"]) == (call["tool_name"], call["tool_result"])
    assert calls


def test_a_label_that_is_made_fits(server: FakeSyllable, client: httpx.Client) -> None:
    label = {"session_id": 7, "type": "human-rating", "code": "BAD", "user_email": "a@example.com"}
    made = client.post(f"{LABELS}/", json=label).json()
    validator(REPLIES["post", f"{LABELS}/"]).validate(made)
    assert {name: made[name] for name in label} == label
    assert server.session("7")["session_label_id"] == str(made["id"])


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
