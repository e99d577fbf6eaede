"""How many requests a bad server gets, what they ask for, and which limit ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

import pytest

from syllable_async import RecordingStream
from syllable_async._messages import Framing
from syllable_async._recordings.download import Opener
from syllable_async._recordings.resume import OVERLAP
from syllable_async._recordings.stall import StallDetector
from syllable_async._timing import SYSTEM_CLOCK
from syllable_async.errors import (
    APIError,
    ClientClosedError,
    IncompleteRecordingError,
    InternalServerError,
    RecordingChangedError,
    RecordingError,
    SyllableConnectionError,
    SyllableError,
    SyllableTimeoutError,
)
from tests.recordings.scripted_origin import (
    DATA,
    ERRORS,
    ETAGS,
    EXPIRED,
    LONG,
    NOISE,
    Headers,
    Origin,
    Part,
    ScriptedReply,
    Step,
    Version,
    read,
    stream,
)

FRAMINGS: list[Framing] = ["length", "chunked", "close"]
EARLY_CUT = Step(send=1000, end="cut")


def ranges(origin: Origin) -> list[str | None]:
    return [headers.get("Range") for headers in origin.requests]


async def failure(origin: Origin, kind: type[SyllableError], **options: object) -> SyllableError:
    """The error that reading ends with; nothing is left open, and nothing hangs on to what caused it."""
    with pytest.raises(kind) as caught:
        await read(stream(origin, **options))  # type: ignore[arg-type]
    assert type(caught.value) is kind
    assert origin.open_replies == 0
    assert caught.value.__context__ is None
    return caught.value


async def test_nothing_is_sent_before_it_is_entered() -> None:
    origin = Origin(Version(DATA))
    recording = stream(origin)
    aiter(recording)
    await recording.aclose()
    assert origin.requests == []


async def test_a_resumed_request_overlaps_what_is_held() -> None:
    origin = Origin(Version(LONG), Step(send=150_000, end="cut"))
    assert await read(stream(origin)) == LONG
    assert origin.requests[1] == {"Range": f"bytes={150_000 - OVERLAP}-", "If-Range": '"v1"'}


async def test_three_cuts_one_without_progress() -> None:
    origin = Origin(Version(DATA, None), EARLY_CUT, Step(send=500, end="cut"), Step(send=3000, end="cut"))
    assert await read(stream(origin)) == DATA
    assert len(origin.requests) == 4


async def test_the_overlap_shrinks_when_cuts_fall_into_it() -> None:
    origin = Origin(Version(DATA), then=EARLY_CUT)
    assert await read(stream(origin)) == DATA
    starts = [f"bytes={start}-" for start in (500, 1000, 1500, 2000, 2500, 3000, 3500)]
    assert ranges(origin) == [None, "bytes=0-", *starts]


async def test_one_byte_per_connection_ends() -> None:
    origin = Origin(Version(DATA), then=Step(send=1, end="cut"))
    error = await failure(origin, IncompleteRecordingError)
    assert isinstance(error, IncompleteRecordingError)
    assert (error.received, error.total) == (1, 4096)
    assert len(origin.requests) == 4


async def test_requests_are_counted_in_all() -> None:
    origin = Origin(Version(LONG), then=Step(send=1000, end="cut"))
    error = await failure(origin, IncompleteRecordingError)
    assert len(origin.requests) == 64
    assert str(error).startswith("gave up after 64 requests that brought little; of the last: the body was cut off (")


async def test_connections_that_bring_enough_are_not_counted() -> None:
    data = NOISE * 8
    origin = Origin(Version(data), piece=70_000, then=Step(send=OVERLAP + 66_000, end="cut"))
    assert await read(stream(origin)) == data
    assert len(origin.requests) > 80


async def test_a_busy_server_is_no_bad_connection() -> None:
    busy = [step for _ in range(40) for step in (Step(send=OVERLAP + 1000, end="cut"), Step(status=429))]
    origin = Origin(Version(NOISE), *busy)
    assert await read(stream(origin)) == NOISE
    assert len(origin.requests) == 81


async def test_a_dead_server_is_asked_by_the_policy() -> None:
    origin = Origin(Version(DATA), then=Step(status=1))
    await failure(origin, SyllableConnectionError)
    assert len(origin.requests) == 4
    origin = Origin(Version(DATA), EARLY_CUT, then=Step(status=1))
    error = await failure(origin, IncompleteRecordingError)
    assert str(error) == "the recording was cut off: refused (1000 of 4096 bytes)"
    assert isinstance(error.__cause__, SyllableConnectionError)
    assert len(origin.requests) == 4


async def test_a_refusal_passes_as_it_is() -> None:
    origin = Origin(Version(DATA), EARLY_CUT, then=Step(status=503))
    await failure(origin, InternalServerError)
    assert len(origin.requests) == 4
    origin = Origin(Version(DATA), EARLY_CUT, then=Step(status=410))
    await failure(origin, APIError)
    assert len(origin.requests) == 2


async def test_a_stall_is_resumed_and_the_limit_named() -> None:
    origin = Origin(Version(DATA), Step(send=1000, end="stall"))
    assert await read(stream(origin, timeout=0.005)) == DATA
    origin = Origin(Version(DATA), then=Step(send=0, end="stall"))
    error = await failure(origin, IncompleteRecordingError, timeout=0.005)
    assert str(error) == "the recording was cut off: the timeout of 0.005 s passed (0 of 4096 bytes)"
    assert isinstance(error.__cause__, SyllableTimeoutError)
    assert len(origin.requests) == 4


class Clock:
    """Half of `step` before a read, half after it."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


