"""The fault server: hands each request its exchange and keeps account of what was reached."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeAlias

from tests.fault_server.instructions import Exchange, Fin, Instruction, OnAccept, Unread, reply
from tests.fault_server.wire import Connection, ReceivedRequest


class _Account:
    """An exchange and how many of its instructions were begun."""

    def __init__(self, name: str, steps: Exchange) -> None:
        self.name = name
        self.steps = steps
        self.begun = 0

    async def run(self, line: Connection, server: FaultServer) -> None:
        for number, step in enumerate(self.steps, 1):
            self.begun = max(self.begun, number)
            await step.run(line, server)

    def unmet(self) -> list[str]:
        return [f"{self.name}: {step!r}" for step in self.steps[self.begun :]]


def _accounts(name: str, exchanges: Iterable[Exchange]) -> list[_Account]:
    return [_Account(f"{name}{number}", steps) for number, steps in enumerate(exchanges)]


Chooser: TypeAlias = Callable[[ReceivedRequest], Exchange]


class FaultServer:
    """Plays a script.

    Attributes:
        requests: every request that was read whole, in order of arrival.
        connections: every accepted connection, in order.
        unscripted: requests for which no exchange was left. They are answered 501 and fail `assert_met`.
    """

    def __init__(
        self,
        script: Sequence[Exchange] | Mapping[str, Sequence[Exchange]] = (),
        tls: ssl.SSLContext | None = None,
        *,
        always: Exchange | Chooser | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        """Take a script.

        Args:
            script: an exchange for each request in order of arrival; or such lists by the prefix of the request's
                target, of which the longest that fits is used. `OnAccept` and `Unread` work only without a prefix
                (in the list, or under `""`), because nobody knows the target yet.
            tls: serve https with this context.
            always: the exchange for every request that the script has none left for, or a function that chooses it.
            host: the loopback address to listen on.
        """
        routes = script if isinstance(script, Mapping) else {"": script}
        self.requests: list[ReceivedRequest] = []
        self.connections: list[Connection] = []
        self.unscripted: list[ReceivedRequest] = []
        self._routes = {prefix: deque(_accounts(f"{prefix}#", routes[prefix])) for prefix in routes}
        self._choose = always if callable(always) else None
        self._always = None if always is None or callable(always) else _Account("always", always)
        self._accounts = [account for route in self._routes.values() for account in route]
        self._accounts += [self._always] if self._always else []
        self._tls = tls
        self._host, self._port = host, 0
        self._gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._reached: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: list[BaseException] = []
        self._listener: socket.socket | None = None
        self._listening = False

    def add(self, *exchanges: Exchange, prefix: str = "") -> None:
        """Lengthen the script: for exchanges that have to know the server's own address."""
        accounts = _accounts(f"{prefix}+", exchanges)
        self._routes.setdefault(prefix, deque()).extend(accounts)
        self._accounts += accounts

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self._host}:{self._port}"

    @property
    def open_connections(self) -> list[Connection]:
        """Connections whose client has not closed its end."""
        return [line for line in self.connections if line.peer_open]

    @property
    def unmet(self) -> list[str]:
        """The instructions that were not reached."""
        return [text for account in self._accounts for text in account.unmet()]

    def assert_met(self) -> None:
        """Fail unless every instruction was reached and every request was expected."""
        unscripted = [f"{request.method} {request.target}" for request in self.unscripted]
        if self.unmet or unscripted:
            raise AssertionError(f"not reached: {self.unmet}; not in the script: {unscripted}")

    async def closed(self, within: float = 1.0) -> bool:
        """Whether every client end is closed, waiting a little: a transport closes its socket a loop round late."""
        pause = 0.001
        while self.open_connections and within > 0:
            await asyncio.sleep(pause)
            within -= pause
            pause *= 1.5
        return not self.open_connections

    async def release(self, gate: str) -> None:
        """Let all `Stall(gate)` go on, those to come too; returns when what follows was sent and could be read."""
        self._gates[gate].set()
        for _ in range(10):
            await asyncio.sleep(0)

    async def reached(self, gate: str) -> None:
        """Wait until some exchange stands at `Stall(gate)`."""
        await self._reached[gate].wait()

    async def stall(self, gate: str | None) -> None:
        if gate is None:
            await asyncio.Event().wait()
        else:
            self._reached[gate].set()
            await self._gates[gate].wait()

    def listen(self) -> None:
        """Accept connections, on the port of before if there was one."""
        if not self._listening:
            listener = self._bind()
            listener.listen(1024)
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)
            self._listening = True

    def refuse(self) -> None:
        """Refuse connections from now on; those that are open live on. The port stays reserved."""
        if self._listening:
            self._bind()

    def _bind(self) -> socket.socket:
        self._unbind()
        self._listener = listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)
        listener.bind((self._host, self._port))
        self._port = listener.getsockname()[1]
        return listener

    def _unbind(self) -> None:
        if self._listening and self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listening = False
        if self._listener is not None:
            self._listener.close()

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # the client has gone already
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line = Connection(len(self.connections), sock, self._tls)
        self.connections.append(line)
        task = asyncio.create_task(self._serve(line))
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()):
            self._failures.append(failure)

    async def _serve(self, line: Connection) -> None:
        try:
            if account := self._take_marked(OnAccept):
                await account.run(line, self)
            if not line.ended:
                await line.handshake()
            while not line.ended and await self._exchange(line):
                pass
            await line.drain()
        except OSError:
            pass  # the client went away: what it did not see stays unmet
        finally:
            line.close()

    async def _exchange(self, line: Connection) -> bool:
        """Serve one request; False when the client has no more."""
        if not (line.buffered or await line.fill()):
            return False
        account = self._take_marked(Unread)
        if account is None:
            request = await line.request()
            if request is None:
                return False
            self.requests.append(request)
            account = self._take(request)
        await account.run(line, self)
        return True

    def _take_marked(self, marker: type[Instruction]) -> _Account | None:
        route = self._routes.get("")
        account = route[0] if route else self._always
        if account is None or not account.steps or not isinstance(account.steps[0], marker):
            return None
        return route.popleft() if route else account

    def _take(self, request: ReceivedRequest) -> _Account:
        fitting = [prefix for prefix in self._routes if request.target.startswith(prefix)]
        route = self._routes[max(fitting, key=len)] if fitting else None
        if route:
            return route.popleft()
        if self._always is not None:
            return self._always
        if self._choose is not None:
            return _Account("chosen", self._choose(request))
        self.unscripted.append(request)
        return _Account("unscripted", [*reply(501), Fin()])

    async def __aenter__(self) -> Self:
        self.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stop()
        if kind is None:
            if self._failures:
                raise ExceptionGroup(
                    "the fault server itself failed", [f for f in self._failures if isinstance(f, Exception)]
                )
            self.assert_met()

    async def _stop(self) -> None:
        self._unbind()
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for line in self.connections:
            line.close()
