"""What is measured, and what is wanted of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import attrs

from tests.benchmarks import exports, fake
from tests.benchmarks.harness import Crew, Goal, Sample, Work, in_turn
from tests.benchmarks.server import KEY, LARGEST, MIB, ROWS


@attrs.frozen(kw_only=True)
class Job:
    """One row of the table.

    Attributes:
        works: what each contestant does in one round.
        rounds: in each generation of processes.
        cold: whether the first call counts too.
        path: what the server's URL ends with.
        turn: one contestant's share of a round, by its name and work, where that needs no process of a crew.
    """

    title: str
    works: Mapping[str, Work]
    goals: Sequence[Goal] = ()
    generations: int = 7
    rounds: int = 9
    cold: bool = False
    path: str = ""
    turn: Callable[[str, Work], Sample] | None = None

    def run(self, url: str, crew: Crew | None = None) -> dict[str, list[Sample]]:
        """Every generation with processes of its own, or all with those of `crew`."""
        if self.turn is not None:
            turns = {name: partial(self.turn, name, work) for name, work in self.works.items()}
            return in_turn(turns, self.rounds * self.generations)
        samples: dict[str, list[Sample]] = {name: [] for name in self.works}
        for _ in range(self.generations):
            with ExitStack() as stack:
                hired = crew or stack.enter_context(Crew())
                if not self.cold:  # caches and connections are warm then
                    in_turn(hired.hire({name: work.less(10) for name, work in self.works.items()}, url + self.path), 1)
                for name, found in in_turn(hired.hire(self.works, url + self.path), self.rounds).items():
                    samples[name] += found
        return samples

    def quick(self) -> Job:
        """The same once, and as little of it as shows that it works."""
        works = {name: work.less(40) for name, work in self.works.items()}
        return attrs.evolve(self, works=works, generations=1, rounds=1, cold=True)


def calls(title: str, work: Work, *goals: Goal, **options: Any) -> Job:
    """Of one kind of call by all three; the vendor's SDK makes fewer, or a round would take it minutes."""
    return Job(title=title, works={"floor": work, "ours": work, "vendor": work.less(10)}, goals=goals, **options)


def cpu(at_most: float, vendor: float | None = None) -> list[Goal]:
    """Processor time: at most so many times the floor's, and so many times less than the vendor's."""
    goals = [Goal("ours", "floor", "cpu", at_most=at_most)]
    return goals if vendor is None else [*goals, Goal("vendor", "ours", "cpu", at_least=vendor)]


IMPORTS = {
    "floor": "import aiohttp",
    "ours": f"from syllable_async import AsyncSyllableClient; AsyncSyllableClient({KEY!r}).sessions",
    "vendor": f"from syllable_sdk import SyllableSDK; SyllableSDK(api_key_header={KEY!r}).sessions",
}


def _import(name: str, _: Work) -> Sample:
    """The quickest of three: whatever else the machine does only ever makes it slower."""
    code = f"import time; started = time.perf_counter(); {IMPORTS[name]}; print(time.perf_counter() - started)"
    command = [sys.executable, "-c", code]
    times = [subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(3)]
    return {"wall": min(map(float, times))}


def imports() -> Job:
    goals = [Goal("ours", "floor", "wall", at_most=1.3), Goal("vendor", "ours", "wall", at_least=2)]
    works = {name: Work("import") for name in IMPORTS}
    return Job(title="import and first client", works=works, goals=goals, generations=1, rounds=15, turn=_import)


def exports_of_a_day() -> list[Job]:
    """What the nightly export costs: its time, its processor time, its memory."""

    def job(title: str, works: Mapping[str, Work], *goals: Goal, rounds: int) -> Job:
        return Job(title=title, works=works, goals=goals, generations=1, rounds=rounds, turn=exports.measure)

    count, few, many, transcripts = exports.SESSIONS, 10_000, 500_000, exports.TRANSCRIPTS
    return [
        job(
            f"export of a day of {count:,} sessions at 25 ms a page (bare: the walk)",
            {name: Work(name, count) for name in ("bare", "ours", "vendor")},
            Goal("ours", "bare", "wall", at_most=1.15),
            Goal("vendor", "ours", "cpu", at_least=4),
            rounds=3,
        ),
        job(
            f"export of {transcripts:,} sessions with transcripts, {exports.IN_FLIGHT} in flight at 25 ms",
            {"bare": Work("bare transcripts", transcripts), "ours": Work("our transcripts", transcripts)},
            Goal("ours", "bare", "wall", at_most=1.2),
            rounds=3,
        ),
        job(
            f"memory: export of a day of {many:,} sessions (few: {few:,})",
            {"few": Work("ours", few), "many": Work("ours", many)},
            Goal("many", 300 * MIB, "peak", at_most=1),
            rounds=1,
        ),
    ]


