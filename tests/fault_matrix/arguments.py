"""Rows 37 and 38 of FAULTS.md: what a caller may not pass. Nothing is sent, and the error does not show the value."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from typing import Any, cast
from urllib.parse import parse_qs, quote

import attrs
import pytest

from syllable_async import AsyncSyllableClient, errors
from tests.fault_matrix.cell import Cell, Scene
from tests.fault_matrix.client_under_test import Settings
from tests.fault_matrix.operations import DOWNLOAD, READS, URLS, Operation
from tests.fault_matrix.our_client import Ours
from tests.fault_matrix.secrets import KEY, PATIENT
from tests.fault_server import Status

REFUSED: dict[str, str] = {
    "empty": "",
    "dot": ".",
    "two dots": "..",
    "CR LF": f"{PATIENT}\r\nX: y",
    "LF": f"{PATIENT}\n",
    "NUL": f"{PATIENT}\0",
    "DEL": f"{PATIENT}\x7f",
    "C1 control": f"{PATIENT}\x85",
    "lone surrogate": f"{PATIENT}\ud800",
    "slash": "a/b",
    "other endpoint": "recording/stream",
    "dots up": "../agents",
    "backslash": "a\\b",
    "URL": "http://a",
}
ENCODED: dict[str, str] = {
    "colon": "a:b",
    "encoded dots": "%2e%2e",
    "encoded slash": "a%2Fb",
    "question mark": "a?b=c",
    "hash": "a#b",
    "space": "a b",
    "plus": "a+b",
    "semicolon": "a;b",
    "300 characters": "a" * 300,
    "emoji": "\N{TELEPHONE RECEIVER}",
    "umlaut": "\N{LATIN SMALL LETTER U WITH DIAERESIS}",
    "three dots": "...",
    "at": "user@host",
    "percent": "100%",
}
NOT_TEXT: dict[str, Any] = {"None": None, "bool": True, "bytes": b"abc", "list": ["a"]}


def _call(client: AsyncSyllableClient, operation: Operation, value: Any) -> Awaitable[object]:
    match operation.name:
        case "G-session":
            return client.sessions.get_by_id(value)
        case "G-summary":
            return client.sessions.get_full_summary(value)
        case "G-transcript":
            return client.sessions.get_transcript(value)
        case "G-latency":
            return client.sessions.get_latency(value)
        case "G-timeline":
            return client.sessions.get_timeline(value)
        case "U":
            return client.sessions.generate_recording_urls(value)
        case _:
            return _download(client, value)


async def _download(client: AsyncSyllableClient, token: Any) -> bytes:
    async with client.sessions.stream_recording(token) as recording:
        return b"".join([chunk async for chunk in recording])


@attrs.frozen
class _Refused:
    value: Any
    kind: type[Exception]

    async def __call__(self, scene: Scene, operation: Operation) -> None:
        async with scene.server() as server:
            async with Ours(server.url, Settings()) as ours:
                with pytest.raises(self.kind) as caught:
                    await _call(ours.client, operation, self.value)
            scene.errors.append(caught.value)
            scene.not_in_locals = ()
            assert type(caught.value) is self.kind
            assert server.connections == []


@attrs.frozen
class _Encoded:
    """One segment of the path, or one value of the query, whatever it holds."""

    value: str

    async def __call__(self, scene: Scene, operation: Operation) -> None:
        async with scene.server([[Status(404)]]) as server:
            async with Ours(server.url, Settings()) as ours:
                with pytest.raises(errors.NotFoundError):
                    await _call(ours.client, operation, self.value)
            (request,) = server.requests
        if operation is DOWNLOAD:
            path, _, query = request.target.partition("?")
            assert path == operation.path
            assert parse_qs(query, strict_parsing=True) == {"token": [self.value]}
        else:
            assert request.target == operation.path.rpartition("/")[0] + "/" + quote(self.value, safe="")


def row_37() -> Iterator[Cell]:
    """An id is one encoded segment of the path, or refused."""
    for operation in (*READS, URLS):
        for variant, value in REFUSED.items():
            yield Cell(37, f"{variant} refused", operation, _Refused(value, ValueError), schemes=("http",))
    yield Cell(37, "empty refused", DOWNLOAD, _Refused("", ValueError), schemes=("http",))
    yield Cell(37, "lone surrogate refused", DOWNLOAD, _Refused("\ud800", ValueError), schemes=("http",))
    for operation in (*READS, URLS, DOWNLOAD):
        for variant, other in NOT_TEXT.items():
            yield Cell(37, f"{variant} refused", operation, _Refused(other, TypeError), schemes=("http",))
        for variant, value in ENCODED.items():
            yield Cell(37, variant, operation, _Encoded(value), schemes=("http",))


CONSTRUCTOR = Operation("ctor", "", "", None, None)
KEYS: dict[str, tuple[Any, type[Exception]]] = {
    "CR LF": (f"{KEY}\r\nX-Evil: 1", ValueError),
    "LF at the end": (f"{KEY}\n", ValueError),
    "NUL": (f"{KEY}\0", ValueError),
    "not ASCII": (f"{KEY}\N{EURO SIGN}", ValueError),
    "latin-1": (f"{KEY}\xe4", ValueError),
    "space": (f"{KEY} 1", ValueError),
    "space around": (f" {KEY} ", ValueError),
    "tab": (f"{KEY}\t", ValueError),
    "blank": (" ", ValueError),
    "empty": ("", ValueError),
    "1 MB": (KEY * 60_000, ValueError),
    "bytes": (b"abc", TypeError),
    "int": (7, TypeError),
}
URLS_REFUSED: dict[str, str] = {
    "http": "http://api.example",
    "no scheme": "api.example",
    "relative": "/api",
    "userinfo": f"https://user:{KEY}@api.example",
    "user": f"https://{KEY}@api.example",
    "query": f"https://api.example?key={KEY}",
    "empty query": "https://api.example?",
    "fragment": f"https://api.example#{KEY}",
    "ftp": "ftp://api.example",
    "file": "file:///etc/passwd",
    "empty": "",
    "no host": "https://",
    "port 99999": "https://api.example:99999",
    "port text": "https://api.example:http",
    "space": "https://api .example",
    "CR LF": "https://api.example\r\n",
    "backslash": "https://api.example\\@evil.example",
    "ws": "wss://api.example",
    "bad IPv6": "https://[::1",
    "javascript": "javascript:alert(1)",
}
HEADERS_REFUSED: dict[str, dict[str, str]] = {
    "CR LF in a value": {"X-A": f"{PATIENT}\r\nX-Evil: 1"},
    "LF in a name": {"X\nA": "1"},
    "empty name": {"": "1"},
    "the key": {"syllable-api-key": "mine"},
    "host": {"Host": "evil.example"},
    "length": {"Content-Length": "0"},
    "not ASCII": {"X-A": "\N{EURO SIGN}"},
}


@attrs.frozen
class _Constructed:
    """The constructor refuses; the loop shows that nothing was opened."""

    arguments: dict[str, Any]
    kind: type[Exception]

    async def __call__(self, scene: Scene, operation: Operation) -> None:
        with pytest.raises(self.kind) as caught:
            AsyncSyllableClient(**{"api_key": cast("Any", "good-key"), **self.arguments})
        assert type(caught.value) is self.kind
        scene.errors.append(caught.value)
        scene.not_in_locals = ()


@attrs.frozen
class _LateKey:
    """A callable key is judged when it answers."""

    value: Any
    kind: type[Exception]

    async def __call__(self, scene: Scene, operation: Operation) -> None:
        async with scene.server() as server:
            async with Ours(server.url, Settings(key=lambda: self.value)) as ours:
                with pytest.raises(self.kind) as caught:
                    await ours.ask("G-session")
            scene.errors.append(caught.value)
            assert server.connections == []


def row_38() -> Iterator[Cell]:
    """Keys, base URLs and headers that could not work, or would send the key astray."""
    for variant, (key, kind) in KEYS.items():
        yield Cell(38, f"key: {variant}", CONSTRUCTOR, _Constructed({"api_key": key}, kind), schemes=("http",))
        yield Cell(38, f"callable key: {variant}", CONSTRUCTOR, _LateKey(key, kind), schemes=("http",))
    for variant, url in URLS_REFUSED.items():
        yield Cell(38, f"URL: {variant}", CONSTRUCTOR, _Constructed({"base_url": url}, ValueError), schemes=("http",))
    for variant, headers in HEADERS_REFUSED.items():
        play = _Constructed({"headers": headers}, ValueError)
        yield Cell(38, f"header: {variant}", CONSTRUCTOR, play, schemes=("http",))


def cells() -> Iterator[Cell]:
    yield from row_37()
    yield from row_38()
