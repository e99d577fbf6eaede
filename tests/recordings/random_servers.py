"""Random servers: what they have, how they lie, where they break; and a client that believes them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import get_args

import attrs
from hypothesis import strategies as st

from syllable_async._messages import Framing
from syllable_async.errors import SyllableConnectionError
from tests.recordings.scripted_origin import EXPIRED, NOISE, End, Origin, Part, Step, Version

SIZES = [0, 1, 5, 300, 4096, 65_536, 65_537, 70_000, 150_000]
PARTS: tuple[Part, ...] = get_args(Part)
STATUSES = [*[0] * 40, *[1] * 3, *[503] * 3, 500, 429, *EXPIRED, 416]
CODINGS = [*[None] * 40, "gzip, chunked", "xchunked"]
TYPES = [*[None] * 20, "text/html", "application/json"]


@attrs.frozen(kw_only=True)
class Program:
    """One server, from the first request to the last."""

    version: Version
    steps: tuple[Step, ...]
    then: Step
    piece: int
    mint: bool
    save: bool

    def origin(self) -> Origin:
        """A fresh server that runs this."""
        return Origin(self.version, *self.steps, piece=self.piece, then=self.then)


@attrs.define
class _World:
    """What a program may replace next. A strong ETag names one content, unless every byte of it changes.

    A server whose strong ETag stays while single bytes far before the end change, and which gives parts, cannot be
    caught by any client that does not read everything twice; so no program does that.
    """

    draw: st.DrawFn
    version: Version
    count: int = 1

    def fresh(self) -> str | None:
        """An ETag that was not seen before, or none."""
        self.count += 1
        return self.draw(st.sampled_from([f'"v{self.count}"', f'W/"v{self.count}"', None]))

    def replaced(self) -> Version:
        """The next version."""
        draw, data, etag = self.draw, self.version.data, self.version.etag
        at = draw(st.integers(0, len(data)))
        other = NOISE[300_000 + self.count * 1000 :][: draw(st.sampled_from([len(data), *SIZES]))]
        kept = draw(st.sampled_from([etag, self.fresh()]))
        loose = etag if etag is None or etag.startswith("W/") else self.fresh()
        weak = etag if etag is None or etag.startswith("W/") else f"W/{etag}"
        self.count += 1
        self.version = draw(
            st.sampled_from(
                [
                    Version(data, self.fresh()),
                    Version(data, weak),
                    Version(other, kept),
                    Version(data + other[:1000], kept),
                    Version(data[:at], kept),
                    Version(data[:at] + other, loose),
                    Version(data[:at] + b"!" + data[at + 1 :], loose),
                ]
            )
        )
        return self.version


@st.composite
def steps(draw: st.DrawFn, world: _World) -> Step:
    """One request's fate; most of them are cut, for whole answers end a program."""
    framing: Framing = draw(st.sampled_from(["length", "length", "chunked", "close"]))
    end: End = draw(st.sampled_from(["cut", "cut", "cut", "fin", "stall", "whole"]))
    size = len(world.version.data)
    return Step(
        replace=world.replaced() if draw(st.integers(0, 3)) == 3 else None,
        expire=draw(st.integers(0, 9)) == 9,
        status=draw(st.sampled_from(STATUSES)),
        unsatisfied=draw(st.sampled_from([None, f"bytes */{size}", f"bytes */{size // 2}", "bytes */7", "nonsense"])),
        send=None if end == "whole" else draw(st.one_of(st.integers(0, size), st.sampled_from([0, 1, 16, 17, 66_000]))),
        end=end,
        framing=framing,
        ranges=draw(st.integers(0, 4)) != 4,
        if_range=draw(st.integers(0, 4)) != 4,
        part=draw(st.sampled_from(PARTS)) if draw(st.integers(0, 2)) == 2 else "right",
        surplus=draw(st.sampled_from([0, 0, 0, 9])),
        encoding=draw(st.sampled_from([*[None] * 40, "gzip", "identity"])),
        accept_ranges=draw(st.sampled_from([None, "bytes"])),
        transfer_coding=draw(st.sampled_from(CODINGS)),
        content_type=draw(st.sampled_from(TYPES)),
    )


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """A server with up to ten faulty requests, and then a plain one, or a faulty one for ever."""
    size = draw(st.sampled_from(SIZES))
    version = Version(NOISE[:size], draw(st.sampled_from(['"v1"', '"v1"', 'W/"v1"', None])))
    world = _World(draw, version)
    return Program(
        version=version,
        steps=tuple(draw(steps(world)) for _ in range(draw(st.integers(1, 10)))),
        then=Step() if draw(st.integers(0, 4)) else attrs.evolve(draw(steps(world)), replace=None, expire=False),
        piece=draw(st.sampled_from([1, 7, 100] if size <= 4096 else [1000, 40_000, 70_000])),
        mint=draw(st.integers(0, 3)) > 0,
        save=draw(st.integers(0, 3)) == 3,
    )


async def naive(origin: Origin, attempts: int = 20) -> bytes:
    """What most code does: on a cut, ask for the rest and append what comes."""
    held = b""
    for _ in range(attempts):
        headers: Mapping[str, str] = {"Range": f"bytes={len(held)}-"} if held else {}
        try:
            reply = await origin.open(headers)
            async with asyncio.timeout(0.002 if reply.end == "stall" else None):
                while chunk := await reply.read():
                    held += chunk
        except (SyllableConnectionError, TimeoutError):
            continue
        return held
    raise SyllableConnectionError("gave up")
