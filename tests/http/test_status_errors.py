"""An unsuccessful response as an error."""

from __future__ import annotations

import json
import pickle

import pytest

from syllable_async import (
    APIError,
    AsyncSyllableClient,
    AuthenticationError,
    BadRequestError,
    HTTPValidationError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RetryPolicy,
)
from syllable_async._http.status_errors import parse_retry_after
from syllable_async.testing import FakeSyllable, faults

ONCE = RetryPolicy(max_attempts=1)
Client = AsyncSyllableClient


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, APIError),
        (422, HTTPValidationError),
        (429, RateLimitError),
        (500, InternalServerError),
        (501, InternalServerError),
        (302, APIError),
    ],
)
async def test_each_status_has_its_class(
    client: Client, server: FakeSyllable, status: int, cls: type[APIError]
) -> None:
    server.faults.add("*", faults.status(status, headers={"X-Request-Id": "r-1"}, body=b"<html>PATIENT</html>"))
    with pytest.raises(APIError) as caught:
        await client.sessions.list(retries=ONCE)
    error = caught.value
    assert type(error) is cls
    assert (error.status, error.method, error.path) == (status, "GET", "/api/v1/sessions/")
    assert (error.request_id, error.attempts, error.body) == ("r-1", 1, b"<html>PATIENT</html>")
    assert error.headers["x-request-id"] == "r-1"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.body) == (cls, str(error), b"")
    assert "PATIENT" not in f"{error} {error!r}"
    assert (error.__cause__, error.__context__) == (None, None)


async def test_the_details_of_a_422(client: Client) -> None:
    with pytest.raises(HTTPValidationError) as caught:
        await client.sessions.list(order_by="nonsense")
    (detail,) = caught.value.detail
    assert detail.loc == ("query", "order_by")
    assert "Input should be" in detail.msg
    assert detail.type == "enum"


async def test_an_entry_of_a_422_that_fastapi_would_not_write_is_left_out(client: Client, server: FakeSyllable) -> None:
    entries = [5, {"loc": ["query", "page"], "msg": "no", "type": "int"}, {"loc": 3, "msg": "no", "type": "int"}]
    server.faults.add("*", faults.status(422, body=json.dumps({"detail": entries}).encode()))
    with pytest.raises(HTTPValidationError) as caught:
        await client.sessions.list()
    assert [detail.loc for detail in caught.value.detail] == [("query", "page")]


DETAILS: list[tuple[bytes, object]] = [
    (b'{"detail":"no"}', "no"),
    (b'{"detail":{"code":"legacy_session_link","session_id":"x"}}', {"code": "legacy_session_link", "session_id": "x"}),
    (b'{"detail":5}', None),
    (b"[]", None),
    (b"", None),
    (b"\xff\xfe", None),
    (b"[" * 60_000, None),
]


@pytest.mark.parametrize(("body", "detail"), DETAILS)
async def test_the_detail_of_a_400_or_none(client: Client, server: FakeSyllable, body: bytes, detail: object) -> None:
    server.faults.add("*", faults.status(400, body=body), faults.status(422, body=body))
    with pytest.raises(BadRequestError) as caught:
        await client.sessions.list()
    assert caught.value.detail == detail
    with pytest.raises(HTTPValidationError) as invalid:
        await client.sessions.list()
    assert invalid.value.detail == ()


def test_an_impossible_date_is_no_retry_after() -> None:
    assert parse_retry_after({"Retry-After": "Mon, 31 Feb 2026 08:00:00 GMT"}, 0.0) is None
    assert parse_retry_after({"Retry-After": "Thu, 01 Jan 1970 00:01:00 GMT"}, 0.0) == 60.0
