"""Rows 1 to 11 of FAULTS.md: statuses, retries, Retry-After."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from syllable_async import errors
from tests.fault_matrix.cell import Cell, Scene
from tests.fault_matrix.checks import Scripted, Succeeds, assert_addressed, fails, waits
from tests.fault_matrix.client_under_test import Settings
from tests.fault_matrix.expected_errors import class_of
from tests.fault_matrix.operations import (
    ALL,
    DOWNLOAD,
    JSON,
    PAGE,
    POST,
    REPEATABLE,
    SESSION,
    URLS,
    Operation,
)
from tests.fault_matrix.secrets import KEY, NEWER_KEY, PATIENT
from tests.fault_server import (
    Exchange,
    Fin,
    Instruction,
    Raw,
    ReceivedRequest,
    Rst,
    Stall,
    Status,
    Unread,
    json_reply,
    reply,
)

BUSY = Status(503)
RESET = Rst()
TRANSIENT = (408, 429, 500, 502, 503, 504)
FINAL = (300, 304, 305, 399, 402, 405, 409, 410, 413, 418, 451, 501, 505, 599)


def row_1() -> Iterator[Cell]:
    """Two faults, then the answer."""
    faults: dict[str, tuple[Instruction, Instruction]] = {
        "503+503": (BUSY, BUSY), "RST+RST": (RESET, RESET), "RST+503": (RESET, BUSY)
    }  # fmt: skip
    for operation in REPEATABLE:
        for variant, (one, two) in faults.items():
            script = [[one], [two], operation.good]
            yield Cell(1, variant, operation, Scripted(script=script, outcome=Succeeds(), requests=3))


def row_2() -> Iterator[Cell]:
    """A fault worth a retry, then one that is not. A POST is repeated only where it certainly was not acted upon."""
    for operation in ALL:
        busy = Status(429, {"Retry-After": "1"}) if operation is POST else BUSY
        reset: Instruction = Status(429, {"Retry-After": "1"}) if operation is POST else RESET
        names = ("429 then 400", "429 then 401") if operation is POST else ("503 then 400", "RST then 401")
        for variant, fault, status in zip(names, (busy, reset), (400, 401), strict=True):
            outcome = fails(class_of(status), attempts=2)
            script: list[Exchange] = [[fault], [Status(status)]]
            yield Cell(2, variant, operation, Scripted(script=script, outcome=outcome, requests=2))


def row_3() -> Iterator[Cell]:
    """Closed without a byte, always; also on a connection that was good before, where aiohttp would replay."""
    gone = fails(errors.SyllableConnectionError, attempts=4, outcome_unknown=True)
    for operation in JSON:
        yield Cell(3, "closed", operation, Scripted(always=[Fin()], outcome=gone, requests=4, connections=4))
        unread = Scripted(always=[Unread(), Fin()], outcome=gone, requests=0, connections=4)
        yield Cell(3, "closed unread", operation, unread)
        yield Cell(3, "closed after use", operation, _closed_after_use)


async def _closed_after_use(scene: Scene, operation: Operation) -> None:
    async with scene.server([operation.good], always=[Fin()]) as server:
        async with scene.client(server) as client:
            (await scene.run(client, operation)).success()
            result = await scene.run(client, operation)
        fails(errors.SyllableConnectionError, attempts=4).check(result, operation)
        assert len(server.requests) == 1 + 4


def row_4() -> Iterator[Cell]:
    """One request, its own class, what FastAPI says parsed."""
    said = {"loc": ["query", "limit", 0], "msg": PATIENT, "type": "int_parsing"}
    details: dict[int, tuple[Any, Any]] = {
        400: ({"code": "legacy_session_link", "message": PATIENT}, {"code": "legacy_session_link", "message": PATIENT}),
        422: ([said], (errors.ValidationError(("query", "limit", 0), PATIENT, "int_parsing"),)),
    }
    for operation in ALL:
        for status in (400, 401, 403, 404, 422):
            sent, parsed = details.get(status, (PATIENT, None))
            expected = {"detail": parsed} if status in details else {}
            outcome = fails(class_of(status), status=status, attempts=1, method=operation.method, **expected)
            script = [json_reply({"detail": sent}, status)]
            yield Cell(4, str(status), operation, Scripted(script=script, outcome=outcome, requests=1))


def row_5() -> Iterator[Cell]:
    """The statuses of the policy are tried again, no others."""
    for operation in REPEATABLE:
        for status in TRANSIENT:
            script: list[Exchange] = [reply(status, PATIENT.encode()), operation.good]
            yield Cell(5, str(status), operation, Scripted(script=script, outcome=Succeeds(), requests=2))
    for operation in (PAGE, SESSION, URLS, DOWNLOAD):
        for status in FINAL:
            outcome = fails(class_of(status), status=status, attempts=1)
            script = [[Status(304)] if status == 304 else reply(status, PATIENT.encode())]
            yield Cell(5, f"{status} is final", operation, Scripted(script=script, outcome=outcome, requests=1))


def row_6() -> Iterator[Cell]:
    """A POST whose fate is unknown is not sent again, and the error says so."""
    cut: list[Exchange] = [
        [Rst()], [Fin()], [*reply(200, b"{}", announced=9), Fin()], [*reply(200, b"{}", announced=9), Rst()],
        [Raw(b"HTTP/9 what"), Fin()],
    ]  # fmt: skip
    unknown = fails(errors.SyllableConnectionError, outcome_unknown=True, attempts=1)
    for variant, exchange in zip(("RST", "FIN", "cut by FIN", "cut by RST", "garbage"), cut, strict=True):
        yield Cell(6, variant, POST, Scripted(script=[exchange], outcome=unknown, requests=1))
    silent = fails(errors.SyllableTimeoutError, outcome_unknown=True, limit="timeout", seconds=30.0, attempts=1)
    script: list[Exchange] = [[Stall()]]
    yield Cell(6, "silence", POST, Scripted(script=script, outcome=silent, requests=1, seconds=(30, 30)))
    for status in (500, 502, 503, 504, 408):
        for asked, headers in (("without", {}), ("with", {"Retry-After": "1"})):
            outcome = fails(class_of(status), attempts=1)
            play = Scripted(script=[[Status(status, headers)]], outcome=outcome, requests=1, seconds=(0, 0))
            yield Cell(6, f"{status} {asked} Retry-After", POST, play)


def row_7() -> Iterator[Cell]:
    """What certainly was not acted upon is repeated; a callable key that changed after a 401 too, once."""
    for operation in (POST, URLS):
        for status, asked in ((429, "3"), (429, ""), (503, "3")):
            if (operation, status) == (POST, 503):  # it proves nothing
                continue
            script: list[Exchange] = [[Status(status, {"Retry-After": asked})], operation.good]
            seconds = (3, 4) if asked else (0.5, 0.5)
            play = Scripted(script=script, outcome=Succeeds(), requests=2, seconds=seconds)
            yield Cell(7, f"{status} with{'' if asked else 'out'} Retry-After", operation, play)
        yield Cell(7, "refused", operation, _refused_at_first)
    for operation in ALL:
        yield Cell(7, "401, key changed", operation, _key_changed)
        yield Cell(7, "401, key changed, 401", operation, _key_changed_in_vain)
        yield Cell(7, "401, same key", operation, _key_unchanged)


async def _refused_at_first(scene: Scene, operation: Operation) -> None:
    async with scene.server([operation.good]) as server:
        server.refuse()
        failures: list[None] = []

        def listen_at_second() -> None:
            failures.append(None)
            if len(failures) == 2:
                server.listen()

        async with scene.client(server, Settings(on_retry=listen_at_second)) as client:
            Succeeds().check(await scene.run(client, operation), operation)
        assert len(server.requests) == 1


class _Keys:
    """A callable key: one value after another, the last for ever."""

    def __init__(self, *keys: str) -> None:
        self._keys = list(keys)

    def __call__(self) -> str:
        return self._keys.pop(0) if len(self._keys) > 1 else self._keys[0]


async def _key_changed(scene: Scene, operation: Operation) -> None:
    async with scene.server([[Status(401)], operation.good]) as server:
        async with scene.client(server, Settings(key=_Keys(KEY, NEWER_KEY))) as client:
            Succeeds().check(await scene.run(client, operation), operation)
        assert [request.header("Syllable-API-Key") for request in server.requests] == [KEY, NEWER_KEY]


async def _key_changed_in_vain(scene: Scene, operation: Operation) -> None:
    async with scene.server([[Status(401)], [Status(401)]]) as server:
        async with scene.client(server, Settings(key=_Keys(KEY, NEWER_KEY))) as client:
            outcome = fails(errors.AuthenticationError, attempts=2)
            outcome.check(await scene.run(client, operation), operation)
        assert len(server.requests) == 2


async def _key_unchanged(scene: Scene, operation: Operation) -> None:
    async with scene.server([[Status(401)]]) as server:
        async with scene.client(server, Settings(key=_Keys(KEY))) as client:
            outcome = fails(errors.AuthenticationError, attempts=1)
            outcome.check(await scene.run(client, operation), operation)
        assert_addressed(server, operation)
        assert len(server.requests) == 1


def row_8() -> Iterator[Cell]:
    """A dead server costs at most 1,100 requests for 1,000 calls, and success earns retries again."""
    for operation in (PAGE, SESSION, URLS):
        yield Cell(8, "dead for 1000 calls", operation, _dead_for_1000_calls, schemes=("http",))
        yield Cell(8, "300 calls with a retry each", operation, _retried_successes, schemes=("http",))
    yield Cell(8, "100 at a time", SESSION, _dead_for_1000_calls_side_by_side, schemes=("http",))


async def _dead_for_1000_calls(scene: Scene, operation: Operation) -> None:
    recovery: list[Exchange] = [*([operation.good] * 10), [BUSY], operation.good, [BUSY], [BUSY], [BUSY]]
    script: list[Exchange] = [*([[BUSY]] * 1100), *recovery]
    async with scene.server(script) as server:
        async with scene.client(server) as client:
            for _ in range(1000):
                fails(errors.InternalServerError).check(await scene.run(client, operation), operation)
            assert len(server.requests) == 1100
            for _ in range(10 + 1):
                Succeeds().check(await scene.run(client, operation), operation)
            # Ten successes earned two retries; the one that was used came back with its own call's success.
            fails(errors.InternalServerError, attempts=3).check(await scene.run(client, operation), operation)
        scene.errors[10:] = []  # they are all alike


async def _retried_successes(scene: Scene, operation: Operation) -> None:
    """A success gives back what its own call took, so the quota (100 retries) is not used up by them."""
    async with scene.server([[BUSY], operation.good] * 300) as server:
        async with scene.client(server) as client:
            for _ in range(300):
                Succeeds().check(await scene.run(client, operation), operation)
        assert len(server.requests) == 600


async def _dead_for_1000_calls_side_by_side(scene: Scene, operation: Operation) -> None:
    async with scene.server(always=[BUSY]) as server:
        async with scene.client(server) as client:
            for _ in range(10):
                await asyncio.gather(*(scene.run(client, operation) for _ in range(100)))
        assert len(scene.errors) == 1000
        assert len(server.requests) == 1100
        scene.errors[10:] = []


@attrs.frozen
class _Asked:
    """A form of Retry-After: header, and what it means in seconds, at least and at most."""

    header: str
    value: str | Callable[[], str]
    low: float
    high: float


def _date(form: str, seconds: float) -> Callable[[], str]:
    """A date, made when it is needed: the wall clock goes on while other cells run."""
    return lambda: (datetime.now(UTC) + timedelta(seconds=seconds)).strftime(form)


_HTTP_DATE = "%a, %d %b %Y %H:%M:%S GMT"
_OBEYED = {
    "0": _Asked("Retry-After", "0", 0, 0),
    "1": _Asked("Retry-After", "1", 1, 1),
    "1.5": _Asked("Retry-After", "1.5", 1.5, 1.5),
    "59": _Asked("Retry-After", "59", 59, 59),
    "date": _Asked("Retry-After", _date(_HTTP_DATE, 20), 10, 20),
    "asctime date": _Asked("Retry-After", _date("%a %b %e %H:%M:%S %Y", 20), 10, 20),
    "RFC 850 date": _Asked("Retry-After", _date("%A, %d-%b-%y %H:%M:%S GMT", 20), 10, 20),
    "past date": _Asked("Retry-After", _date(_HTTP_DATE, -86400), 0, 0),
    "milliseconds": _Asked("retry-after-ms", "2500", 2.5, 2.5),
}


def row_9() -> Iterator[Cell]:
    """Every form of Retry-After is obeyed, to the moment."""
    for operation in ALL:
        for variant, asked in _OBEYED.items():
            yield Cell(9, f"429 {variant}", operation, _Obeys(429, asked))
    for variant, asked in _OBEYED.items():
        yield Cell(9, f"503 {variant}", SESSION, _Obeys(503, asked))
    for operation in ALL:
        for hours in (-1, 1):
            yield Cell(9, f"date of a clock {hours:+} h off", operation, _SkewedClock(hours * 3600.0))


@attrs.frozen
class _Obeys:
    status: int
    asked: _Asked

    async def __call__(self, scene: Scene, operation: Operation) -> None:
        value = self.asked.value if isinstance(self.asked.value, str) else self.asked.value()
        headers = {self.asked.header: value}
        async with scene.server([[Status(self.status, headers)], operation.good]) as server:
            async with scene.client(server) as client:
                Succeeds().check(await scene.run(client, operation), operation)
            (wait,) = waits(server)
            assert self.asked.low - 0.001 <= wait <= self.asked.high + 0.001, f"waited {wait} s"


@attrs.frozen
class _SkewedClock:
    """The server's clock is wrong, in its `Date` and in its `Retry-After` alike: 20 s are meant."""

    off: float

    async def __call__(self, scene: Scene, operation: Operation) -> None:
        headers = {"Date": _date(_HTTP_DATE, self.off)(), "Retry-After": _date(_HTTP_DATE, self.off + 20)()}
        async with scene.server([[Status(429, headers)], operation.good]) as server:
            async with scene.client(server) as client:
                Succeeds().check(await scene.run(client, operation), operation)
            (wait,) = waits(server)
            assert 19 <= wait <= 21, f"waited {wait} s"


