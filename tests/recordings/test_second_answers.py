"""One cut, and then every second answer that a server may have: whole bytes or an error, never a mix or a part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import attrs
import pytest

from syllable_async._messages import Framing
from syllable_async.errors import SyllableError
from tests.recordings.random_servers import naive
from tests.recordings.scripted_origin import ETAGS, EXPIRED, NOISE, Origin, Part, Step, Version, collect, files, stream

DATA = NOISE[:150_000]
OTHER = NOISE[300_000:450_000]
FRAMINGS: tuple[Framing, ...] = get_args(Framing)
PARTS: tuple[Part, ...] = get_args(Part)
HELD = 100_000
VERSIONS = {
    "same": DATA,
    "other": OTHER,
    "longer": DATA + OTHER[:1000],
    "shorter, above what is held": DATA[:120_000],
    "shorter, what is held": DATA[:HELD],
    "shorter, below what is held": DATA[:50_000],
    "empty": b"",
    "first byte": b"!" + DATA[1:],
    "last byte held": DATA[: HELD - 1] + b"!" + DATA[HELD:],
    "a byte behind what is held": DATA[:HELD] + b"!" + DATA[HELD + 1 :],
    "a header rewritten and grown": b"RIFF" + DATA[4:] + OTHER[:1000],
}


def second_answers() -> dict[str, tuple[Step, ...]]:
    """By name; each is what comes after a cut, and all is well after it."""
    found: dict[str, tuple[Step, ...]] = {}
    for name, data in VERSIONS.items():
        for etag in ('"v1"', '"v2"', None):
            # What is far before the end and under the same ETag cannot be seen through parts.
            seen = etag != '"v1"' or data[: HELD - 70_000] == DATA[: HELD - 70_000] or name == "empty"
            if seen:
                found[f"{name}, {etag}"] = (Step(replace=Version(data, etag)),)
                found[f"{name}, {etag}, If-Range ignored"] = (Step(replace=Version(data, etag), if_range=False),)
            found[f"{name}, {etag}, Range ignored"] = (Step(replace=Version(data, etag), ranges=False),)
    for part in PARTS:
        for framing in FRAMINGS:
            found[f"part {part}, {framing}"] = (Step(part=part, framing=framing),)
    for said in (None, "nonsense", 0, 7, HELD - 65_536, HELD - 65_535, HELD, HELD + 1, len(DATA)):
        unsatisfied = said if isinstance(said, str) or said is None else f"bytes */{said}"
        found[f"416 {unsatisfied}"] = (Step(status=416, unsatisfied=unsatisfied),)
    for coding in ("gzip, chunked", "chunked, gzip", "xchunked", "gzip", "chunked, chunked"):
        found[f"coding {coding}"] = (Step(transfer_coding=coding, framing="chunked", send=110_000, end="fin"),)
    for encoding in ("gzip", "identity, br", "identity"):
        found[f"encoding {encoding}"] = (Step(encoding=encoding),)
    for content_type in ("text/html", "application/json", "audio/mpeg"):
        page = Version(b"<!doctype html>", None)
        found[f"a page as {content_type}"] = (Step(replace=page, content_type=content_type),)
    for status in (*EXPIRED, 429, 500, 503, 1):
        found[f"status {status}"] = (Step(status=status),)
    for framing in FRAMINGS:
        found[f"cut again, {framing}"] = (Step(framing=framing, send=110_000, end="cut"),)
        found[f"ends too early, {framing}"] = (Step(framing=framing, send=20_000, end="fin"),)
        found[f"cut in the overlap, {framing}"] = (Step(framing=framing, send=20_000, end="cut", ranges=False),)
        found[f"surplus, {framing}"] = (Step(framing=framing, surplus=9),)
    return found


ANSWERS = second_answers()


def whole(origin: Origin, got: bytes) -> bool:
    return any(version.data == got for version in origin.served)


async def iterated(origin: Origin, *, mint: bool) -> str:
    recording = stream(origin, mint=mint)
    got, error = await collect(recording)
    assert any(version.data.startswith(got) for version in origin.served), "delivered bytes that no version has"
    assert recording.bytes_read == len(got)
    if error is not None:
        return type(error).__name__
    assert whole(origin, got) or recording.verified == "none"
    return "whole" if recording.verified != "none" else "unproven"


async def saved(origin: Origin, directory: Path, *, mint: bool) -> str:
    target = directory / "kept"
    target.write_bytes(b"good")
    try:
        result = await stream(origin, mint=mint).save(target, if_exists="replace")
    except SyllableError as error:
        assert target.read_bytes() == b"good"
        return type(error).__name__
    finally:
        assert files(directory) == ["kept"]
    assert whole(origin, target.read_bytes())
    assert result.verified != "none"
    return "whole"


@pytest.mark.parametrize(("save", "every"), [(False, 1), (True, 7), pytest.param(True, 1, marks=pytest.mark.long)])
@pytest.mark.parametrize("promised", [None, "bytes"])
async def test_every_second_answer(
    tmp_path: Path, promised: str | None, every: int, *, save: bool, counted: Callable[[str, int], None]
) -> None:
    tally, wrong = Counter[str](), 0
    for framing in FRAMINGS:
        for etag in ETAGS:
            for answer in list(ANSWERS.values())[::every]:
                cut = Step(framing=framing, send=HELD, end="cut", accept_ranges=promised)
                for mint in (False, True):
                    origin = Origin(Version(DATA, etag), cut, *answer, piece=30_000)
                    outcome = await (saved(origin, tmp_path, mint=mint) if save else iterated(origin, mint=mint))
                    tally[outcome] += 1
                    assert origin.open_replies == 0
                try:
                    believed = Origin(Version(DATA, etag), attrs.evolve(cut), *answer, piece=30_000)
                    got = await naive(believed)
                    wrong += not any(version.data.startswith(got) for version in believed.served)
                except SyllableError:
                    pass
    counted("second answers", sum(tally.values()))
    assert len(ANSWERS) >= 39
    assert tally["whole"] > 500 / every
    assert tally["RecordingChangedError"] > 100 / every
    assert wrong > 50 / every, "the naive client was not caught"
