"""Whatever a server does, the outcome is the whole recording or an error of ours: never wrong bytes."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from syllable_async.errors import SyllableError
from tests.recordings.random_servers import Program, naive, programs
from tests.recordings.scripted_origin import Origin, collect, files, stream

Outcome = tuple[bytes, str | None, SyllableError | None]


async def iterated(origin: Origin, program: Program) -> Outcome:
    recording = stream(origin, timeout=0.002, mint=program.mint)
    got, error = await collect(recording)
    assert error is not None or recording.bytes_read == len(got)
    return got, recording.verified if error is None else None, error


async def saved(origin: Origin, program: Program, directory: Path) -> Outcome:
    target = directory / "kept"
    target.write_bytes(b"good")
    recording = stream(origin, timeout=0.002, mint=program.mint)
    try:
        result = await recording.save(target, if_exists="replace", require_verified=False)
    except SyllableError as error:
        assert target.read_bytes() == b"good"
        return b"", None, error
    finally:
        assert files(directory) == ["kept"]
    got = target.read_bytes()
    assert (result.size, result.sha256) == (len(got), hashlib.sha256(got).hexdigest())
    return got, result.verified, None


async def judged(program: Program, directory: Path) -> str:
    """Run it; the name of the outcome."""
    origin = program.origin()
    got, verified, error = await (saved(origin, program, directory) if program.save else iterated(origin, program))
    assert origin.open_replies == 0
    assert len(origin.requests) <= 64 + origin.mints
    assert any(version.data.startswith(got) for version in origin.served), "delivered bytes that no version has"
    if error is not None:
        return type(error).__name__
    if verified == "none":
        return "unproven"
    assert any(version.data == got for version in origin.served), "called whole what is none"
    return "whole, resumed" if len(origin.requests) > 1 else "whole"


async def believed(program: Program) -> str:
    """The same for the naive client."""
    origin = program.origin()
    try:
        got = await naive(origin)
    except SyllableError:
        return "naive: error"
    if any(version.data == got for version in origin.served):
        return "naive: whole"
    return "naive: short" if any(version.data.startswith(got) for version in origin.served) else "naive: WRONG"


def run_programs(count: int) -> Counter[str]:
    tally: Counter[str] = Counter()

    @settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(programs())
    def run(program: Program) -> None:
        with tempfile.TemporaryDirectory() as directory:
            tally[runner.run(judged(program, Path(directory)))] += 1
        tally[runner.run(believed(program))] += 1

    with asyncio.Runner() as runner:
        run()
    return tally


def test_no_program_makes_wrong_bytes_and_a_naive_client_does(counted: Callable[[str, int], None]) -> None:
    tally = run_programs(300)
    counted("fault programs", 300)
    assert tally["whole, resumed"] > 30
    assert tally["naive: WRONG"] > 2


@pytest.mark.long
def test_thousands_of_programs_make_no_wrong_bytes(counted: Callable[[str, int], None]) -> None:
    tally = run_programs(6000)
    counted("fault programs", 6000)
    assert tally["whole, resumed"] > 750
    assert tally["naive: WRONG"] > 300
