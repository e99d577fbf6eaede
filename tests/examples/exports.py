"""What the tests of both exports need: the program as a process of its own, and the dataset beside the server."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import duckdb

from syllable_async.testing import FakeSyllable, faults
from syllable_async.testing._api.routes import parse_request

EXAMPLES = Path(__file__).parents[2] / "examples"
SPAN = ("2026-01-05", "2026-12-31")
LIMIT = 400.0
"""Seconds after which a program hangs, on the busiest machine."""


class Program:
    """`python examples/NAME.py SPAN TARGET …` against a server, every warning an error."""

    def __init__(self, name: str, server: FakeSyllable, target: Path, *more: str, span: Iterable[str] = SPAN) -> None:
        environment = {"SYLLABLESDK_API_KEY_HEADER": server.api_key, "SYLLABLE_BASE_URL": server.url}
        command = [sys.executable, "-W", "error", str(EXAMPLES / name), *span, str(target), *more]
        self.process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def finish(self) -> str:
        """What it printed when it came to its good end."""
        out, errors = self.process.communicate(timeout=LIMIT)
        assert self.process.returncode == 0, errors
        return out

    def fail(self) -> str:
        """What it said when it stopped with status 1: one message and no traceback."""
        _, errors = self.process.communicate(timeout=LIMIT)
        assert self.process.returncode == 1, errors
        assert "Traceback" not in errors
        return errors

    def kill(self) -> None:
        assert self.process.poll() is None, self.process.communicate()
        self.process.kill()
        self.process.communicate()

    def workers(self) -> list[int]:
        """Processes that dask has spawned."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        children = [int(child) for task in tasks for child in task.read_text().split()]
        return [child for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


@contextmanager
def running(*arguments: Any, **settings: Any) -> Generator[Program]:
    program = Program(*arguments, **settings)
    try:
        yield program
    finally:
        program.process.kill()
        program.process.communicate()


def until_asked(server: FakeSyllable, times: int, program: Program) -> None:
    """Wait until that many more requests have come from another process: real time is all there is."""
    enough, end = len(server.requests) + times, time.monotonic() + LIMIT
    while len(server.requests) < enough:
        assert time.monotonic() < end
        assert program.process.poll() is None, program.process.communicate()
        time.sleep(0.005)


def sometimes(server: FakeSyllable, share: float = 0.05) -> None:
    """Let one of 20 requests fail."""
    rng = random.Random(7)
    server.faults.add("*", faults.status(503, times=None), when=lambda _: rng.random() < share)


def done(target: Path) -> list[Path]:
    return sorted(target.glob("_export/done/*.json"))


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def asked(server: FakeSyllable, path: str) -> Any:
    """The server's own answer, without a client between."""
    answer = server._api.answer(parse_request("GET", f"/api/v1/sessions/{path}", server.url))
    assert answer.status == 200
    return json.loads(answer.body)


def expected(server: FakeSyllable, *, transcripts: bool = False) -> list[Any]:
    """A row for each session, in the order of `exported`."""
    rows: list[Any] = []
    for name in sorted(server.sessions):
        row = {**server.session(name), **asked(server, f"full-summary/{name}")}
        rows.append(
            {**row, **(asked(server, f"transcript/{name}") if transcripts else {}), "day": row["timestamp"][:10]}
        )
    return [_comparable(row) for row in rows]


def exported(target: Path) -> list[Any]:
    """All rows, as DuckDB reads them, by session."""
    files = f"{target}/day=*/*.parquet"
    rows = duckdb.execute(f"SELECT to_json(file) FROM '{files}' AS file ORDER BY session_id").fetchall()
    return [_comparable(json.loads(row)) for (row,) in rows]


def _comparable(value: Any, name: str = "") -> Any:
    """Moments as moments, and null as absent: the API means the same by both."""
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value).items()
        return {key: _comparable(inner, key) for key, inner in pairs if inner is not None}
    if isinstance(value, list):
        return [_comparable(inner) for inner in cast("list[object]", value)]
    return datetime.fromisoformat(value) if name == "timestamp" else value
