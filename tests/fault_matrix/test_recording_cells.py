"""Rows 12 to 22 of FAULTS.md, in the process and on real sockets: one outcome, and exactly so many requests."""

from __future__ import annotations

import asyncio
import logging
import pickle
import ssl
import traceback
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from syllable_async import AsyncSyllableClient, RecordingStream
from syllable_async.errors import SyllableError
from tests.fault_matrix.recording_cells import Cell, cells
from tests.fault_server import FaultServer
from tests.recordings.scripted_origin import collect, files, stream
from tests.recordings.scripted_origin_on_sockets import Play

CELLS = cells()
KEY = "the-api-key"


def test_there_are_enough_and_no_two_are_the_same() -> None:
    assert len({cell.id for cell in CELLS}) == len(CELLS) >= 250


async def outcome(recording: RecordingStream) -> bytes | SyllableError:
    got, error = await collect(recording)
    return got if error is None else error


def check(cell: Cell, result: bytes | SyllableError, recording: RecordingStream) -> None:
    if isinstance(cell.outcome, bytes):
        if isinstance(result, SyllableError):
            raise result
        assert result == cell.outcome
        assert recording.verified == cell.verified
        assert recording.bytes_read == len(result)
    else:
        assert type(result) is cell.outcome
        says_nothing_secret(result)


def says_nothing_secret(error: object) -> None:
    assert isinstance(error, SyllableError)
    assert error.__context__ is None
    said = [str(error), repr(error), *traceback.format_exception(error), str(pickle.dumps(error))]
    assert not any(secret in text for text in said for secret in (KEY, "token0", "token1"))


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.id)
async def test_in_the_process(cell: Cell, counted: Callable[[str, int], None]) -> None:
    origin = cell.origin()
    recording = stream(origin, timeout=0.003 if cell.stalls else 30.0, mint=cell.mint)
    check(cell, await outcome(recording), recording)
    assert (len(origin.requests), origin.mints, origin.steps) == (cell.requests, cell.mints, [])
    assert origin.open_replies == 0
    counted("cells of recordings", 1)


class Wire:
    """A server that plays cells, and a client of it."""

    def __init__(self, client: type[AsyncSyllableClient], tls: ssl.SSLContext | None) -> None:
        self.client, self.tls = client, tls

    @asynccontextmanager
    async def stream(self, cell: Cell, spare: int = 0) -> AsyncGenerator[RecordingStream]:
        """The cell's recording; afterwards it is asked whether all happened as it should, and nothing is left."""
        origin = cell.origin()
        async with FaultServer([], tls=self.tls, always=[Play(origin)]) as server:
            timeout = 0.03 if cell.stalls else 30.0
            async with self.client(KEY, base_url=server.url, timeout=timeout) as client:
                if cell.mint:
                    (recording,) = await client.sessions.recordings("s1")
                else:
                    recording = client.sessions.stream_recording("token0")
                yield recording
                assert origin.steps == []
                assert cell.requests <= len(origin.requests) <= cell.requests + cell.spare + spare
                assert origin.mints == cell.mints + cell.mint
                if cell.row == 20:  # what was behind the recording is nobody's answer
                    assert await outcome(client.sessions.stream_recording("token0")) == origin.version.data
            assert await server.closed()


def wired(*, saved: bool) -> list[ParameterSet]:
    """Cells over http, or https where only TLS knows the fault; in the long run over both, and all are saved too."""
    found: list[ParameterSet] = []
    for number, cell in enumerate(CELLS):
        for scheme in ("https",) if cell.tls else ("http", "https"):
            usual = (cell.tls or scheme == "http") and not (saved and number % 5)
            marks = () if usual else pytest.mark.long
            if cell.sockets and (cell.saved or not saved):
                found.append(pytest.param(cell, scheme, id=f"{scheme}-{cell.id}", marks=marks))
    return found


@pytest.fixture
def wire(scheme: str, timeless: type[AsyncSyllableClient], server_tls: ssl.SSLContext, trusted: None) -> Wire:
    return Wire(timeless, server_tls if scheme == "https" else None)


@pytest.mark.parametrize(("cell", "scheme"), wired(saved=False))
async def test_on_a_socket(cell: Cell, wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tasks = asyncio.all_tasks()
    async with wire.stream(cell) as recording:
        check(cell, await outcome(recording), recording)
    assert asyncio.all_tasks() == tasks
    assert KEY not in caplog.text
    assert "token0" not in caplog.text


@pytest.mark.parametrize(("cell", "scheme"), wired(saved=True))
async def test_saved_from_a_socket(cell: Cell, wire: Wire, tmp_path: Path) -> None:
    result: bytes | SyllableError
    async with wire.stream(cell, spare=2) as recording:
        try:
            result = (await recording.save(tmp_path / "x", require_verified=False)).path.read_bytes()
        except SyllableError as error:
            result = error
        check(cell, result, recording)
    assert files(tmp_path) == (["x"] if isinstance(cell.outcome, bytes) else [])