async def test_a_dribble_is_a_stall() -> None:
    clock = Clock(0.2)
    origin = Origin(Version(LONG), piece=10)
    error = await failure(origin, IncompleteRecordingError, clock=clock)
    assert "slow-transfer limit (under 1 KiB/s) of 60 s" in str(error)
    assert clock.now < 64 * 2 * 61


async def test_a_slow_line_and_a_slow_reader_are_none() -> None:
    origin = Origin(Version(LONG), piece=1000)
    assert await read(stream(origin, clock=Clock(0.5))) == LONG
    clock = Clock(0.0)
    origin = Origin(Version(DATA), piece=10)
    async for _ in stream(origin, clock=clock):
        clock.now += 3600
    assert len(origin.requests) == 1


async def test_no_timeout_means_no_stall_limit() -> None:
    origin = Origin(Version(DATA), piece=1)
    assert await read(stream(origin, clock=Clock(10.0), timeout=None)) == DATA
    assert len(origin.requests) == 1


PARTS: list[Part] = ["earlier", "later", "no-range", "unit", "multipart", "length", "total", "no-etag", "weak-etag"]


@pytest.mark.parametrize("part", PARTS)
async def test_a_part_that_was_not_asked_for_is_refused(part: Part) -> None:
    origin = Origin(Version(LONG), Step(send=150_000, end="cut"), Step(part=part, framing="chunked"))
    assert await read(stream(origin)) == LONG
    assert ranges(origin) == [None, "bytes=84464-", None]


async def test_a_part_with_other_bytes_is_a_change() -> None:
    origin = Origin(Version(LONG), Step(send=150_000, end="cut"), Step(part="lying", framing="chunked"))
    await failure(origin, RecordingChangedError)
    assert len(origin.requests) == 2


async def test_a_part_longer_than_its_range_is_clipped() -> None:
    origin = Origin(Version(LONG), Step(send=150_000, end="cut"), Step(framing="chunked", surplus=9))
    recording = stream(origin)
    assert await read(recording) == LONG
    assert recording.verified == "length"


async def test_a_part_although_all_was_asked_for() -> None:
    class Partial(Origin):
        async def open(self, headers: Mapping[str, str]) -> ScriptedReply:
            return await super().open({**headers, "Range": "bytes=5-"})

    error = await failure(Partial(Version(DATA)), RecordingError)
    assert str(error) == "the server sent a part of the recording although all of it was asked for"


