"""Rows 12 to 22 of FAULTS.md for recordings, one cell for each variant: what the server does, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from syllable_async._messages import Framing
from syllable_async.errors import (
    APIError,
    IncompleteRecordingError,
    InternalServerError,
    RecordingChangedError,
    RecordingError,
    SyllableConnectionError,
    SyllableError,
    SyllableTimeoutError,
)
from tests.recordings.scripted_origin import DATA, ERRORS, ETAGS, EXPIRED, LONG, NOISE, End, Origin, Part, Step, Version

CUT = Step(send=2048, end="cut")
LATE_CUT = Step(send=80_000, end="cut")


@attrs.frozen(kw_only=True)
class Cell:
    """One variant of one row."""

    row: int
    """Its number in FAULTS.md."""
    name: str
    steps: tuple[Step, ...]
    version: Version = attrs.field(factory=lambda: Version(DATA))
    then: Step = attrs.field(factory=Step)
    outcome: bytes | type[SyllableError] = DATA
    requests: int
    spare: int = 0
    """How many requests more there may be on a socket, where aiohttp drops what it holds when the connection breaks."""
    verified: str = "length"
    mint: bool = False
    """Whether the session is known, so that a token can be minted; and how often it then has to be."""
    mints: int = 0
    stalls: bool = False
    tls: bool = False
    """Whether only TLS knows this fault."""
    sockets: bool = True
    """Whether aiohttp's parser lets it through; some it refuses as garbage, which is retried."""
    saved: bool = True
    """Whether saving has the same outcome: a saved prefix is hashed, so that it can prove more; and while it is hashed,
    what follows may be dropped, so that there is no progress.
    """

    @property
    def id(self) -> str:
        return f"{self.row}-{self.name}"

    def origin(self) -> Origin:
        return Origin(self.version, *self.steps, then=self.then)


def cells() -> list[Cell]:
    """All of them."""
    rows = [row_12, row_13, row_14, row_16, row_17, row_18, row_19, row_20, row_21, row_22]
    return [cell for row in rows for cell in row()]


def row_12() -> Iterator[Cell]:
    framings: list[Framing] = ["length", "chunked"]
    ends: list[End] = ["cut", "rst"]
    for etag in ETAGS:
        for framing in framings:
            for end in ends:
                for sent in (0, 1, 2048, 4095, *([4096] if framing == "chunked" else [])):
                    step = Step(framing=framing, end=end, send=sent)
                    name = f"{framing} {end} after {sent}, {etag}"
                    yield Cell(row=12, name=name, version=Version(DATA, etag), steps=(step,), requests=2)


def row_13() -> Iterator[Cell]:
    ends: list[End] = ["rst", "ragged"]
    for etag in ETAGS:
        for sent in (0, 1, 2048, 4096):
            for end in ends:
                step = Step(framing="close", end=end, send=sent)
                name = f"close-framed {end} after {sent}, {etag}"
                tls = end == "ragged"
                yield Cell(row=13, name=name, version=Version(DATA, etag), steps=(step,), requests=2, tls=tls)
            step = Step(framing="close", end="fin", send=sent)
            name = f"close-framed fin after {sent}, {etag}"
            if etag == '"v1"':
                yield Cell(row=13, name=name, steps=(step,), requests=2)
            else:
                version = Version(DATA, etag)
                short = DATA[:sent]
                yield Cell(
                    row=13, name=name, version=version, steps=(step,), outcome=short, requests=1, verified="none"
                )
    yield from probes()


def probes() -> Iterator[Cell]:
    whole, short = Step(framing="close"), Step(framing="close", end="fin", send=2048)
    changed = Version(NOISE[5000:9096], '"v2"')
    for name, probe, requests, verified in [
        ("206", Step(), 2, "length"),
        ("206 by close", whole, 2, "length"),
        ("416 with the total, which contradicts itself", Step(status=416, unsatisfied="bytes */4096"), 3, "length"),
        ("416", Step(status=416), 2, "none"),
        ("503", Step(status=503), 2, "none"),
        ("404", Step(status=404), 2, "none"),
        ("a reset", Step(status=1), 2, "none"),
        ("200 with a length", Step(ranges=False), 2, "length"),
        ("200 by close", Step(ranges=False, framing="close"), 2, "none"),
        ("206 without a range, then 200", Step(part="no-range"), 3, "length"),
    ]:
        steps = (whole, probe)
        yield Cell(row=13, name=f"probe answered {name}", steps=steps, requests=requests, verified=verified)
    yield Cell(row=13, name="probe finds more, cut again", steps=(short, CUT), requests=3)
    steps = (short, Step(replace=changed))
    yield Cell(row=13, name="probe finds another", steps=steps, outcome=RecordingChangedError, requests=2)


