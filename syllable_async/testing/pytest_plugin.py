"""Opt-in fixtures: `pytest_plugins = ["syllable_async.testing.pytest_plugin"]` in the topmost `conftest.py`."""

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