SAME = [Version(DATA, '"v2"'), Version(DATA, 'W/"v1"'), Version(DATA, None), Version(DATA + b"more", '"v2"')]
OTHER = [
    Version(NOISE[5000:9096], '"v1"'),
    Version(NOISE[5000:9096], '"v2"'),
    Version(NOISE[5000:9096], None),
    Version(b"!" + DATA[1:], '"v2"'),
    Version(b"!" + DATA[1:], 'W/"v1"'),
    Version(DATA[:500], '"v2"'),
    Version(DATA[:500], '"v1"'),
]


@pytest.mark.parametrize("ignores_range", [False, True])
@pytest.mark.parametrize("first", ['"v1"', 'W/"v1"', None])
@pytest.mark.parametrize("version", SAME)
async def test_the_same_beginning_goes_on(version: Version, first: str | None, ignores_range: bool) -> None:
    origin = Origin(Version(DATA, first), EARLY_CUT, Step(replace=version, ranges=not ignores_range), EARLY_CUT)
    recording = stream(origin)
    assert await read(recording) == version.data
    assert (recording.etag, recording.total_bytes) == (version.etag, len(version.data))
    assert len(origin.requests) == 2


@pytest.mark.parametrize("ignores_range", [False, True])
@pytest.mark.parametrize("first", ['"v1"', 'W/"v1"', None])
@pytest.mark.parametrize("version", OTHER)
async def test_another_beginning_is_a_change(version: Version, first: str | None, ignores_range: bool) -> None:
    origin = Origin(Version(DATA, first), EARLY_CUT, Step(replace=version, ranges=not ignores_range))
    await failure(origin, RecordingChangedError)
    part_refused = first == version.etag == '"v1"' and len(version.data) != len(DATA) and not ignores_range
    assert len(origin.requests) == (3 if part_refused else 2)


async def test_another_etag_over_a_long_prefix_is_a_change_unless_it_was_hashed() -> None:
    cut = Step(send=150_000, end="cut")
    unhashed, other = Step(send=150_000, end="cut", accept_ranges="bytes"), Step(replace=Version(LONG, '"v2"'))
    for second in (other, Step(ranges=False)):
        await failure(Origin(Version(LONG), unhashed, second), RecordingChangedError)
        for etag in ETAGS:
            assert await read(stream(Origin(Version(LONG, etag), cut, second))) == LONG
    for etag in ETAGS[1:]:
        assert await read(stream(Origin(Version(LONG, etag), unhashed, other))) == LONG


async def test_a_shorter_chunked_body_is_a_change() -> None:
    cut = Step(send=1000, end="cut", framing="chunked")
    step = Step(replace=Version(DATA[:500], None), framing="chunked")
    await failure(Origin(Version(DATA, None), cut, step), RecordingChangedError)


async def test_a_body_that_outgrows_the_announced_total_is_a_change() -> None:
    step = Step(replace=Version(LONG, None), framing="chunked")
    await failure(Origin(Version(DATA, None), EARLY_CUT, step), RecordingChangedError)


@pytest.mark.parametrize("said", [200_000, 199_999, 200_001, 134_465])
async def test_416_that_contradicts_itself_proves_nothing(said: int) -> None:
    cut = Step(framing="chunked", end="cut")
    origin = Origin(Version(LONG), cut, Step(status=416, unsatisfied=f"bytes */{said}"))
    recording = stream(origin)
    assert await read(recording) == LONG
    assert recording.verified == "length"
    assert ranges(origin) == [None, "bytes=134464-", None]


async def test_416_of_an_empty_recording_is_its_end() -> None:
    recording = stream(Origin(Version(b""), Step(framing="close"), Step(status=416, unsatisfied="bytes */0")))
    assert await read(recording) == b""
    assert recording.verified == "length"


