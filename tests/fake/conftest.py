"""A server, and a client of aiohttp's that sends its key: the fake is never judged by this project's own client."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from syllable_async.testing import FakeSyllable


@pytest.fixture
async def server() -> AsyncIterator[FakeSyllable]:
    async with FakeSyllable(sessions=60, seed=6) as running:
        yield running


@pytest.fixture
async def client(server: FakeSyllable) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.url, headers={"Syllable-API-Key": server.api_key}) as session:
        yield session
