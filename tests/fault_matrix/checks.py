"""What may come of a call, and the play that most cells share: a script, an outcome, an exact number of requests."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Protocol

import attrs

from syllable_async import errors
from tests.fault_matrix.cell import Result, Scene
from tests.fault_matrix.client_under_test import Settings
from tests.fault_matrix.operations import DOWNLOAD, Operation
from tests.fault_matrix.secrets import KEY
from tests.fault_server import Exchange, FaultServer

GRACE = 1.0
"""Seconds that a call may need beyond its deadline."""


class Outcome(Protocol):
    """Judges how a call ended."""

    def check(self, result: Result, operation: Operation) -> None: ...


@attrs.frozen
class Succeeds(Outcome):
    """With the good answer's value."""

    def check(self, result: Result, operation: Operation) -> None:
        assert result.success() == operation.value


@attrs.frozen
class Fails(Outcome):
    """With exactly this class, and these attributes. A value that is callable judges for itself."""

    kind: type[errors.SyllableError]
    attributes: dict[str, Any] = attrs.field(factory=dict[str, Any])

    def check(self, result: Result, operation: Operation) -> None:
        error = result.failure()
        assert type(error) is self.kind, f"failed with {error!r}"
        for name, wanted in self.attributes.items():
            value = getattr(error, name)
            assert wanted(value) if callable(wanted) else value == wanted, f"{name} is {value!r}"


def fails(kind: type[errors.SyllableError], **attributes: Any) -> Fails:
    return Fails(kind, attributes)


@attrs.frozen(kw_only=True)
class Scripted:
    """Plays a script for one call.

    Attributes:
        script: an exchange for each request, or `always` for those that have none left.
        requests: how many whole requests the server sees.
        connections: how many connections, where that is certain.
        seconds: lower and upper bound of the call's time.
        settings: of the client.
    """

    script: Sequence[Exchange] = ()
    always: Exchange | None = None
    outcome: Outcome
    requests: int
    connections: int | None = None
    seconds: tuple[float, float] = (0.0, 60.0 + GRACE)
    settings: Settings = attrs.field(factory=Settings)

    async def __call__(self, scene: Scene, operation: Operation) -> None:
        async with scene.server(self.script, self.always) as server:
            async with scene.client(server, self.settings) as client:
                result = await scene.run(client, operation)
                self.outcome.check(result, operation)
                if client.logs:
                    self._assert_accounted(scene, result)
                assert len(server.requests) == self.requests, f"the server saw {len(server.requests)} requests"
                assert self.connections in {None, len(server.connections)}
                server.add(operation.good)
                Succeeds().check(await scene.run(client, operation), operation)  # it can still be used
            assert_addressed(server, operation)
        low, high = self.seconds
        assert low <= result.seconds <= high, f"took {result.seconds} s"

    def _assert_accounted(self, scene: Scene, result: Result) -> None:
        """The log has a line for each attempt and one for each retry; the error counts them too."""
        attempts = self.requests if self.connections is None else self.connections
        assert scene.watch.levels.count(logging.DEBUG) == attempts
        assert scene.watch.levels.count(logging.INFO) == attempts - 1
        assert getattr(result.error, "attempts", attempts) == attempts


def assert_addressed(server: FaultServer, operation: Operation, key: str = KEY) -> None:
    """Every request is the operation's, and carries the key."""
    for request in server.requests:
        assert (request.method, request.path) == (operation.method, operation.path)
        assert request.header("Syllable-API-Key") == key
        if operation is DOWNLOAD:  # ranges and lengths mean nothing on encoded bytes
            assert request.header("Accept-Encoding") == "identity"


def waits(server: FaultServer) -> list[float]:
    """Seconds between the requests."""
    times = [request.at for request in server.requests]
    return [later - earlier for earlier, later in pairwise(times)]
