"""What a fault server can be told to do with a connection. An exchange is a list of these."""

from __future__ import annotations

import asyncio
import http
import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import attrs

from tests.fault_server.wire import Connection

Headers: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]]


class Stage(Protocol):
    """What an instruction may do beyond its own connection."""

    async def stall(self, gate: str | None) -> None: ...
    def refuse(self) -> None: ...


class Instruction(Protocol):
    """One step of an exchange."""

    @abstractmethod
    async def run(self, line: Connection, stage: Stage) -> None: ...


Exchange: TypeAlias = Sequence[Instruction]


def _pairs(headers: Headers) -> list[tuple[str, str]]:
    return list(headers.items()) if isinstance(headers, Mapping) else list(headers)


def _head(status: int, headers: Headers, reason: str | None = None) -> bytes:
    if reason is None:
        reason = http.HTTPStatus(status).phrase if status in http.HTTPStatus.__members__.values() else "Scripted"
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in _pairs(headers))]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@attrs.frozen
class Raw(Instruction):
    """Exactly these bytes: a part of a body, garbage, a response nobody asked for."""

    data: bytes

    async def run(self, line: Connection, stage: Stage) -> None:
        await line.send(self.data)


@attrs.frozen
class Bare(Instruction):
    """Exactly these bytes on the socket, with TLS not asked."""

    data: bytes

    async def run(self, line: Connection, stage: Stage) -> None:
        await line.send_bare(self.data)


@attrs.frozen
class Head(Instruction):
    """Status line and headers, these and no others."""

    status: int = 200
    headers: Headers = ()
    reason: str | None = None

    async def run(self, line: Connection, stage: Stage) -> None:
        await line.send(_head(self.status, self.headers, self.reason))


@attrs.frozen
class Status(Instruction):
    """A whole answer with an empty body, the connection kept alive."""

    status: int
    headers: Headers = ()

    async def run(self, line: Connection, stage: Stage) -> None:
        await line.send(_head(self.status, [*_pairs(self.headers), ("Content-Length", "0")]))


@attrs.frozen
class Chunk(Instruction):
    """One chunk of a chunked body."""

    data: bytes

    async def run(self, line: Connection, stage: Stage) -> None:
        await line.send(b"%x\r\n%b\r\n" % (len(self.data), self.data))


@attrs.frozen
class LastChunk(Instruction):
    """The end of a chunked body."""

    async def run(self, line: Connection, stage: Stage) -> None:
        await line.send(b"0\r\n\r\n")


@attrs.frozen
class Dribble(Instruction):
    """`data`, `size` bytes each `every` seconds."""

    data: bytes
    every: float
    size: int = 1

    async def run(self, line: Connection, stage: Stage) -> None:
        for start in range(0, len(self.data), self.size):
            await line.send(self.data[start : start + self.size])
            await asyncio.sleep(self.every)


@attrs.frozen
class Endless(Instruction):
    """`data` again and again, each `every` seconds, until the client goes or the server ends."""

    data: bytes
    every: float = 0.0

    async def run(self, line: Connection, stage: Stage) -> None:
        while True:
            await line.send(self.data)
            await asyncio.sleep(self.every)


@attrs.frozen
class Stall(Instruction):
    """Silence until `FaultServer.release(gate)`; without a gate, until the server ends."""

    gate: str | None = None

    async def run(self, line: Connection, stage: Stage) -> None:
        await stage.stall(self.gate)


@attrs.frozen
class Fin(Instruction):
    """A clean close: close_notify where there is TLS, then FIN."""

    async def run(self, line: Connection, stage: Stage) -> None:
        await line.fin(close_notify=True)


@attrs.frozen
class Ragged(Instruction):
    """FIN without close_notify: with TLS a truncation. Without TLS there is nothing to leave out: like `Fin`."""

    async def run(self, line: Connection, stage: Stage) -> None:
        await line.fin(close_notify=False)


@attrs.frozen
class Rst(Instruction):
    """A reset (SO_LINGER 0)."""

    async def run(self, line: Connection, stage: Stage) -> None:
        line.rst()


@attrs.frozen
class Refuse(Instruction):
    """No new connections from now on, until `FaultServer.listen()`."""

    async def run(self, line: Connection, stage: Stage) -> None:
        stage.refuse()


class _Marker(Instruction):
    """First of an exchange; says when the exchange starts instead of after a whole request."""

    async def run(self, line: Connection, stage: Stage) -> None:
        """Nothing: the server looked for it."""


@attrs.frozen
class OnAccept(_Marker):
    """First of an exchange: it starts on the accepted socket, with nothing read and before any TLS handshake."""


@attrs.frozen
class Unread(_Marker):
    """First of an exchange: it starts at a request's first bytes. That request is not parsed and not recorded."""


Framing: TypeAlias = Literal["length", "chunked", "close"]


def reply(
    status: int = 200,
    body: bytes = b"",
    headers: Headers = (),
    *,
    framing: Framing = "length",
    announced: int | None = None,
    chunk_size: int | None = None,
    last_chunk: bool = True,
) -> list[Instruction]:
    """One answer.

    Args:
        status: the HTTP status.
        body: the bytes to send, whatever is announced.
        headers: beside those of the framing.
        framing: `"length"`, `"chunked"`, or `"close"`, which ends with `Fin`.
        announced: Content-Length, when it is to be wrong.
        chunk_size: cuts a chunked body; one chunk otherwise.
        last_chunk: False leaves out the end of a chunked body.
    """
    pairs = _pairs(headers)
    if framing == "length":
        pairs.append(("Content-Length", str(len(body) if announced is None else announced)))
        return [Head(status, pairs), *([Raw(body)] if body else [])]
    if framing == "close":
        return [Head(status, [*pairs, ("Connection", "close")]), Raw(body), Fin()]
    size = chunk_size or max(len(body), 1)
    chunks = [Chunk(body[start : start + size]) for start in range(0, len(body), size)]
    return [Head(status, [*pairs, ("Transfer-Encoding", "chunked")]), *chunks, *([LastChunk()] if last_chunk else [])]


def json_reply(value: Any, status: int = 200, headers: Headers = ()) -> list[Instruction]:
    """One whole answer with a JSON body."""
    return reply(status, json.dumps(value).encode(), [("Content-Type", "application/json"), *_pairs(headers)])
