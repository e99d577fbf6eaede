"""One accepted connection, down to the socket: what TLS and TCP say at its end is chosen here and not by a library."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import ssl
import struct

import attrs

_READ = 65536
_LINGER_ZERO = struct.pack("ii", 1, 0)


@attrs.frozen
class ReceivedRequest:
    """A request as it came: nothing decoded but what frames it."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    connection: int
    """Index in `FaultServer.connections`."""
    raw: bytes = attrs.field(repr=False)
    at: float
    """When it was whole, by the loop's clock."""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def header(self, name: str) -> str | None:
        """The first header of that name, whatever its case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class Connection:
    """An accepted socket, with TLS on top or not.

    Attributes:
        index: position in `FaultServer.connections`.
        unread: bytes that came after our FIN.
    """

    def __init__(self, index: int, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        self.index = index
        self.unread = b""
        self._sock = sock
        self._buffer = bytearray()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = tls.wrap_bio(self._incoming, self._outgoing, server_side=True) if tls else None
        self._fin_sent = False

    def __repr__(self) -> str:
        return f"<Connection {self.index}>"

    @property
    def peer_open(self) -> bool:
        """Whether the client still holds its end. Asked of the kernel, so nothing has to read for it."""
        if self._sock.fileno() < 0:
            return False
        poll = select.poll()
        poll.register(self._sock, select.POLLRDHUP)
        return not poll.poll(0)

    @property
    def ended(self) -> bool:
        """Whether our side said all that it will ever say."""
        return self._fin_sent or self._sock.fileno() < 0

    async def handshake(self) -> None:
        while self._tls is not None:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._feed()
            else:
                break
        await self._flush()

    async def fill(self) -> bool:
        """Wait for more bytes from the client; False at its end."""
        data = await self._receive()
        self._buffer += data
        return bool(data)

    async def _receive(self) -> bytes:
        if self._tls is None:
            return await asyncio.get_running_loop().sock_recv(self._sock, _READ)
        while True:
            try:
                return self._tls.read(_READ)
            except ssl.SSLWantReadError:
                await self._feed()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    async def _feed(self) -> None:
        if data := await asyncio.get_running_loop().sock_recv(self._sock, _READ):
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def send(self, data: bytes) -> None:
        if self._tls is None:
            await self.send_bare(data)
        else:
            self._tls.write(data)
            await self._flush()

    async def send_bare(self, data: bytes) -> None:
        """Send under TLS's feet."""
        await asyncio.get_running_loop().sock_sendall(self._sock, data)

    async def _flush(self) -> None:
        if data := self._outgoing.read():
            await self.send_bare(data)

    def at_once(self, data: bytes = b"", *, fin: bool = False) -> None:
        """Send, and end if asked to, before anybody else has a turn: the client's loop finds it at its next look."""
        if self._tls is not None:
            if data:
                self._tls.write(data)
            data = self._outgoing.read()
        self._sock.send(data)
        if fin:
            self._sock.shutdown(socket.SHUT_WR)
            self._fin_sent = True

    async def fin(self, *, close_notify: bool) -> None:
        """End our side. The other is left open: a full close with unread bytes would send RST instead."""
        if close_notify and self._tls is not None:
            with contextlib.suppress(ssl.SSLError):  # "want read": the client's own close_notify is not waited for
                self._tls.unwrap()
            await self._flush()
        self._sock.shutdown(socket.SHUT_WR)
        self._fin_sent = True

    def rst(self) -> None:
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self._sock.close()

    def close(self) -> None:
        self._sock.close()

    async def drain(self) -> None:
        """After FIN: wait until the client has closed too."""
        loop = asyncio.get_running_loop()
        while self._sock.fileno() >= 0 and (data := await loop.sock_recv(self._sock, _READ)):
            self.unread += data

    async def request(self) -> ReceivedRequest | None:
        """The next request, exactly to its end; None if the client closed before one was whole."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if not await self.fill():
                return None
        head = bytes(self._buffer[: end + 4])
        del self._buffer[: end + 4]
        line, *fields = head[:-4].decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ", 2)
        headers = [(name, value.strip()) for name, _, value in (field.partition(":") for field in fields)]
        try:
            body, raw = await self._body({name.lower(): value for name, value in headers})
        except EOFError:
            return None
        at = asyncio.get_running_loop().time()
        return ReceivedRequest(method, target, headers, body, self.index, head + raw, at)

    async def _body(self, headers: dict[str, str]) -> tuple[bytes, bytes]:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return await self._chunks()
        body = await self._exactly(int(headers.get("content-length", "0")))
        return body, body

    async def _chunks(self) -> tuple[bytes, bytes]:
        body, raw = b"", b""
        while True:
            line = await self._line()
            size = int(line.split(b";")[0], 16)
            data = await self._exactly(size)
            end = await self._line()
            body, raw = body + data, raw + line + data + end
            if size == 0:
                return body, raw

    async def _line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if not await self.fill():
                raise EOFError
        return await self._exactly(end + 2)

    async def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            if not await self.fill():
                raise EOFError
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    @property
    def buffered(self) -> bool:
        return bool(self._buffer)
