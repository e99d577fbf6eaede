"""Pages in flight ahead: how many, which, in what order, and what becomes of them."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

from syllable_async._pagination.pager import Pager
from syllable_async._pagination.query import ListQuery
from syllable_async.errors import ClientClosedError
from syllable_async.models import ListResponseSession, Session

from .paged_source import QUICK, Source, UnavailableError, ids, sessions


class Gated:
    """A server that answers a page when it is told to."""

    def __init__(self, count: int, limit: int = 10) -> None:
        self.source = Source(sessions(count))
        self.pager = Pager(self, ListQuery.from_arguments(limit=limit), QUICK)
        self.asked: list[int] = []
        self.cancelled: list[int] = []
        self.waiting: dict[int, asyncio.Future[None]] = {}

    async def __call__(self, query: ListQuery) -> ListResponseSession:
        page = query.page or 0
        self.asked.append(page)
        self.waiting[page] = asyncio.get_running_loop().create_future()
        try:
            await self.waiting[page]
        except asyncio.CancelledError:
            self.cancelled.append(page)
            raise
        finally:
            del self.waiting[page]
        return await self.source(query)

    async def answer(self, *pages: int) -> None:
        for page in pages:
            self.waiting[page].set_result(None)
            await settle()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@contextmanager
def quiet_loop() -> Generator[None]:
    """Nothing may be reported to the loop: no exception that was never retrieved, no task destroyed while pending."""
    reports = list[dict[str, Any]]()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reports.append(context))
    yield
    gc.collect()
    assert reports == []


def step(walk: Any) -> asyncio.Task[Any]:
    return asyncio.ensure_future(anext(walk))


async def test_the_first_page_is_asked_alone_and_then_as_many_as_wished() -> None:
    server = Gated(100)
    walk = server.pager.pages(prefetch=3)
    first = step(walk)
    await settle()
    assert server.asked == [0]
    await server.answer(0)
    assert (await first).page == 0
    assert walk.next_page == 1
    await settle()
    assert server.asked == [0, 1, 2, 3]
    await walk.aclose()


async def test_pages_come_in_order_however_they_are_answered() -> None:
    server = Gated(39)
    walk = server.pager.pages(prefetch=3)
    first = step(walk)
    await settle()
    await server.answer(0)
    await first
    await settle()
    await server.answer(3, 2, 1)
    assert [page.page async for page in walk] == [1, 2, 3]
    assert server.asked == [0, 1, 2, 3]


async def test_a_slow_consumer_throttles_and_the_known_end_is_not_passed() -> None:
    source = Source(sessions(59))
    walk = Pager(source, ListQuery.from_arguments(limit=10), QUICK).items(prefetch=2)
    await anext(walk)
    await settle()
    assert [query.page for query in source.log] == [0, 1, 2]
    for _ in range(10):
        await anext(walk)
    await settle()
    assert [query.page for query in source.log] == [0, 1, 2, 3]
    assert len([row async for row in walk]) == 48
    assert [query.page for query in source.log] == [0, 1, 2, 3, 4, 5]
    assert source.most_in_flight <= 2


async def test_the_next_request_leaves_before_the_caller_works_on_a_page() -> None:
    """Seen without a turn of the loop after the step: a caller may take its time and never yield."""
    source = Source(sessions(59))
    walk = Pager(source, ListQuery.from_arguments(limit=10), QUICK).pages(prefetch=2)
    await anext(walk)
    await settle()
    await anext(walk)
    assert [query.page for query in source.log] == [0, 1, 2, 3]
    await walk.aclose()


async def test_without_totals_it_looks_no_further_ahead_than_wished() -> None:
    source = Source(sessions(60), total=lambda count: None, total_pages=lambda count: None)
    assert len([row async for row in Pager(source, ListQuery.from_arguments(limit=10), QUICK).items(prefetch=4)]) == 60
    assert max(query.page or 0 for query in source.log) <= 6 + 3


async def test_max_items_asks_for_no_page_that_it_will_not_need() -> None:
    source = Source(sessions(1000))
    walk = Pager(source, ListQuery.from_arguments(limit=10), QUICK).items(max_items=35, prefetch=8)
    assert ids([row async for row in walk]) == ids(sessions(35))
    assert [query.page for query in source.log] == [0, 1, 2, 3]


async def test_aclose_cancels_and_awaits_what_is_in_flight() -> None:
    server = Gated(100)
    async with server.pager.items(prefetch=4) as walk:
        first = step(walk)
        await settle()
        await server.answer(0)
        await first
        await settle()
        assert sorted(server.waiting) == [1, 2, 3, 4]
    assert server.cancelled == [1, 2, 3, 4]
    assert server.waiting == {}
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("begun", [True, False])
async def test_break_cancels_by_collection(begun: bool) -> None:
    with quiet_loop():
        server = Gated(100)

        async def consume() -> None:
            async for _ in server.pager.items(prefetch=4):
                if begun:
                    await settle()
                break

        task = asyncio.ensure_future(consume())
        await settle()
        server.waiting[0].set_result(None)
        await task
        await settle()
        assert server.asked == ([0, 1, 2, 3, 4] if begun else [0])
        assert server.cancelled == server.asked[1:]
        assert server.waiting == {}
        assert len(asyncio.all_tasks()) == 1


async def test_a_page_that_fails_unseen_is_not_reported() -> None:
    with quiet_loop():
        source = Source(sessions(100))

        def fail(number: int) -> None:
            if number:
                raise UnavailableError

        source.meanwhile = fail
        walk = Pager(source, ListQuery.from_arguments(limit=10), QUICK).items(prefetch=4)
        await anext(walk)
        await settle()
        assert len(source.log) == 5
        del walk
        await settle()


async def test_a_failed_page_is_asked_again_and_those_behind_it_are_kept() -> None:
    source = Source(sessions(59))

    def fail(number: int) -> None:
        if number == 1:
            raise UnavailableError

    source.meanwhile = fail
    walk, got = Pager(source, ListQuery.from_arguments(limit=10), QUICK).items(prefetch=3), list[Session]()
    with pytest.raises(UnavailableError):  # noqa: PT012
        while True:
            got.append(await anext(walk))
    assert (len(got), walk.next_page) == (10, 1)
    got += [row async for row in walk]
    assert ids(got) == ids(sessions(59))
    assert sorted(query.page or 0 for query in source.log) == [0, 1, 1, 2, 3, 4, 5]


async def test_cancelling_a_step_keeps_the_page_in_flight() -> None:
    server = Gated(100)
    walk = server.pager.items(prefetch=2)
    first = step(walk)
    await settle()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    again = step(walk)
    await settle()
    assert (server.asked, server.cancelled) == ([0], [])
    await server.answer(0)
    assert (await again).session_id == "s0"
    await walk.aclose()


@pytest.mark.parametrize("prefetch", [0, 2])
async def test_closing_while_another_task_waits_ends_its_wait_with_an_error(prefetch: int) -> None:
    server = Gated(100)
    walk = server.pager.items(prefetch=prefetch)
    waiting = step(walk)
    await settle()
    await walk.aclose()
    assert (server.cancelled, server.waiting) == ([0], {})
    with pytest.raises(ClientClosedError, match="before its end"):
        await waiting
    assert len(asyncio.all_tasks()) == 1


async def test_a_walk_that_outlives_its_loop_is_collected_quietly() -> None:
    def run() -> None:
        async def leave() -> Any:
            walk = Gated(100).pager.items(prefetch=2)
            task = step(walk)
            await settle()
            task.cancel()
            return walk

        loop = asyncio.new_event_loop()
        walk = loop.run_until_complete(leave())
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        loop.close()
        del walk
        gc.collect()

    await asyncio.to_thread(run)
