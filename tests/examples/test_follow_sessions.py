"""`follow_sessions.py`: killed anywhere, it loses nothing and does nothing twice."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import follow_sessions
import pytest

from syllable_async import AsyncSyllableClient, RetryPolicy
from syllable_async.testing import FakeSyllable, LoggedRequest, faults

PROGRAM = Path(follow_sessions.__file__)
AUDIT = """
CREATE TABLE audit (session_id TEXT);
CREATE TRIGGER once AFTER UPDATE OF handled_at ON sessions BEGIN INSERT INTO audit VALUES (new.session_id); END;
"""


class Killer:
    """Kills a process when the server has seen so many requests more."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.left = 0

    def arm(self, process: subprocess.Popen[bytes], requests: int) -> None:
        self.process, self.left = process, requests

    def __call__(self, _: LoggedRequest) -> None:
        self.left -= 1
        if self.left == 0 and self.process is not None:
            self.process.kill()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The service's folder, with a table that counts how often a session's effects were written."""
    with closing(sqlite3.connect(tmp_path / "sessions.sqlite")) as database:
        database.executescript(follow_sessions.SCHEMA + AUDIT)
    return tmp_path


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[[FakeSyllable], subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def begin(server: FakeSyllable) -> subprocess.Popen[bytes]:
        keys = {"SYLLABLESDK_API_KEY_HEADER": server.api_key, "SYLLABLE_BASE_URL": server.url}
        command = [sys.executable, str(PROGRAM), "--folder", str(folder), "--interval", "0.05"]
        root = {"PYTHONPATH": str(PROGRAM.parents[1])}
        process = subprocess.Popen(command, env={**os.environ, **keys, **root}, stderr=subprocess.PIPE)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "sessions.sqlite")) as database:
        return database.execute(query).fetchall()


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def handled(folder: Path) -> set[str]:
    return {row[0] for row in rows(folder, "SELECT session_id FROM sessions WHERE handled_at IS NOT NULL")}


def assert_exact(folder: Path, server: FakeSyllable) -> None:
    """Each session of the server once, its effects once, its recordings byte by byte, and nothing else."""
    assert sorted(row[0] for row in rows(folder, "SELECT session_id FROM audit")) == sorted(server.sessions)
    wanted = {
        f"{session_id}-{number}.wav": hashlib.sha256(audio).hexdigest()
        for session_id in server.sessions
        for number, audio in enumerate(server.recordings(session_id))
    }
    saved = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.wav")}
    noted = {
        file["file"]: file["sha256"]
        for (files,) in rows(folder, "SELECT recordings FROM sessions")
        for file in json.loads(files)
    }
    assert saved == noted == wanted
    assert not list(folder.glob("*.part"))


@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.long)])
def test_killed_at_random_it_handles_each_session_and_writes_its_effects_once(
    kills: int, folder: Path, start: Callable[[FakeSyllable], subprocess.Popen[bytes]]
) -> None:
    random, killer, flaky = Random(kills), Killer(), Random(20)
    with FakeSyllable(sessions=12 * kills, on_answer=killer, hide_tests=False) as server:
        server.faults.add("*", faults.status(503, times=None), when=lambda _: flaky.random() < 1 / 20)
        for _ in range(kills):
            process = start(server)
            killer.arm(process, random.randint(1, 40))
            assert process.wait(30) == -signal.SIGKILL
            for _ in range(random.randint(1, 4)):
                server.add_session(timestamp=datetime.now(UTC))
        process = start(server)
        wait_for(lambda: handled(folder) == set(server.sessions))
        server.add_session(timestamp=datetime.now(UTC))
        wait_for(lambda: handled(folder) == set(server.sessions))
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 128 + signal.SIGTERM
        assert_exact(folder, server)
        server.faults.assert_all_met()


def test_two_of_them_in_one_folder_are_refused(folder: Path) -> None:
    with closing(follow_sessions.Store(folder)), pytest.raises(BlockingIOError, match="another process follows into"):
        follow_sessions.Store(folder)


@pytest.mark.parametrize("first", [False, True])
async def test_invented_sessions_and_real_ones_do_not_mix(first: bool, folder: Path) -> None:
    async with FakeSyllable(sessions=1) as server, AsyncSyllableClient(server.api_key, base_url=server.url) as client:
        with closing(follow_sessions.Store(folder, demo=first)) as store:
            async with client.sessions.list().snapshot() as walk:
                async for session in walk:
                    store.take_in(session, walk.cursor)
    before = rows(folder, "SELECT * FROM sessions")
    with pytest.raises(SystemExit, match="2"):
        follow_sessions.Store(folder, demo=not first)
    with closing(follow_sessions.Store(folder, demo=first)) as store:  # refused, it let go of the folder
        assert store.cursor() is not None
    assert rows(folder, "SELECT * FROM sessions") == before


def test_a_key_that_is_refused_ends_it_with_a_clear_word(
    folder: Path, start: Callable[[FakeSyllable], subprocess.Popen[bytes]]
) -> None:
    with FakeSyllable(sessions=1) as server:
        server.faults.add("sessions.list", faults.status(401))
        _, told = start(server).communicate(timeout=10)
        assert b"Stopped: HTTP 401" in told
        assert b"Traceback" not in told


def is_about(name: str, call: faults.Call) -> bool:
    return name in call.path


async def test_a_session_that_fails_or_is_not_ready_holds_up_no_other(folder: Path) -> None:
    impatient = RetryPolicy(max_attempts=1)
    async with FakeSyllable(sessions=0) as server:
        young = datetime.now(UTC) - timedelta(minutes=1)
        names = [server.add_session(timestamp=young, summary=summary) for summary in ("one", None, "three", "four")]
        failing = faults.status(500, times=1), faults.status(404, times=1)
        for name, fault in zip((names[0], names[3]), failing, strict=True):
            server.faults.add("sessions.get_full_summary", fault, when=partial(is_about, name))
        async with AsyncSyllableClient(server.api_key, base_url=server.url, retries=impatient) as client:
            store = follow_sessions.Store(folder)
            tasks = [
                asyncio.create_task(follow_sessions.follow(client, store, 0.01)),
                asyncio.create_task(follow_sessions.work(client, store, idle=0.01)),
            ]
            async with asyncio.timeout(10):
                while handled(folder) != {names[0], names[2], names[3]}:  # noqa: ASYNC110 - it stands in a database
                    await asyncio.sleep(0.02)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            store.close()
        server.faults.assert_all_met()
    tries: dict[str, int] = dict(rows(folder, "SELECT session_id, tries FROM sessions"))
    assert (tries[names[0]], tries[names[2]], tries[names[3]]) == (1, 0, 0)
    assert tries[names[1]] >= 1
