"""Export days of sessions to Parquet on a Dask cluster: each day is one task, `jobs.export` writes its file.

    python examples/export_on_dask.py 2026-01-05 2026-01-12 s3://bucket/sessions --scheduler tcp://cluster:8786

The last day is not included. Without --scheduler the cluster is two workers inside this program, to try it out; at one
elsewhere the packages must be installed, the key be in each worker's environment, and the target in reach of all.
A day that a killed worker had is done again by another one: its file is replaced in one step, so nothing is doubled.

One process with `python -m syllable_async export` is enough for most APIs: its time goes by in waiting. Take a cluster
for an API that allows thousands of requests a second, or for data that must stay on the cluster's machines.
"""

# Most of dask comes without types.
# mypy: disable-error-code="no-untyped-call"
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from contextlib import ExitStack
from datetime import date, datetime, timedelta
from typing import Any

from _connect import KEY, check_key, fail, make_parser
from distributed import Client, as_completed

from syllable_async import AsyncSyllableClient, SyllableError, jobs
from syllable_async.testing import FakeSyllable

LOCAL: dict[str, Any] = {
    "n_workers": 2,
    "threads_per_worker": 2,
    "processes": False,
    "dashboard_address": None,
    "silence_logs": logging.CRITICAL,  # this program tells what went wrong
}


def utc_day(text: str) -> date:
    """A date such as 2026-01-05, and no week."""
    return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - no time of day is in it


def export_day(day: date, to: str) -> tuple[date, int, bool]:
    """A task. One day's file, by a client of the worker's own: the day, its rows, whether all could be read."""

    async def export() -> tuple[date, int, bool]:
        async with AsyncSyllableClient() as client:
            report = await jobs.export(client, since=day, until=day + timedelta(days=1), to=to)
            return day, report.rows, report.complete

    return asyncio.run(export())


def export(options: argparse.Namespace) -> bool:
    """Hand out the days; whether all could be read."""
    days = [options.since + timedelta(days=number) for number in range((options.until - options.since).days)]
    everything = True
    with ExitStack() as stack:
        if options.demo:
            fake = stack.enter_context(FakeSyllable(5_000))
            os.environ.update({KEY: fake.api_key, "SYLLABLE_BASE_URL": fake.url})
        cluster: Any = stack.enter_context(Client(options.scheduler, **({} if options.scheduler else LOCAL)))
        # Not pure: a day that was exported before is asked for again.
        tasks = cluster.map(export_day, days, to=options.to, pure=False)
        done: Any = as_completed(tasks, with_results=True)
        for _, (day, rows, complete) in done:
            print(f"{day}: {rows:,} sessions{'' if complete else ', and some that could not be read'}", flush=True)
            everything &= complete
    return everything


if __name__ == "__main__":
    parser = make_parser(__doc__)
    parser.add_argument("since", type=utc_day, help="the first day, such as 2026-01-05")
    parser.add_argument("until", type=utc_day, help="the day after the last one")
    parser.add_argument("to", help="a folder, or an address that fsspec knows")
    parser.add_argument("--scheduler", help="address of a cluster")
    arguments = parser.parse_args()
    if arguments.demo and arguments.scheduler:
        parser.error("--demo is for this program's own workers")
    if arguments.since >= arguments.until:
        parser.error("the last day must come after the first one")
    check_key(arguments.demo)
    try:
        sys.exit(0 if export(arguments) else 1)
    except (SyllableError, OSError, ValueError) as error:
        fail(f"Stopped: {error}", 1)
