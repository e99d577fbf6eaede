"""A recording comes once, in order, whole: through every framing, validator and single cut."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from syllable_async._messages import Framing
from tests.recordings.scripted_origin import NOISE, End, Origin, Step, Version, files, read, stream

DATA = NOISE[:200_000]
ETAGS = ['"v1"', 'W/"v1"', None]
FRAMINGS: list[Framing] = ["length", "chunked", "close"]


@pytest.mark.parametrize("etag", ETAGS)
@pytest.mark.parametrize("framing", FRAMINGS)
async def test_undisturbed_it_says_what_stood_behind_whole(etag: str | None, framing: Framing) -> None:
    origin = Origin(Version(DATA, etag), Step(framing=framing))
    recording = stream(origin)
    assert await read(recording) == DATA
    probed = framing == "close" and etag == '"v1"'
    expected = {"length": "length", "chunked": "chunked", "close": "length" if probed else "none"}
    assert recording.verified == expected[framing]
    assert len(origin.requests) == (2 if probed else 1)
    assert not origin.open_replies


@pytest.mark.parametrize("etag", ETAGS)
@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("end", ["cut", "fin"])
@pytest.mark.parametrize("sent", [0, 1, 65_536, 70_000, 199_999])
async def test_one_cut_costs_one_request(etag: str | None, framing: Framing, end: End, sent: int) -> None:
    origin = Origin(Version(DATA, etag), Step(framing=framing, send=sent, end=end))
    recording = stream(origin)
    silent = framing == "close" and end == "fin" and etag != '"v1"'
    assert await read(recording) == (DATA[:sent] if silent else DATA)
    assert recording.verified == ("none" if silent else "length")
    assert len(origin.requests) == (1 if silent else 2)
    assert not origin.open_replies


@pytest.mark.parametrize("etag", ETAGS)
async def test_a_saved_recording_is_hashed_and_private(tmp_path: Path, etag: str | None) -> None:
    origin = Origin(Version(DATA, etag), Step(send=70_000, end="cut"))
    saved = await stream(origin, name="s1-0").save(tmp_path)
    assert saved.path == tmp_path / "s1-0.wav"
    assert saved.path.read_bytes() == DATA
    assert (saved.size, saved.sha256) == (len(DATA), hashlib.sha256(DATA).hexdigest())
    assert (saved.content_type, saved.verified) == ("audio/wav", "length")
    assert saved.path.stat().st_mode & 0o777 == 0o600
    assert files(tmp_path) == ["s1-0.wav"]


SMALL = NOISE[:4096]


@pytest.mark.parametrize("etag", ETAGS)
@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.long)])
async def test_cut_at_every_offset(etag: str | None, framing: Framing, step: int) -> None:
    for sent in range(0, len(SMALL) + (framing == "chunked"), step):
        origin = Origin(Version(SMALL, etag), Step(framing=framing, send=sent, end="cut"))
        assert await read(stream(origin)) == SMALL
        assert len(origin.requests) == 2


async def test_cut_twice_at_every_offset_where_parts_begin() -> None:
    for sent in range(0, 4096, 16):
        steps = [Step(send=2048, end="cut"), Step(send=sent, end="cut")]
        origin = Origin(Version(SMALL), *steps)
        assert await read(stream(origin)) == SMALL
        assert len(origin.requests) == 3
