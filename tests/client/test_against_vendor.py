"""The vendor's client as judge: the same server, the same calls, the same values field by field."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from enum import Enum
from typing import Any, cast

import pytest
import pytest_asyncio
import syllable_sdk
from pydantic import BaseModel
from syllable_sdk import errors as vendor_errors
from syllable_sdk import models as vendor_models

from syllable_async import AsyncSyllableClient, AuthenticationError, HTTPValidationError, SessionLabelCreate
from syllable_async.testing import FakeSyllable, faults


@pytest_asyncio.fixture
async def vendor(server: FakeSyllable) -> AsyncIterator[syllable_sdk.SyllableSDK]:
    async with syllable_sdk.SyllableSDK(server_url=server.url, api_key_header=server.api_key) as sdk:
        yield sdk


def plain(value: Any) -> Any:
    """Either client's value as dicts, lists and strings. A time without an offset is UTC with us."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast("list[Any]", value)]
    if hasattr(value, "__attrs_attrs__"):
        return {field.name: plain(getattr(value, field.name)) for field in value.__attrs_attrs__}
    if type(value).__name__ == "Unset":
        return None
    if isinstance(value, BaseModel):
        return {name: plain(getattr(value, name)) for name in type(value).model_fields}
    return value


def assert_same(ours: Any, theirs: Any) -> None:
    left, right = plain(ours), plain(theirs)
    assert left == right
    assert left


LISTS: list[dict[str, Any]] = [
    {},
    {"page": 1, "limit": 7},
    {"limit": 0},
    {"search_fields": ["is_test"], "search_field_values": ["true"]},
    {"search_fields": ["agent_type", "is_legacy"], "search_field_values": ["ca_v1", "false"]},
    {"order_by": "duration", "order_by_direction": "asc"},
    {"order_by": "timestamp", "order_by_direction": "desc", "limit": 3},
    {"fields": ["session_id", "duration"]},
    {"start_datetime": "2026-01-01T00:00:00Z", "end_datetime": "2026-01-05T19:00:00+02:00"},
    {"start_datetime": "2026-01-05T19:00:00", "limit": 100},
]


@pytest.mark.parametrize("arguments", LISTS, ids=str)
async def test_lists_are_the_same(
    client: AsyncSyllableClient, vendor: syllable_sdk.SyllableSDK, arguments: dict[str, Any]
) -> None:
    theirs: dict[str, Any] = dict(arguments)
    for name in ("search_fields", "fields"):
        if name in theirs:
            theirs[name] = [vendor_models.SessionProperties(value) for value in theirs[name]]
    if "order_by" in theirs:
        theirs["order_by"] = vendor_models.SessionProperties(theirs["order_by"])
        theirs["order_by_direction"] = vendor_models.OrderByDirection(theirs["order_by_direction"])
    assert_same(await client.sessions.list(**arguments), await vendor.sessions.list_async(**theirs))


async def test_what_they_send_we_send(
    client: AsyncSyllableClient, vendor: syllable_sdk.SyllableSDK, server: FakeSyllable
) -> None:
    """All nine parameters; theirs always sends its default limit."""
    await vendor.sessions.list_async(
        page=1,
        limit=2,
        search_fields=[vendor_models.SessionProperties.AGENT_TYPE, vendor_models.SessionProperties.SOURCE],
        search_field_values=["a b&c", "ü"],
        order_by=vendor_models.SessionProperties.TARGET,
        order_by_direction=vendor_models.OrderByDirection.DESC,
        fields=[vendor_models.SessionProperties.TARGET],
        start_datetime="2026-01-01T00:00:00+02:00",
        end_datetime="2026-02-01T00:00:00Z",
    )
    await client.sessions.list(
        page=1,
        limit=2,
        search_fields=["agent_type", "source"],
        search_field_values=["a b&c", "ü"],
        order_by="target",
        order_by_direction="desc",
        fields=["target"],
        start_datetime="2026-01-01T00:00:00+02:00",
        end_datetime=datetime(2026, 2, 1, tzinfo=UTC),
    )
    theirs, ours = server.requests
    assert (ours.method, ours.path) == (theirs.method, theirs.path)
    expected = [(name, value.replace("Z", "+00:00")) for name, value in theirs.query]
    assert sorted(ours.query) == sorted(expected)


@pytest.mark.parametrize("naive", [False, True], ids=["offset", "no offset"])
async def test_every_session_is_the_same(
    client: AsyncSyllableClient, vendor: syllable_sdk.SyllableSDK, server: FakeSyllable, naive: bool
) -> None:
    if naive:
        strip = faults.edit_json(lambda body: {**body, "timestamp": body["timestamp"][:19]}, times=None)
        server.faults.add("sessions.get_by_id", strip)
    for name in server.sessions[:25]:
        session_id = str(name)
        ours = await client.sessions.get_by_id(session_id)
        assert_same(ours, await vendor.sessions.get_by_id_async(session_id=session_id))
        summary = await client.sessions.get_full_summary(session_id)
        theirs = await vendor.sessions.full_summary.get_by_id_async(session_id=session_id)
        assert_same(summary, theirs)


async def test_recordings_are_the_same(
    client: AsyncSyllableClient, vendor: syllable_sdk.SyllableSDK, server: FakeSyllable
) -> None:
    session_id = str(next(name for name in server.sessions if name and server.recordings(name)))
    minted = await vendor.sessions.generate_session_recording_urls_async(session_id=session_id)
    ours = await client.sessions.generate_recording_urls(session_id)
    assert minted.session_id == ours.session_id
    assert minted.recordings
    assert ours.recordings
    assert len(minted.recordings) == len(ours.recordings)
    token = minted.recordings[0].partition("token=")[2]
    theirs = await vendor.sessions.session_recording_stream_async(token=token)
    data = b"".join([chunk async for chunk in client.sessions.stream_recording(token)])
    assert data == await theirs.aread()
    assert data == server.recordings(session_id)[0]


