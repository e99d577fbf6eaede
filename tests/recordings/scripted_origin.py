"""A server of one recording without sockets: each request takes the next step of a script, then all is well."""

from __future__ import annotations

import asyncio
import os
import random
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeVar

import attrs

from syllable_async._messages import Framing
from syllable_async._recordings import DiskThreads
from syllable_async._recordings.download import MAX_BYTES, Opener
from syllable_async._recordings.stream import RecordingStream
from syllable_async._timing import SYSTEM_CLOCK, Clock
from syllable_async.errors import (
    APIError,
    InternalServerError,
    SyllableConnectionError,
    SyllableError,
    SyllableTimeoutError,
)
from tests.fault_matrix.expected_errors import class_of

T = TypeVar("T")
End = Literal["whole", "cut", "rst", "ragged", "fin", "stall"]
Part = Literal[
    "right", "earlier", "later", "lying", "no-range", "unit", "multipart", "length", "total", "no-etag", "weak-etag"
]
NOISE = random.Random(7).randbytes(700_000)
DATA = NOISE[:4096]
LONG = NOISE[:200_000]
ETAGS = ['"v1"', 'W/"v1"', None]
EXPIRED = (400, 401, 403, 404, 410, 422)
"""Statuses by which servers say that a URL is worth nothing any more."""
ERRORS = {status: class_of(status) for status in (*EXPIRED, 429)}


@attrs.frozen
class Version:
    """What the server has under the URL."""

    data: bytes
    etag: str | None = '"v1"'


@attrs.frozen(kw_only=True)
class Step:
    """What happens at one request, in this order."""

    replace: Version | None = None
    """From now on the server has this."""
    expire: bool = False
    """From now on the token is worth nothing, until a new one is minted."""
    status: int = 0
    """This error instead of an answer; 1 is a connection that breaks, 2 one that stays silent."""
    unsatisfied: str | None = None
    """With status 416: its Content-Range."""
    send: int | None = None
    """Bytes of body after which `end` comes; None: all."""
    end: End = "whole"
    """How it is cut. `fin` is an end without an error, which only a close-framed body takes for its end; `rst` and
    `ragged` (no close_notify) are kinds of `cut` that only a socket tells apart.
    """
    framing: Framing = "length"
    ranges: bool = True
    if_range: bool = True
    part: Part = "right"
    surplus: int = 0
    """Bytes beyond the announced ones."""
    encoding: str | None = None
    accept_ranges: str | None = None
    transfer_coding: str | None = None
    """In place of the `Transfer-Encoding` that the framing has."""
    content_type: str | None = None
    """In place of the origin's."""


@attrs.define(slots=True)
class ScriptedReply:
    """A `StreamedResponse` whose body comes in pieces of `piece` bytes."""

    status: int
    headers: Mapping[str, str]
    framing: Framing
    body: bytes
    end: End
    piece: int
    origin: Origin
    extra: bytes = b""
    """What a socket would send behind a whole body; a reader never sees it."""
    at: int = 0
    closed: bool = False

    async def read(self) -> bytes:
        assert not self.closed, "read after close"
        chunk = self.body[self.at : self.at + self.piece]
        self.at += len(chunk)
        if chunk or self.end == "whole" or (self.end == "fin" and self.framing == "close"):
            return chunk
        if self.end == "stall":
            await asyncio.Event().wait()
        raise SyllableConnectionError("the body was cut off")

    async def aclose(self) -> None:
        if not self.closed:
            self.closed = True
            self.origin.open_replies -= 1


class Headers(dict[str, str]):
    """Case does not matter, as in the mapping of the real thing."""

    def __init__(self, items: Mapping[str, str | None]) -> None:
        super().__init__({name.lower(): value for name, value in items.items() if value is not None})

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        return super().get(name.lower(), default)


