"""Rows 22, 23, 26, 27, 39 and 42 of FAULTS.md: silence, no connection, garbage, heads, TLS, idle connections."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import attrs
from aiohttp.http_parser import HttpResponseParser, HttpResponseParserPy

from syllable_async import errors
from tests.fault_matrix.cell import Cell, Scene
from tests.fault_matrix.checks import GRACE, Scripted, Succeeds, fails
from tests.fault_matrix.client_under_test import Settings
from tests.fault_matrix.operations import ALL, DOWNLOAD, JSON, PAGE, POST, Operation
from tests.fault_server import (
    Chunk,
    Dribble,
    Endless,
    Exchange,
    FaultServer,
    Fin,
    Head,
    LastChunk,
    OnAccept,
    Raw,
    Rst,
    Stall,
    Status,
    reply,
)

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 5000\r\n\r\n"
BODY = b'{"id": 7, "padding": "' + b"p" * 5000


def _silences() -> dict[str, Exchange]:
    return {
        "never answers": [Stall()],
        "stalls in headers": [Raw(HEAD[:40]), Stall()],
        "stalls after headers": [Raw(HEAD), Stall()],
        "stalls after 100 bytes": [Raw(HEAD + BODY[:100]), Stall()],
        "stalls in chunks": [Head(200, {"Transfer-Encoding": "chunked"}), Chunk(BODY[:100]), Stall()],
        "dribbles headers": [Dribble(b"HTTP/1.1 200 OK\r\nX-Pad: " + b"p" * 5000, every=0.2)],
        "dribbles body": [Raw(HEAD), Dribble(BODY, every=0.2)],
        "endless 1xx": [Endless(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", every=0.2)],
    }


def _slow_error_bodies() -> dict[str, Exchange]:
    return {
        "endless error body": [Head(503, {"Transfer-Encoding": "chunked"}), Endless(b"1\r\na\r\n", every=0.2)],
        "stalled error body": [Head(503, {"Content-Length": "10"}), Raw(b"ab"), Stall()],
    }


def row_22() -> Iterator[Cell]:
    """Silence ends by the timeout of each attempt, all of them by the deadline; the error names the limit."""
    for variant, exchange in _silences().items():
        for operation in JSON:
            outcome = fails(errors.SyllableTimeoutError, limit="deadline", seconds=60.0, attempts=2)
            play = Scripted(always=exchange, outcome=outcome, requests=2, seconds=(60, 60 + GRACE))
            yield Cell(22, variant, operation, play)
        once = fails(errors.SyllableTimeoutError, limit="timeout", seconds=30.0, attempts=1, outcome_unknown=True)
        yield Cell(22, variant, POST, Scripted(script=[exchange], outcome=once, requests=1, seconds=(30, 30 + GRACE)))
    for variant, exchange in _slow_error_bodies().items():
        for operation in ALL:  # the status is known: its body is not waited for
            many = 1 if operation is POST else 4
            busy = fails(errors.InternalServerError, status=503, attempts=many)
            play = Scripted(always=exchange, outcome=busy, requests=many, seconds=(2 * many, 2 * many + 4))
            yield Cell(22, variant, operation, play)
    for variant in ("never answers", "stalls in headers", "dribbles headers", "endless 1xx"):
        outcome = fails(errors.SyllableTimeoutError, limit="timeout", seconds=30.0)
        play = Scripted(always=_silences()[variant], outcome=outcome, requests=4, seconds=(120, 150))
        yield Cell(22, variant, DOWNLOAD, play)
    for variant, received in (("stalls after 100 bytes", 100), ("stalls in chunks", 100), ("dribbles body", 300)):
        cut = fails(errors.IncompleteRecordingError, received=received)
        play = Scripted(always=_silences()[variant], outcome=cut, requests=4, seconds=(120, 270))
        yield Cell(22, variant, DOWNLOAD, play)
    for operation in JSON:
        yield from _other_limits(operation)
        slowly = Scripted(
            script=[[Dribble(_wire(operation), every=0.01)]], outcome=Succeeds(), requests=1, seconds=(1, 30)
        )
        yield Cell(22, "dribbles in time", operation, slowly)


def _other_limits(operation: Operation) -> Iterator[Cell]:
    """One limit switched off: the other one holds."""
    late = fails(errors.SyllableTimeoutError, limit="deadline", seconds=60.0, attempts=1)
    settings = Settings(timeout=None)
    play = Scripted(script=[[Stall()]], outcome=late, requests=1, seconds=(60, 60 + GRACE), settings=settings)
    yield Cell(22, "never answers, no timeout", operation, play)
    silent = fails(errors.SyllableTimeoutError, limit="timeout", seconds=30.0, attempts=4)
    settings = Settings(deadline=None)
    play = Scripted(always=[Stall()], outcome=silent, requests=4, seconds=(120, 150), settings=settings)
    yield Cell(22, "never answers, no deadline", operation, play)


def _wire(operation: Operation) -> bytes:
    """The good answer as bytes."""
    body = operation.body
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def row_23() -> Iterator[Cell]:
    """No connection: retried, whatever the call, because it certainly never arrived."""
    for operation in ALL:
        yield Cell(23, "refused", operation, _refused)
        yield Cell(23, "unroutable", operation, _Nowhere("255.255.255.255"), schemes=("http",))
        yield Cell(23, "unknown name", operation, _Nowhere("nowhere.example"), schemes=("http",))
        yield Cell(23, "handshake reset", operation, _handshake_reset, schemes=("https",))
        yield Cell(23, "handshake stalls", operation, _handshake_stalls, schemes=("https",))


async def _refused(scene: Scene, operation: Operation) -> None:
    async with scene.server() as server:
        server.refuse()
        async with scene.client(server) as client:
            result = await scene.run(client, operation)
        outcome = fails(errors.SyllableConnectionError, attempts=4, outcome_unknown=False)
        outcome.check(result, operation)
        assert server.connections == []


@attrs.frozen
class _Nowhere:
    """An address at which there is nothing."""

    host: str

    async def __call__(self, scene: Scene, operation: Operation) -> None:
        async with scene.make(f"http://{self.host}", Settings()) as client:
            result = await scene.run(client, operation)
        outcome = fails(errors.SyllableConnectionError, attempts=4, outcome_unknown=False)
        outcome.check(result, operation)


async def _handshake_reset(scene: Scene, operation: Operation) -> None:
    async with scene.server(always=[OnAccept(), Rst()]) as server:
        async with scene.client(server) as client:
            result = await scene.run(client, operation)
        outcome = fails(errors.SyllableConnectionError, attempts=4, outcome_unknown=False)
        outcome.check(result, operation)
        assert len(server.connections) == 4


async def _handshake_stalls(scene: Scene, operation: Operation) -> None:
    async with scene.server(always=[OnAccept(), Stall()]) as server:
        async with scene.client(server) as client:
            result = await scene.run(client, operation)
        attempts = 4 if operation is DOWNLOAD else 2  # a download has no deadline
        fails(errors.SyllableTimeoutError, attempts=attempts).check(result, operation)
        assert len(server.connections) == attempts
        assert result.seconds <= 150 if operation is DOWNLOAD else 60 + GRACE


GARBAGE: dict[str, Exchange] = {
    "bad status line": [Raw(b"HTTP/1.x two hundred\r\n\r\n"), Fin()],
    "not HTTP": [Raw(b"\x15\x03\x01\x00\x02\x02\x16 hello\r\n\r\n"), Fin()],
    "two lengths": [Head(200, [("Content-Length", "2"), ("Content-Length", "3")]), Raw(b"{} "), Fin()],
    "length and chunked": [
        Head(200, [("Content-Length", "2"), ("Transfer-Encoding", "chunked")]), Raw(b"2\r\n{}\r\n0\r\n\r\n"), Fin()
    ],
    "bad chunk size": [Head(200, {"Transfer-Encoding": "chunked"}), Raw(b"zz\r\n{}\r\n0\r\n\r\n"), Fin()],
    "NUL in a header": [Head(200, {"X-A": "a\0b", "Content-Length": "2"}), Raw(b"{}"), Fin()],
    "length of words": [Head(200, {"Content-Length": "two"}), Raw(b"{}"), Fin()],
    "chunk size above 64 bits": [Head(200, {"Transfer-Encoding": "chunked"}), Raw(b"fffffffffffffffff\r\n{}"), Fin()],
    "no version": [Raw(b"200 OK\r\nContent-Length: 2\r\n\r\n{}"), Fin()],
    "colon missing": [Raw(b"HTTP/1.1 200 OK\r\nContent-Length 2\r\n\r\n{}"), Fin()],
    "negative length": [Head(200, {"Content-Length": "-2"}), Raw(b"{}"), Fin()],
}  # fmt: skip


def row_26() -> Iterator[Cell]:
    """Garbage is a broken connection, not the 400 that aiohttp makes of it."""
    for variant, exchange in GARBAGE.items():
        for operation in ALL:
            if (variant, operation) == ("chunk size above 64 bits", DOWNLOAD):
                continue  # to the pure-Python parser a number like any other, and the recording is cut
            attempts = 1 if operation is POST else 4
            outcome = fails(errors.SyllableConnectionError, attempts=attempts, outcome_unknown=True)
            play = Scripted(always=exchange, outcome=outcome, requests=attempts)
            yield Cell(26, variant, operation, play)


def row_27() -> Iterator[Cell]:
    """Heads without end are refused, not stored."""
    heads: dict[str, Exchange] = {
        "100 KB header": [Head(200, {"X-Pad": "p" * 100_000, "Content-Length": "2"}), Raw(b"{}"), Fin()],
        "5000 headers": [Head(200, [(f"X-{n}", "v") for n in range(5000)]), Raw(b"{}"), Fin()],
        "100 KB reason": [Head(200, {"Content-Length": "2"}, "r" * 100_000), Raw(b"{}"), Fin()],
    }
    for variant, exchange in heads.items():
        for operation in ALL:
            attempts = 1 if operation is POST else 4
            outcome = fails(errors.SyllableConnectionError, attempts=attempts)
            play = Scripted(always=exchange, outcome=outcome, requests=attempts)
            yield Cell(27, variant, operation, play)

    for operation in (PAGE, DOWNLOAD):
        yield Cell(27, "a million one-byte chunks", operation, _a_million_chunks, schemes=("http",), long=True)


MANY = 1_000_000 if HttpResponseParser is not HttpResponseParserPy else 100_000
"""The pure-Python parser takes half a minute for a million."""


async def _a_million_chunks(scene: Scene, operation: Operation) -> None:
    blanks = b"1\r\n \r\n" * (MANY - len(operation.body)) if operation is not DOWNLOAD else b""
    ones = b"".join(b"1\r\n%c\r\n" % byte for byte in operation.body)
    bulk = ones if operation is not DOWNLOAD else ones * (MANY // len(operation.body))
    exchange: Exchange = [Head(200, {"Transfer-Encoding": "chunked"}), Raw(blanks + bulk), LastChunk()]
    async with scene.server([exchange]) as server, scene.client(server) as client:
        start = time.process_time()
        result = await scene.run(client, operation)
        assert time.process_time() - start <= 5
    assert result.success()[:100] == operation.value[:100]


@attrs.frozen
class _Untrusted:
    """A server with a certificate that must be refused."""

    variant: str

    async def __call__(self, scene: Scene, operation: Operation) -> None:
        async with FaultServer([], scene.certificates(self.variant)) as server:
            async with scene.client(server) as client:
                result = await scene.run(client, operation)
            outcome = fails(errors.SyllableConnectionError, attempts=1, outcome_unknown=False, transient=False)
            outcome.check(result, operation)
            assert len(server.connections) == 1
            assert server.requests == []


def row_39(variants: tuple[str, ...]) -> Iterator[Cell]:
    """A server that cannot prove who it is sees no request, and is not asked again."""
    for variant in variants:
        for operation in ALL:
            yield Cell(39, variant, operation, _Untrusted(variant), schemes=("https",))


LATE: dict[str, Callable[[Operation], Exchange]] = {
    "a whole answer": lambda _: reply(200, b'{"late": true}'),
    "half an answer": lambda _: [Raw(b"HTTP/1.1 200 OK\r\nContent-Le")],
    "408 and FIN": lambda _: [Status(408), Fin()],
    "garbage": lambda _: [Raw(b"\0\xff\0garbage\r\n\r\n")],
    "FIN": lambda _: [Fin()],
    "RST": lambda _: [Rst()],
}


def row_42() -> Iterator[Cell]:
    """What comes on an idle connection is nobody's answer; the next call takes a fresh one, and sends once."""
    for variant in LATE:
        for operation in ALL:
            yield Cell(42, f"{variant} while idle", operation, _WhileIdle(variant))

    for operation in ALL:
        yield Cell(42, "nothing while idle", operation, _nothing_while_idle)
        for variant, data, fin in (("an answer", WHOLE, False), ("408 and FIN", EMPTY_408, True), ("FIN", b"", True)):
            yield Cell(42, f"{variant} as the call begins", operation, _AsTheCallBegins(data, fin))


