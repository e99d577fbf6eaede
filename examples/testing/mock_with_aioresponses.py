"""Mock the client's replies in a unit test with aioresponses, where no server is wanted.

    python examples/testing/mock_with_aioresponses.py

It prints the agent's name of a mocked session. For more than a single reply use `syllable_async.testing.FakeSyllable`:
it behaves like the API, on a real socket.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any
from unittest.mock import Mock

from aiohttp import ClientResponse

from syllable_async import AsyncSyllableClient, Session

try:
    from aioresponses import aioresponses
except ModuleNotFoundError:
    raise SystemExit("This program needs aioresponses: pip install aioresponses") from None


class MockedResponse(ClientResponse):
    """A stand-in that aioresponses 0.7.9 needs with aiohttp 3.14 (pnuckowski/aioresponses#289)."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("stream_writer", Mock(output_size=0))
        super().__init__(*args, **options)


async def agent_of(client: AsyncSyllableClient, session_id: str) -> str | None:
    """What you would like to test."""
    session: Session = await client.sessions.get_by_id(session_id)
    return session.agent_name


async def main() -> None:
    body = json.dumps({"timestamp": "2026-01-01T10:00:00Z", "session_id": "s1", "agent_name": "Front desk"})
    headers = {"Content-Length": str(len(body))}  # without it a reply only ends with its connection
    url = "https://api.syllable.cloud/api/v1/sessions/s1"
    with aioresponses() as mocked:
        mock: Any = mocked
        mock.get(url, body=body, headers=headers, response_class=MockedResponse)
        async with AsyncSyllableClient("any-key") as client:
            print(await agent_of(client, "s1"))


if __name__ == "__main__":
    formatter = argparse.RawDescriptionHelpFormatter
    argparse.ArgumentParser(description=__doc__, formatter_class=formatter).parse_args()
    asyncio.run(main())
