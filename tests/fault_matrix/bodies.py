"""Rows 12 to 14 and 28 to 31 of FAULTS.md, for JSON: cut, too large, no JSON, or not what the schema says."""

from __future__ import annotations

import copy
import functools
import gzip
import json
import os
import re
import zlib
from collections.abc import Iterator
from typing import Any, cast

import attrs

from syllable_async import errors
from tests.fault_matrix.cell import Cell, Scene
from tests.fault_matrix.checks import Outcome, Scripted, Succeeds, fails
from tests.fault_matrix.memory import peak_memory
from tests.fault_matrix.operations import (
    ALL,
    DOWNLOAD,
    JSON,
    LATENCY,
    PAGE,
    POST,
    SESSION,
    SUMMARY,
    TIMELINE,
    TRANSCRIPT,
    URLS,
    WALK,
    Operation,
)
from tests.fault_matrix.secrets import PATIENT
from tests.fault_server import Endless, Exchange, Fin, Head, Ragged, Raw, Rst, json_reply, reply

_JSON_TYPE = [("Content-Type", "application/json")]


def _broken(good: bytes) -> dict[str, bytes]:
    """Not JSON, or JSON that cannot be the schema's. `good` holds one quoted text that is swapped for something bad."""
    text = re.search(rb'"[^"]*canary-(patient|token)[^"]*"', good)
    assert text is not None

    def with_value(value: bytes) -> bytes:
        return good.replace(text[0], value)

    return {
        "bad UTF-8": with_value(text[0][:-1] + b'\xff\xfe"'),
        "BOM": b"\xef\xbb\xbf" + good,
        "NaN": with_value(b"NaN"),
        "1e999": with_value(b"1e999"),
        "depth 100k": with_value(b"[" * 100_000 + b"]" * 100_000),
        "5000 digits": with_value(b"9" * 5000),
        "lone surrogate": with_value(text[0][:-1] + b'\\ud800"'),
        "control character": with_value(text[0][:-1] + b'\x01"'),
        "empty": b"",
        "null": b"null",
        "array": b"[]",
        "string": text[0],
        "HTML": b"<!doctype html><h1>" + text[0] + b"</h1>",
        "cut": good[:-1],
        "two documents": good + good,
        "trailing comma": good[:-1] + b",}",
        "UTF-16": good.decode().encode("utf-16"),
    }


def _begins_with_dollar(path: str) -> bool:
    return path.startswith("$")


def _says_larger(problem: str) -> bool:
    return "larger" in problem


_NOT_JSON = fails(errors.ResponseValidationError, path=_begins_with_dollar)


def row_29() -> Iterator[Cell]:
    """A 200 that is not the JSON of the schema: an error with the path, without the value, and no retry."""
    for operation in JSON:
        for variant, body in _broken(operation.body).items():
            script = [reply(200, body, _JSON_TYPE)]
            yield Cell(29, variant, operation, Scripted(script=script, outcome=_NOT_JSON, requests=1))


_Path = tuple[str | int, ...]
_REQUIRED: dict[Operation, _Path] = {
    PAGE: ("items", 0, "timestamp"), WALK: ("items",), SESSION: ("timestamp",),
    TRANSCRIPT: ("transcription", 0, "timestamp"), LATENCY: ("timeline", 0, "category"),
    TIMELINE: ("events", 0, "kind"),
}  # fmt: skip
_WRONG: dict[Operation, tuple[_Path, Any]] = {
    PAGE: (("items", 0, "session_id"), 17), WALK: (("total_count",), "one"), SESSION: (("timestamp",), "noon"),
    SUMMARY: (("summary",), [PATIENT]), TRANSCRIPT: (("transcription",), {}),
    LATENCY: (("timeline", 0, "value"), "1,5"), TIMELINE: (("events", 0, "turn_index"), 1.5),
    URLS: (("recordings",), [PATIENT, 5]),
}  # fmt: skip
_UNKNOWN: dict[Operation, _Path] = {LATENCY: ("timeline", 0, "unit_type"), TIMELINE: ("events", 0, "kind")}
_NULL_LISTS: dict[Operation, _Path] = {
    PAGE: ("items",), WALK: ("items",), TRANSCRIPT: ("transcription",), LATENCY: ("timeline",), TIMELINE: ("events",)
}  # fmt: skip


def _changed(document: Any, path: _Path, value: Any = ...) -> Any:
    """A copy with another value at `path`, or without it."""
    document = copy.deepcopy(document)
    place = document
    for step in path[:-1]:
        place = place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return document


def _with_news(value: Any) -> Any:
    """Objects with a field that nobody knows yet, at every depth."""
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {"news": PATIENT, **{key: _with_news(each) for key, each in fields.items()}}
    if isinstance(value, list):
        return [*map(_with_news, value)]  # pyright: ignore[reportUnknownArgumentType]
    return value