LABEL_FILTERS: list[dict[str, Any]] = [
    {},
    {"page": 1, "limit": 2},
    {"search_fields": ["session_id_list"], "search_field_values": ["824,825"]},
    {"search_fields": ["session_id", "code"], "search_field_values": ["824", "BAD"]},
    {"search_fields": ["type", "user_email"], "search_field_values": ["human-rating", "reviewer@example.com"]},
    {"search_fields": ["issue_categories"], "search_field_values": ["Too slow"]},
    {"order_by": "code", "order_by_direction": "desc", "fields": ["code", "issue_categories"]},
    {"start_datetime": "2026-01-01T00:00:00Z", "end_datetime": "2027-01-01T00:00:00+02:00"},
]


def in_their_words(arguments: dict[str, Any]) -> dict[str, Any]:
    """The same arguments with the vendor's enumerations."""
    found, label = dict(arguments), vendor_models.SessionLabelProperties
    found.update({name: [label(it) for it in found[name]] for name in ("search_fields", "fields") if name in found})
    if "order_by" in found:
        found["order_by"] = label(found["order_by"])
        found["order_by_direction"] = vendor_models.OrderByDirection(found["order_by_direction"])
    return found


async def theirs(sync: bool, group: Any, operation: str, **arguments: Any) -> Any:
    """An operation of the vendor's, by its sync method (in a thread, for the server runs in this loop) or its twin."""
    if sync:
        return await asyncio.to_thread(getattr(group, operation), **arguments)
    return await getattr(group, f"{operation}_async")(**arguments)


@pytest.fixture(params=[True, False], ids=["sync", "async"])
def sync(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def test_labels_are_the_same(
    client: AsyncSyllableClient, vendor: syllable_sdk.SyllableSDK, server: FakeSyllable, sync: bool
) -> None:
    server.add_session(session_id="824", labels=[{"code": "BAD", "comments": "c", "issue_categories": ["Too slow"]}])
    server.add_session(session_id="825", labels=[{}, {"issue_categories": None}])
    for session_id in (824, "825"):
        made = await client.session_labels.create(
            SessionLabelCreate(session_id=session_id, type="human-rating", code="OK", user_email="a@example.com")
        )
        assert_same(made, await theirs(sync, vendor.session_labels, "get_by_id", session_label_id=made.id))
    asked = {"session_id": 825, "type": "auto-rating", "code": "N/A", "user_email": "b@example.com", "comments": "ü"}
    made_by_them = await theirs(sync, vendor.session_labels, "create", request=asked)
    assert_same(await client.session_labels.get_by_id(made_by_them.id), made_by_them)
    assert_same(await client.session_labels.get_by_id(str(made_by_them.id)), made_by_them)
    for filters in LABEL_FILTERS:
        ours = await client.session_labels.list(**filters)
        assert_same(ours, await theirs(sync, vendor.session_labels, "list", **in_their_words(filters)))
        assert ours.items
    sent = [json.loads(entry.body) for entry in server.requests.to("session_labels.create")]
    assert sent[2] == asked
    assert set(sent[0]) == {"session_id", "type", "code", "user_email"}


async def test_debug_data_is_the_same(
    client: AsyncSyllableClient, vendor: syllable_sdk.SyllableSDK, server: FakeSyllable, sync: bool
) -> None:
    results = 0
    for session_id in server.sessions[:12]:
        data = await client.session_debug.get_by_session_id(session_id)
        debug = vendor.session_debug
        assert_same(data, await theirs(sync, debug, "get_session_data_by_session_id", session_id=int(session_id)))
        row = server.session(session_id)
        if row["channel_manager_sid"] is not None:
            sid = {name: str(row[name]) for name in ("channel_manager_service", "channel_manager_sid")}
            assert data == await client.session_debug.get_by_sid(*sid.values())
            assert_same(data, await theirs(sync, debug, "get_session_data_by_sid", **sid))
        for call in (call for message in data.messages for call in message.tool_calls):
            results += 1
            result = await client.session_debug.get_tool_result(data.session_id, call.tool_call_id)
            place = {"session_id": data.session_id, "tool_call_id": call.tool_call_id}
            assert_same(result, await theirs(sync, debug, "get_session_tool_call_result_by_id", **place))
            assert result.tool_result == call.tool_result
    assert results


async def test_a_422_says_the_same(client: AsyncSyllableClient, vendor: syllable_sdk.SyllableSDK) -> None:
    with pytest.raises(HTTPValidationError) as ours:
        await client.request("GET", "/api/v1/sessions/", query={"page": -1, "limit": -1})
    with pytest.raises(vendor_errors.HTTPValidationError) as theirs:
        await vendor.sessions.list_async(page=-1, limit=-1)
    details = theirs.value.data.detail or []
    assert [(list(entry.loc), entry.msg, entry.type) for entry in ours.value.detail] == [
        (list(entry.loc), entry.msg, entry.type) for entry in details
    ]
    assert len(details) == 2


async def test_a_401_is_one_for_both(server: FakeSyllable) -> None:
    async with AsyncSyllableClient("wrong", base_url=server.url) as client:
        with pytest.raises(AuthenticationError) as ours:
            await client.sessions.list()
    async with syllable_sdk.SyllableSDK(server_url=server.url, api_key_header="wrong") as vendor:
        with pytest.raises(vendor_errors.APIError) as theirs:
            await vendor.sessions.list_async()
    assert (ours.value.status, ours.value.body) == (theirs.value.status_code, theirs.value.body.encode())
