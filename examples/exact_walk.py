"""Walk all sessions exactly while they change: killed once midway, resumed from the cursor, and counted at the end.

Run it with `python examples/exact_walk.py`. It starts three processes: a fake API, which another thread of it fills and
empties all the time; a walk that is killed after some sessions; and the walk that goes on where that one was. What was
walked is appended to a file together with the cursor, a line for each session, so that neither can be without the
other. At the end the file is held against what was there from start to end.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from syllable_async import AsyncSyllableClient, Cursor
from syllable_async.testing import FakeSyllable

SESSIONS = 2_000


def restless(server: FakeSyllable, stop: threading.Event, deleted: set[str]) -> None:
    """Add sessions anywhere in the span, and delete others, until told to stop."""
    chance = random.Random(1)
    while not stop.wait(0.001):
        stamp = server.session(chance.choice(server.sessions))["timestamp"]
        server.add_session(timestamp=stamp)
        victim = chance.choice(server.sessions)
        deleted.add(victim)
        server.delete(victim)


async def walk(url: str, key: str, journal: Path, slowly: bool) -> None:
    """Go on from the last line of the journal, and write a line for each session."""
    lines = whole_lines(journal)
    cursor = Cursor.from_json(json.loads(lines[-1])["cursor"]) if lines else None
    async with AsyncSyllableClient(key, base_url=url) as client:
        with journal.open("a", encoding="utf-8") as out:
            async with client.sessions.list(limit=50).snapshot(cursor=cursor) as sessions:
                async for session in sessions:
                    line = {"session_id": session.session_id, "cursor": sessions.cursor.to_json()}
                    out.write(json.dumps(line) + "\n")
                    out.flush()
                    await asyncio.sleep(0.001 if slowly else 0)


def child(server: FakeSyllable, journal: Path, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, __file__, server.url, server.api_key, str(journal), *words])


def whole_lines(journal: Path) -> list[str]:
    """A kill can leave half a line behind; what follows the last line end was never written."""
    text = journal.read_text("utf-8") if journal.exists() else ""
    kept = text[: text.rfind("\n") + 1]
    journal.write_text(kept, "utf-8")
    return kept.splitlines()


def main() -> int:
    stop, deleted = threading.Event(), set[str]()
    with FakeSyllable(sessions=SESSIONS) as server, tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "walked.jsonl"
        there = set(server.listed)
        changer = threading.Thread(target=restless, args=(server, stop, deleted))
        changer.start()
        first = child(server, journal, "slowly")
        while not journal.exists() or journal.stat().st_size < 100_000:
            stop.wait(0.01)
        first.send_signal(signal.SIGKILL)
        first.wait()
        before = len(whole_lines(journal))
        status = child(server, journal).wait()
        stop.set()
        changer.join()
        walked = [json.loads(line)["session_id"] for line in whole_lines(journal)]
    missing = there - deleted - set(walked)
    doubled = len(walked) - len(set(walked))
    print(f"killed after {before} sessions, resumed, {len(walked)} in all; meanwhile {len(deleted)} were deleted")
    print(f"of those that were there all the time: {len(missing)} missing; {doubled} doubled")
    return 1 if status or missing or doubled else 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(walk(sys.argv[1], sys.argv[2], Path(sys.argv[3]), slowly="slowly" in sys.argv))
    else:
        sys.exit(main())
