"""The rules of resuming, one by one: nothing here waits or opens anything."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace
from multidict import CIMultiDict

from syllable_async._messages import Framing
from syllable_async._recordings.resume import (
    OVERLAP,
    SMALLEST_OVERLAP,
    BodySpan,
    Delivered,
    PrefixCheck,
    RangeRequest,
    TailBuffer,
    check_total,
    completeness,
    judge_416,
    next_request,
    smaller_overlap,
    span_of,
    strong_etag,
)
from syllable_async.errors import RecordingChangedError, RecordingError

sizes = st.integers(0, 10**18 - 1)
etags = st.sampled_from(['"a"', '"b"', None])


@attrs.define
class Answer:
    """A reply's head."""

    status: int
    headers: Mapping[str, str]
    framing: Framing = "length"

    async def read(self) -> bytes:
        raise AssertionError("a judgement reads nothing")

    async def aclose(self) -> None: ...


@pytest.mark.parametrize("etag", ['""', '"a"', '"5f3-4e2;gz"', '"it\'s\\ok"'])
def test_strong_etags(etag: str) -> None:
    assert strong_etag(etag) == etag


@pytest.mark.parametrize("etag", [None, "", 'W/"a"', "a", '"a', '"a"b"', '"a b"', '"a"\r\n', '"é"', f'"{"x" * 600}"'])
def test_what_is_no_strong_etag(etag: str | None) -> None:
    assert strong_etag(etag) is None


@given(sizes, etags, st.integers(SMALLEST_OVERLAP, OVERLAP), st.booleans())
def test_a_part_is_asked_for_only_with_a_strong_etag(offset: int, etag: str | None, overlap: int, ranged: bool) -> None:
    asked = next_request(Delivered(offset=offset, etag=etag), overlap, ranged=ranged)
    assert asked.ranged == (ranged and etag is not None)
    if asked.ranged:
        assert asked.start == max(0, offset - overlap)
        assert asked.headers == {"Range": f"bytes={asked.start}-", "If-Range": etag}
    else:
        assert (asked.start, asked.headers) == (0, {})