def row_14() -> Iterator[Cell]:
    for coding in ("gzip", "deflate", "br", "identity, gzip"):
        encoded = Step(encoding=coding)
        for name, steps in [
            ("at once", (encoded,)),
            ("half of it", (Step(encoding=coding, send=2048, end="cut"),)),
            ("in a part", (CUT, encoded)),
            ("on 200", (CUT, Step(encoding=coding, ranges=False))),
        ]:
            requests = len(steps)
            yield Cell(row=14, name=f"{coding} {name}", steps=steps, outcome=RecordingError, requests=requests)


def row_16() -> Iterator[Cell]:
    nothing, more, most = Step(send=0, end="cut"), Step(send=3000, end="cut"), Step(send=4000, end="cut")
    for etag in ETAGS:
        version = Version(DATA, etag)
        yield Cell(row=16, name=f"two cuts, {etag}", version=version, steps=(CUT, more), requests=3)
        yield Cell(row=16, name=f"three cuts, {etag}", version=version, steps=(CUT, more, most), requests=4)
        yield Cell(row=16, name=f"one brings nothing, {etag}", version=version, steps=(CUT, nothing, more), requests=4)
        steps = (CUT, nothing, Step(status=503), more, nothing, Step(status=1))
        yield Cell(row=16, name=f"twice three without progress, {etag}", version=version, steps=steps, requests=7)
        drop = Step(send=1, end="cut")
        yield Cell(
            row=16,
            name=f"a byte a connection, {etag}",
            version=version,
            steps=(),
            then=drop,
            outcome=IncompleteRecordingError,
            requests=4,
        )
        inside = Step(send=1000, end="cut")
        yield Cell(
            row=16,
            name=f"always cut inside the overlap, {etag}",
            version=version,
            steps=(),
            then=inside,
            outcome=DATA if etag == '"v1"' else IncompleteRecordingError,
            requests=9 if etag == '"v1"' else 4,
        )
    yield Cell(
        row=16,
        name="progress without end",
        version=Version(LONG),
        steps=(),
        then=Step(send=100, end="cut"),
        outcome=IncompleteRecordingError,
        requests=64,
    )
    for status, outcome in ((1, IncompleteRecordingError), (503, InternalServerError)):
        then = Step(status=status)
        yield Cell(row=16, name=f"{status} for ever", steps=(CUT,), then=then, outcome=outcome, requests=4)
    yield Cell(row=16, name="never there", steps=(), then=Step(status=1), outcome=SyllableConnectionError, requests=4)


VERSIONS = {
    "new strong etag": Version(DATA, '"v2"'),
    "weakened": Version(DATA, 'W/"v1"'),
    "etag gone": Version(DATA, None),
    "grown, new etag": Version(LONG, '"v2"'),
    "other bytes, same etag": Version(NOISE[5000:9096], '"v1"'),
    "other bytes, new etag": Version(NOISE[5000:9096], '"v2"'),
    "other bytes, weak etag": Version(NOISE[5000:9096], 'W/"v1"'),
    "other bytes, no etag": Version(NOISE[5000:9096], None),
    "first byte, new etag": Version(b"!" + DATA[1:], '"v2"'),
    "last byte held, weak etag": Version(DATA[:2047] + b"!" + DATA[2048:], 'W/"v1"'),
    "shorter, same etag": Version(DATA[:500], '"v1"'),
    "shorter, new etag": Version(DATA[:500], '"v2"'),
}
SERVERS = {
    "": Step(),
    ", Range ignored": Step(ranges=False),
    ", If-Range ignored": Step(if_range=False),
    ", Range ignored, chunked": Step(ranges=False, framing="chunked"),
}


