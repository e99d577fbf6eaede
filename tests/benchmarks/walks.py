"""Walks over a local coroutine, so that nothing but the walk is measured."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from syllable_async import ListResponseSession, Session
from syllable_async._pagination.pager import Pager
from syllable_async._pagination.query import ListQuery

START = datetime(2026, 1, 1, tzinfo=UTC)
STEP = timedelta(seconds=10)
Fetch = Callable[[ListQuery], Awaitable[ListResponseSession]]


class Source:
    """So many sessions, ten seconds apart, each page after `delay` seconds."""

    def __init__(self, total: int, delay: float) -> None:
        self._total = total
        self._delay = delay
        self.requests = 0

    def _index(self, moment: datetime | str | None, default: int) -> int:
        assert not isinstance(moment, str)
        return default if moment is None else min(max(0, -((START - moment) // STEP)), self._total)

    async def __call__(self, query: ListQuery) -> ListResponseSession:
        self.requests += 1
        if self._delay:
            await asyncio.sleep(self._delay)
        first, last = self._index(query.start_datetime, 0), self._index(query.end_datetime, self._total)
        limit, page = query.limit or 25, query.page or 0
        numbers = range(min(last, first + page * limit), min(last, first + (page + 1) * limit))
        items = tuple(Session(timestamp=START + n * STEP, session_id=f"session-{n:08}") for n in numbers)
        return ListResponseSession(items=items, page=page, page_size=limit, total_count=max(0, last - first))


async def plain(fetch: Fetch, limit: int, prefetch: int) -> int:
    return sum([1 async for _ in Pager(fetch, ListQuery.from_arguments(limit=limit)).items(prefetch=prefetch)])


async def snapshot(fetch: Fetch, limit: int, parallel: int) -> int:
    return sum([1 async for _ in Pager(fetch, ListQuery.from_arguments(limit=limit)).snapshot(parallel=parallel)])
