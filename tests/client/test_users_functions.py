"""What a user's own functions do to walks and recordings: they may change rows or fail, and never make a list short."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from syllable_async import AsyncSyllableClient, ListResponse, PaginationError, RetryPolicy, Session, make_converter
from syllable_async.testing import FakeSyllable, faults
from tests.time_control import FakeTime, timeless_client

WALKS: dict[str, Callable[[AsyncSyllableClient], AsyncIterator[Any]]] = {
    "items": lambda client: client.sessions.list(limit=20).items(),
    "prefetch": lambda client: client.sessions.list(limit=20).items(prefetch=4),
    "pages": lambda client: client.sessions.list(limit=20).pages(),
    "snapshot": lambda client: client.sessions.list(limit=20).snapshot(),
    "spans": lambda client: client.sessions.list(limit=20).snapshot(parallel=4),
    "any list": lambda client: client.list("/api/v1/sessions/", Session, limit=20).items(),
}
walks = pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS)


async def everything(walk: AsyncIterator[Any]) -> list[Any]:
    return [one async for one in walk]


def pseudonym(value: str | None) -> str | None:
    return value and hashlib.sha256(value.encode()).hexdigest()[:12]


HOOKS: dict[str, tuple[Any, Callable[[Any, Any], Any]]] = {
    "redacted": (str | None, lambda value, _: value and "<redacted>"),
    "shortened": (str | None, lambda value, _: value and value[:1]),
    "lists": (str | None, lambda value, _: [value]),
    "plain rows": (Session, lambda value, _: value),
    "no rows": (Session, lambda _value, _: None),
    "numbers as text": (int | None, lambda value, _: str(value)),
}


@walks
@pytest.mark.parametrize(("hooked", "hook"), HOOKS.values(), ids=HOOKS)
async def test_a_hook_may_make_anything_of_rows_and_none_is_lost(
    hooked: Any, hook: Callable[[Any, Any], Any], walk: Callable[[AsyncSyllableClient], AsyncIterator[Any]]
) -> None:
    converter = make_converter()
    converter.register_structure_hook(hooked, hook)
    async with (
        FakeSyllable(sessions=90) as api,
        AsyncSyllableClient(api.api_key, base_url=api.url, converter=converter) as client,
    ):
        given = await everything(walk(client))
        rows = [len(cast("Any", one).items) if isinstance(one, ListResponse) else 1 for one in given]
        assert sum(rows) == len(api.listed)


async def test_sessions_that_a_list_leaves_out_are_asked_for_by_the_id_of_the_wire() -> None:
    converter = make_converter()
    converter.register_structure_hook(str | None, lambda value, _: pseudonym(value))
    async with (
        FakeSyllable(sessions=90) as api,
        timeless_client(FakeTime())(api.api_key, base_url=api.url, converter=converter) as client,
    ):
        walk = client.sessions.list(limit=20).snapshot()
        await anext(walk)
        api.faults.add(
            "sessions.list", faults.edit_json(lambda page: {**page, "items": page["items"][15:]}, times=None)
        )
        with pytest.raises(PaginationError, match="it is behind"):
            await everything(walk)
        assert api.requests[-1].path.rpartition("/")[2] in api.sessions


async def keys(key: str, count: int) -> AsyncIterator[str]:
    for _ in range(count):
        yield key


@walks
async def test_a_function_that_raises_stop_async_iteration_ends_no_walk(
    walk: Callable[[AsyncSyllableClient], AsyncIterator[Any]],
) -> None:
    async with FakeSyllable(sessions=90) as api:
        left = keys(api.api_key, 2)
        async with AsyncSyllableClient(lambda: anext(left), base_url=api.url) as client:
            with pytest.raises(RuntimeError, match="raised StopAsyncIteration"):
                await everything(walk(client))


async def iterate(client: AsyncSyllableClient, session: str, _: Path) -> None:
    await everything(aiter((await client.sessions.recordings(session))[0]))


async def save(client: AsyncSyllableClient, session: str, folder: Path) -> None:
    await (await client.sessions.recordings(session))[0].save(directory=folder)


async def bulk(client: AsyncSyllableClient, session: str, folder: Path) -> None:
    await everything(client.sessions.download_recordings([session], folder))


@pytest.mark.parametrize("read", [iterate, save, bulk])
async def test_nor_does_it_end_a_recording_or_many(
    read: Callable[[AsyncSyllableClient, str, Path], Awaitable[None]], tmp_path: Path
) -> None:
    async with FakeSyllable(sessions=0) as api:
        session = api.add_session(recordings=[bytes(range(256)) * 4_000])
        api.faults.add("sessions.stream_recording", faults.cut(100_000))
        left = keys(api.api_key, 2)
        async with AsyncSyllableClient(lambda: anext(left), base_url=api.url, retries=RetryPolicy(initial=0)) as client:
            with pytest.raises(RuntimeError, match="raised StopAsyncIteration"):
                await read(client, session, tmp_path)
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - no `Path` in an async function
