"""One cell on stage, and what every cell asserts beside its outcome.

- every scripted fault was met, and the server saw no request that the script does not know (`FaultServer`);
- after the client is closed no connection is open, no task runs, no file descriptor is left;
- nobody complained to the event loop, nothing was warned of;
- no secret in any log record (message, arguments, traceback), warning, error text, traceback or pickle;
- it ended: a cell that runs for `_PATIENCE` real seconds fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs

from tests.fault_matrix.client_under_test import MakeSubject, Settings, Subject
from tests.fault_matrix.operations import Operation
from tests.fault_matrix.secrets import EVERYWHERE, IN_LOCALS, Watch, found, locals_of, pickled, texts_of
from tests.fault_server import Chooser, Exchange, FaultServer
from tests.time_control import TimelessLoop

_PATIENCE = 20
HOSTS = {"localhost": "127.0.0.1", "elsewhere.example": "127.0.0.1"}


@attrs.frozen
class Result:
    """How one call ended.

    Attributes:
        value: of a success.
        error: in terms of our tree.
        seconds: by the loop's clock.
    """

    value: Any
    error: BaseException | None
    seconds: float

    def success(self) -> Any:
        """The value of a call that must have succeeded."""
        assert self.error is None, f"failed with {self.error!r}"
        return self.value

    def failure(self) -> BaseException:
        """The error of a call that must have failed."""
        assert self.error is not None, "succeeded"
        return self.error


Certificates = Callable[[str], ssl.SSLContext]
"""A server's TLS by name: `good`, or one of `tests.fault_server.tls.BAD_CERTIFICATES`."""


@attrs.define
class Scene:
    """What a play may use."""

    make: MakeSubject
    certificates: Certificates
    tls: ssl.SSLContext | None
    loop: TimelessLoop
    watch: Watch
    errors: list[BaseException] = attrs.field(factory=list[BaseException])
    not_in_locals: tuple[str, ...] = IN_LOCALS
    """Emptied by a play whose caller hands the secret to the very frame that refuses it."""

    def server(
        self,
        script: Sequence[Exchange] | Mapping[str, Sequence[Exchange]] = (),
        always: Exchange | Chooser | None = None,
    ) -> FaultServer:
        return FaultServer(script, self.tls, always=always)

    @asynccontextmanager
    async def client(self, server: FaultServer, settings: Settings | None = None) -> AsyncGenerator[Subject]:
        """A client of the server; once it is closed it must hold no connection any more.

        A borrowed session is aiohttp's, which waits 30 s for the close_notify of a server that says nothing.
        """
        settings = settings or Settings()
        async with self.make(server.url, settings) as subject:
            yield subject
        within = 1 if settings.pool is None else 32
        assert await server.closed(within), f"connections left open: {server.open_connections}"

    async def run(self, subject: Subject, operation: Operation, deadline: float | None = None) -> Result:
        """One call, its error kept for the search for secrets; `deadline` in place of the client's."""
        start = self.loop.time()
        try:
            value = await subject.ask(operation.name, deadline)
        except Exception as error:
            self.errors.append(error)
            return Result(None, subject.judged(error), self.loop.time() - start)
        return Result(value, None, self.loop.time() - start)


Play = Callable[[Scene, Operation], Awaitable[None]]


@attrs.frozen
class Cell:
    """One fault against one operation.

    Attributes:
        row: its number in FAULTS.md.
    """

    row: int
    variant: str
    operation: Operation
    play: Play = attrs.field(repr=False)
    schemes: tuple[str, ...] = ("http", "https")
    long: bool = False

    @property
    def id(self) -> str:
        return f"{self.row}-{self.variant}-{self.operation.name}"


def run_cell(cell: Cell, scheme: str, make: MakeSubject, certificates: Certificates) -> None:
    """Play the cell in a loop of its own and assert what must hold for each."""
    before = _descriptors()
    loop = TimelessLoop(HOSTS)
    with _patience(), Watch() as watch:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            tls = certificates("good") if scheme == "https" else None
            scene = Scene(make, certificates, tls, loop, watch)
            runner.run(_on_stage(cell, scene))
        watch.collect()
        assert loop.problems == []
        assert watch.warned == []
    assert _descriptors() == before, "a file or socket was left open"
    _assert_discreet(scene)


async def _on_stage(cell: Cell, scene: Scene) -> None:
    before = asyncio.all_tasks()
    await cell.play(scene, cell.operation)
    for _ in range(10):  # what was closed may need a few rounds
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == before, "a task was left running"


def _assert_discreet(scene: Scene) -> None:
    leaks = found(EVERYWHERE, iter([*scene.watch.heard, *scene.watch.warned]))
    for error in scene.errors:
        leaks += found(EVERYWHERE, texts_of(error))
        leaks += found(scene.not_in_locals, locals_of(error))
        leaks += found(EVERYWHERE, iter([pickled(error).decode("latin-1")]))
    assert leaks == []


def _descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names, not paths


@contextlib.contextmanager
def _patience() -> Generator[None]:
    def impatient(*_: object) -> None:
        raise TimeoutError(f"no end after {_PATIENCE} s")

    previous = signal.signal(signal.SIGALRM, impatient)
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
