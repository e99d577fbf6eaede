"""Fixtures of the whole suite."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from syllable_async import AsyncSyllableClient
from syllable_async._policy import Time
from syllable_async.testing import FakeSyllable
from tests.fake_time import FakeTime

settings.register_profile(
    "default", max_examples=25, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("long", settings.get_profile("default"), max_examples=2_000)
settings.load_profile("default")


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def timeless(fake_time: FakeTime) -> type[AsyncSyllableClient]:
    """The client class, with a clock and a sleep that take no time."""

    class TimelessClient(AsyncSyllableClient):
        _time = Time(fake_time.clock, fake_time.sleep)

    return TimelessClient


@pytest_asyncio.fixture
async def server() -> AsyncIterator[FakeSyllable]:
    async with FakeSyllable(sessions=60) as running:
        yield running


@pytest_asyncio.fixture
async def client(server: FakeSyllable) -> AsyncIterator[AsyncSyllableClient]:
    async with AsyncSyllableClient(server.api_key, base_url=server.url) as running:
        yield running