@pytest.mark.parametrize(
    ("said", "kind"), [("bytes */134464", RecordingChangedError), (None, APIError), ("bytes 0-1/2", APIError)]
)
async def test_416_with_anything_else_is_an_error(said: str | None, kind: type[SyllableError]) -> None:
    cut = Step(framing="chunked", end="cut")
    origin = Origin(Version(LONG), cut, Step(status=416, unsatisfied=said))
    await failure(origin, kind)
    assert len(origin.requests) == 2


async def test_416_without_a_range_is_a_refusal() -> None:
    await failure(Origin(Version(DATA), Step(status=416, unsatisfied="bytes */0")), APIError)


@pytest.mark.parametrize("status", EXPIRED)
async def test_an_expired_token_is_minted_once(status: int) -> None:
    origin = Origin(Version(DATA), EARLY_CUT, Step(status=status))
    assert await read(stream(origin, mint=True)) == DATA
    assert (len(origin.requests), origin.mints) == (3, 1)
    origin = Origin(Version(DATA), EARLY_CUT, then=Step(status=status))
    await failure(origin, ERRORS[status], mint=True)
    assert (len(origin.requests), origin.mints) == (3, 1)
    origin = Origin(Version(DATA), EARLY_CUT, Step(status=status))
    await failure(origin, ERRORS[status])
    assert (len(origin.requests), origin.mints) == (2, 0)


async def test_a_token_may_expire_again_after_progress() -> None:
    expired = Step(expire=True)
    origin = Origin(Version(DATA, None), expired, EARLY_CUT, expired, Step(send=2000, end="cut"), expired)
    assert await read(stream(origin, mint=True)) == DATA
    assert (len(origin.requests), origin.mints) == (6, 3)


async def test_a_mint_is_tried_as_often_as_a_request() -> None:
    class Reluctant(Origin):
        async def mint(self) -> Opener:
            self.mints += 1
            if self.mints < 3:
                raise SyllableConnectionError("refused")
            self.mints = 3
            return await super().mint()

    origin = Reluctant(Version(DATA), EARLY_CUT, then=Step())
    origin.steps.append(Step(expire=True))
    assert await read(stream(origin, mint=True)) == DATA
    assert origin.mints == 4


async def test_while_only_minting_fails_the_expired_url_is_not_asked_again() -> None:
    class Unwilling(Origin):
        async def mint(self) -> Opener:
            self.mints += 1
            raise SyllableConnectionError("refused")

    origin = Unwilling(Version(DATA), Step(expire=True))
    await failure(origin, SyllableConnectionError, mint=True)
    assert (len(origin.requests), origin.mints) == (1, 4)  # pyright: ignore[reportUnknownMemberType]


PAGES = ["text/html; charset=utf-8", "TEXT/plain", "application/json", "application/problem+json", "application/xml",
         "application/xhtml+xml", "text/csv", "application/x-javascript", "application/json5", "application/json-seq",
         "application/json, audio/wav", "audio/wav, text/html"]  # fmt: skip


@pytest.mark.parametrize("content_type", PAGES)
@pytest.mark.parametrize("piece", [1, 1000])
@pytest.mark.parametrize("body", [b"", b"{}", b"ID3", b"<!doctype html><title>Sign in</title>", "Ü".encode() * 40])
async def test_a_page_in_place_of_audio_is_refused(content_type: str, piece: int, body: bytes) -> None:
    for framing in FRAMINGS:
        step = Step(framing=framing, content_type=content_type)
        origin = Origin(Version(body, None), step, piece=piece)
        error = await failure(origin, RecordingError)
        what = "a page or a text" if body else "an empty text"
        assert str(error) == f"the server sent {what} in place of the recording"
        assert len(origin.requests) == 1


