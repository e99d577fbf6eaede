"""Slots: first come, first served; none is lost; open recordings and calls leave each other room."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syllable_async import (
    AsyncSyllableClient,
    RetryPolicy,
    SyllableConnectionError,
    SyllableError,
    SyllableTimeoutError,
)
from syllable_async._http.pool import Slots
from syllable_async.testing import FakeSyllable, faults
from tests.http.paced_servers import Load, Windows, loaded
from tests.time_control import TimelessLoop


async def take(slots: Slots, seconds: float | None = None) -> str:
    return "granted" if slots.try_acquire() else await slots.acquire(seconds)


async def test_slots_are_given_in_the_order_of_arrival() -> None:
    slots, order = Slots("x", 1), list[int]()

    async def hold(number: int) -> None:
        assert await take(slots) == "granted"
        order.append(number)
        await asyncio.sleep(0)
        slots.release()

    await asyncio.gather(*(hold(number) for number in range(20)))
    assert order == list(range(20))
    assert slots.free == 1


async def test_a_slot_that_is_not_free_in_time_is_not_taken() -> None:
    slots = Slots("x", 1)
    assert slots.try_acquire()
    assert await slots.acquire(0) == "late"
    slots.release()
    assert slots.free == 1


async def test_who_was_told_that_streams_hold_the_pool_is_told_nothing_else() -> None:
    slots = Slots("x", 1)
    assert slots.try_acquire()
    waiting = asyncio.create_task(slots.acquire(None))
    await asyncio.sleep(0)
    slots.end_waiting("filled")
    slots.end_waiting("closed")
    assert await waiting == "filled"


class NaiveSlots(Slots):
    """Forgets that a slot may be handed over in the very moment of a cancellation."""

    async def _wait_in_line(self, known: set[asyncio.Future[str]] | None = None) -> str:  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]
        if self.free and not self._waiters:
            self.free -= 1
            return "granted"
        waiter: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        granted: str = await waiter
        return granted


def story(make: Callable[[str, int, Slots | None], Slots], size: int, shared: int | None, seed: int) -> None:
    """Forty holders, some cancelled at any moment: never more than `size` at once, all end, every slot comes back."""
    chance = random.Random(seed)

    async def main() -> None:
        common = None if shared is None else make("shared", shared, None)
        both = [make("a", size, common), make("b", size, common)]
        held = [0, 0]

        async def holder(which: int) -> None:
            if await take(both[which], chance.choice([None, 0.05])) != "granted":
                return
            held[which] += 1
            assert held[which] <= size
            assert shared is None or sum(held) <= shared
            try:
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)
            finally:
                held[which] -= 1
                both[which].release()

        tasks = [asyncio.create_task(holder(chance.randrange(2))) for _ in range(40)]
        for _ in range(60):
            if chance.random() < 0.5:
                chance.choice(tasks).cancel()
            await asyncio.sleep(0)
        await asyncio.wait(tasks)
        assert all(task.cancelled() or task.exception() is None for task in tasks)
        assert [slots.free for slots in both] == [size, size]
        assert common is None or common.free == shared

    with asyncio.Runner(loop_factory=TimelessLoop) as runner:
        runner.run(main())


@given(st.integers(1, 4), st.none() | st.integers(1, 4), st.integers(0, 10**6))
def test_any_story_leaves_every_slot_free(size: int, shared: int | None, seed: int) -> None:
    story(Slots, size, shared, seed)


def test_the_story_catches_slots_that_forget_a_cancellation() -> None:
    def fails(seed: int) -> bool:
        try:
            story(NaiveSlots, 2, None, seed)
        except (AssertionError, RuntimeError):  # a slot is lost, or everybody waits for it
            return True
        return False

    assert any(fails(seed) for seed in range(50))


# --- streams beside calls ------------------------------------------------------------------------------------------


async def test_open_recordings_do_not_take_the_place_of_calls(server: FakeSyllable) -> None:
    session_id = server.add_session(recordings=[b"RIFF" * 300_000])
    async with AsyncSyllableClient(server.api_key, base_url=server.url, max_connections=1, max_streams=3) as client:
        streams = [(await client.sessions.recordings(session_id))[0] for _ in range(3)]
        for stream in streams:
            await stream.__aenter__()
            assert (await client.sessions.get_by_id(session_id)).session_id == session_id
        for stream in streams:
            await stream.aclose()


async def test_no_more_streams_are_open_than_max_streams(server: FakeSyllable) -> None:
    session_id = server.add_session(recordings=[b"RIFF" * 300_000])
    async with AsyncSyllableClient(server.api_key, base_url=server.url, max_streams=1) as client:
        first, second = [(await client.sessions.recordings(session_id))[0] for _ in range(2)]
        await first.__aenter__()
        opening = asyncio.create_task(second.__aenter__())
        for _ in range(5):
            await client.sessions.get_by_id(session_id)
        assert not opening.done()
        await first.aclose()
        await opening
        await second.aclose()


async def test_a_call_on_a_pool_that_streams_fill_fails_at_once_and_names_the_pool(server: FakeSyllable) -> None:
    session_id = server.add_session(recordings=[b"RIFF" * 300_000])
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session,
        AsyncSyllableClient(server.api_key, base_url=server.url, session=session) as client,
    ):
        async with (await client.sessions.recordings(session_id))[0]:
            seen = len(server.requests)
            with pytest.raises(SyllableConnectionError, match="hold all 1 connections of the borrowed") as caught:
                await client.sessions.get_by_id(session_id)
            assert (caught.value.attempts, caught.value.outcome_unknown, caught.value.transient) == (0, False, False)
            assert len(server.requests) == seen
        assert (await client.sessions.get_by_id(session_id)).session_id == session_id


async def test_on_a_borrowed_pool_without_a_limit_nobody_waits(server: FakeSyllable) -> None:
    session_id = server.add_session(recordings=[b"RIFF" * 300_000])
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        AsyncSyllableClient(server.api_key, base_url=server.url, session=session, max_connections=1) as client,
    ):
        streams = [(await client.sessions.recordings(session_id))[0] for _ in range(3)]
        for stream in streams:
            await stream.__aenter__()
        assert (await client.sessions.get_by_id(session_id)).session_id == session_id
        for stream in streams:
            await stream.aclose()


async def test_a_call_that_waits_while_a_stream_fills_the_pool_is_told_too(server: FakeSyllable) -> None:
    session_id = server.add_session(recordings=[b"RIFF" * 300_000])
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session,
        AsyncSyllableClient(server.api_key, base_url=server.url, session=session) as client,
    ):
        stream = (await client.sessions.recordings(session_id))[0]
        opening = asyncio.create_task(stream.__aenter__())
        await asyncio.sleep(0)
        with pytest.raises(SyllableConnectionError, match="open recordings hold all"):
            await client.sessions.get_by_id(session_id)
        await opening
        await stream.aclose()


async def test_streams_wait_for_each_other_on_a_borrowed_pool(server: FakeSyllable) -> None:
    session_id = server.add_session(recordings=[b"RIFF" * 1000])
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=2)) as session,
        AsyncSyllableClient(server.api_key, base_url=server.url, session=session) as client,
    ):
        streams = [(await client.sessions.recordings(session_id))[0] for _ in range(8)]

        async def read(number: int) -> int:
            return sum([len(chunk) async for chunk in streams[number]])

        assert await asyncio.gather(*(read(number) for number in range(8))) == [4000] * 8


async def test_a_stream_that_another_thread_collects_gives_its_slot_back(server: FakeSyllable) -> None:
    session_id = server.add_session(recordings=[b"RIFF" * 300_000])
    async with AsyncSyllableClient(server.api_key, base_url=server.url, max_streams=1) as client:
        box = [(await client.sessions.recordings(session_id))[0]]
        await box[0].__aenter__()
        second = (await client.sessions.recordings(session_id))[0]
        opening = asyncio.create_task(second.__aenter__())
        await asyncio.sleep(0)

        def drop() -> None:
            box.clear()
            gc.collect()

        with pytest.warns(ResourceWarning, match="was not closed"):
            await asyncio.get_running_loop().run_in_executor(None, drop)
        await asyncio.wait_for(opening, 5)
        await second.aclose()
        assert client._transport.pool.streams.free == 1


def test_a_call_whose_deadline_passes_while_it_waits_for_a_slot_has_a_known_outcome() -> None:
    """It has begun, so its deadline runs while another call has the connection that it would try again on."""
    statuses = iter([503])

    async def work(load: Load) -> None:
        load.latency = (40.0, 40.0)
        policy = RetryPolicy(initial=1, maximum=1, deadline=60.0)
        await asyncio.gather(load.call(policy), load.call())

    load = loaded(lambda _: (next(statuses, 200), None), work, max_connections=1, timeout=None)
    [error] = load.failures
    assert isinstance(error, SyllableTimeoutError)
    assert (error.attempts, error.outcome_unknown) == (1, False)
    assert len(load.sent) == 2


def test_half_a_minute_of_waiting_for_a_slot_is_told_once_and_names_the_setting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work(load: Load) -> None:
        load.latency = (40.0, 40.0)
        await load.burst(3)

    load = loaded(Windows(1e9), work, max_connections=1, timeout=None)
    assert load.failures == []
    told = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert told == ["a call has waited for 30 s for one of the 1 connections of `max_connections`"]


# --- cancellation --------------------------------------------------------------------------------------------------


async def test_2000_randomly_cancelled_calls_leave_nothing_behind(server: FakeSyllable) -> None:
    chance = random.Random(7)
    session_id = server.add_session(recordings=[b"RIFF" * 20_000])
    server.faults.add("*", faults.status(503, times=100), faults.drop(times=100))
    policy = RetryPolicy(initial=0.001, maximum=0.002)
    async with AsyncSyllableClient(
        server.api_key, base_url=server.url, max_connections=10, max_streams=5, retries=policy
    ) as client:

        async def read() -> None:
            async with (await client.sessions.recordings(session_id))[0] as stream:
                async for _ in stream:
                    pass

        async def one() -> None:
            with suppress(SyllableError):
                await (client.sessions.get_by_id(session_id) if chance.random() < 0.8 else read())

        for _ in range(40):
            tasks = [asyncio.create_task(one()) for _ in range(50)]
            for _ in range(chance.randrange(40)):
                await asyncio.sleep(0)
            for task in tasks:
                if chance.random() < 0.8:
                    task.cancel()
            await asyncio.wait(tasks)
        pool = client._transport.pool
        assert (pool.calls.free, pool.streams.free) == (10, 5)
        assert not pool.open_streams
        assert not pool.lifetime.running
        assert not pool.lifetime.attempts.blocks
        session = pool._session
    assert session is not None
    assert session.closed
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
