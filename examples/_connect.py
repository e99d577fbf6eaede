"""Which API a program talks to: the real one if there is a key in the environment, else a fake one."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from syllable_async import AsyncSyllableClient
from syllable_async.testing import FakeSyllable

KEY, BASE_URL = "SYLLABLESDK_API_KEY_HEADER", "SYLLABLE_BASE_URL"


@contextmanager
def api(sessions: int = 250, say: Callable[[str], object] = print) -> Generator[FakeSyllable | None]:
    """Start a fake API where the environment has no key, and let the environment tell of it meanwhile; else None.

    The environment brings key and address to other processes too, without a way through a command line.
    """
    if os.environ.get(KEY):
        yield None
        return
    with FakeSyllable(sessions=sessions) as fake:
        say(f"No {KEY} in the environment: using a fake API at {fake.url}")
        before = {name: os.environ.pop(name, None) for name in (KEY, BASE_URL)}
        os.environ.update({KEY: fake.api_key, BASE_URL: fake.url})
        try:
            yield fake
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


def base_url() -> str:
    """The address of the environment's API."""
    return os.environ.get(BASE_URL, "https://api.syllable.cloud")


@asynccontextmanager
async def connect(
    sessions: int = 250, say: Callable[[str], object] = print, **settings: Any
) -> AsyncGenerator[tuple[AsyncSyllableClient, FakeSyllable | None]]:
    """A client of that API, with these settings; and the fake, where it is one."""
    with api(sessions, say) as fake:
        async with AsyncSyllableClient(base_url=base_url(), **settings) as client:
            yield client, fake
