"""What all iterators share: closing, one task at a time, one event loop; and what a pager says of itself."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from syllable_async._pagination.iterators import ResumableIterator
from syllable_async._pagination.pager import Pager
from syllable_async._pagination.query import ListQuery
from syllable_async.errors import ClientClosedError
from syllable_async.models import ListResponseSession

from .paged_source import QUICK, Source, UnavailableError, ids, sessions

Walks = dict[str, Callable[[Pager], ResumableIterator[Any]]]
WALKS: Walks = {
    "items": lambda pager: pager.items(),
    "items, prefetch": lambda pager: pager.items(prefetch=2),
    "pages": lambda pager: pager.pages(),
    "snapshot": lambda pager: pager.snapshot(),
    "follow": lambda pager: pager.follow(),
}
every_walk = pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS.keys())


class Slow(Source):
    """Answers nothing; counts what is cancelled."""

    cancelled = 0

    async def __call__(self, query: ListQuery) -> ListResponseSession:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            await asyncio.sleep(0)  # a request takes a moment to end
            raise
        raise AssertionError


def pager(source: Source) -> Pager:
    return Pager(source, ListQuery.from_arguments(limit=10), QUICK)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@every_walk
async def test_a_step_in_another_task_is_cancelled_awaited_and_told(
    walk: Callable[[Pager], ResumableIterator[Any]],
) -> None:
    source = Slow(sessions(30))
    rows = walk(pager(source))
    waiting = asyncio.ensure_future(anext(rows))
    await settle()
    await asyncio.gather(rows.aclose(), rows.aclose())
    assert source.cancelled == 1
    with pytest.raises(ClientClosedError, match="closed before its end"):
        await waiting
    assert len(asyncio.all_tasks()) == 1


@every_walk
async def test_a_reader_between_two_steps_is_told_too_and_the_task_that_closed_gets_the_end(
    walk: Callable[[Pager], ResumableIterator[Any]],
) -> None:
    rows = walk(pager(Source(sessions(30))))
    await anext(rows)
    await asyncio.ensure_future(rows.aclose())
    with pytest.raises(ClientClosedError, match="there may be more"):
        await anext(rows)
    rows = walk(pager(Source(sessions(30))))
    await anext(rows)
    await rows.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(rows)


@every_walk
async def test_an_end_stays_the_end_whoever_closes_afterwards(walk: Callable[[Pager], ResumableIterator[Any]]) -> None:
    rows = walk(pager(Source([])))
    if "Follow" in type(rows).__name__:
        return
    for _ in range(2):
        with pytest.raises(StopAsyncIteration):
            await anext(rows)
        await asyncio.ensure_future(rows.aclose())


async def test_a_reader_that_is_cancelled_by_its_owner_too_stays_cancelled() -> None:
    rows = pager(Slow(sessions(30))).items()
    waiting = asyncio.ensure_future(anext(rows))
    await settle()
    waiting.cancel()
    await rows.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_reader_goes_on_after_its_walk_was_closed() -> None:
    """The cancellation is taken back: a timeout or a group around the reader does not take it for its own."""
    rows = pager(Slow(sessions(30))).items()

    async def read() -> str:
        async with asyncio.timeout(60):
            with pytest.raises(ClientClosedError):
                await anext(rows)
            await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        return "went on"

    reader = asyncio.ensure_future(read())
    await settle()
    await rows.aclose()
    assert await reader == "went on"


async def close_while_read(walk: ResumableIterator[Any], expected: type[Exception]) -> None:
    """The step under way fails so, and the cancellation that `aclose` asked for is taken back."""

    async def read() -> int:
        with pytest.raises(expected):
            await anext(walk)
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    reader = asyncio.ensure_future(read())
    await settle()
    await walk.aclose()
    assert await reader == 0


async def test_a_step_that_fails_while_it_is_closed_fails_and_takes_the_cancellation_back() -> None:
    class Failing(Source):
        async def __call__(self, query: ListQuery) -> ListResponseSession:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise UnavailableError from None
            raise AssertionError

    await close_while_read(pager(Failing([])).items(), UnavailableError)


async def test_a_step_that_succeeds_while_it_is_closed_gives_no_row() -> None:
    """Whoever closed the walk was promised that no row comes any more."""

    class Deaf(Source):
        async def __call__(self, query: ListQuery) -> ListResponseSession:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            await asyncio.sleep(0)  # it goes on as if nobody had asked it to stop
            return await super().__call__(query)

    await close_while_read(pager(Deaf(sessions(30))).items(), ClientClosedError)


async def test_a_step_outside_a_task_is_refused() -> None:
    step = pager(Source(sessions(30))).items().__anext__()
    refused: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    def callback() -> None:
        try:
            refused.set_result(step.send(None))
        except RuntimeError as error:
            refused.set_exception(error)

    asyncio.get_running_loop().call_soon(callback)
    with pytest.raises(RuntimeError, match="needs a task of asyncio"):
        await refused


async def test_two_tasks_do_not_share_a_walk() -> None:
    rows = pager(Slow(sessions(30))).items()
    waiting = asyncio.ensure_future(anext(rows))
    await settle()
    with pytest.raises(RuntimeError, match="two tasks share one iterator"):
        await anext(rows)
    waiting.cancel()
    await settle()


@every_walk
def test_a_walk_whose_loop_is_gone_says_so_and_can_be_closed(walk: Callable[[Pager], ResumableIterator[Any]]) -> None:
    source = Source(sessions(25))

    async def begin() -> ResumableIterator[Any]:
        rows = walk(pager(source))
        await anext(rows)
        return rows

    async def go_on(rows: ResumableIterator[Any]) -> None:
        with pytest.raises(ClientClosedError, match="event loop in which it began, and that is closed"):
            async for _ in rows:  # rows at hand may come yet
                pass
        await rows.aclose()

    asyncio.run(go_on(asyncio.run(begin())))


def test_the_representation_names_filters_and_no_values() -> None:
    query = ListQuery.from_arguments(
        page=2, limit=50, search_fields=["source"], search_field_values=["+15550100"],
        start_datetime=datetime(2026, 1, 5, tzinfo=UTC),
    )  # fmt: skip
    assert repr(Pager(Source([]), query)) == (
        "<Pager page=2 limit=50 by search_fields, search_field_values, start_datetime, not awaited>"
    )
    assert repr(Pager(Source([]), ListQuery())) == "<Pager, not awaited>"


MISUSES: dict[str, tuple[Callable[[Any], object], type[Exception]]] = {
    "total_count": (lambda pager: pager.total_count, AttributeError),
    "page_size": (lambda pager: pager.page_size, AttributeError),
    "len": (len, TypeError),
    "list": (list, TypeError),
    "[0]": (lambda pager: pager[0], TypeError),
    "len of items": (lambda pager: len(pager.items), TypeError),
    "list of items": (lambda pager: list(pager.items), TypeError),
    "items[0]": (lambda pager: pager.items[0], TypeError),
}


@pytest.mark.parametrize("misuse", MISUSES)
def test_a_forgotten_await_says_what_was_forgotten(misuse: str) -> None:
    call, error = MISUSES[misuse]
    with pytest.raises(error, match=r"this Pager was not awaited: .* Write `page = await …` for one page"):
        call(pager(Source(sessions(3))))


async def test_a_pager_is_otherwise_what_it_looks_like() -> None:
    plain: Any = pager(Source(sessions(3)))
    assert plain
    assert plain.items
    assert str(inspect.signature(plain.items)) == str(inspect.signature(Pager.items)).replace("self, ", "")
    assert "offset" in (inspect.getdoc(Pager) or "")
    assert ids([row async for row in plain.items(max_items=2, prefetch=1)]) == ["s0", "s1"]
    assert not hasattr(plain, "nothing")
    with pytest.raises(AttributeError, match="'Pager' object has no attribute 'nothing'"):
        plain.nothing  # noqa: B018
