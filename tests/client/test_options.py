"""Options of a view of the client and of one call."""

from __future__ import annotations

from typing import Any

import pytest
import tenacity

from syllable_async import AsyncSyllableClient, InternalServerError, NotFoundError, RetryPolicy
from syllable_async.testing import FakeSyllable, faults

ONCE = RetryPolicy(max_attempts=1)
Client = AsyncSyllableClient


async def test_invalid_retries_raise_before_a_request_is_sent(client: Client, server: FakeSyllable) -> None:
    wrong: Any = 3
    with pytest.raises(TypeError, match="retries must be a RetryPolicy"):
        await client.sessions.get_by_id("a", retries=wrong)
    with pytest.raises(TypeError, match="retries must be a RetryPolicy"):
        client.sessions.stream_recording("a", retries=wrong)
    assert not server.requests


async def test_with_options_shares_everything_but_its_settings(client: Client, server: FakeSyllable) -> None:
    view = client.with_options(retries=ONCE, timeout=5, headers={"X-Team": "blue"})
    await view.sessions.list()
    await client.sessions.list()
    first, second = server.requests
    assert first.headers["X-Team"] == "blue"
    assert "X-Team" not in second.headers
    assert view._transport.pool is client._transport.pool
    assert view._transport.retrier.quota is client._transport.retrier.quota
    await view.aclose()
    assert (await client.sessions.list()).items
    server.faults.add("*", faults.status(503))
    with pytest.raises(InternalServerError):
        await view.sessions.list()


async def test_a_tenacity_object_on_the_client_and_on_a_call(server: FakeSyllable) -> None:
    server.faults.add("*", faults.status(404, times=2))
    users = tenacity.AsyncRetrying(retry=tenacity.retry_if_exception_type(NotFoundError), wait=tenacity.wait_none())
    async with Client(server.api_key, base_url=server.url, retries=users) as client:
        assert (await client.sessions.list()).items
        server.faults.add("*", faults.status(404, times=2))
        with pytest.raises(NotFoundError):
            await client.sessions.list(retries=ONCE)


def test_none_means_what_it_means_to_the_client_itself() -> None:
    client = Client("key", timeout=3, retries=ONCE, headers={"X-Team": "blue"})
    same = client.with_options()
    assert (same._transport.timeout, same._transport.retrier.policy) == (3, ONCE)
    view = client.with_options(timeout=None, retries=None, headers=None)
    assert view._transport.timeout is None
    assert view._transport.retrier.policy == RetryPolicy()
    assert "X-Team" not in view._transport.headers
    assert "X-Team" in client.with_options(headers={"X-More": "y"})._transport.headers


class Tenant(Client):
    def __init__(self, tenant: str, **options: Any) -> None:
        super().__init__("key", **options)
        self.tenant = tenant


def test_a_subclass_keeps_its_attributes_in_a_view_of_a_view() -> None:
    view = Tenant("a").with_options(timeout=3).with_options(timeout=4)
    assert isinstance(view, Tenant)
    assert view.tenant == "a"


async def test_a_view_that_is_all_one_keeps_closes_what_it_holds(server: FakeSyllable) -> None:
    view = Client(server.api_key, base_url=server.url).with_options(timeout=3).with_options(timeout=4)
    async with view:
        await view.sessions.list()
    assert view._transport.pool.lifetime.closed