@given(st.integers(0, OVERLAP))
def test_an_overlap_shrinks_until_something_new_fits(compared: int) -> None:
    assert smaller_overlap(OVERLAP, 0) == OVERLAP
    if compared:
        assert smaller_overlap(OVERLAP, compared) == max(SMALLEST_OVERLAP, compared // 2)


ASKED = RangeRequest(delivered=Delivered(offset=100, total=200, etag='"a"'), start=50, ranged=True)
GOOD = {"Content-Range": "bytes 50-199/200", "Content-Length": "150", "ETag": '"a"'}


def test_the_part_that_was_asked_for_is_taken() -> None:
    offer = BodySpan(start=50, end=200, total=200, etag='"a"', framing="length")
    assert span_of(ASKED, Answer(206, GOOD)) == offer
    for same in ("BYTES 50-199/200", " bytes 50-199/200 "):
        assert span_of(ASKED, Answer(206, {**GOOD, "Content-Range": same})) == offer
    short = {**GOOD, "Content-Range": "bytes 50-99/200", "Content-Length": "50"}
    assert span_of(ASKED, Answer(206, short)) == replace(offer, end=100)
    one = {**GOOD, "Content-Range": "bytes 50-50/200", "Content-Length": "1"}
    assert span_of(ASKED, Answer(206, one)) == replace(offer, end=51)


@pytest.mark.parametrize(
    "changes",
    [
        {"Content-Range": value}
        for value in [
            "",
            "bytes 49-199/200",
            "bytes 51-199/200",
            "bytes 0-199/200",
            "bytes 50-200/200",
            "bytes 50-49/200",
            "bytes 50-198/199",
            "bytes 50-199/*",
            "bytes */200",
            "chunks 50-199/200",
            "bytes=50-199/200",
            "bytes 50-199",
            "bytes -50-199/200",
            "bytes 50-199/200, bytes 0-1/200",
            "bytes \u0665\u0660-199/200",
            f"bytes 50-199/{'9' * 5000}",
        ]
    ]
    + [{"Content-Length": "149"}, {"Content-Length": "151"}]
    + [{"Content-Range": f"bytes {start}-199/200", "Content-Length": f"{200 - start}"} for start in (0, 49, 51)]
    + [{"Content-Range": f"bytes 50-{last}/200", "Content-Length": f"{last - 49}"} for last in (200, 201)]
    + [{"ETag": '"b"'}, {"ETag": 'W/"a"'}, {"ETag": ""}, {"Content-Type": "multipart/byteranges; boundary=x"}],
)
def test_any_other_part_is_refused(changes: dict[str, str]) -> None:
    assert span_of(ASKED, Answer(206, {**GOOD, **changes})) is None


def test_where_nothing_is_held_any_recording_will_do() -> None:
    assert Delivered() == Delivered(offset=0, total=None, etag=None)
    asked = RangeRequest(delivered=Delivered(total=200, etag='"a"'), start=0, ranged=True)
    other = {"Content-Range": "bytes 0-98/99", "Content-Length": "99", "ETag": '"b"'}
    assert span_of(asked, Answer(206, other)) == BodySpan(start=0, end=99, total=99, etag='"b"', framing="length")


def test_a_part_shorter_than_what_is_held_is_refused() -> None:
    asked = RangeRequest(delivered=Delivered(offset=100, etag='"a"'), start=50, ranged=True)
    answer = {"Content-Range": "bytes 50-98/99", "Content-Length": "49", "ETag": '"a"'}
    assert span_of(asked, Answer(206, answer)) is None


@given(st.text(alphabet="bytes 0123456789-/*", max_size=30))
@example("bytes 50-199/200")
def test_no_content_range_moves_the_start(value: str) -> None:
    offer = span_of(ASKED, Answer(206, {**GOOD, "Content-Range": value}, "chunked"))
    assert offer is None or (offer.start == 50 and offer.total == 200 and offer.end is not None and offer.end <= 200)


@given(sizes, st.sampled_from(["length", "chunked", "close"]), etags)
def test_all_of_it_starts_at_0(size: int, framing: Framing, etag: str | None) -> None:
    headers = {"Content-Length": str(size)} | ({} if etag is None else {"ETag": etag})
    total = size if framing == "length" else None
    expected = BodySpan(start=0, end=total, total=total, etag=etag, framing=framing)
    for asked in (RangeRequest(delivered=Delivered()), ASKED):
        assert span_of(asked, Answer(200, headers, framing)) == expected


@pytest.mark.parametrize("status", [101, 199, 201, 202, 203, 204, 205, 207, 226, 304])
def test_other_statuses_are_no_recording(status: int) -> None:
    with pytest.raises(RecordingError, match=f"HTTP {status}"):
        span_of(ASKED, Answer(status, {}))


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip", "GZIP", "x"])
@pytest.mark.parametrize("status", [200, 206])
def test_an_encoded_body_is_refused(encoding: str, status: int) -> None:
    with pytest.raises(RecordingError, match="encoded"):
        span_of(ASKED, Answer(status, {**GOOD, "Content-Encoding": encoding}))
    assert span_of(ASKED, Answer(status, {**GOOD, "Content-Encoding": "Identity"})) is not None


def test_a_part_that_nobody_asked_for() -> None:
    with pytest.raises(RecordingError, match="although all of it"):
        span_of(RangeRequest(delivered=Delivered()), Answer(206, GOOD))


def asked(offset: int, start: int, total: int | None = None) -> RangeRequest:
    return RangeRequest(delivered=Delivered(offset=offset, total=total, etag='"a"'), start=start, ranged=True)


@given(sizes, sizes, sizes)
def test_416_proves_an_end_only_where_no_byte_could_follow(offset: int, start: int, total: int) -> None:
    start, headers = min(start, offset), {"content-range": f"bytes */{total}"}
    if total > start:
        assert judge_416(headers, asked(offset, start)) == "contradictory"
    elif total == offset:
        assert judge_416(headers, asked(offset, start)) == "complete"
        assert judge_416(headers, asked(offset, start, total)) == "complete"
        with pytest.raises(RecordingChangedError):
            judge_416(headers, asked(offset, start, total + 1))
    else:
        with pytest.raises(RecordingChangedError, match=f"is {total} bytes long now, {offset} were delivered"):
            judge_416(headers, asked(offset, start))


@pytest.mark.parametrize("value", ["", "*/5", "bytes 0-4/5", "bytes */*", "items */5"])
def test_416_that_says_nothing(value: str) -> None:
    assert judge_416({"content-range": value}, asked(5, 0)) == "silent"
    assert judge_416({}, asked(5, 0)) == "silent"


def test_a_total_may_grow_and_not_shrink() -> None:
    span = BodySpan(start=0, end=9, total=9, etag='"b"', framing="length")
    for delivered in (Delivered(), Delivered(offset=9), Delivered(offset=5, total=9, etag='"a"')):
        check_total(delivered, span)
        check_total(delivered, replace(span, total=None))
    check_total(Delivered(total=10, etag='"a"'), span)  # another recording, said so, and nothing was delivered
    for delivered in (
        Delivered(offset=10),
        Delivered(offset=1, total=10, etag='"a"'),
        Delivered(total=10, etag='"b"'),
        Delivered(total=10),
    ):
        with pytest.raises(RecordingChangedError, match="is 9 bytes long now, 10 were"):
            check_total(delivered, span)
    with pytest.raises(RecordingChangedError, match="10 were announced"):
        check_total(Delivered(total=10, etag='"a"'), replace(span, etag=None))


@pytest.mark.parametrize("coding", ["gzip, chunked", "chunked, gzip", "xchunked", "chunked, chunked", "gzip", "x"])
@pytest.mark.parametrize("status", [200, 206])
def test_a_transfer_coding_is_refused(coding: str, status: int) -> None:
    with pytest.raises(RecordingError, match="transfer coding"):
        span_of(ASKED, Answer(status, {**GOOD, "Transfer-Encoding": coding}, "chunked"))
    for plain in ("chunked", " Chunked ", "identity"):
        assert span_of(ASKED, Answer(status, {**GOOD, "Transfer-Encoding": plain}, "chunked")) is not None


def test_codings_in_several_lines_are_all_seen() -> None:
    for name, first, second in [
        ("Content-Encoding", "identity", "gzip"),
        ("Content-Encoding", "", "gzip"),
        ("Transfer-Encoding", "gzip", "chunked"),
        ("Transfer-Encoding", "chunked", "chunked"),
    ]:
        headers = CIMultiDict([(name, first), (name, second)])
        with pytest.raises(RecordingError, match=r"encoded|coding"):
            span_of(RangeRequest(delivered=Delivered()), Answer(200, headers))


WHOLE = BodySpan(start=0, end=None, total=None, etag=None, framing="chunked")


def test_what_an_end_proves() -> None:
    close = replace(WHOLE, framing="close")
    assert completeness(Delivered(offset=5, total=5), close, 5) == "length"
    assert completeness(Delivered(offset=4, total=5), WHOLE, 4) is None
    assert completeness(Delivered(offset=6, total=5), WHOLE, 6) is None
    assert completeness(Delivered(offset=5), WHOLE, 5) == "chunked"
    assert completeness(Delivered(offset=5), close, 5) == "none"
    assert completeness(Delivered(offset=5), close, 4) is None
    assert completeness(Delivered(offset=5), replace(WHOLE, start=2, end=9, total=9), 4) is None
    with pytest.raises(RecordingChangedError, match="4 bytes long now, 5"):
        completeness(Delivered(offset=5), WHOLE, 4)


@given(st.lists(st.binary(min_size=1, max_size=40_000), max_size=12))
def test_a_tail_forgets_no_more_than_it_may(chunks: list[bytes]) -> None:
    tail, everything = TailBuffer(), b"".join(chunks)
    for chunk in chunks:
        tail.add(chunk)
    for count in (0, 1, OVERLAP, OVERLAP + 1, len(everything)):
        assert tail.last(count) == everything[max(0, len(everything) - min(count, OVERLAP)) :]
    assert sum(map(len, tail._chunks)) <= OVERLAP + max(map(len, chunks), default=0)


def test_a_tail_keeps_only_the_chunks_that_it_needs() -> None:
    tail, kept = TailBuffer(), list[list[int]]()
    for size in (60_000, 5_536, 1, 59_999, 5_536, 100_000):
        tail.add(bytes(size))
        kept.append([len(chunk) for chunk in tail._chunks])
    assert kept == [
        [60_000],
        [60_000, 5_536],
        [60_000, 5_536, 1],
        [5_536, 1, 59_999],
        [1, 59_999, 5_536],
        [100_000],
    ]


def held_in_tail(data: bytes) -> TailBuffer:
    tail = TailBuffer()
    for at in range(0, len(data), 7):
        tail.add(data[at : at + 7])
    return tail


def compare(comparison: PrefixCheck, data: bytes, piece: int) -> bytes:
    return b"".join(comparison.feed(data[at : at + piece]) for at in range(0, len(data), piece))


@given(st.binary(min_size=1, max_size=80), st.binary(max_size=20), st.data())
def test_a_comparison_gives_back_what_is_new(held: bytes, new: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(held)))
    piece = data.draw(st.integers(1, 50))
    offer = BodySpan(start=start, end=None, total=len(held + new), etag='"a"', framing="length")
    comparison = PrefixCheck(Delivered(offset=len(held), etag='"a"'), offer, held_in_tail(held), None)
    assert compare(comparison, (held + new)[start:], piece) == new
    assert comparison.finished
    assert comparison.compared == len(held) - start


