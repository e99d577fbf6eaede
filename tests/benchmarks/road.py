"""`python -m tests.benchmarks.road [--functions]`: how far one call travels through this package.

Counted with `sys.setprofile` in the caller's thread, against the fake server in another, with connections open and
everything imported. Ours is what stands in the package, `testing` aside. The columns:

- depth: frames of ours on the stack where bytes are written to a socket, at most; a coroutine that awaits is one;
- functions: names of ours that run, each once (file and qualified name: comprehensions and lambdas too, but two
  comprehensions of one function are one);
- files: those that hold these functions;
- folders: those that hold these files; what stands at the top of the package counts as one folder.

A row about a recording begins with asking for its URL, as its caller must. `--functions` names them. On 1.0.0rc1 a
`get_by_id` had the depth 7, 41 functions and 11 files, with one 503 before it 69 and 13, a recording
that was cut once 134 and 19, a saved recording 119 and 18.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import attrs

import syllable_async
from syllable_async import AsyncSyllableClient, RetryPolicy
from syllable_async.testing import FakeSyllable, Fault, faults

PACKAGE = Path(syllable_async.__file__).parent
AT_ONCE = RetryPolicy(initial=0, maximum=0)


@attrs.define
class Road:
    """What a call goes through, told by the interpreter."""

    functions: set[tuple[Path, str]] = attrs.field(factory=set[tuple[Path, str]])
    depth: int = 0

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and (function := function_of_ours(frame.f_code)):
            self.functions.add(function)
        elif event == "c_call" and is_sending(argument):
            self.depth = max(self.depth, depth_of_ours(frame))

    @property
    def files(self) -> set[Path]:
        return {file for file, _ in self.functions}

    @property
    def folders(self) -> set[Path]:
        return {file.parent for file in self.files}


def function_of_ours(code: CodeType) -> tuple[Path, str] | None:
    """File and qualified name, if it is one of ours."""
    file = Path(code.co_filename)
    if not file.is_relative_to(PACKAGE) or file.is_relative_to(PACKAGE / "testing"):
        return None
    return file.relative_to(PACKAGE), code.co_qualname


def is_sending(function: Any) -> bool:
    """Whether a C function writes to a socket."""
    return function.__name__.startswith("send") and type(function.__self__).__name__ == "socket"


def depth_of_ours(frame: FrameType | None) -> int:
    depth = 0
    while frame is not None:
        depth += function_of_ours(frame.f_code) is not None
        frame = frame.f_back
    return depth


@attrs.frozen
class Caller:
    """The calls whose road is counted."""

    client: AsyncSyllableClient
    session_id: str

    async def get_by_id(self) -> None:
        await self.client.sessions.get_by_id(self.session_id)

    async def list(self) -> None:
        async for _ in self.client.sessions.list():
            pass

    async def snapshot(self) -> None:
        async for _ in self.client.sessions.list().snapshot():
            pass

    async def iterate(self) -> None:
        (recording,) = await self.client.sessions.recordings(self.session_id)
        async with recording:
            async for _ in recording:
                pass

    async def save(self) -> None:
        (recording,) = await self.client.sessions.recordings(self.session_id)
        with tempfile.TemporaryDirectory() as folder:
            await recording.save(folder)


async def road_of(call: Callable[[], Awaitable[None]]) -> Road:
    road = Road()
    sys.setprofile(road)
    try:
        await call()
    finally:
        sys.setprofile(None)
    return road


async def roads() -> dict[str, Road]:
    """The rows of the table."""
    with FakeSyllable(sessions=60) as server:
        voiced = next(name for name in server.sessions if len(server.recordings(name)) == 1)
        async with AsyncSyllableClient(server.api_key, base_url=server.url, retries=AT_ONCE) as client:
            caller = Caller(client, voiced)
            rows: list[tuple[str, Callable[[], Awaitable[None]], Fault | None]] = [
                ("get_by_id", caller.get_by_id, None),
                ("get_by_id, one 503 before it", caller.get_by_id, faults.status(503)),
                ("list, walked", caller.list, None),
                ("snapshot", caller.snapshot, None),
                ("a recording, iterated", caller.iterate, None),
                ("the same, cut once and resumed", caller.iterate, faults.cut(3000)),
                ("a recording, saved", caller.save, None),
            ]
            found: dict[str, Road] = {}
            for count in (False, True):  # the first round opens connections and imports what is imported late
                for title, call, fault in rows:
                    if fault is not None:
                        cut = call == caller.iterate
                        server.faults.add("sessions.stream_recording" if cut else "sessions.get_by_id", fault)
                    found[title] = await road_of(call) if count else Road()
                    if not count:
                        await call()
            server.faults.assert_all_met()
            return found


def main() -> None:
    print(f"{'what the caller writes':32}{'depth':>6}{'functions':>11}{'files':>7}{'folders':>9}")
    for title, road in asyncio.run(roads()).items():
        counts = len(road.functions), len(road.files), len(road.folders)
        print(f"{title:32}{road.depth:6}{counts[0]:11}{counts[1]:7}{counts[2]:9}")
        if "--functions" in sys.argv:
            for file, name in sorted(road.functions):
                print(f"    {file.with_suffix('')}: {name}")


if __name__ == "__main__":
    main()
