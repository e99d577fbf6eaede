"""Three ways to stop time, because they answer different questions.

`FakeTime` is for code that is given its clock and its sleep: what does it sleep for, and when does it give up? It is
the cheapest: nothing but that code knows of it, and the sleeps can be read afterwards. `timeless_client` is the whole
client on a `FakeTime`, against a real server: which pauses does a call make? Its sleeps take no time, but its limits
(`timeout`, the stall limit) are the event loop's and wait as ever, so let nothing in such a test reach them.
`TimelessLoop` is for exactly that: both ends run in one event loop whose clock jumps to the next timer as soon as
nobody has anything to say, so that a limit of 30 s passes at once, at the right moment. Whatever waits for something
outside the loop (a server in a thread, another process) cannot be tested on it.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from syllable_async import AsyncSyllableClient
from syllable_async._timing import Clock

T = TypeVar("T")


class FakeTime:
    """A clock that only sleeping moves. Every sleep gives the loop one turn."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.sleeps: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def timeless_client(fake_time: FakeTime) -> type[AsyncSyllableClient]:
    """The client class, with a clock and a sleep that take no time."""

    class TimelessClient(AsyncSyllableClient):
        _clock = Clock(fake_time.clock, fake_time.sleep)

    return TimelessClient


class _Selector(selectors.DefaultSelector):
    """Where nothing can be read and no thread works, only a timer can go on: the clock jumps to it.

    Client and server live in the one loop and talk over loopback, so what was sent can be read at once: a `select`
    that finds nothing means that nobody is about to say anything.
    """

    loop: TimelessLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self.loop.threads:
            return super().select(0.05)
        if timeout is None:
            raise RuntimeError("everybody waits for somebody else")
        self.loop.jump(timeout)
        return []


class TimelessLoop(asyncio.SelectorEventLoop):
    """An event loop on real sockets in which waiting takes no time: its `time` passes only by timers, at once.

    Attributes:
        hosts: names that resolve, and to what. Any other name is unknown.
        problems: what asyncio reports to the exception handler.
        threads: calls that run in the executor now; the clock stands still meanwhile.
    """

    def __init__(self, hosts: Mapping[str, str] | None = None) -> None:
        self.hosts = hosts or {}
        self.problems: list[dict[str, Any]] = []
        self.threads = 0
        self._now = 1000.0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)
        self.set_exception_handler(lambda _, context: self.problems.append(context))

    def time(self) -> float:
        return self._now

    def jump(self, seconds: float) -> None:
        self._now += seconds

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        future: asyncio.Future[T] = super().run_in_executor(executor, func, *args)
        self.threads += 1
        future.add_done_callback(self._thread_done)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        self.threads += 1
        await super().shutdown_default_executor()
        self.threads -= 1

    def _thread_done(self, _: asyncio.Future[Any]) -> None:
        self.threads -= 1

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> Any:
        """No name leaves this machine."""
        if host not in self.hosts:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (self.hosts[host], port))]
