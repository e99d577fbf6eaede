"""What an unsuccessful response tells the caller: places, hints, headers, bodies; and that copies keep it."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from syllable_async import AsyncSyllableClient, HTTPValidationError, NotFoundError, errors
from syllable_async._http.status_errors import error_for_response, plain_headers
from syllable_async._messages import Request
from syllable_async.testing import FakeSyllable
from tests.fault_server import FaultServer, reply

GET = Request(method="GET", path_template="/api/v1/things/{}", path="/api/v1/things/5")


def error_of(status: int, body: bytes = b"", **headers: str) -> errors.APIError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return error_for_response(GET, status, named, body, attempts=1, now=0.0)


async def test_a_422_names_the_refused_places_and_the_nearest_property(
    client: AsyncSyllableClient, server: FakeSyllable
) -> None:
    with pytest.raises(HTTPValidationError, match=r"refused: query\.order_by \(did you mean 'duration'\?\)"):
        await client.sessions.list(order_by="durration")
    with pytest.raises(HTTPValidationError, match=r"refused: query\.search_fields\.0 \(did you mean 'session_id'\?\)"):
        await client.sessions.list(search_fields=["sesion_id"], search_field_values=["+15550100"])


def test_no_value_stands_in_a_422s_text() -> None:
    body = b"""{"detail": [
        {"loc": ["query", "search_field_values", 0], "msg": "no: +15550100", "type": "x", "input": "+15550100"},
        {"loc": ["body", "Jane Doe", "b"], "msg": "", "type": "x", "input": {"a": 1}},
        {"loc": ["query", "fields", 3], "msg": "", "type": "x", "input": "+15550100"}
    ]}"""
    error = error_of(422, body)
    assert str(error).endswith("refused: query.search_field_values.0, body.?.b, query.fields.3")
    assert isinstance(error, HTTPValidationError)
    assert len(error.detail) == 3


def test_of_many_refused_places_the_first_are_named() -> None:
    entry = b'{"loc": ["query", "limit"], "msg": "", "type": "x"}'
    assert str(error_of(422, b'{"detail": [%b]}' % b",".join([entry] * 7))).endswith("query.limit and 2 more")
    assert str(error_of(422, b'{"detail": "no"}')) == "HTTP 422 from GET /api/v1/things/{}, attempt 1"


@pytest.mark.parametrize(
    "location", ["/api/v1/things/5/", "https://x.example/base/api/v1/things/5/?a=1", "/api/v1/things/5/#x"]
)
@pytest.mark.parametrize("status", [301, 307, 308])
def test_a_redirect_that_adds_a_slash_says_so(location: str, status: int) -> None:
    assert "add the final slash" in str(error_of(status, Location=location))
    assert location not in str(error_of(status, Location=location))


@pytest.mark.parametrize("location", ["/elsewhere/", "/api/v1/things/6/", ""])
def test_another_redirect_does_not(location: str) -> None:
    assert "slash" not in str(error_of(307, Location=location))
    assert "slash" not in str(error_of(404, Location="/api/v1/things/5/"))


async def test_repeated_headers_are_kept() -> None:
    assert plain_headers({"A": "1", "b": "2"}) == {"a": "1", "b": "2"}
    pairs = [("X-Node", "a"), ("x-node", "b"), ("Warning", "1"), ("Warning", "2")]
    script = [reply(200, b"{}", pairs), reply(404, b"{}", pairs)]
    async with FaultServer(script) as server, AsyncSyllableClient("k", base_url=server.url) as client:
        response = await client.request("GET", "/x")
        assert (response.headers["x-node"], response.headers["warning"]) == ("a, b", "1, 2")
        with pytest.raises(NotFoundError) as caught:
            await client.request("GET", "/x")
    assert (caught.value.headers["x-node"], caught.value.headers["warning"]) == ("a, b", "1, 2")


def errors_of_every_class() -> list[errors.SyllableError]:
    return [
        error_of(422, b'{"detail": [{"loc": ["query", "limit"], "msg": "m", "type": "t"}]}', Retry_After="5"),
        error_of(400, b'{"detail": {"a": 1}}'),
        errors.SyllableConnectionError("reset", method="GET", path="/x", attempts=3),
        errors.SyllableTimeoutError("deadline", 5, doing="x"),
        errors.ClientClosedError("closed"),
        errors.ResponseValidationError("Session", "$.a", "wrong"),
        errors.PaginationError("m", page=3),
        errors.IncompleteRecordingError("m", received=3, total=None),
    ]


@pytest.mark.parametrize("make_copy", [copy.copy, copy.deepcopy])
@pytest.mark.parametrize("error", errors_of_every_class(), ids=lambda error: type(error).__name__)
def test_a_copy_keeps_everything(error: errors.SyllableError, make_copy: Any) -> None:
    error.add_note("a note")
    error.__cause__ = ValueError("why")
    twin = make_copy(error)
    assert type(twin) is type(error)
    assert twin is not error
    assert (twin.__dict__, twin.args, str(twin)) == (error.__dict__, error.args, str(error))
    assert twin.__cause__ is error.__cause__
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