@pytest.mark.parametrize("content_type", PAGES)
@pytest.mark.parametrize("etag", ['"v1"', None])
@pytest.mark.parametrize("promised", [None, "bytes"])
async def test_a_page_in_place_of_the_rest_is_a_page_and_no_change(
    content_type: str, etag: str | None, promised: str | None
) -> None:
    for framing in FRAMINGS:
        for size in (10, 100_000):
            page = Step(replace=Version(b"<!doctype>" * size, None), content_type=content_type, framing=framing)
            cut = Step(send=30_000, end="cut", accept_ranges=promised)
            error = await failure(Origin(Version(DATA * 50, etag), cut, page), RecordingError)
            assert str(error) == "the server sent a page or a text in place of the recording"
    whole = Step(content_type=content_type, ranges=False)
    assert await read(stream(Origin(Version(DATA, None), EARLY_CUT, whole))) == DATA


@pytest.mark.parametrize("content_type", PAGES)
@pytest.mark.parametrize("piece", [1, 5, 1000])
async def test_audio_by_its_first_bytes_is_none(content_type: str, piece: int) -> None:
    wav = b"RIFF\0\0\0\0WAVE" + DATA
    cuts = [Step(send=sent, end="cut", content_type=content_type) for sent in (0, 3, 11)]
    origin = Origin(Version(wav, None), *cuts, piece=piece, content_type=content_type)
    recording = stream(origin)
    assert await read(recording) == wav
    assert (recording.bytes_read, recording.content_type) == (len(wav), content_type)
    raw = Version(b"\xd5\x55" + DATA)  # what some servers call text/plain because they know no better
    origin = Origin(raw, content_type=content_type)
    if content_type == "TEXT/plain":
        assert await read(stream(origin)) == raw.data
    else:
        await failure(origin, RecordingError)


async def test_an_encoded_body_is_refused() -> None:
    for steps in ([Step(encoding="gzip")], [EARLY_CUT, Step(encoding="br")]):
        origin = Origin(Version(DATA), *steps)
        await failure(origin, RecordingError)
        assert len(origin.requests) == len(steps)
    assert await read(stream(Origin(Version(DATA), Step(encoding="identity")))) == DATA


async def test_pieces_count_when_they_are_given_out() -> None:
    recording, got = stream(Origin(Version(DATA), EARLY_CUT, then=Step(status=1))), 0

    async def read_pieces() -> None:
        nonlocal got
        async for piece in recording.iter_bytes(700):
            got += len(piece)
            assert recording.bytes_read == got

    with pytest.raises(IncompleteRecordingError) as caught:
        await read_pieces()
    assert (got, recording.bytes_read, caught.value.received) == (700, 700, 700)
    origin = Origin(Version(LONG), then=Step(send=1000, end="cut"))
    pieces = stream(origin).iter_bytes(30_000)
    assert len(await anext(pieces)) == 30_000
    with pytest.raises(IncompleteRecordingError, match="gave up") as caught:
        await anext(pieces)
    assert caught.value.received == 30_000


@pytest.mark.parametrize("size", [0, -1, 1.5, True, "1"])
def test_a_wrong_chunk_size_is_refused_and_nothing_begun(size: Any) -> None:
    recording = stream(Origin(Version(DATA)))
    with pytest.raises((ValueError, TypeError), match="chunk_size"):
        recording.iter_bytes(size)
    recording.iter_bytes(1)


async def test_an_answer_that_is_no_recording_is_refused() -> None:
    class Accepted(Origin):
        async def open(self, headers: Mapping[str, str]) -> ScriptedReply:
            reply = await super().open(headers)
            reply.status = 202
            return reply

    error = await failure(Accepted(Version(DATA)), RecordingError)
    assert str(error) == "HTTP 202 is not the answer to a request for a recording"


async def test_too_long_is_refused_announced_or_not() -> None:
    await failure(Origin(Version(DATA)), RecordingError, max_bytes=4095)
    await failure(Origin(Version(DATA), Step(framing="chunked")), RecordingError, max_bytes=4095)
    for step in (Step(), Step(framing="chunked")):
        assert await read(stream(Origin(Version(DATA), step), max_bytes=4096)) == DATA