def row_17() -> Iterator[Cell]:
    for etag in ETAGS:
        for what, version in VERSIONS.items():
            for how, server in SERVERS.items():
                step = attrs.evolve(server, replace=version)
                parted = etag == '"v1"' and step.ranges and (version.etag == etag or not step.if_range)
                refused = parted and (version.etag != etag or len(version.data) != len(DATA))
                same = version.data.startswith(DATA[:2048])
                outgrown = step.framing == "chunked" and len(version.data) > len(DATA)
                yield Cell(
                    row=17,
                    name=f"{etag}: {what}{how}",
                    version=Version(DATA, etag),
                    steps=(CUT, step),
                    outcome=version.data if same and not outgrown else RecordingChangedError,
                    requests=3 if refused else 2,
                )
    long, other = Version(LONG, '"v2"'), Version(b"!" + LONG[1:], '"v2"')
    for etag in ETAGS:
        for what, version in (("same", long), ("first byte", other)):
            yield Cell(
                row=17,
                name=f"{etag}: long, new etag, {what}",
                version=Version(LONG, etag),
                steps=(LATE_CUT, Step(replace=version)),
                outcome=RecordingChangedError if version is other else LONG,
                requests=2,
            )
    steps = (LATE_CUT, Step(ranges=False))
    unhashed = attrs.evolve(LATE_CUT, accept_ranges="bytes")
    for name, second in (
        ("same etag, Range ignored", Step(ranges=False)),
        ("new etag, same bytes", Step(replace=long)),
    ):
        yield Cell(
            row=17,
            name=f"long, {name}, ranges promised",  # so it was not hashed, and nothing could prove its first bytes
            version=Version(LONG),
            steps=(unhashed, second),
            outcome=RecordingChangedError,
            requests=2,
            saved=False,
        )
    yield Cell(row=17, name="long, ranges promised and kept", version=Version(LONG), steps=(unhashed,), outcome=LONG,
               requests=2)  # fmt: skip
    for promised in (None, "bytes"):
        first = attrs.evolve(LATE_CUT, accept_ranges=promised)
        step = Step(replace=Version(b"!" + LONG[1:]), ranges=False)
        yield Cell(
            row=17,
            name=f"long, first byte under the same etag, Range ignored, Accept-Ranges {promised}",
            version=Version(LONG),
            steps=(first, step),
            outcome=RecordingChangedError,
            requests=2,
        )
    yield from shrinking_totals()
    yield Cell(
        row=17, name="long, same etag, Range ignored", version=Version(LONG), steps=steps, outcome=LONG, requests=2
    )


def shrinking_totals() -> Iterator[Cell]:
    """The end of a shorter recording is no end of the one that was announced."""
    for etag in ETAGS:
        for sent in (0, 2048):
            for size in (2048, 4095):
                other = Version(DATA[:size], etag)
                steps = (Step(send=sent, end="cut"), Step(replace=other))
                requests = 3 if sent and etag == '"v1"' else 2
                yield Cell(
                    row=17,
                    name=f"{etag}: {size} of 4096 announced, {sent} delivered",
                    version=Version(DATA, etag),
                    steps=steps,
                    outcome=RecordingChangedError,
                    requests=requests,
                )


PARTS: list[Part] = ["earlier", "later", "no-range", "unit", "multipart", "length", "total", "no-etag", "weak-etag"]


def row_18() -> Iterator[Cell]:
    framings: list[Framing] = ["length", "chunked", "close"]
    for framing in framings:
        for part in PARTS:
            steps = (LATE_CUT, Step(part=part, framing=framing))
            name = f"206 {part}, {framing}"
            yield Cell(row=18, name=name, version=Version(LONG), steps=steps, outcome=LONG, requests=3)
        lying = Step(part="lying", framing=framing)
        refused = framing == "length"
        yield Cell(
            row=18,
            name=f"206 of other bytes, {framing}",
            version=Version(LONG),
            steps=(LATE_CUT, lying),
            outcome=LONG if refused else RecordingChangedError,
            requests=3 if refused else 2,
        )
    for coding in ("gzip, chunked", "chunked, gzip", "xchunked", "chunked, chunked", "gzip"):
        step = Step(transfer_coding=coding, framing="chunked")
        cut = attrs.evolve(step, send=1000, end="fin")
        variants: dict[str, tuple[Step, ...]] = {"at once": (step,), "cut": (cut,), "in a part": (LATE_CUT, step)}
        for name, script in variants.items():
            yield Cell(
                row=18,
                name=f"{coding} {name}",
                version=Version(LONG),
                steps=script,
                outcome=RecordingError,
                requests=len(script),
                sockets=coding not in {"chunked, gzip", "chunked, chunked", "gzip"},
            )
    twice = (LATE_CUT, Step(part="unit"), Step(send=90_000, end="cut"))
    yield Cell(row=18, name="refused, then cut", version=Version(LONG), steps=twice, outcome=LONG, requests=4)