def _answered(row: int, variant: str, operation: Operation, document: Any, outcome: Outcome) -> Cell:
    return Cell(row, variant, operation, Scripted(script=[json_reply(document)], outcome=outcome, requests=1))


def row_30() -> Iterator[Cell]:
    """What breaks the schema is named by its path; what only extends it is accepted."""
    for operation in JSON:
        document = operation.document
        if path := _REQUIRED.get(operation):
            yield _answered(30, "missing field", operation, _changed(document, path), _NOT_JSON)
        if wrong := _WRONG.get(operation):
            yield _answered(30, "wrong type", operation, _changed(document, *wrong), _NOT_JSON)
        if path := _NULL_LISTS.get(operation):
            yield _answered(30, "null list", operation, _changed(document, path, None), _NOT_JSON)
        if path := _UNKNOWN.get(operation):
            yield _answered(30, "unknown enum value", operation, _changed(document, path, "brand-new"), Succeeds())
        yield _answered(30, "extra fields", operation, _with_news(document), Succeeds())


def _error_bodies() -> dict[str, tuple[str, bytes]]:
    problem = {"type": "about:blank", "title": PATIENT, "status": 409, "detail": PATIENT}
    return {
        "problem+json": ("application/problem+json", json.dumps(problem).encode()),
        "problem+json of wrong types": (
            "application/problem+json",
            b'{"title": 1, "status": "x", "detail": {"a": [1]}}',
        ),
        "FastAPI": (
            "application/json",
            json.dumps({"detail": [{"loc": ["a", 1], "msg": PATIENT, "type": "t"}]}).encode(),
        ),
        "FastAPI of wrong types": ("application/json", b'{"detail": [{"loc": 1}, null, [], {"loc": [{}]}]}'),
        "HTML": ("text/html", b"<h1>" + PATIENT.encode() + b"</h1>"),
        "empty": ("application/json", b""),
        "10 MB": ("text/plain", PATIENT.encode() * 400_000),
        "not UTF-8": ("application/json; charset=utf-8", b"\xff\xfe" + PATIENT.encode()),
        "deep": ("application/json", b'{"detail": ' + b"[" * 50_000),
        "unknown charset": ("text/plain; charset=martian", b"?"),
        "false gzip": ("application/json", b"not gzip"),
        "a coding without its package": ("text/html", b"\x0b\x02\x80abc\x03"),
        "two codings": ("text/html", b"abc"),
    }


_UNREADABLE = {"false gzip": "gzip", "a coding without its package": "br", "two codings": "gzip, br"}
"""Bodies that cannot be decompressed: they are left out, and the status wins."""


def row_31() -> Iterator[Cell]:
    """Whatever the body: the status wins, and at most 64 KiB of the body are kept."""
    for variant, (content_type, body) in _error_bodies().items():
        coding = _UNREADABLE.get(variant)
        headers = {"Content-Type": content_type, **({"Content-Encoding": coding} if coding is not None else {})}
        for status, kind in ((409, errors.APIError), (422, errors.HTTPValidationError)):
            for operation in ALL if status == 409 else (PAGE, POST):
                kept = b"" if variant in _UNREADABLE else body[: 64 * 1024]
                outcome = fails(kind, status=status, body=kept, attempts=1)
                script = [reply(status, body, headers)]
                play = Scripted(script=script, outcome=outcome, requests=1)
                yield Cell(31, f"{status} {variant}", operation, play)


@functools.cache
def _bomb(encoding: str) -> bytes:
    """512 MiB of blanks in half a megabyte."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31 if encoding == "gzip" else 15)
    block = b" " * 2**20
    return b"".join([*(packer.compress(block) for _ in range(512)), packer.flush()])


_ALLOWANCE = 16 * 2**20


@attrs.frozen
class _Bounded:
    """A body without end, of which at most 16 MiB may be in memory at a time."""

    status: int
    encoding: str | None
    allowance: int = _ALLOWANCE

    def _exchange(self) -> Exchange:
        pairs = [("Location", "/elsewhere")] if self.status == 302 else []
        if self.encoding is None:
            return [
                Head(self.status, [*pairs, ("Transfer-Encoding", "chunked")]),
                Endless(b"10000\r\n%b\r\n" % (b" " * 65536)),
            ]
        return [*reply(self.status, _bomb(self.encoding), [*pairs, ("Content-Encoding", self.encoding)])]

    def _outcome(self) -> Outcome:
        if self.status == 200:
            return fails(errors.ResponseValidationError, problem=_says_larger)
        return fails(errors.APIError, status=self.status, body=b" " * 65536)

    async def __call__(self, scene: Scene, operation: Operation) -> None:
        async with scene.server([self._exchange()]) as server:
            async with scene.client(server) as client:
                with peak_memory() as peak:
                    result = await scene.run(client, operation)
            self._outcome().check(result, operation)
            assert len(server.requests) == 1
        assert peak.bytes <= self.allowance, f"{peak.bytes / 2**20:.0f} MiB more memory in use"


def row_28() -> Iterator[Cell]:
    """A bomb is told by counting while it is unpacked; of an error's body no more than what is kept is read."""
    for encoding in ("gzip", "deflate", None):
        name = encoding or "endless"
        for operation in (PAGE, SESSION, URLS, POST):
            # 64 MiB of plain JSON are allowed, and have to be somewhere; a bomb must not get that far.
            # aiohttp's Python parser takes in the whole packed body before the first read, so there the ratio is known
            # to be false only beyond a hundred times its half megabyte.
            early = encoding is not None and not os.environ.get("AIOHTTP_NO_EXTENSIONS")
            play = _Bounded(200, encoding, _ALLOWANCE if early else 64 * 2**20 + _ALLOWANCE)
            yield Cell(28, f"{name} 200", operation, play, schemes=("http",))
        for operation in ALL:
            for status in (418, 302):
                if (operation, status) != (DOWNLOAD, 302):
                    yield Cell(28, f"{name} {status}", operation, _Bounded(status, encoding), schemes=("http",))