TOO_LONG: dict[str, tuple[str, float]] = {
    "121": ("121", 121), "ten years": ("315360000", 315360000), "1e35": ("1" + "0" * 35, 1e35), "60.5": ("60.5", 60.5)
}  # fmt: skip
MEANINGLESS: dict[str, list[str]] = {
    "inf": ["inf"], "nan": ["nan"], "negative": ["-10"], "foreign date": ["Zun, 06 Nov 1994 08:49:37 GMT"],
    "year 100000": ["Sun, 06 Nov 100000 08:49:37 GMT"], "superscript": ["²"], "empty": [""], "twice": ["1", "2"],
    "hex": ["0x10"], "underscore": ["1_0"], "list": ["1, 2"],
}  # fmt: skip


def row_10() -> Iterator[Cell]:
    """Above the cap: raised at once, with the seconds. Without meaning: as if absent. The status is never masked."""
    for operation in ALL:
        for variant, (text, seconds) in TOO_LONG.items():
            outcome = fails(errors.RateLimitError, retry_after=seconds, attempts=1)
            script: list[Exchange] = [[Status(429, {"Retry-After": text})]]
            play = Scripted(script=script, outcome=outcome, requests=1, seconds=(0, 0))
            yield Cell(10, variant, operation, play)
        for variant, values in MEANINGLESS.items():
            fault: Exchange = [Status(429, [("Retry-After", value) for value in values])]
            play = Scripted(script=[fault, operation.good], outcome=Succeeds(), requests=2, seconds=(0.5, 0.5))
            yield Cell(10, variant, operation, play)


