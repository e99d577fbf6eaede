"""Export days of sessions to Parquet on a Dask cluster: each day is one task, `jobs.export` writes its file.

    python examples/export_on_dask.py 2026-01-05 2026-01-12 s3://bucket/sessions --scheduler tcp://cluster:8786

The last day is not included. Without --scheduler the cluster is two processes on this machine. Elsewhere the packages
must be installed, the key must stand in each worker's environment, and the target be a place that all of them reach.
A day that a killed worker had is done again by another one: its file is replaced in one step, so nothing is doubled.

One process with `python -m syllable_async export` is enough for most APIs: its time goes by in waiting. Take a cluster
for an API that allows thousands of requests a second, or for data that must stay on the cluster's machines.
"""

# Most of dask comes without types.
# mypy: disable-error-code="no-untyped-call"
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
import logging
import os
import sys
from contextlib import ExitStack
from datetime import date, timedelta
from typing import Any

from _connect import KEY, check_key, fail, make_parser
from distributed import Client, LocalCluster, as_completed

from syllable_async import AsyncSyllableClient, SyllableError, jobs
from syllable_async.testing import FakeSyllable


def export_day(day: date, to: str) -> tuple[date, int, bool]:
    """One day's file, by a client of the worker's own: the day, its rows, whether all could be read."""

    async def export() -> tuple[date, int, bool]:
        async with AsyncSyllableClient() as client:
            report = await jobs.export(client, since=day, until=day + timedelta(days=1), to=to)
            return day, report.rows, report.complete

    return asyncio.run(export())


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("since", type=date.fromisoformat, help="the first day, such as 2026-01-05")
    parser.add_argument("until", type=date.fromisoformat, help="the day after the last one")
    parser.add_argument("to", help="a folder, or an address that fsspec knows")
    parser.add_argument("--scheduler", help="address of a cluster; default: one on this machine")
    options = parser.parse_args()
    check_key(options.demo)
    days = [options.since + timedelta(days=number) for number in range((options.until - options.since).days)]
    if not days:
        parser.error("the last day must lie after the first one")
    everything = True
    with ExitStack() as stack:
        if options.demo:
            fake = stack.enter_context(FakeSyllable(5_000))
            os.environ.update({KEY: fake.api_key, "SYLLABLE_BASE_URL": fake.url})
        # A lost worker is made good: of the workers' complaints only those that end the program matter.
        local: Any = {
            "n_workers": 2,
            "threads_per_worker": 4,
            "dashboard_address": None,
            "silence_logs": logging.CRITICAL,
        }
        cluster: Any = stack.enter_context(Client(options.scheduler or stack.enter_context(LocalCluster(**local))))
        tasks: Any = as_completed(cluster.map(export_day, days, to=options.to, pure=False), with_results=True)
        for _, (day, rows, complete) in tasks:
            print(f"{day}: {rows:,} sessions{'' if complete else ', and some that could not be read'}")
            everything = everything and complete
    return 0 if everything else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (SyllableError, OSError) as error:
        fail(f"Stopped: {error}", 1)