def row_19() -> Iterator[Cell]:
    cut = Step(framing="chunked", end="cut")
    answers: list[tuple[str | None, bytes | type[SyllableError]]] = [
        ("bytes */4096", DATA),  # the range began below each of these lengths, so they prove nothing: all is asked for
        ("bytes */4095", DATA),
        ("bytes */4097", DATA),
        ("bytes */1", DATA),
        ("bytes */0", RecordingChangedError),
        ("bytes 0-4095/4096", APIError),
        ("chunks */4096", APIError),
        ("bytes */*", APIError),
        (None, APIError),
    ]
    for said, outcome in answers:
        steps = (cut, Step(status=416, unsatisfied=said))
        yield Cell(row=19, name=f"416 {said}", steps=steps, outcome=outcome, requests=3 if outcome == DATA else 2)
    steps = (CUT, Step(status=416, unsatisfied="bytes */4096"))
    yield Cell(row=19, name="416 before the end", steps=steps, requests=3)
    for said, outcome in (("bytes */34464", LONG[:100_000]), ("bytes */14464", RecordingChangedError)):
        steps = (LATE_CUT, Step(status=416, unsatisfied=said))
        requests = 3 if isinstance(outcome, bytes) else 2
        yield Cell(
            row=19, name=f"416 {said} of 100000, asked from 14464", version=Version(LONG[:100_000]), steps=steps,
            outcome=outcome, requests=requests,
        )  # fmt: skip
    empty, closed = Version(b""), Step(framing="close")
    yield Cell(row=19, name="416 of nothing", version=empty, steps=(closed,), outcome=b"", requests=2)
    yield Cell(row=19, name="416 at once", steps=(Step(status=416),), outcome=APIError, requests=1)


def row_20() -> Iterator[Cell]:
    framings: list[Framing] = ["length", "chunked", "close"]
    for surplus in (1, 9, 5000):
        for etag in ETAGS:
            step = Step(surplus=surplus)
            name = f"{surplus} behind the length, {etag}"
            yield Cell(row=20, name=name, version=Version(DATA, etag), steps=(step,), requests=1, spare=1)
        for framing in framings:
            steps = (LATE_CUT, Step(surplus=surplus, framing=framing))
            name = f"{surplus} behind a part, {framing}"
            version = Version(LONG)
            yield Cell(row=20, name=name, version=version, steps=steps, outcome=LONG, requests=2, spare=1)


def row_21() -> Iterator[Cell]:
    for status in EXPIRED:
        refusal, kind = Step(status=status), ERRORS[status]
        table: list[tuple[str, tuple[Step, ...], Step, bytes | type[SyllableError], int, bool, int]] = [
            ("on resume, session known", (CUT, refusal), Step(), DATA, 3, True, 1),
            ("at once, session known", (refusal,), Step(), DATA, 2, True, 1),
            ("on resume, session unknown", (CUT, refusal), Step(), kind, 2, False, 0),
            ("for ever, session known", (CUT,), refusal, kind, 3, True, 1),
            ("twice, progress between", (CUT, refusal, Step(send=3000, end="cut"), refusal), Step(), DATA, 5, True, 2),
            ("then another recording", (CUT, refusal, Step(replace=VERSIONS["other bytes, new etag"])), Step(),
             RecordingChangedError, 3, True, 1),
            ("then a new etag", (CUT, refusal, Step(replace=VERSIONS["new strong etag"])), Step(), DATA, 3, True, 1),
        ]  # fmt: skip
        for name, steps, then, outcome, requests, mint, mints in table:
            yield Cell(
                row=21,
                name=f"{status} {name}",
                steps=steps,
                then=then,
                outcome=outcome,
                requests=requests,
                mint=mint,
                mints=mints,
                saved="progress" not in name,
            )


def row_22() -> Iterator[Cell]:
    for etag in ETAGS:
        for sent in (0, 1, 2048, 4095):
            stall = Step(send=sent, end="stall")
            name = f"stalls after {sent}, {etag}"
            yield Cell(row=22, name=name, version=Version(DATA, etag), steps=(stall,), requests=2, stalls=True)
        then = Step(send=2048, end="stall")
        name = f"stalls always, {etag}"
        inside = etag == '"v1"'  # the overlap shrinks, and so it ends after all
        yield Cell(
            row=22,
            name=name,
            version=Version(DATA, etag),
            steps=(),
            then=then,
            outcome=DATA if inside else IncompleteRecordingError,
            requests=4,
            stalls=True,
        )
    silent = Step(status=2)
    yield Cell(
        row=22, name="never answers", steps=(), then=silent, outcome=SyllableTimeoutError, requests=4, stalls=True
    )
    yield Cell(row=22, name="answers late", steps=(CUT, silent), requests=3, stalls=True)