class Origin:
    """Serves `version` by the script; `requests` are the headers that were asked with."""

    def __init__(
        self,
        version: Version,
        *steps: Step,
        piece: int = 1000,
        then: Step | None = None,
        content_type: str | None = "audio/wav",
    ) -> None:
        self.version = version
        self.served = [version]
        self.steps = list(steps)
        self.then = then or Step()
        self.piece = piece
        self.content_type = content_type
        self.requests: list[Mapping[str, str]] = []
        self.open_replies = 0
        self.mints = 0
        self.token = self.valid = 0

    async def mint(self) -> Opener:
        await asyncio.sleep(0)
        self.mints += 1
        self.token = self.valid
        return self.open

    async def open(self, headers: Mapping[str, str]) -> ScriptedReply:
        await asyncio.sleep(0)
        return self.answer(headers)

    def answer(self, headers: Mapping[str, str]) -> ScriptedReply:
        """The reply to a request with these headers, by the next step; an error's status is raised."""
        self.requests.append({name: headers[name] for name in ("Range", "If-Range") if name in headers})
        step = self.steps.pop(0) if self.steps else self.then
        if step.replace is not None:
            self.version = step.replace
            self.served.append(step.replace)
        if step.expire:
            self.valid = self.token + 1
        if step.status == 1:
            raise SyllableConnectionError("refused")
        if step.status == 2:
            raise SyllableTimeoutError("timeout", 0.03)
        status = step.status or (401 if self.token != self.valid else 0)
        if status:
            raise self._error(status, step)
        return self._answer(headers, step)

    def _error(self, status: int, step: Step) -> APIError:
        headers = {} if step.unsatisfied is None else {"content-range": step.unsatisfied}
        kind = ERRORS.get(status, InternalServerError if status >= 500 else APIError)
        return kind(status=status, method="GET", path="/recording", headers=headers)

    def _answer(self, asked: Mapping[str, str], step: Step) -> ScriptedReply:
        data, etag = self.version.data, self.version.etag
        matches = asked.get("If-Range") in {None, etag} or not step.if_range
        if "Range" in asked and step.ranges and matches:
            first = int(asked["Range"].removeprefix("bytes=").removesuffix("-"))
            if first >= len(data):
                raise self._error(416, Step(unsatisfied=f"bytes */{len(data)}"))
            return self._part(first, step)
        return self._reply(200, data, {"ETag": etag}, step)

    def _part(self, first: int, step: Step) -> ScriptedReply:
        data, etag, size = self.version.data, self.version.etag, len(self.version.data)
        sent = {"earlier": max(0, first - 7), "later": min(size - 1, first + 7), "lying": max(0, first - 1)}
        start = sent.get(step.part, first)
        said = first if step.part == "lying" else start
        content_range: str | None = f"bytes {said}-{size - 1}/{size}"
        changes = {
            "no-range": (None, etag),
            "unit": (f"chapters {said}-{size - 1}/{size}", etag),
            "length": (f"bytes {said}-{size}/{size + 1}", etag),
            "total": (f"bytes {said}-{size - 1}/{size + 5}", etag),
            "no-etag": (content_range, None),
            "weak-etag": (content_range, f"W/{etag}"),
        }
        content_range, etag = changes.get(step.part, (content_range, etag))
        headers = {"ETag": etag, "Content-Range": content_range}
        if step.part == "multipart":
            headers["Content-Type"] = "multipart/byteranges; boundary=x"
        surplus = NOISE[: step.surplus] if step.framing != "length" else b""
        return self._reply(206, data[start:] + surplus, headers, step)

    def _reply(self, status: int, body: bytes, headers: Mapping[str, str | None], step: Step) -> ScriptedReply:
        length = str(len(body)) if step.framing == "length" else None
        coding = "chunked" if step.framing == "chunked" else None
        given = {
            "Content-Type": step.content_type or self.content_type,
            "Content-Length": length,
            "Content-Encoding": step.encoding,
            "Accept-Ranges": step.accept_ranges,
            "Transfer-Encoding": step.transfer_coding or coding,
        }
        short = body if step.send is None else body[: step.send]
        whole = len(short) == len(body) and (step.framing == "length" or step.end == "fin")
        end = "whole" if whole else step.end  # a cut after the last byte is one before the last chunk or a clean close
        extra = NOISE[: step.surplus] if step.framing == "length" and whole else b""
        self.open_replies += 1
        headers = Headers({**given, **headers})
        return ScriptedReply(status, headers, step.framing, short, end, self.piece, self, extra)


async def retry(attempt: Callable[[object], Awaitable[T]], *, failure: SyllableError | None) -> T:
    """As the policy does it, without waiting: transient errors are retried, four attempts in all."""
    attempts = 1 if failure is not None else 0
    while True:
        if failure is None:
            attempts += 1
            try:
                return await attempt(None)
            except (SyllableConnectionError, APIError) as error:
                failure = error
        final = isinstance(failure, APIError) and failure.status not in {408, 429, 500, 502, 503, 504}
        if final or attempts == 4:
            raise failure
        failure = None


def stream(
    origin: Origin,
    *,
    timeout: float | None = 30.0,
    clock: Callable[[], float] = SYSTEM_CLOCK.monotonic,
    mint: bool = False,
    name: str = "recording",
    max_bytes: int = MAX_BYTES,
    threads: DiskThreads | None = None,
) -> RecordingStream:
    """The stream under test, over this origin."""
    renew = origin.mint if mint else None
    return RecordingStream(
        origin.open,
        retry=retry,
        clock=Clock(monotonic=clock),
        timeout=timeout,
        renew=renew,
        name=name,
        max_bytes=max_bytes,
        threads=threads,
    )


async def read(recording: RecordingStream) -> bytes:
    """All bytes of a stream."""
    async with recording:
        return b"".join([chunk async for chunk in recording])


async def collect(recording: RecordingStream) -> tuple[bytes, SyllableError | None]:
    """What a stream delivers, and the error that it ends with, if it does."""
    got = b""
    try:
        async with recording:
            async for chunk in recording:
                got += chunk
    except SyllableError as error:
        return got, error
    return got, None


@types.coroutine
def _cancelled_at(work: Coroutine[Any, Any, object], number: int) -> Generator[Any, None, bool]:
    error: BaseException | None = None
    while True:
        try:
            waiting = work.send(None) if error is None else work.throw(error)
        except StopIteration:
            return False
        except asyncio.CancelledError:
            return True
        error, number = None, number - 1
        if not number:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        try:
            yield waiting
        except BaseException as raised:
            error = raised


async def cancelled_at(work: Coroutine[Any, Any, object], number: int) -> bool:
    """Run it in a task that is cancelled at its n-th await; whether it was, False where it came to its end."""

    async def run() -> bool:
        return await _cancelled_at(work, number)

    return await asyncio.create_task(run())


def files(directory: Path) -> list[str]:
    """Names in a directory, part files included."""
    return sorted(entry.name for entry in directory.iterdir())


def descriptors() -> list[str]:
    """What this process has open. uvloop keeps a `/dev/null` in reserve."""
    found: list[str] = []
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the descriptor of this very listing
            if str(entry.readlink()) != os.devnull:
                found.append(entry.name)
    return sorted(found)
