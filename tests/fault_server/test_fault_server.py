"""Each instruction, seen from raw sockets and streams, over http and https."""

from __future__ import annotations

import asyncio
import contextlib
import re
import select
import socket
import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import attrs
import pytest
import trustme

from tests.fault_server import (
    Bare,
    Chunk,
    Dribble,
    Endless,
    Exchange,
    FaultServer,
    Fin,
    Head,
    Instruction,
    LastChunk,
    OnAccept,
    Ragged,
    Raw,
    ReceivedRequest,
    Refuse,
    Rst,
    Stall,
    Status,
    Unread,
    json_reply,
    reply,
)
from tests.fault_server.tls import BAD_CERTIFICATES, bad_server_context

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def brief(value: object) -> str:
    return str(value)[:60]


EMPTY_200 = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@attrs.frozen
class Scheme:
    """How to make servers, and streams to them."""

    server_tls: ssl.SSLContext | None
    client_tls: ssl.SSLContext | None

    def server(self, script: Sequence[Exchange], always: Exchange | None = None) -> FaultServer:
        return FaultServer(script, self.server_tls, always=always)

    async def connect(self, server: FaultServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        name = "localhost" if self.client_tls else None
        return await asyncio.open_connection("127.0.0.1", server.port, ssl=self.client_tls, server_hostname=name)

    @asynccontextmanager
    async def stream(self, server: FaultServer) -> AsyncGenerator[Stream]:
        reader, writer = await self.connect(server)
        try:
            yield Stream(reader, writer)
        finally:
            writer.transport.abort()

    async def ask(self, server: FaultServer, request: bytes = GET) -> bytes:
        """All bytes of a connection on which one request was sent."""
        async with self.stream(server) as stream:
            return await stream.ask(request)


@attrs.frozen
class Stream:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, request: bytes = GET) -> bytes:
        self.writer.write(request)
        return await self.reader.read()


