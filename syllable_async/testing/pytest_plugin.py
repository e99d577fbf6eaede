"""Opt-in fixtures: `pytest_plugins = ["syllable_async.testing.pytest_plugin"]` in the topmost `conftest.py`.

A client belongs to one event loop, the server to none. So with pytest-asyncio the client's fixture must live in the
loop of the tests that use it; for a client of each test's own that is the default:

    @pytest_asyncio.fixture
    async def client(syllable_server):
        url = syllable_server.url
        async with AsyncSyllableClient(syllable_server.api_key, base_url=url) as client:
            yield client

To share one client, run the fixture and its tests in one loop, and hold a server as long (`with FakeSyllable()`):

    @pytest_asyncio.fixture(scope="session", loop_scope="session")
    async def client(shared_server): ...

    @pytest.mark.asyncio(loop_scope="session")
    async def test_it(client): ...
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ._server import FakeSyllable


@pytest.fixture
def syllable_server_options() -> dict[str, Any]:
    """Arguments of `FakeSyllable`; override it in a module or class that needs others."""
    return {}


@pytest.fixture
def syllable_server(syllable_server_options: dict[str, Any]) -> Iterator[FakeSyllable]:
    """A running fake, in a thread of its own: it serves sync tests and any event loop."""
    with FakeSyllable(**syllable_server_options) as server:
        yield server