def everything() -> list[Job]:
    """The rows of the table."""
    one, many = {"tasks": 1}, {"tasks": 100}
    crowd = Work("sessions", 10_000, {"tasks": 10_000})
    late = {"limit": 100, "prefetch": 8}
    return [
        calls("list, 25 sessions, 16 tasks", Work("pages", 320, {"tasks": 16, "limit": 25}), *cpu(1.25, vendor=20)),
        calls("get_by_id, 1 task", Work("sessions", 240, one), *cpu(1.3)),
        calls("get_by_id, 100 tasks", Work("sessions", 1_000, many), *cpu(1.3)),
        calls("decode a page of 1", Work("decode", 8_000, {"limit": 1}), *decoding(1.1, vendor=30)),
        calls("decode a page of 25", Work("decode", 1_600, {"limit": 25}), *decoding(1.1)),
        calls("decode a page of 1,000", Work("decode", 40, {"limit": 1_000}), *decoding(1.1, vendor=4)),
        Job(
            title="walk, 200 pages at 25 ms, prefetch 8",
            works={name: Work("walk", 200, late) for name in ("floor", "ours", "vendor")},
            goals=[Goal("ours", "floor", "wall", at_most=1.15), Goal("vendor", "ours", "wall", at_least=7)],
            rounds=3,
            path="/after/25",
        ),
        *engines(),
        Job(
            title="recording, 256 MiB: iterate",
            works={name: Work("iterate", 256) for name in ("floor", "ours", "vendor")},
            goals=[Goal("floor", "ours", "wall", at_least=0.9), Goal("vendor", "ours", "wall", at_least=3)],
            rounds=15,
        ),
        Job(
            title="recording, 256 MiB: save (floor: curl, sync)",
            works={name: Work("save", 256) for name in ("floor", "ours", "vendor")},
            goals=[Goal("floor", "ours", "wall", at_least=0.9)],
            rounds=5,
        ),
        Job(
            title="1,000 recordings of 1 MiB (floor: xargs -P 8 curl, sync)",
            works={name: Work("download", 1000) for name in ("floor", "ours")},
            goals=[Goal("floor", "ours", "wall", at_least=0.85)],
            generations=3,
            rounds=1,
            cold=True,
        ),
        memory("memory: save 1 GiB", Work("save", LARGEST // MIB), 16),
        memory("memory: walk 1,000,000 sessions", Work("walk", ROWS // 1000, {"limit": 1000, "prefetch": 0}), 30),
        Job(
            title="memory: snapshot(parallel=8) of 1,000,000 sessions",
            works={"ours": Work("engine", 1_000, {"parallel": 8, "limit": 1000, "ms": 0})},
            goals=[Goal("ours", MIB, "grown", at_most=30)],
            generations=3,
            rounds=1,
            cold=True,
        ),
        imports(),
        Job(
            title="10,000 concurrent get_by_id, pool of 100",
            works={"floor": crowd, "ours": crowd},
            goals=[Goal("ours", "floor", "wall", at_most=1.3), Goal("ours", "floor", "peak", at_most=1.5)],
            generations=5,
            rounds=1,
            cold=True,
        ),
        *exports_of_a_day(),
        Job(
            title="the fake: list calls of 25 cold sessions",
            works={"fake": Work("serve")},
            goals=[Goal("fake", 1 / 1500, "cpu", at_most=1)],
            generations=1,
            rounds=3,
            turn=fake.serve,
        ),
    ]


def engines() -> list[Job]:
    """The walks alone, over a source that takes 25 ms a page."""

    def pair(title: str, slow: dict[str, int], fast: dict[str, int], at_least: float) -> Job:
        works = {"one": Work("engine", 200, slow, who="ours"), "eight": Work("engine", 200, fast, who="ours")}
        goal = Goal("one", "eight", "wall", at_least=at_least)
        return Job(title=title, works=works, goals=[goal], generations=1, rounds=3)

    rows = {"limit": 100}

    return [
        pair("walk without a network: prefetch 0 and 8", {"prefetch": 0}, {"prefetch": 8}, 6.5),
        pair("snapshot without a network: 1 span and 8", {"parallel": 1}, {"parallel": 8}, 5.5),
        Job(
            title="20,000 rows at 25 ms a page: items(prefetch=8) and snapshot(parallel=8)",
            works={
                "items": Work("engine", 200, rows | {"prefetch": 8}, who="ours"),
                "snapshot": Work("engine", 200, rows | {"parallel": 8}, who="ours"),
            },
            goals=[
                Goal("snapshot", "items", "wall", at_most=1.15),
                Goal("snapshot", "items", "requests", at_most=1.06),
            ],
            generations=1,
            rounds=5,
        ),
        Job(
            title="snapshot: time a row of 1,000,000 and of 20,000",
            works={
                "many": Work("engine", 10_000, {"parallel": 1, "limit": 100, "ms": 0}, who="ours"),
                "few": Work("engine", 200, {"parallel": 1, "limit": 100, "ms": 0}, who="ours"),
            },
            goals=[Goal("many", "few", "cpu", at_most=1.15)],
            generations=1,
            rounds=3,
        ),
    ]


def decoding(floor: float | None = None, vendor: float | None = None) -> list[Goal]:
    goals = [Goal("ours", "floor", "cpu", at_most=floor)] if floor else []
    return [*goals, Goal("vendor", "ours", "cpu", at_least=vendor)] if vendor else goals


def memory(title: str, work: Work, mebibytes: int) -> Job:
    """Growth of our process, in MiB."""
    goal = Goal("ours", MIB, "grown", at_most=mebibytes)
    return Job(title=title, works={"ours": work}, goals=[goal], generations=3, rounds=1, cold=True)


def growth() -> list[Job]:
    """The same calls with more sessions a page and more tasks."""
    pages = [
        calls(f"list, {limit} sessions, 16 tasks", Work("pages", 24_000 // (limit + 30), {"tasks": 16, "limit": limit}))
        for limit in (1, 25, 100, 400, 1000)
    ]
    tasks = [
        calls(f"get_by_id, {tasks} tasks", Work("sessions", 1_000, {"tasks": tasks})) for tasks in (1, 10, 100, 1000)
    ]
    return [attrs.evolve(job, rounds=5, generations=2) for job in pages + tasks]