WHOLE = b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"late": true}'
EMPTY_408 = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"


async def _nothing_while_idle(scene: Scene, operation: Operation) -> None:
    """A connection on which nothing came is used again; else the cells above would prove nothing."""
    async with scene.server([operation.good] * 3) as server:
        async with scene.client(server) as client:
            for _ in range(3):
                Succeeds().check(await scene.run(client, operation), operation)
        assert [request.connection for request in server.requests] == [0, 0, 0]


@attrs.frozen
class _AsTheCallBegins:
    """What comes lies in the socket, and the client's loop has not looked yet."""

    data: bytes
    fin: bool

    async def __call__(self, scene: Scene, operation: Operation) -> None:
        async with scene.server([operation.good, operation.good]) as server:
            async with scene.client(server) as client:
                Succeeds().check(await scene.run(client, operation), operation)
                server.connections[0].at_once(self.data, fin=self.fin)
                Succeeds().check(await scene.run(client, operation), operation)
            assert [request.connection for request in server.requests] == [0, 1]


@attrs.frozen
class _WhileIdle:
    variant: str

    async def __call__(self, scene: Scene, operation: Operation) -> None:
        late = LATE[self.variant](operation)
        async with scene.server([[*operation.good, Stall("idle"), *late], operation.good]) as server:
            async with scene.client(server) as client:
                Succeeds().check(await scene.run(client, operation), operation)
                await server.release("idle")
                second = await scene.run(client, operation)
                Succeeds().check(second, operation)
            assert [request.connection for request in server.requests] == [0, 1]
            assert second.seconds == 0


def cells(bad_certificates: tuple[str, ...]) -> Iterator[Cell]:
    for row in (row_22, row_23, row_26, row_27, row_42):
        yield from row()
    yield from row_39(bad_certificates)