async def test_a_server_that_sends_short_ranges_is_asked_for_the_next() -> None:
    class Short(Origin):
        def _part(self, first: int, step: Step) -> ScriptedReply:
            reply = super()._part(first, step)
            last = min(first + 100_000, len(LONG)) - 1
            reply.body = LONG[first : last + 1]
            reply.headers = Headers({**reply.headers, "Content-Range": f"bytes {first}-{last}/{len(LONG)}"})
            reply.headers = Headers({**reply.headers, "Content-Length": str(len(reply.body))})
            return reply

    origin = Short(Version(LONG), Step(send=70_000, end="cut"))
    recording = stream(origin)
    assert await read(recording) == LONG
    assert ranges(origin) == [None, "bytes=4464-", "bytes=38928-", "bytes=73392-", "bytes=107856-"]


CLOSED = Step(framing="close", send=1000, end="fin")


async def test_a_closed_end_is_probed_once() -> None:
    for step, requests, verified in [
        (Step(framing="close"), 2, "length"),
        (Step(framing="close", ranges=False), 2, "none"),
        (Step(status=503), 2, "none"),
        (Step(status=1), 2, "none"),
        (Step(status=416, unsatisfied="bytes */4096"), 3, "length"),
        (Step(status=416), 2, "none"),
        (Step(ranges=False), 2, "length"),
    ]:
        origin = Origin(Version(DATA), Step(framing="close"), step)
        recording = stream(origin)
        assert await read(recording) == DATA
        assert (len(origin.requests), recording.verified) == (requests, verified)
        assert origin.open_replies == 0


async def test_a_probe_that_finds_more_goes_on() -> None:
    origin = Origin(Version(DATA), CLOSED)
    recording = stream(origin)
    assert await read(recording) == DATA
    assert recording.verified == "length"
    await failure(Origin(Version(DATA), CLOSED, Step(replace=OTHER[0])), RecordingChangedError)


async def test_pieces_have_one_size() -> None:
    origin = Origin(Version(DATA))
    async with stream(origin) as recording:
        pieces = [piece async for piece in recording.iter_bytes(1500)]
    assert [len(piece) for piece in pieces] == [1500, 1500, 1096]
    assert b"".join(pieces) == DATA
    with pytest.raises(ValueError, match="at least 1"):
        stream(origin).iter_bytes(0)


async def test_it_can_be_read_once_and_not_after_its_end() -> None:
    origin = Origin(Version(DATA))
    recording = stream(origin)
    async with recording:
        chunks = aiter(recording)
        await anext(chunks)
        with pytest.raises(RecordingError, match="read once"):
            aiter(recording)
    with pytest.raises(RecordingError, match="is closed"):
        await anext(chunks)
    with pytest.raises(RecordingError, match="is closed"):
        await recording.__aenter__()
    assert len(origin.requests) == 1


async def test_what_failed_cannot_be_read_on() -> None:
    recording = stream(Origin(Version(DATA), EARLY_CUT, then=Step(status=1)))
    chunks = aiter(recording)
    await anext(chunks)
    with pytest.raises(IncompleteRecordingError):
        await anext(chunks)
    with pytest.raises(RecordingError, match="is closed"):
        await anext(chunks)


async def test_two_tasks_cannot_read_one_recording() -> None:
    origin = Origin(Version(DATA), Step(send=1000, end="stall"))
    async with stream(origin) as recording:
        chunks = aiter(recording)
        await anext(chunks)
        first = asyncio.ensure_future(anext(chunks))
        await asyncio.sleep(0)
        with pytest.raises(RecordingError, match="another task"):
            await anext(chunks)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
    assert origin.open_replies == 0


async def test_closing_it_elsewhere_ends_a_read_at_once() -> None:
    origin = Origin(Version(DATA), EARLY_CUT, Step(send=1000, end="stall"))
    recording = stream(origin)
    chunks = aiter(recording)
    await anext(chunks)
    reading = asyncio.ensure_future(anext(chunks))
    await asyncio.sleep(0)  # it waits for the second answer
    await recording.aclose()
    with pytest.raises(ClientClosedError, match="closed while it was read"):
        await reading
    with pytest.raises(RecordingError, match="is closed"):
        await anext(chunks)  # whoever closed it knows
    assert (origin.open_replies, len(origin.requests)) == (0, 1)


