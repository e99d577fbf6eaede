"""`examples/export_on_dask.py`: exact although a worker dies, and never faster than it may be."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
from _export import connect

from syllable_async.testing import FakeSyllable, faults
from tests.examples.exports import expected, exported, running, sometimes, until_asked

NAME = "export_on_dask.py"


@pytest.mark.parametrize("sessions", [2_500, pytest.param(20_000, marks=pytest.mark.long)])
def test_is_exact_although_a_worker_is_killed(sessions: int, tmp_path: Path) -> None:
    with FakeSyllable(sessions, hide_tests=False) as server:
        server.faults.add("*", faults.delay(0.02, times=None))
        sometimes(server)
        with running(NAME, server, tmp_path / "out", "--workers", "2") as program:
            until_asked(server, sessions // 2, program)
            first, second = program.workers()
            os.kill(first, signal.SIGKILL)
            assert f"{sessions:,} sessions in" in program.finish()
            assert not Path(f"/proc/{second}").exists()
        answered = [entry for entry in server.requests.to("sessions.get_full_summary") if entry.status == 200]
        assert len(answered) > sessions  # what the killed one was at was done again
        assert exported(tmp_path / "out") == expected(server)
        assert not (tmp_path / "out/_export/parts").exists()


async def test_a_client_with_a_rate_waits_for_its_turn_with_each_request(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeSyllable(sessions=10) as server:
        server.faults.add("sessions.get_full_summary", faults.status(503, times=3, retry_after=0))
        monkeypatch.setenv("SYLLABLESDK_API_KEY_HEADER", server.api_key)
        monkeypatch.setenv("SYLLABLE_BASE_URL", server.url)
        async with connect(250.0) as client:
            began = time.monotonic()
            await asyncio.gather(*(client.sessions.get_full_summary(name) for name in server.sessions))
        assert [entry.time - began >= number / 250 for number, entry in enumerate(server.requests)] == [True] * 13


@pytest.mark.long
def test_workers_share_the_rate(tmp_path: Path) -> None:
    with FakeSyllable(sessions=2_000, hide_tests=False) as server:
        server.faults.add("*", faults.rate_limit(150))
        with running(NAME, server, tmp_path / "out", "--workers", "2", "--rate", "100") as program:
            program.finish()
        times = [entry.time for entry in server.requests.to("sessions.get_full_summary")]
        # The slack is what may be on its way when the first one arrives.
        assert all(number <= 100 * (at - times[0]) + 10 for number, at in enumerate(times))
        assert times[-1] - times[0] < 2_000 / 100 * 2
        assert exported(tmp_path / "out") == expected(server)


@pytest.mark.long
def test_goes_on_when_the_api_lets_it_in_again(tmp_path: Path) -> None:
    with FakeSyllable(sessions=5_000, hide_tests=False) as server:
        server.faults.add("*", faults.status(401, times=None), when=lambda _: len(server.requests) > 3_000)
        with running(NAME, server, tmp_path / "out") as program:
            said = program.fail()
        assert "401" in said
        assert "The same command goes on from here." in said
        server.faults.clear()
        with running(NAME, server, tmp_path / "out") as program:
            program.finish()
        assert exported(tmp_path / "out") == expected(server)