def row_10_late() -> Iterator[Cell]:
    """A Retry-After that ends behind the deadline is not waited for."""
    for operation in (*JSON, POST):
        for status in (429, 503):
            if (operation, status) == (POST, 503):
                continue
            outcome = fails(class_of(status), retry_after=35.0, attempts=2)
            script: list[Exchange] = [[Status(status, {"Retry-After": "35"})]] * 2
            play = Scripted(script=script, outcome=outcome, requests=2, seconds=(35, 35))
            yield Cell(10, f"{status} behind the deadline", operation, play)


def row_11() -> Iterator[Cell]:
    """After a 429 with Retry-After no task of the client sends in that time; a limit is kept to, and used."""
    for operation in (*JSON, DOWNLOAD):
        yield Cell(11, "one 429 among 50 tasks", operation, _One429(50))
        yield Cell(11, "one 429 before 300 tasks", operation, _One429(300), schemes=("http",))
        yield Cell(11, "one 429, pool of 1", operation, _One429(20, pool=1))
        yield Cell(11, "a pause beyond the deadline", operation, _pause_beyond_the_deadline)
    yield Cell(11, "1000 calls, 100 a second", SESSION, _thousand_calls, schemes=("http",))


@attrs.frozen
class _One429:
    """The first request is refused; the others come meanwhile, more of them than there are connections."""

    tasks: int
    pool: int | None = None

    async def __call__(self, scene: Scene, operation: Operation) -> None:
        async def later(client: Any, delay: float) -> None:
            await asyncio.sleep(delay)
            Succeeds().check(await scene.run(client, operation), operation)

        refusal: Exchange = [Stall("come"), Status(429, {"Retry-After": "7"})]
        script: list[Exchange] = [refusal, *([operation.good] * self.tasks)]
        async with scene.server(script) as server:
            async with scene.client(server, Settings(pool=self.pool)) as client:
                first = asyncio.create_task(later(client, 0))
                await server.reached("come")
                await server.release("come")
                delays = (6 * number / self.tasks + 0.1 for number in range(1, self.tasks))
                await asyncio.gather(first, *(later(client, delay) for delay in delays))
            refused, *others = (request.at for request in server.requests)
            assert len(others) == self.tasks
            assert min(others) >= refused + 7
            assert max(others) <= refused + 7 + 2


