"""Labels and debug data through the client and the fake."""

from __future__ import annotations

import json
from typing import Any

import pytest

from syllable_async import (
    AsyncSyllableClient,
    HTTPValidationError,
    InternalServerError,
    NotFoundError,
    RetryPolicy,
    SessionLabel,
    SessionLabelCreate,
    SessionLabelProperties,
    SyllableConnectionError,
    decode,
    to_json,
)
from syllable_async.testing import FakeSyllable, faults

Client = AsyncSyllableClient
NEW = SessionLabelCreate(
    session_id="824", type="human-rating", code="GOOD", user_email="a@example.com", issue_categories=["Too slow"]
)


@pytest.fixture
def labelled(server: FakeSyllable) -> FakeSyllable:
    server.add_session(session_id="824", labels=[{"code": "BAD", "comments": "They cried."}])
    server.add_session(session_id="825", labels=[{}, {"code": "OK"}])
    return server


async def test_a_label_is_made_and_found_again(client: Client, labelled: FakeSyllable) -> None:
    made = await client.session_labels.create(NEW)
    assert (made.session_id, made.code, made.issue_categories) == (824, "GOOD", ("Too slow",))
    assert await client.session_labels.get_by_id(made.id) == made
    session = await client.sessions.get_by_id("824")
    assert session.session_label_id is not None
    assert await client.session_labels.get_by_id(session.session_label_id) == made
    assert decode(to_json(made), SessionLabel) == made


async def test_labels_of_several_sessions(client: Client, labelled: FakeSyllable) -> None:
    name = SessionLabelProperties.SESSION_ID_LIST
    page = await client.session_labels.list(search_fields=[name], search_field_values=["824, 825"], limit=2)
    assert (len(page.items), page.total_count, page.page_size) == (2, 3, 2)
    [entry] = labelled.requests.to("session_labels.list")
    assert entry.query == [("limit", "2"), ("search_fields", "session_id_list"), ("search_field_values", "824, 825")]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.drop(), SyllableConnectionError),
        (faults.drop(reset=True), SyllableConnectionError),
        (faults.cut(5), SyllableConnectionError),
        (faults.status(500), InternalServerError),
        (faults.status(503), InternalServerError),
        (faults.status(504), InternalServerError),
    ],
    ids=["FIN", "RST", "cut", "500", "503", "504"],
)
async def test_a_label_is_never_made_twice(
    client: Client, labelled: FakeSyllable, fault: faults.Fault, kind: type[Exception]
) -> None:
    labelled.faults.add("session_labels.create", fault)
    with pytest.raises(kind):
        await client.session_labels.create(NEW, retries=RetryPolicy(max_attempts=9, initial=0, deadline=None))
    assert len(labelled.requests.to("session_labels.create")) == 1
    assert labelled.faults.pending == []


async def test_what_a_429_refused_is_sent_again(labelled: FakeSyllable, timeless: type[Client]) -> None:
    labelled.faults.add("session_labels.create", faults.status(429, retry_after=3))
    async with timeless(labelled.api_key, base_url=labelled.url) as client:
        made = await client.session_labels.create(NEW)
    assert made.session_id == 824
    page = [label for label in labelled.requests.to("session_labels.create") if label.status == 200]
    assert len(page) == 1
    assert len(labelled.requests.to("session_labels.create")) == 2


async def test_a_lost_answer_says_that_the_label_may_be_there(client: Client, labelled: FakeSyllable) -> None:
    labelled.faults.add("session_labels.create", faults.cut(5))
    with pytest.raises(SyllableConnectionError) as caught:
        await client.session_labels.create(NEW)
    assert caught.value.outcome_unknown
    assert "a@example.com" not in f"{caught.value!r}{caught.value}"
    found = await client.session_labels.list(search_fields=["session_id"], search_field_values=["824"])
    assert len(found.items) == 2


