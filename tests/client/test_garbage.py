"""What a call brought is gone as soon as nobody holds it: patient data does not wait for the collector of cycles."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterable, Awaitable, Callable
from pathlib import Path

import pytest

from syllable_async import AsyncSyllableClient
from syllable_async.testing import FakeSyllable

Operation = Callable[[AsyncSyllableClient, str, Path], Awaitable[object]]


async def read_all(rows: AsyncIterable[object]) -> None:
    async for _ in rows:
        pass


async def iterate(client: AsyncSyllableClient, session_id: str, _: Path) -> None:
    (recording,) = await client.sessions.recordings(session_id)
    async with recording:
        await read_all(recording)


async def save(client: AsyncSyllableClient, session_id: str, folder: Path) -> None:
    await (await client.sessions.recordings(session_id))[0].save(directory=folder)


async def walk_a_while(client: AsyncSyllableClient, _: str, __: Path) -> None:
    async with client.sessions.list(limit=5).snapshot(parallel=4) as walk:
        async for _session in walk:
            break


OPERATIONS: dict[str, Operation] = {
    "get_by_id": lambda client, session_id, _folder: client.sessions.get_by_id(session_id),
    "get_full_summary": lambda client, session_id, _folder: client.sessions.get_full_summary(session_id),
    "get_transcript": lambda client, session_id, _folder: client.sessions.get_transcript(session_id),
    "list": lambda client, _id, _folder: client.sessions.list(limit=20),
    "pages": lambda client, _id, _folder: read_all(client.sessions.list(limit=5).pages()),
    "items": lambda client, _id, _folder: read_all(client.sessions.list(limit=5).items(prefetch=4)),
    "snapshot": lambda client, _id, _folder: read_all(client.sessions.list(limit=5).snapshot()),
    "snapshot, parallel": lambda client, _id, _folder: read_all(client.sessions.list(limit=5).snapshot(parallel=4)),
    "a walk that is left": walk_a_while,
    "iterate": iterate,
    "save": save,
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
async def test_no_operation_leaves_a_cycle(operation: Operation, tmp_path: Path) -> None:
    with FakeSyllable(sessions=60) as server:
        session_id = next(name for name in server.sessions if server.recordings(name))

        async def call(client: AsyncSyllableClient, folder: Path) -> None:
            await operation(client, session_id, folder)

        async with AsyncSyllableClient(server.api_key, base_url=server.url) as client:
            # The first one fills caches, and opens the connections.
            await asyncio.create_task(call(client, tmp_path / "first"))
            gc.collect()
            gc.set_debug(gc.DEBUG_SAVEALL)
            try:
                await asyncio.create_task(call(client, tmp_path / "second"))
                gc.collect()
                left = list(gc.garbage)
            finally:
                gc.set_debug(0)
                gc.garbage.clear()
    assert left == []