def row_12_to_14() -> Iterator[Cell]:
    """A cut JSON reply is retried; one that only the closing connection ends must parse whole."""
    for operation in JSON:
        body = operation.body
        half = body[: len(body) // 2]
        squeezed = gzip.compress(body)
        for variant, exchange in _cuts(body, half).items():
            script = [exchange, operation.good]
            yield Cell(
                13 if variant.startswith("close") else 12,
                variant,
                operation,
                Scripted(script=script, outcome=Succeeds(), requests=2),
            )
        whole = Scripted(script=[reply(200, body, framing="close")], outcome=Succeeds(), requests=1)
        yield Cell(13, "close-delimited, whole", operation, whole)
        clean = Scripted(script=[reply(200, half, framing="close")], outcome=_NOT_JSON, requests=1)
        yield Cell(13, "close-delimited, cut by a clean end", operation, clean)
        encoded = {"Content-Encoding": "gzip"}
        cut = reply(200, squeezed[: len(squeezed) // 2], encoded)
        yield Cell(14, "half gzip", operation, Scripted(script=[cut], outcome=_NOT_JSON, requests=1))
        good = Scripted(script=[reply(200, squeezed, encoded)], outcome=Succeeds(), requests=1)
        yield Cell(14, "whole gzip", operation, good)


def _cuts(body: bytes, half: bytes) -> dict[str, Exchange]:
    chunked = reply(200, half, framing="chunked", last_chunk=False)
    return {
        "short length, FIN": [*reply(200, half, announced=len(body)), Fin()],
        "short length, RST": [*reply(200, half, announced=len(body)), Rst()],
        "no last chunk, FIN": [*chunked, Fin()],
        "no last chunk, RST": [*chunked, Rst()],
        "close-delimited, RST": [Head(200, {"Connection": "close"}), Raw(half), Rst()],
    }


def row_13_tls() -> Iterator[Cell]:
    """TLS that ends without close_notify was cut, even where the body looks whole."""
    for operation in JSON:
        for variant, size in (("half", len(operation.body) // 2), ("whole", len(operation.body))):
            ragged: Exchange = [Head(200, {"Connection": "close"}), Raw(operation.body[:size]), Ragged()]
            play = Scripted(script=[ragged, operation.good], outcome=Succeeds(), requests=2)
            yield Cell(13, f"close-delimited, ragged TLS, {variant}", operation, play, schemes=("https",))


def row_20() -> Iterator[Cell]:
    """More than announced: the extra is delivered to nobody, the next call included."""
    for operation in JSON:
        yield Cell(20, "more than announced", operation, _more_than_announced)
        yield Cell(20, "a second answer", operation, _a_second_answer)


async def _more_than_announced(scene: Scene, operation: Operation) -> None:
    await _with_extra(scene, operation, [Raw(b"{}extra")])


async def _a_second_answer(scene: Scene, operation: Operation) -> None:
    await _with_extra(scene, operation, reply(200, b'{"extra": 1}'))


async def _with_extra(scene: Scene, operation: Operation, extra: Exchange) -> None:
    """The extra comes in one piece with the answer's end."""
    (head, body) = operation.good
    assert isinstance(body, Raw)
    tail = b"".join(
        step.data if isinstance(step, Raw) else b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n" for step in extra
    )
    async with scene.server([[head, Raw(body.data + tail)]], always=operation.good) as server:
        async with scene.client(server) as client:
            for _ in range(2):
                Succeeds().check(await scene.run(client, operation), operation)
        assert 2 <= len(server.requests) <= 3


def cells() -> Iterator[Cell]:
    for row in (row_12_to_14, row_13_tls, row_20, row_28, row_29, row_30, row_31):
        yield from row()