@given(st.binary(min_size=1, max_size=80), st.data())
def test_a_comparison_sees_every_byte(held: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(held) - 1))
    at = data.draw(st.integers(start, len(held) - 1))
    other = held[:at] + bytes([held[at] ^ data.draw(st.integers(1, 255))]) + held[at + 1 :]
    offer = BodySpan(start=start, end=None, total=None, etag='"a"', framing="length")
    comparison = PrefixCheck(Delivered(offset=len(held), etag='"a"'), offer, held_in_tail(held), None)
    with pytest.raises(RecordingChangedError, match="no longer begins"):
        compare(comparison, other[start:], data.draw(st.integers(1, 50)))


@given(st.binary(min_size=1, max_size=80), st.integers(0, 79), st.integers(1, 50))
def test_a_hash_sees_what_no_tail_remembers(held: bytes, at: int, piece: int) -> None:
    at %= len(held)
    digest = hashlib.sha256(held).digest()
    other = held[:at] + bytes([held[at] ^ 1]) + held[at + 1 :]
    comparison = PrefixCheck(Delivered(offset=len(held)), WHOLE, TailBuffer(), digest)
    assert compare(comparison, held + b"new", piece) == b"new"
    assert comparison.sha256 is not None
    assert comparison.sha256.digest() == digest
    with pytest.raises(RecordingChangedError, match="no longer begins"):
        compare(PrefixCheck(Delivered(offset=len(held)), WHOLE, TailBuffer(), digest), other, piece)


