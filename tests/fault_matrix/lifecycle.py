"""Rows 24, 40, 41 and 43 of FAULTS.md: cancellation, the environment, many calls, a wall clock that jumps."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import random
import time
from collections.abc import Callable, Iterator
from tempfile import NamedTemporaryFile

import aiohttp
import attrs
import pytest

from syllable_async import errors
from tests.fault_matrix.cell import Cell, Scene
from tests.fault_matrix.checks import GRACE, Scripted, Succeeds, assert_addressed, fails
from tests.fault_matrix.client_under_test import Settings
from tests.fault_matrix.operations import ALL, DOWNLOAD, JSON, REPEATABLE, WALK, Operation
from tests.fault_matrix.our_client import Ours
from tests.fault_server import (
    Dribble,
    Exchange,
    FaultServer,
    Fin,
    Head,
    Raw,
    ReceivedRequest,
    Rst,
    Stall,
    Status,
    reply,
)

ONE_SLOT = Settings(pool=1)
"""A pool of one shows a connection that was not given back: the next call would wait for ever."""


def row_24() -> Iterator[Cell]:
    """Cancellation passes through untouched, is no reason to try again, and leaves the client usable."""
    for operation in REPEATABLE:
        yield Cell(24, "cancelled at each await", operation, _cancelled_at_each_await)
        yield Cell(24, "cancelled while the server is silent", operation, _cancelled_in_silence)
        yield Cell(24, "cancelled before a retry", operation, _cancelled_before_a_retry)
        yield Cell(24, "cancelled while waiting for a connection", operation, _cancelled_in_the_queue)
        yield Cell(24, "client closed midway", operation, _closed_midway)
    yield Cell(24, "break", WALK, _broken_off)


async def _cancelled_at_each_await(scene: Scene, operation: Operation) -> None:
    async with scene.server(always=operation.good) as server:
        for turns in range(1, 200):
            seen = len(server.requests)
            async with scene.client(server, ONE_SLOT) as client:
                task = asyncio.create_task(client.ask(operation.name))
                for _ in range(turns):
                    await asyncio.sleep(0)
                finished = not task.cancel()
                await asyncio.wait([task])
                assert task.cancelled() is not finished
                assert len(server.requests) - seen <= 1
                Succeeds().check(await scene.run(client, operation), operation)
            if finished:
                return
    raise AssertionError("never finished")


async def _cancelled_in_silence(scene: Scene, operation: Operation) -> None:
    async with scene.server([[Stall("silence")], operation.good]) as server:
        async with scene.client(server, ONE_SLOT) as client:
            task = asyncio.create_task(client.ask(operation.name))
            await server.reached("silence")
            await _assert_cancelled(task)
            Succeeds().check(await scene.run(client, operation), operation)
        assert len(server.requests) == 2


async def _cancelled_before_a_retry(scene: Scene, operation: Operation) -> None:
    failed = asyncio.Event()
    settings = Settings(pool=1, on_retry=failed.set)
    async with scene.server([[Status(503)], operation.good]) as server:
        async with scene.client(server, settings) as client:
            task = asyncio.create_task(client.ask(operation.name))
            await failed.wait()
            await _assert_cancelled(task)
            Succeeds().check(await scene.run(client, operation), operation)
        assert len(server.requests) == 2


async def _cancelled_in_the_queue(scene: Scene, operation: Operation) -> None:
    async with scene.server([[Stall("hold"), *operation.good], operation.good]) as server:
        async with scene.client(server, ONE_SLOT) as client:
            first = asyncio.create_task(client.ask(operation.name))
            await server.reached("hold")
            second = asyncio.create_task(client.ask(operation.name))
            for _ in range(20):
                await asyncio.sleep(0)
            await _assert_cancelled(second)
            await server.release("hold")
            assert await first == operation.value
            Succeeds().check(await scene.run(client, operation), operation)
        assert len(server.requests) == 2


async def _assert_cancelled(task: asyncio.Task[object]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def _closed_midway(scene: Scene, operation: Operation) -> None:
    """The call ends at once, and its error says why."""
    async with scene.server([[Stall("silence")]]) as server:
        start = scene.loop.time()
        async with Ours(server.url, Settings()) as ours:
            task = asyncio.create_task(scene.run(ours, operation))
            await server.reached("silence")
        assert type((await task).failure()) is errors.ClientClosedError
        assert scene.loop.time() - start <= 0.1
        assert await server.closed()
        assert len(server.requests) == 1


def row_13_closed() -> Iterator[Cell]:
    """A body that only the connection's end would mark, and that we end ourselves, is not whole, whatever came."""
    for operation in REPEATABLE:
        for settings, whose in ((Settings(), "own"), (ONE_SLOT, "borrowed")):
            for size, much in ((len(operation.body) // 2, "half"), (len(operation.body), "whole")):
                play = _ClosedMidwayOfBody(operation.body[:size], settings)
                yield Cell(13, f"close-delimited, our aclose, {much}, {whose} session", operation, play)


@attrs.frozen
class _ClosedMidwayOfBody:
    body: bytes = attrs.field(repr=False)
    settings: Settings

    async def __call__(self, scene: Scene, operation: Operation) -> None:
        exchange: Exchange = [Head(200, {"Connection": "close"}), Raw(self.body), Stall("came")]
        async with scene.server([exchange]) as server:
            async with Ours(server.url, self.settings) as ours:
                task = asyncio.create_task(scene.run(ours, operation))
                await server.reached("came")
                for _ in range(10):
                    await asyncio.sleep(0)
                await ours.client.aclose()
                assert type((await task).failure()) is errors.ClientClosedError
            assert await server.closed(32)


async def _broken_off(scene: Scene, operation: Operation) -> None:
    page = {**operation.document, "total_pages": 3, "total_count": 3}
    async with scene.server([reply(200, json.dumps(page).encode())]) as server:
        async with Ours(server.url, ONE_SLOT) as ours:
            async for _ in ours.client.sessions.list():
                break
        assert await server.closed()
        assert len(server.requests) == 1


PROXIES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


def row_40() -> Iterator[Cell]:
    """Nothing is taken from the environment, and no cookie is kept, unless a borrowed session does."""
    for operation in ALL:
        yield Cell(40, "proxies", operation, _proxies)
        yield Cell(40, "netrc", operation, _netrc)
        yield Cell(40, "Set-Cookie", operation, _cookies)
    for operation in JSON:
        yield Cell(40, "proxies asked for", operation, _proxies_asked_for, schemes=("http",))


async def _proxies(scene: Scene, operation: Operation) -> None:
    async with scene.server([operation.good]) as server, FaultServer() as proxy:
        with pytest.MonkeyPatch.context() as patch:
            for name in PROXIES:
                patch.setenv(name, proxy.url)
            patch.delenv("NO_PROXY", raising=False)
            patch.delenv("no_proxy", raising=False)
            async with scene.client(server) as client:
                Succeeds().check(await scene.run(client, operation), operation)
        assert proxy.connections == []
        assert_addressed(server, operation)


async def _proxies_asked_for(scene: Scene, operation: Operation) -> None:
    async with scene.server() as server, FaultServer([operation.good]) as proxy:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("http_proxy", proxy.url)
            patch.delenv("NO_PROXY", raising=False)
            patch.delenv("no_proxy", raising=False)
            async with scene.client(server, Settings(pool=5, session={"trust_env": True})) as client:
                Succeeds().check(await scene.run(client, operation), operation)
        assert server.connections == []
        assert [request.target.startswith(server.url) for request in proxy.requests] == [True]


async def _netrc(scene: Scene, operation: Operation) -> None:
    with NamedTemporaryFile() as file, pytest.MonkeyPatch.context() as patch:
        file.write(b"machine 127.0.0.1 login somebody password secret\n")
        file.flush()
        patch.setenv("NETRC", file.name)
        async with scene.server([operation.good]) as server:
            async with scene.client(server) as client:
                Succeeds().check(await scene.run(client, operation), operation)
            assert [request.header("Authorization") for request in server.requests] == [None]


async def _cookies(scene: Scene, operation: Operation) -> None:
    host = "localhost"  # cookies of an address would not be kept anyway
    first = Status(503, {"Set-Cookie": "track=me; Path=/"})
    script: list[Exchange] = [[first], operation.good] if operation in REPEATABLE else [operation.good]
    async with scene.server(script) as server:
        url = server.url.replace("127.0.0.1", host)
        async with scene.make(url, Settings()) as client:
            Succeeds().check(await scene.run(client, operation), operation)
        assert await server.closed()
        assert {request.header("Cookie") for request in server.requests} == {None}


def row_41() -> Iterator[Cell]:
    """A hundred calls through ten connections, three in ten requests failing: all end, the quota holds."""
    for operation in REPEATABLE:
        yield Cell(41, "100 calls, 30 % faults, pool of 10", operation, _crowd)


async def _crowd(scene: Scene, operation: Operation) -> None:
    chance = random.Random(f"{operation.name} {scene.tls is None}")
    cut = reply(200, operation.body[:2], announced=len(operation.body))
    faults: list[Exchange] = [
        [Status(503)], [Status(429, {"Retry-After": "1"})], [Rst()], [Fin()], [*cut, Fin()], [*cut, Rst()],
    ]  # fmt: skip
    widest = 0

    def choose(_: ReceivedRequest) -> Exchange:
        nonlocal widest
        widest = max(widest, len(server.open_connections))
        return chance.choice(faults) if chance.random() < 0.3 else operation.good

    retried: list[None] = []
    settings = Settings(pool=10, deadline=None, on_retry=lambda: retried.append(None))
    async with scene.server(always=choose) as server:
        async with scene.client(server, settings) as client:
            results = await asyncio.gather(*(scene.run(client, operation) for _ in range(100)))
        for result in results:
            assert result.error is not None or result.value == operation.value
            assert isinstance(result.error, errors.SyllableError | None)
        refused = sum(record == logging.INFO for record in scene.watch.levels) - len(retried)
        assert len(server.requests) == 100 + len(retried) + refused
        assert sum(result.error is not None for result in results) <= 5
        assert widest <= 10
    scene.errors[10:] = []


def row_43() -> Iterator[Cell]:
    """The wall clock is nothing to go by: deadlines and pauses stay where they are when it jumps."""
    for operation in JSON:
        for variant, days in (("ahead", 1), ("back", -1)):
            yield Cell(43, f"jumps a day {variant}", operation, _Jumping(days * 86400.0))


@attrs.frozen
class _Jumping:
    seconds: float

    async def __call__(self, scene: Scene, operation: Operation) -> None:
        with pytest.MonkeyPatch.context() as patch:
            jump = self._clock(patch)
            async with scene.server(always=[Stall()]) as server:
                async with scene.client(server, Settings(on_retry=jump)) as client:
                    result = await scene.run(client, operation)
                assert len(server.requests) == 2
            fails(errors.SyllableTimeoutError, limit="deadline", seconds=60.0).check(result, operation)
            assert 60 <= result.seconds <= 60 + GRACE

    def _clock(self, patch: pytest.MonkeyPatch) -> Callable[[], None]:
        now = time.time

        def jump() -> None:
            patch.setattr(time, "time", lambda: now() + self.seconds)

        return jump


def borrowed() -> Iterator[Cell]:
    """A borrowed session's habits change nothing of what the client promises (FAULTS.md, rows 4, 14, 22)."""
    strict = Settings(pool=1, session={"raise_for_status": True})
    packed = Settings(pool=1, session={"auto_decompress": False})
    hasty = Settings(pool=1, session={"timeout": aiohttp.ClientTimeout(total=5, sock_connect=5, sock_read=5)})
    for operation in ALL:
        absent = fails(errors.NotFoundError, attempts=1)
        play = Scripted(script=[[Status(404)]], outcome=absent, requests=1, settings=strict)
        yield Cell(4, "404, session raises for status", operation, play)
        if operation is not DOWNLOAD:
            zipped = reply(200, gzip.compress(operation.body), {"Content-Encoding": "gzip"})
            play = Scripted(script=[zipped], outcome=Succeeds(), requests=1, settings=packed)
            yield Cell(14, "gzip, session leaves it packed", operation, play)
            late: Exchange = [Stall("late"), *operation.good]
            yield Cell(22, "session's timeout is shorter", operation, _Slow(late, hasty))
    slow = reply(200, b"", announced=400_000)[:1]
    steady: Exchange = [*slow, Dribble(bytes(400_000), every=1.0, size=1250)]
    for variant, settings in (
        ("own session", Settings()),
        ("session's timeout is shorter", hasty),
        ("borrowed", ONE_SLOT),
    ):
        yield Cell(22, f"320 s of steady bytes, {variant}", DOWNLOAD, _Steady(steady, settings))


@attrs.frozen
class _Slow:
    """An answer after 20 s, which is in time for us."""

    exchange: Exchange
    settings: Settings

    async def __call__(self, scene: Scene, operation: Operation) -> None:
        async with scene.server([self.exchange]) as server:
            scene.loop.call_later(20, lambda: asyncio.ensure_future(server.release("late")))
            async with scene.client(server, self.settings) as client:
                result = await scene.run(client, operation)
            Succeeds().check(result, operation)
            assert 20 <= result.seconds <= 20 + GRACE


@attrs.frozen
class _Steady:
    """A recording has no limit on the whole."""

    exchange: Exchange
    settings: Settings

    async def __call__(self, scene: Scene, operation: Operation) -> None:
        async with scene.server([self.exchange]) as server:
            async with scene.client(server, self.settings) as client:
                result = await scene.run(client, operation)
            assert result.success() == bytes(400_000)
            assert 319 <= result.seconds <= 321


def cells() -> Iterator[Cell]:
    for row in (row_13_closed, row_24, row_40, row_41, row_43, borrowed):
        yield from row()
