"""Path segments and queries, encoded once."""

from __future__ import annotations

from datetime import datetime

import pytest

from syllable_async import AsyncSyllableClient, NotFoundError
from syllable_async.testing import FakeSyllable

Client = AsyncSyllableClient


async def test_an_id_is_one_path_segment_whatever_it_holds(client: Client, server: FakeSyllable) -> None:
    for name in ("recording", "%2e%2e", "%2F", "a?b", "a#b", "x" * 300, "😀", "a b+c"):
        with pytest.raises(NotFoundError):
            await client.sessions.get_by_id(name)
    assert {request.operation for request in server.requests} == {"sessions.get_by_id"}


async def test_a_naive_datetime_in_a_query_raises_before_a_request_is_sent(
    client: AsyncSyllableClient, server: FakeSyllable
) -> None:
    with pytest.raises(ValueError, match="must be aware"):
        await client.request("GET", "api", "v1", "agents", query={"since": datetime(2026, 5, 1)})
    assert len(server.requests) == 0


async def test_a_bool_in_a_query_is_written_as_in_json(client: AsyncSyllableClient, server: FakeSyllable) -> None:
    with pytest.raises(NotFoundError):
        await client.request("GET", "api", "v1", "agents", query={"active": True, "deleted": False})
    assert server.requests[0].query == [("active", "true"), ("deleted", "false")]
    assert repr(server.requests) == "<RequestLog of 1>"
