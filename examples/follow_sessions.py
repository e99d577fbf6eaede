"""Follow new sessions, and keep the summary and the recordings of each: a service that a kill -9 cannot confuse.

    python examples/follow_sessions.py --folder followed

End it with Ctrl-C or kill it, and run it again: it goes on where it was. With --demo it starts a server of its own, on
which calls come in; a folder holds invented sessions or real ones, never both.

Why nothing is lost and nothing done twice:

1. A session and the cursor behind it are written in one transaction, so each session is taken in exactly once.
2. Its work is done at least once: it stays pending until one transaction has written the results and `handled_at`.
3. Work that is done again leaves no mark: a recording is put in place whole under a name that follows from the id.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import logging
import math
import sqlite3
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from _connect import check_key, connect, fail, make_parser, run

from syllable_async import AsyncSyllableClient, Cursor, NotFoundError, Session, SyllableError, decode, to_json
from syllable_async.testing import FakeSyllable

PATIENCE = timedelta(hours=1)
"""How long after its start a session without a summary is looked at again: summaries come some time after the call."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS cursor (id INTEGER PRIMARY KEY CHECK (id = 1), json TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sessions (
    session_id TEXT PRIMARY KEY, session BLOB NOT NULL, due REAL NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
    summary TEXT, rating TEXT, recordings TEXT, handled_at TEXT
);
CREATE INDEX IF NOT EXISTS pending ON sessions (due) WHERE handled_at IS NULL;
"""
log = logging.getLogger("follow_sessions")


class Store:
    """The inbox: one row for each session, and the cursor. A transaction takes well under a millisecond: no thread."""

    def __init__(self, folder: Path, demo: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._claimed = set[str]()
        with ExitStack() as opened:
            lock = opened.enter_context((folder / "lock").open("w"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel frees it, whatever ends the process
            except BlockingIOError:
                raise BlockingIOError(f"another process follows into {folder}") from None
            self._database = opened.enter_context(closing(sqlite3.connect(folder / "sessions.sqlite")))
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.executescript(SCHEMA)
            self._keep_apart(demo)
            for part in folder.glob("*.part"):  # what a killed run was downloading
                part.unlink()
            self.close = opened.pop_all().close

    def _keep_apart(self, demo: bool) -> None:
        """Refuse invented sessions among real ones, and the reverse: invented ones have `user_version` 1."""
        (invented,) = self._database.execute("PRAGMA user_version").fetchone()
        if self.cursor() is not None and invented != demo:
            fail(f"{self.folder} holds {'invented' if invented else 'real'} sessions; nothing was written", 2)
        self._database.execute(f"PRAGMA user_version = {int(demo)}")

    def cursor(self) -> Cursor | None:
        """Where to go on; None on the first run."""
        row = self._database.execute("SELECT json FROM cursor").fetchone()
        return Cursor.from_json(row[0]) if row else None

    def take_in(self, session: Session, cursor: Cursor) -> None:
        """Keep a session as pending, and the cursor behind it: both or neither."""
        with self._database as transaction:
            transaction.execute(
                "INSERT INTO sessions (session_id, session, due) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (session.session_id, to_json(session), time.time()),
            )
            transaction.execute("INSERT OR REPLACE INTO cursor VALUES (1, ?)", (cursor.to_json(),))

    def claim(self) -> tuple[str, Session, int] | None:
        """The longest due session that no worker has. Claims live in memory: after a kill everything is free."""
        due = self._database.execute(
            "SELECT session_id, session, tries FROM sessions WHERE handled_at IS NULL AND due <= ? "
            "ORDER BY due LIMIT ?",
            (time.time(), len(self._claimed) + 1),
        )
        for session_id, session, tries in due.fetchall():
            if session_id not in self._claimed:
                self._claimed.add(session_id)
                return session_id, decode(session, Session), tries
        return None

    def handled(self, session_id: str, summary: str | None, rating: str | None, recordings: str) -> None:
        """All effects in one transaction; a message to somebody else would go into an outbox table in it."""
        with self._database as transaction:
            transaction.execute(
                "UPDATE sessions SET summary = ?, rating = ?, recordings = ?, handled_at = ? WHERE session_id = ?",
                (summary, rating, recordings, datetime.now(UTC).isoformat(), session_id),
            )
        self._claimed.discard(session_id)

    def postpone(self, session_id: str, tries: int) -> None:
        """Free a session, to be claimed again after a second, two, four, and at last ten minutes."""
        with self._database as transaction:
            transaction.execute(
                "UPDATE sessions SET due = ?, tries = tries + 1 WHERE session_id = ?",
                (time.time() + min(600, 2**tries), session_id),
            )
        self._claimed.discard(session_id)


async def follow(client: AsyncSyllableClient, store: Store, interval: float) -> None:
    async with client.sessions.list(limit=100).follow(store.cursor(), interval) as walk:
        async for session in walk:
            store.take_in(session, walk.cursor)


async def work(client: AsyncSyllableClient, store: Store, idle: float = 0.2) -> None:
    while True:
        claimed = store.claim()
        if claimed is None:
            await asyncio.sleep(idle)
            continue
        session_id, session, tries = claimed
        try:
            if not await handle(client, store, session_id, session):
                store.postpone(session_id, tries)
        except NotFoundError:  # deleted meanwhile
            store.handled(session_id, None, None, "[]")
        except SyllableError as error:  # one session must not hold up the others
            log.warning("%s is tried again later: %s", session_id, error)
            store.postpone(session_id, tries)


async def handle(client: AsyncSyllableClient, store: Store, session_id: str, session: Session) -> bool:
    found = await client.sessions.get_full_summary(session_id)
    if found.summary is None and datetime.now(UTC) - session.timestamp < PATIENCE:
        return False
    recordings = await client.sessions.recordings(session_id)
    saved = [await recording.save(directory=store.folder, if_exists="replace") for recording in recordings]
    files = [{"file": file.path.name, "sha256": file.sha256, "verified": file.verified} for file in saved]
    store.handled(session_id, found.summary, found.rating, json.dumps(files))
    log.info("%s: rating %s, %d recordings", session_id, found.rating or "-", len(files))
    return True


async def calls_come_in(server: FakeSyllable) -> None:
    """A call a second."""
    while True:
        await asyncio.sleep(1)
        server.add_session(timestamp=datetime.now(UTC))


async def serve(arguments: argparse.Namespace) -> None:
    """Follow until a signal or an error that no waiting cures."""
    with closing(Store(arguments.folder, arguments.demo)) as store:
        async with connect(arguments.demo, sessions=50) as (client, fake), asyncio.TaskGroup() as group:
            group.create_task(follow(client, store, arguments.interval))
            for _ in range(arguments.workers):
                group.create_task(work(client, store))
            if fake is not None:
                group.create_task(calls_come_in(fake))


def main(argv: Sequence[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--folder", type=Path, default=Path("followed"), help="for sessions.sqlite and the recordings")
    parser.add_argument("--interval", type=float, default=30.0, help="seconds between two looks at the server")
    parser.add_argument("--workers", type=int, default=4, help="sessions handled at a time")
    arguments = parser.parse_args(argv)
    if not 0 < arguments.interval < math.inf:
        parser.error("--interval must be a positive number of seconds")
    if arguments.workers < 1:
        parser.error("--workers must be at least 1")
    check_key(arguments.demo)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run(
        serve(arguments),
        errors=(SyllableError, OSError, sqlite3.Error),
        hint="The same command goes on from here.",
    )


if __name__ == "__main__":
    main()
