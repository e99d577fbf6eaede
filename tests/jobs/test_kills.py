"""`kill -9` of real processes, alone and side by side, while sessions come and go."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from syllable_async.testing import FakeSyllable, faults
from tests.jobs.folder import hidden, ids, listed

WEEK = ("--since", "2026-01-05", "--until", "2026-01-08")


@pytest.mark.long
@pytest.mark.parametrize("processes", [1, 2, 8])
def test_after_kills_a_last_run_makes_the_files_exact(processes: int, tmp_path: Path) -> None:
    rng = random.Random(processes)
    with FakeSyllable(sessions=2_000) as api:
        api.faults.add("sessions.list", faults.delay(0.02, times=None))
        environment = {**os.environ, "SYLLABLESDK_API_KEY_HEADER": api.api_key, "SYLLABLE_BASE_URL": api.url}
        command = [sys.executable, "-m", "syllable_async", "export", "--to", str(tmp_path), *WEEK]
        for _ in range(4):
            running = [subprocess.Popen([*command, "--refresh"], env=environment) for _ in range(processes)]
            time.sleep(1.0 + 2 * rng.random())
            api.delete(rng.choice(api.sessions))
            api.add_session(timestamp=datetime(2026, 1, 5, tzinfo=UTC) + timedelta(hours=70 * rng.random()))
            for process in running:
                process.kill()
                process.wait()
            assert len(ids(tmp_path)) == len(set(ids(tmp_path)))  # each file is whole
        api.faults.clear()
        subprocess.run([*command, "--refresh", "--fewer"], env=environment, check=True)
        days = [date(2026, 1, day) for day in (5, 6, 7)]
        assert ids(tmp_path) == sorted(name for day in days for name in listed(api, day))
    assert hidden(tmp_path) == []
