"""Row 35 of FAULTS.md: redirects. The key is seen by its own origin alone, and JSON follows none of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import attrs

from syllable_async import errors
from tests.fault_matrix.cell import Cell, Scene
from tests.fault_matrix.checks import assert_addressed, fails
from tests.fault_matrix.client_under_test import Settings
from tests.fault_matrix.operations import ALL, DOWNLOAD, Operation
from tests.fault_matrix.secrets import KEY
from tests.fault_server import Endless, FaultServer, Head, Stall, json_reply, reply

CODES = (301, 302, 303, 307, 308)


@attrs.frozen
class Place:
    """Where a redirect can point: the server that sends it, and another one on the same machine."""

    own: FaultServer
    other: FaultServer

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.own.port}"

    def scheme(self, flipped: bool = False) -> str:
        return "https" if self.own.url.startswith("https") != flipped else "http"


TARGETS: dict[str, Callable[[Place], str | None]] = {
    "same origin": lambda place: "/api/v1/sessions/x",
    "same origin, whole URL": lambda place: f"{place.own.url}/api/v1/sessions/x",
    "other port": lambda place: f"{place.other.url}/x",
    "other host": lambda place: f"{place.scheme()}://elsewhere.example:{place.other.port}/x",
    "other name of the host": lambda place: f"{place.scheme()}://localhost:{place.own.port}/x",
    "other scheme": lambda place: f"{place.scheme(flipped=True)}://127.0.0.1:{place.other.port}/x",
    "no scheme": lambda place: f"//127.0.0.1:{place.other.port}/x",
    "userinfo": lambda place: f"{place.scheme()}://{place.host}@127.0.0.1:{place.other.port}/x",
    "userinfo, other host": lambda place: f"{place.scheme()}://user:pw@elsewhere.example:{place.other.port}/x",
    "other case": lambda place: f"{place.scheme().upper()}://{place.host.upper()}/x",
    "dot at the end": lambda place: f"{place.scheme()}://localhost.:{place.other.port}/x",
    "default port": lambda place: "https://127.0.0.1:443/x",
    "file": lambda place: "file:///etc/passwd",
    "backslashes": lambda place: f"\\\\127.0.0.1:{place.other.port}\\x",
    "loop": lambda place: "",
    "no Location": lambda place: None,
    "garbage": lambda place: "http://[::1/%zz\x01",
}


@attrs.frozen
class _Redirected:
    """The answer is a redirect: an error with its status, and nobody else is asked."""

    code: int
    target: str

    async def __call__(self, scene: Scene, operation: Operation) -> None:
        async with scene.server() as own, scene.server() as other:
            location = TARGETS[self.target](Place(own, other))
            headers = {} if location is None else {"Location": location}
            own.add(json_reply(operation.document, self.code, headers))
            async with scene.client(own) as client:
                result = await scene.run(client, operation)
            assert_no_key(other)
            assert other.connections == []
            fails(errors.APIError, status=self.code, attempts=1).check(result, operation)
            assert_addressed(own, operation)
            assert len(own.requests) == 1


KEPT = ("same origin", "same origin, whole URL", "other case", "backslashes")
"""Targets on the own origin (a backslash is a character like any other: RFC 3986 §3.3): followed with the key."""
LEFT = ("other host",)
"""Targets elsewhere that are allowed, with https: followed without the key."""


@attrs.frozen
class _RedirectedDownload:
    """A recording follows what stays at home or may be left for, and no other."""

    code: int
    target: str

    async def __call__(self, scene: Scene, operation: Operation) -> None:
        async with scene.server() as own, scene.server() as other:
            location = TARGETS[self.target](Place(own, other))
            followed = own if self.target in KEPT else other if self.target in LEFT and scene.tls else None
            own.add(reply(self.code, b"moved", {} if location is None else {"Location": location}))
            if followed is not None:
                followed.add(operation.good)
            async with scene.client(own, Settings(headers=OWN_HEADER)) as client:
                result = await scene.run(client, operation)
            assert_no_key(other)
            if followed is None:
                assert isinstance(result.failure(), errors.RecordingError | errors.APIError)
            else:
                assert result.success() == operation.value
            assert len(own.requests) == (2 if followed is own else 1)
            assert all(request.header("Syllable-API-Key") == KEY for request in own.requests)
            assert len(other.connections) == len(other.requests) == (followed is other)


OWN_HEADER = {"X-Tenant": "canary-tenant"}


def assert_no_key(server: FaultServer) -> None:
    """Neither the key, nor its header, nor one that was added for the API."""
    assert KEY.encode() not in b"".join(request.raw for request in server.requests)
    for request in server.requests:
        assert request.header("Syllable-API-Key") is None
        assert request.header("X-Tenant") is None


async def _loop(scene: Scene, operation: Operation) -> None:
    """At most five redirects."""
    async with scene.server(always=reply(302, b"", {"Location": ""})) as server:
        async with scene.client(server) as client:
            result = await scene.run(client, operation)
        assert isinstance(result.failure(), errors.RecordingError)
        assert len(server.requests) == 6


async def _endless_redirect(scene: Scene, operation: Operation) -> None:
    """The body of a redirect is not waited for, and its connection not kept."""
    async with scene.server() as server:
        server.add([Head(302, {"Location": server.url, "Transfer-Encoding": "chunked"}), Endless(b"1\r\na\r\n")])
        server.add([*operation.good, Stall("held")])
        async with scene.client(server) as client:
            task = asyncio.create_task(scene.run(client, operation))
            await server.reached("held")
            assert (await task).success() == operation.value
            assert [line.index for line in server.open_connections] == [1]
        assert len(server.requests) == 2


async def _there_and_back(scene: Scene, operation: Operation) -> None:
    """An origin that was left is not trusted again."""
    async with scene.server() as own, scene.server() as other:
        there = f"https://elsewhere.example:{other.port}/x?y=z"
        back = f"https://127.0.0.1:{own.port}/api/v1/sessions/recording/stream"
        own.add(reply(302, b"", {"Location": there}))
        other.add(reply(302, b"", {"Location": back}))
        async with scene.client(own, Settings(headers=OWN_HEADER)) as client:
            result = await scene.run(client, operation)
        assert isinstance(result.failure(), errors.UntrustedRecordingURLError)  # a literal address by now
        assert len(own.requests) == len(other.requests) == 1
        assert_no_key(other)


def row_35() -> Iterator[Cell]:
    """Every code, every kind of target."""
    for operation in ALL:
        for code in CODES:
            for target in TARGETS:
                if operation is not DOWNLOAD:
                    yield Cell(35, f"{code} {target}", operation, _Redirected(code, target))
                elif target != "loop":
                    play = _RedirectedDownload(code, target)  # https first: over http no other origin is allowed anyway
                    yield Cell(35, f"{code} {target}", operation, play, schemes=("https", "http"))
    yield Cell(35, "loop", DOWNLOAD, _loop)
    yield Cell(28, "endless body of a redirect that is followed", DOWNLOAD, _endless_redirect)
    yield Cell(35, "there and back", DOWNLOAD, _there_and_back, schemes=("https",))


def cells() -> Iterator[Cell]:
    yield from row_35()