def _is_about_49(left: float) -> bool:
    return 48 <= left <= 50


async def _pause_beyond_the_deadline(scene: Scene, operation: Operation) -> None:
    """Who cannot wait so long is told at once, truly; nothing is sent."""
    async with scene.server([[Stall("come"), Status(429, {"Retry-After": "50"})], operation.good]) as server:
        async with scene.client(server, Settings(deadline=60)) as client:
            patient = asyncio.create_task(scene.run(client, operation))
            await server.reached("come")
            await server.release("come")
            await asyncio.sleep(1)
            told = await scene.run(client, operation, deadline=5)
            outcome = fails(errors.RateLimitError, attempts=0, retry_after=_is_about_49)
            outcome.check(told, operation)
            assert told.seconds == 0
            Succeeds().check(await patient, operation)
        assert len(server.requests) == 2


async def _thousand_calls(scene: Scene, operation: Operation) -> None:
    """All at once, to a server that takes 100 in each second."""
    taken: dict[int, int] = {}

    def choose(_: ReceivedRequest) -> Exchange:
        second = int(scene.loop.time())
        taken[second] = taken.get(second, 0) + 1
        return operation.good if taken[second] <= 100 else [Status(429, {"Retry-After": "1"})]

    async with scene.server(always=choose) as server:
        async with scene.client(server) as client:
            start = scene.loop.time()
            results = await asyncio.gather(*(scene.run(client, operation) for _ in range(1000)))
            assert scene.loop.time() - start <= 15
        assert [result.error for result in results if result.error is not None] == []
        assert len(server.requests) <= 1250


def cells() -> Iterator[Cell]:
    for row in (row_1, row_2, row_3, row_4, row_5, row_6, row_7, row_8, row_9, row_10, row_10_late, row_11):
        yield from row()