async def test_a_reader_whose_stream_another_task_closes_gets_no_end() -> None:
    for step in (Step(send=1000, end="stall"), Step(framing="close", send=1000, end="stall")):
        origin = Origin(Version(DATA), step)
        recording, closed = stream(origin), asyncio.Event()

        async def reader(recording: RecordingStream = recording, closed: asyncio.Event = closed) -> bytes:
            chunks = aiter(recording)
            first = await anext(chunks)
            await closed.wait()
            return first + await anext(chunks)

        async def waiter(recording: RecordingStream = recording) -> bytes:
            return b"".join([chunk async for chunk in recording])

        reading = asyncio.ensure_future(reader())
        for _ in range(5):
            await asyncio.sleep(0)
        await recording.aclose()
        closed.set()
        with pytest.raises(ClientClosedError, match="the recording was closed"):
            await reading
        recording = stream(origin := Origin(Version(DATA), step))
        reading = asyncio.ensure_future(waiter(recording))
        for _ in range(5):
            await asyncio.sleep(0)
        await recording.aclose()
        with pytest.raises(ClientClosedError, match="while it was read"):
            await reading
        assert not reading.cancelled()
        assert origin.open_replies == 0


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_what_we_ended_ourselves_is_neither_an_end_nor_a_cut(framing: Framing) -> None:
    """However the body looks then, and where nobody was cancelled."""

    recording = stream(Origin(Version(DATA, None), Step(framing=framing, end="fin", send=1000)))
    async with recording:
        source = recording._source

        class Closed:
            async def read(self, response: object) -> bytes:
                source.closed = True
                return b""

        source._stall = cast("StallDetector", Closed())
        with pytest.raises(ClientClosedError, match="while it was read"):
            await source.read()
        source._stall = StallDetector(None, SYSTEM_CLOCK)


async def test_an_answer_that_comes_with_the_closing_is_not_read() -> None:
    class Deaf(Origin):
        async def open(self, headers: Mapping[str, str]) -> ScriptedReply:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            await asyncio.sleep(0)  # it goes on as if nobody had asked it to stop
            return self.answer(headers)

    origin = Deaf(Version(DATA))
    recording = stream(origin)
    reading = asyncio.ensure_future(anext(aiter(recording)))
    await asyncio.sleep(0)
    await recording.aclose()
    with pytest.raises(ClientClosedError, match="closed while it was read"):
        await reading
    assert (origin.open_replies, len(origin.requests)) == (0, 1)


async def test_a_cancellation_that_comes_with_the_closing_is_not_swallowed() -> None:
    recording = stream(Origin(Version(DATA), Step(send=1000, end="stall")))
    chunks = aiter(recording)
    await anext(chunks)
    reading = asyncio.ensure_future(anext(chunks))
    await asyncio.sleep(0)
    reading.cancel()
    await recording.aclose()
    with pytest.raises(asyncio.CancelledError):
        await reading


@pytest.mark.parametrize("turns", range(12))
async def test_cancelled_anywhere_it_leaves_nothing_open(turns: int) -> None:
    origin = Origin(
        Version(DATA), EARLY_CUT, Step(expire=True), Step(send=2000, end="cut"), Step(send=3000, end="stall")
    )
    reading = asyncio.ensure_future(read(stream(origin, mint=True)))
    for _ in range(turns):
        await asyncio.sleep(0)
    sent = len(origin.requests)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert (origin.open_replies, len(origin.requests)) == (0, sent)


def test_repr_tells_how_far_it_is() -> None:
    assert repr(stream(Origin(Version(DATA)))) == "<RecordingStream: 0 of unknown bytes>"
