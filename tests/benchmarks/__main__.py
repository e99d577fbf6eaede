"""`python -m tests.benchmarks`: how fast the client is, beside the bare floor and the vendor's SDK.

Trust the ratios and their spread, not the times: those are this machine's.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import syllable_async
from tests.benchmarks import jobs
from tests.benchmarks.harness import Crew, Sample, spread
from tests.benchmarks.jobs import Job
from tests.benchmarks.server import MIB, running

PACKAGES = ("syllable-async", "aiohttp", "msgspec", "cattrs", "attrs", "tenacity", "syllable-sdk", "httpx", "pydantic")
UNITS = {"cpu": "CPU", "wall": "time", "peak": "RSS", "grown": "RSS, + MiB", "requests": "requests"}


def summary(job: Job, samples: Mapping[str, Sequence[Sample]]) -> dict[str, Any]:
    """One row: medians of each contestant, and the ratios that are wanted."""
    figures = {
        name: {figure: spread([sample[figure] for sample in found])[1] for figure in found[0]}
        for name, found in samples.items()
    }
    ratios: list[dict[str, Any]] = []
    for goal in job.goals:
        low, middle, high = spread(goal.ratios(samples))
        ratios.append(
            {
                "of": goal.of,
                "over": goal.over,
                "figure": goal.figure,
                "ratio": middle,
                "quartiles": [low, high],
                "wanted": goal.bound,
                "met": goal.is_met(middle),
            }
        )
    return {"job": job.title, "figures": figures, "ratios": ratios}


def show(row: Mapping[str, Any]) -> None:
    print(row["job"])
    for name, figures in row["figures"].items():
        cpu = f"{figures['cpu'] * 1e6:11,.0f} us of CPU" if "cpu" in figures else ""
        wall = figures["wall"]
        rate = f"{1 / wall:11,.1f} /s" if wall < 1 else f"{wall:11,.2f} s "
        peak = f"{figures['peak'] / MIB:7.0f} MiB RSS" if "peak" in figures else ""
        print(f"    {name:7}{rate}{cpu}{peak}")
    for ratio in row["ratios"]:
        low, high = ratio["quartiles"]
        over = f" / {ratio['over']}" if isinstance(ratio["over"], str) else ""
        print(
            f"    {ratio['of'] + over:15} {UNITS[ratio['figure']]:10} {ratio['ratio']:6.2f}"
            f"  ({low:.2f} to {high:.2f})  wanted {ratio['wanted']:7} {'' if ratio['met'] else 'MISSED'}",
            flush=True,
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only check that every job works")
    parser.add_argument("--growth", action="store_true", help="how cost grows with sessions a page and with tasks")
    parser.add_argument("--only", metavar="TEXT", default="", help="jobs whose title contains it")
    parser.add_argument("--json", metavar="FILE", type=Path)
    parser.add_argument("--plot", metavar="FILE.svg", type=Path, help="needs matplotlib: the extra `bench`")
    asked = parser.parse_args()
    chosen = [job for job in (jobs.growth() if asked.growth else jobs.everything()) if asked.only in job.title]
    # As `pip install` leaves it: a checkout that is compiled at every start would start half as slowly again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    compileall.compile_dir(str(Path(syllable_async.__file__).parent), quiet=1)
    versions = {"Python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    print(", ".join(f"{name} {number}" for name, number in versions.items()))
    rows: list[dict[str, Any]] = []
    with running() as url, Crew() as crew:
        for job in chosen:
            rows.append(summary(job, job.quick().run(url, crew) if asked.quick else job.run(url)))
            if asked.quick:
                print(f"works: {job.title}", flush=True)
            else:
                show(rows[-1])
    if asked.json:
        asked.json.write_text(json.dumps({"versions": versions, "rows": rows}, indent=1))
    if asked.plot:
        from tests.benchmarks.picture import draw

        draw(rows, asked.plot)
    missed = [] if asked.quick else [row["job"] for row in rows if not all(ratio["met"] for ratio in row["ratios"])]
    print(f"missed: {'; '.join(missed)}" if missed else "every job works" if asked.quick else "every goal is met")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
