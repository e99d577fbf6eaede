"""`export_on_dask.py` on a cluster of processes: exact although a worker is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from syllable_async.testing import FakeSyllable, faults

pytest.importorskip("syllable_async.jobs")
PROGRAM = Path(__file__).parents[2] / "examples" / "export_on_dask.py"
CLUSTER = """
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        print(cluster.scheduler_address, *(worker.pid for worker in cluster.workers.values()), flush=True)
        sys.stdin.read()
"""


@pytest.mark.long
def test_a_killed_workers_days_are_done_again(tmp_path: Path) -> None:
    script, target = tmp_path / "cluster.py", tmp_path / "out"
    script.write_text(CLUSTER)
    with FakeSyllable(sessions=5_000) as server:
        server.faults.add("*", faults.delay(0.2, times=None))
        environment = {**os.environ, "SYLLABLESDK_API_KEY_HEADER": server.api_key, "SYLLABLE_BASE_URL": server.url}
        cluster = subprocess.Popen(
            [sys.executable, str(script)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert cluster.stdin is not None
        assert cluster.stdout is not None
        try:
            address, first, _ = cluster.stdout.readline().split()
            words = ["2026-01-05", "2026-01-12", str(target), "--scheduler", address]
            command = [sys.executable, str(PROGRAM), *words]
            program = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
            while not server.requests:
                assert program.poll() is None
                time.sleep(0.01)
            os.kill(int(first), signal.SIGKILL)
            out, _ = program.communicate(timeout=120)
        finally:
            cluster.stdin.close()
            cluster.wait(timeout=60)
            cluster.stdout.close()
        assert program.returncode == 0, out
        assert out.count("sessions") == 7
        found = duckdb.execute(f"SELECT session_id FROM '{target}/*.parquet' ORDER BY 1").fetchall()
        assert [name for (name,) in found] == sorted(server.listed)