@pytest.fixture(params=["http", "https"])
def scheme(request: pytest.FixtureRequest, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> Scheme:
    return Scheme(None, None) if request.param == "http" else Scheme(server_tls, client_tls)


SENT: list[tuple[Exchange, bytes]] = [
    ([Raw(b"\x00garbage"), Fin()], b"\x00garbage"),
    ([Status(429, {"A": "1"}), Fin()], b"HTTP/1.1 429 Too Many Requests\r\nA: 1\r\nContent-Length: 0\r\n\r\n"),
    ([Head(299, [("A", "1"), ("A", "2")]), Fin()], b"HTTP/1.1 299 Scripted\r\nA: 1\r\nA: 2\r\n\r\n"),
    ([Head(200, {"Pad": "p" * 100_000}, "Fine"), Fin()], b"HTTP/1.1 200 Fine\r\nPad: " + b"p" * 100_000 + b"\r\n\r\n"),
    ([Head(200, [("A", "1")] * 5000), Fin()], b"HTTP/1.1 200 OK\r\n" + b"A: 1\r\n" * 5000 + b"\r\n"),
    ([Chunk(b"0123456789abcdef"), Fin()], b"10\r\n0123456789abcdef\r\n"),
    ([LastChunk(), Fin()], b"0\r\n\r\n"),
    ([*reply(200, b"four"), Fin()], b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfour"),
    ([*reply(200, b"four", announced=9), Fin()], b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour"),
    ([*reply(200, b"four", announced=2), Fin()], b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nfour"),
    (
        [*reply(200, b"four!", framing="chunked", chunk_size=3), Fin()],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nfou\r\n2\r\nr!\r\n0\r\n\r\n",
    ),
    (
        [*reply(200, b"four", framing="chunked", last_chunk=False), Fin()],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n",
    ),
    (reply(200, b"four", {"A": "1"}, framing="close"), b"HTTP/1.1 200 OK\r\nA: 1\r\nConnection: close\r\n\r\nfour"),
    (
        [*json_reply({"a": 1}, 201), Fin()],
        b'HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n{"a": 1}',
    ),
    ([Fin()], b""),
    ([Unread(), Fin()], b""),
    ([Dribble(b"abcdefg", every=0.001, size=2), Fin()], b"abcdefg"),
]  # fmt: skip


@pytest.mark.parametrize(("exchange", "sent"), SENT, ids=brief)
async def test_exact_bytes_then_a_clean_end(scheme: Scheme, exchange: Exchange, sent: bytes) -> None:
    async with scheme.server([exchange]) as server:
        assert await scheme.ask(server) == sent
        assert len(server.requests) == (0 if isinstance(exchange[0], Unread) else 1)


async def test_requests_are_recorded_exactly(scheme: Scheme) -> None:
    chunked = b"PUT /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    length = b"POST /a?q=%20 HTTP/1.1\r\nX-A: 1 \r\nx-a: 2\r\nContent-Length: 4\r\n\r\nb\r\n\r"
    async with scheme.server([[Status(200)], [Status(200), Fin()], [Status(204), Fin()]]) as server:
        assert (await scheme.ask(server, length + chunked)) == EMPTY_200 * 2  # pipelined on one connection
        await scheme.ask(server)
        first, second, third = server.requests
    assert (first.method, first.target, first.path, first.body) == ("POST", "/a?q=%20", "/a", b"b\r\n\r")
    assert first.headers == [("X-A", "1"), ("x-a", "2"), ("Content-Length", "4")]
    assert first.header("X-a") == "1"
    assert first.header("Accept") is None
    assert (first.raw, second.raw) == (length, chunked)
    assert second.body == b"abcde"
    assert [first.connection, second.connection, third.connection] == [0, 0, 1]


async def test_a_request_cut_by_its_client_is_not_recorded(scheme: Scheme) -> None:
    async with scheme.server([]) as server:
        for cut in (b"GE", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nshort", GET[:-1]):
            async with scheme.stream(server) as stream:
                stream.writer.write(cut)
                await stream.writer.drain()
                stream.writer.close()
        assert await server.closed()
        assert server.requests == []


RESETS: list[Exchange] = [
    [Rst()],
    [Unread(), Rst()],
    [Head(200, {"Content-Length": "9"}), Raw(b"part"), Rst()],
]


@pytest.mark.parametrize("exchange", RESETS, ids=brief)
async def test_rst_is_a_connection_reset(scheme: Scheme, exchange: Exchange) -> None:
    async with scheme.server([exchange]) as server, scheme.stream(server) as stream:
        with pytest.raises(ConnectionResetError):
            await stream.ask()


async def test_bytes_before_a_reset_arrive(scheme: Scheme) -> None:
    async with scheme.server([[Raw(b"part"), Rst()]]) as server, scheme.stream(server) as stream:
        stream.writer.write(GET)
        assert await stream.reader.readexactly(4) == b"part"
        with pytest.raises(ConnectionResetError):
            await stream.reader.read()


def _raw_tls(port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    return context.wrap_socket(
        socket.create_connection(("127.0.0.1", port), timeout=5),
        server_hostname="localhost",
        suppress_ragged_eofs=False,
    )


def _ask_raw(port: int, context: ssl.SSLContext) -> list[bytes | type[Exception]]:
    seen: list[bytes | type[Exception]] = []
    with _raw_tls(port, context) as sock:
        sock.sendall(GET)
        try:
            while data := sock.recv(100):
                seen.append(data)
        except OSError as error:
            seen.append(type(error))
        else:
            seen.append(b"")
    return seen


@pytest.mark.parametrize(("ending", "seen"), [(Fin(), b""), (Ragged(), ssl.SSLEOFError)], ids=brief)
async def test_the_ends_of_tls(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, ending: Instruction, seen: object
) -> None:
    async with FaultServer([[Raw(b"data"), ending]], server_tls) as server:
        assert await asyncio.to_thread(_ask_raw, server.port, client_tls) == [b"data", seen]


@pytest.mark.parametrize(("ending", "clean"), [(Fin(), True), (Ragged(), False)], ids=brief)
async def test_the_ends_of_tls_in_asyncio(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, ending: Instruction, clean: bool
) -> None:
    """Asyncio reads both as a plain end; only the SSL object knows."""
    scheme = Scheme(server_tls, client_tls)
    async with scheme.server([[Raw(b"data"), ending]]) as server, scheme.stream(server) as stream:
        ssl_object: ssl.SSLObject = stream.writer.get_extra_info("ssl_object")
        assert await stream.ask() == b"data"
        with pytest.raises(ssl.SSLZeroReturnError if clean else ssl.SSLWantReadError):
            ssl_object.read(1)


async def test_bytes_under_tls_break_it(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async with FaultServer([[Bare(b"HTTP/1.1 200 OK\r\n\r\n"), Fin()]], server_tls) as server:
        (error,) = await asyncio.to_thread(_ask_raw, server.port, client_tls)
        assert isinstance(error, type)
        assert issubclass(error, ssl.SSLError)


async def test_a_handshake_can_stall_fail_and_be_reset(server_tls: ssl.SSLContext) -> None:
    script: list[Exchange] = [
        [OnAccept(), Stall("hold")],
        [OnAccept(), Rst()],
        [OnAccept(), Fin()],
        [OnAccept(), Bare(b"HTTP/1.1 400"), Fin()],
    ]
    async with FaultServer(script, server_tls) as server:
        context = ssl.create_default_context()
        for expected in (TimeoutError, ConnectionResetError, (ConnectionResetError, ssl.SSLError), ssl.SSLError):
            with pytest.raises(expected):
                async with asyncio.timeout(0.03):
                    await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
        assert server.requests == []
        assert len(server.connections) == 4


@pytest.mark.parametrize("variant", BAD_CERTIFICATES)
async def test_bad_certificates_are_refused_and_nothing_is_sent(
    ca: trustme.CA, client_tls: ssl.SSLContext, variant: str
) -> None:
    reasons = {
        "unknown CA": "unable to get local issuer",
        "wrong host": "IP address mismatch",
        "expired": "expired",
        "self-signed": "self-signed certificate",
    }
    async with FaultServer([], bad_server_context(ca, variant)) as server:
        with pytest.raises(ssl.SSLCertVerificationError, match=reasons[variant]):
            await asyncio.open_connection("127.0.0.1", server.port, ssl=client_tls, server_hostname="127.0.0.1")
        assert await server.closed()
        assert server.requests == []


async def test_accepts_and_never_answers(scheme: Scheme) -> None:
    async with scheme.server([[Stall()]]) as server, scheme.stream(server) as stream:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await stream.ask()
        assert len(server.requests) == 1


async def test_a_stall_ends_when_released(scheme: Scheme) -> None:
    async with scheme.server([[Raw(b"a"), Stall("on"), Raw(b"b"), Fin()]]) as server, scheme.stream(server) as stream:
        stream.writer.write(GET)
        await server.reached("on")
        assert await stream.reader.read(9) == b"a"
        await server.release("on")
        assert await stream.reader.read(9) == b"b"


async def test_dribbled_bytes_come_one_by_one(scheme: Scheme) -> None:
    async with scheme.server([[Dribble(b"abc", every=0.005), Fin()]]) as server, scheme.stream(server) as stream:
        stream.writer.write(GET)
        assert [await stream.reader.read(9) for _ in range(4)] == [b"a", b"b", b"c", b""]


LATE: list[tuple[Exchange, bytes]] = [
    (reply(200, b"late"), b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate"),
    ([Status(408), Fin()], b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"),
    ([Raw(b"\xff\x00garbage")], b"\xff\x00garbage"),
    ([Fin()], b""),
]


@pytest.mark.parametrize(("late", "seen"), LATE, ids=brief)
async def test_late_bytes_on_an_idle_connection(scheme: Scheme, late: Exchange, seen: bytes) -> None:
    async with scheme.server([[Status(200), Stall("idle"), *late]]) as server, scheme.stream(server) as stream:
        stream.writer.write(GET)
        assert await stream.reader.readexactly(len(EMPTY_200)) == EMPTY_200
        await server.release("idle")
        async with asyncio.timeout(0.5):  # they are here already
            assert await stream.reader.read(99) == seen


async def test_at_once_is_before_the_next_turn_of_the_loop(scheme: Scheme) -> None:
    async with scheme.server([[Status(200)]]) as server, scheme.stream(server) as stream:
        stream.writer.write(GET)
        assert await stream.reader.readexactly(len(EMPTY_200)) == EMPTY_200
        server.connections[0].at_once(b"late", fin=True)
        readable, _, _ = select.select([stream.writer.get_extra_info("socket").fileno()], [], [], 0)
        assert readable
        assert await stream.reader.read() == b"late"


@pytest.mark.parametrize("endless", [b"HTTP/1.1 103 Early Hints\r\n\r\n", b"body" * 1000])
async def test_endless_bytes_end_when_the_client_goes(scheme: Scheme, endless: bytes) -> None:
    async with scheme.server([[Endless(endless)]]) as server:
        async with scheme.stream(server) as stream:
            stream.writer.write(GET)
            assert await stream.reader.readexactly(10 * len(endless)) == 10 * endless
        assert await server.closed()


async def test_the_server_can_refuse_connections_and_come_back(scheme: Scheme) -> None:
    script: list[Exchange] = [[Status(503), Refuse()], [Status(200), Fin()], [Status(200), Fin()]]
    async with scheme.server(script) as server, scheme.stream(server) as stream:
        stream.writer.write(GET)
        assert (await stream.reader.readline()).startswith(b"HTTP/1.1 503")
        url = server.url
        for _ in range(2):
            with pytest.raises(ConnectionRefusedError):
                await scheme.ask(server)
        server.listen()
        assert server.url == url
        assert await scheme.ask(server) == EMPTY_200
        assert await stream.ask() == b"Content-Length: 0\r\n\r\n" + EMPTY_200  # the old connection lived on


async def test_routes_by_prefix() -> None:
    script: dict[str, list[Exchange]] = {
        "": [[Status(200), Fin()]],
        "/a": [[Status(201), Fin()]],
        "/a/b": [[Status(202), Fin()]],
    }
    async with FaultServer(script) as server:
        answers = [
            await Scheme(None, None).ask(server, b"GET %b HTTP/1.1\r\n\r\n" % path)
            for path in (b"/a/b/c", b"/b", b"/a?/b")
        ]
    assert [answer[9:12] for answer in answers] == [b"202", b"200", b"201"]


async def test_always_answers_what_the_script_leaves(scheme: Scheme) -> None:
    async with scheme.server([[Status(200), Fin()]], always=[Status(503), Fin()]) as server:
        assert [(await scheme.ask(server))[9:12] for _ in range(3)] == [b"200", b"503", b"503"]


async def test_always_can_choose_by_request() -> None:
    def choose(request: ReceivedRequest) -> Exchange:
        return [Status(int(request.target[1:])), Fin()]

    async with FaultServer(always=choose) as server:
        requests = (b"GET /%d HTTP/1.1\r\n\r\n" % status for status in (418, 204))
        assert [(await Scheme(None, None).ask(server, request))[9:12] for request in requests] == [b"418", b"204"]


async def test_a_script_can_be_lengthened() -> None:
    async with FaultServer() as server:
        server.add([Status(418), Fin()])
        server.add([Status(204), Fin()], prefix="/a")
        assert server.unmet == [
            "+0: Status(status=418, headers=())",
            "+0: Fin()",
            "/a+0: Status(status=204, headers=())",
            "/a+0: Fin()",
        ]
        requests = (b"GET /a HTTP/1.1\r\n\r\n", GET)
        assert [(await Scheme(None, None).ask(server, request))[9:12] for request in requests] == [b"204", b"418"]


async def ask_once(server: FaultServer, scheme: Scheme) -> None:
    async with server, scheme.stream(server) as stream:
        stream.writer.write(GET)
        await stream.reader.read(1)


@pytest.mark.parametrize(
    ("script", "unmet"),
    [
        ([[Status(200)], [Rst()]], "#1: Rst()"),
        ([[Fin()], [Unread(), Rst()]], "#1: Unread()', '#1: Rst()"),
        ([[Raw(b"a"), Stall(), Fin()]], "#0: Fin()"),
        ([[Raw(b"a"), Stall("gate"), Rst()]], "#0: Rst()"),
    ],
    ids=brief,
)
async def test_an_instruction_that_is_never_reached_fails(scheme: Scheme, script: list[Exchange], unmet: str) -> None:
    server = scheme.server(script)
    with pytest.raises(AssertionError, match=re.escape(f"not reached: ['{unmet}']")):
        await ask_once(server, scheme)
    assert "', '".join(server.unmet) == unmet


async def test_an_answer_for_always_that_nobody_gets_fails(scheme: Scheme) -> None:
    with pytest.raises(AssertionError, match=re.escape("['always: Rst()']")):
        await ask_once(scheme.server([[Fin()]], always=[Rst()]), scheme)


async def test_a_request_too_many_fails(scheme: Scheme) -> None:
    with pytest.raises(AssertionError, match="not in the script: \\['GET /'\\]"):
        async with scheme.server([]) as server:
            assert (await scheme.ask(server))[9:12] == b"501"


async def test_an_error_of_the_test_comes_first() -> None:
    with pytest.raises(KeyError):
        async with FaultServer([[Rst()]]):
            raise KeyError


async def test_a_server_that_fails_itself_says_so() -> None:
    with pytest.raises(BaseExceptionGroup) as caught:
        async with FaultServer([[Status(200), Fin()]]) as server:
            await Scheme(None, None).ask(server, b"nonsense\r\n\r\n")
    assert isinstance(caught.value.exceptions[0], ValueError)


async def test_open_connections_are_those_the_client_holds(scheme: Scheme) -> None:
    async with scheme.server([[Stall("here")]]) as server:
        async with scheme.stream(server) as stream:
            stream.writer.write(GET)
            await server.reached("here")
            assert [line.index for line in server.open_connections] == [0]
            assert not await server.closed(within=0.002)
        assert await server.closed()  # though the server stalls and reads nothing


@pytest.mark.parametrize(
    "exchange", [[Stall()], [Endless(b"a")], [Dribble(b"ab", 60)], [Fin()], [Status(200)]], ids=brief
)
async def test_nothing_is_left_behind(scheme: Scheme, exchange: Exchange) -> None:
    before = asyncio.all_tasks()
    server = scheme.server([exchange])
    async with server:
        reader, writer = await scheme.connect(server)
        writer.write(GET)
        async with asyncio.timeout(1):
            while server.unmet:  # noqa: ASYNC110 - no event for it
                await asyncio.sleep(0.001)
    assert asyncio.all_tasks() == before
    assert all(line.ended for line in server.connections)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", server.port)
    async with asyncio.timeout(1):
        with contextlib.suppress(ConnectionResetError):
            while await reader.read(65536):
                pass
    writer.transport.abort()
