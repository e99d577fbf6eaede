"""`python -m tests.benchmarks.instructions`: instructions of one call, ours over bare aiohttp and msgspec.

Counted by valgrind's callgrind, which must be installed: two runs of one process differ by a number of calls, and
everything else is subtracted. Such a count moves by about one percent between runs, where time on a busy machine moves
by twenty.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import re
import subprocess
import sys

from tests.benchmarks.contestants import CONTESTANTS, Contestant
from tests.benchmarks.server import running, session_id

FEW, MANY = 100, 300
LIMITS = {"page": 1.09, "session": 1.12}
"""List calls of 25 sessions, and `get_by_id`; version 1.0.0rc1 had 1.11 and 1.24."""


async def call(contestant: Contestant, what: str, count: int) -> None:
    """So many calls, one after the other, on one connection.

    Without the garbage collector: it looks through all that was imported, whenever it happens to.
    """
    gc.disable()
    async with contestant:
        for number in range(count):
            await (contestant.page(number, 25) if what == "page" else contestant.session(session_id(0, number)))


def run(tool: list[str], who: str, what: str, count: int, url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*tool, sys.executable, "-m", "tests.benchmarks.instructions", "--url", url, who, what, str(count)],
        check=True, capture_output=True, text=True, env={"PYTHONHASHSEED": "0", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip


def counted(who: str, what: str, count: int, url: str) -> int:
    """Instructions of a process that makes so many calls."""
    done = run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"], who, what, count, url)
    assert "attempt 1 failed" not in done.stderr, f"not counted: a call was retried: {done.stderr}"
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found is not None, done.stderr
    return int(found[1])


def each(who: str, what: str, url: str) -> float:
    """Instructions of one call."""
    return (counted(who, what, MANY, url) - counted(who, what, FEW, url)) / (MANY - FEW)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url")
    parser.add_argument("inside", nargs="*", help="who, what, how many: what runs under callgrind")
    options = parser.parse_args()
    if options.inside:
        who, what, count = options.inside
        logging.basicConfig(level=logging.INFO)
        asyncio.run(call(CONTESTANTS[who](options.url), what, int(count)))
        return 0
    above = False
    with running() as url:
        for what, limit in LIMITS.items():
            for who in ("ours", "floor"):  # what was edited since is compiled now, and not while it is counted
                run([], who, what, 1, url)
            ours, floor = each("ours", what, url), each("floor", what, url)
            above = above or ours / floor > limit
            print(
                f"{what}: {ours:,.0f} instructions, floor {floor:,.0f}: {ours / floor:.3f} (at most {limit})",
                flush=True,
            )
    return int(above)


if __name__ == "__main__":
    sys.exit(main())