async def test_only_what_is_given_is_sent(client: Client, labelled: FakeSyllable) -> None:
    await client.session_labels.create(SessionLabelCreate(session_id=824, type="t", code="c", user_email="u"))
    [entry] = labelled.requests.to("session_labels.create")
    assert json.loads(entry.body) == {"session_id": 824, "type": "t", "code": "c", "user_email": "u"}
    assert entry.headers["Content-Type"] == "application/json"


async def test_what_there_is_not(client: Client, labelled: FakeSyllable) -> None:
    for call in (
        client.session_labels.get_by_id(1),
        client.session_debug.get_by_session_id("1"),
        client.session_debug.get_by_sid("hedy", "CA1"),
        client.session_debug.get_tool_result(824, "call_1"),
    ):
        with pytest.raises(NotFoundError):
            await call


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "", "a/b", "CA0123", -1, 2**63, "9" * 30])
async def test_ids_that_are_no_numbers(client: Client, server: FakeSyllable, value: Any) -> None:
    for call in (
        lambda: client.session_labels.get_by_id(value),
        lambda: client.session_debug.get_by_session_id(value),
        lambda: client.session_debug.get_tool_result(value, "call_1"),
        lambda: (
            client.session_labels.list(search_fields=["session_id"], search_field_values=[str(value)])
            if value not in {2**63, "9" * 30}
            else client.session_labels.get_by_id(value)
        ),
    ):
        with pytest.raises(ValueError, match="number"):
            await call()
    assert len(server.requests) == 0


@pytest.mark.parametrize("value", [None, True, 5.0, b"5", ["5"]])
async def test_ids_of_another_type(client: Client, server: FakeSyllable, value: Any) -> None:
    with pytest.raises(TypeError, match="int or its digits"):
        await client.session_labels.get_by_id(value)
    with pytest.raises(TypeError, match="int or its digits"):
        await client.session_debug.get_by_session_id(value)
    assert len(server.requests) == 0


async def test_only_a_label_can_be_made(client: Client, server: FakeSyllable) -> None:
    wrong: Any = {"session_id": 824, "type": "t", "code": "c", "user_email": "u"}
    with pytest.raises(TypeError, match="SessionLabelCreate, not dict"):
        await client.session_labels.create(wrong)
    assert len(server.requests) == 0


async def test_a_filter_that_the_api_refuses(client: Client, labelled: FakeSyllable) -> None:
    with pytest.raises(HTTPValidationError):
        await client.session_labels.list(search_fields=["mood"], search_field_values=["x"])


async def test_views_have_their_own_policy(client: Client, labelled: FakeSyllable) -> None:
    labelled.faults.add("session_debug.get_by_session_id", faults.status(503, times=2))
    with pytest.raises(InternalServerError):
        await client.session_debug.get_by_session_id(824, retries=RetryPolicy(max_attempts=1))
    hasty = client.with_options(retries=RetryPolicy(max_attempts=2, initial=0))
    assert (await hasty.session_debug.get_by_session_id(824)).session_id == 824


async def test_debug_data_hides_what_was_said(client: Client, server: FakeSyllable) -> None:
    at = "2026-02-01T10:00:00"
    said = {"timestamp": at, "source": "agent", "text": "measles"}
    used = {"timestamp": at, "tool_name": "find", "tool_request": '{"who": "measles"}', "tool_result": '"measles"'}
    transcript = {"transcription": [said], "actions": [used]}
    server.add_session(session_id="824", source="+15550100", target="+15550101", transcript=transcript)
    data = await client.session_debug.get_by_session_id(824)
    [message] = data.messages
    [call] = message.tool_calls
    result = await client.session_debug.get_tool_result(824, call.tool_call_id)
    assert (message.dialog.text, call.tool_arguments, result.tool_result) == (
        "measles",
        {"who": "measles"},
        "measles",
    )
    assert message.timestamp.utcoffset() is not None
    assert call.timestamp.utcoffset() is not None
    shown = repr((data, message, call, result))
    assert "measles" not in shown
    assert "1555010" not in shown
    assert "tool_result=<hidden>, timestamp" in shown
    assert "display_result=None" in shown