def test_what_nothing_could_prove_is_a_change() -> None:
    tail = held_in_tail(b"56789")
    delivered = Delivered(offset=10, total=20, etag='"a"')
    anew = BodySpan(start=0, end=20, total=20, etag='"a"', framing="length")
    for span in (anew, replace(anew, etag='"b"'), replace(anew, etag=None)):
        with pytest.raises(RecordingChangedError, match="cannot be compared"):
            PrefixCheck(delivered, span, tail, None)
        digest = hashlib.sha256(b"0123456789").digest()
        assert compare(PrefixCheck(delivered, span, tail, digest), b"0123456789new", 4) == b"new"
        assert compare(PrefixCheck(delivered, span, held_in_tail(b"0123456789"), None), b"0123456789new", 4) == b"new"
    part = replace(anew, start=5)
    assert compare(PrefixCheck(delivered, part, tail, None), b"56789new", 4) == b"new"


def test_what_is_read_from_the_start_is_hashed_so_that_a_hash_can_go_on() -> None:
    delivered, tail = Delivered(offset=10, total=20, etag='"a"'), held_in_tail(b"0123456789")
    anew = BodySpan(start=0, end=20, total=20, etag='"a"', framing="length")
    check = PrefixCheck(delivered, anew, tail, None)
    compare(check, b"0123456789new", 3)
    assert check.sha256 is not None
    assert check.sha256.digest() == hashlib.sha256(b"0123456789").digest()
    assert PrefixCheck(delivered, replace(anew, start=5), tail, None).sha256 is None
