"""The export of `export_parquet.py` on a dask cluster: this process cuts the windows, the workers write them.

    python examples/export_on_dask.py 2026-01-05 2026-01-12 sessions-dataset --workers 2 --rate 50

It starts a cluster on this machine, or uses the one at `--scheduler`: there the target must be a place that all workers
reach, the packages be installed and the key stand in the environment of each. Without a key it uses a fake API. If a
worker dies, others write its windows, the finished ones included: each has one file that appears in one step, so
nothing is lost or doubled (`_dataset.py`).

The rate limit holds over all workers: each has one client, and that an equal share of `--rate`, retries included. A
429 with Retry-After pauses all work of the client that met it; a cluster has as many clients as workers.

When it is worth it: seldom. The time goes by in waiting, and one process waits for many requests at once. Measured on
the fake at 50 ms an answer, 20,000 sessions, 2 cores that were shared with it: one process 42 s with 32 requests in
flight and 17 s with 90, two workers with 32 each 42 s, of which 6 s for the cluster to start. A session costs 0.4 ms of
a core, with transcript 1.1 ms: below some 2,000 sessions a second (900 with transcripts), and so for every API that
allows fewer requests, one process with more `--requests` is enough. A cluster is for APIs that allow more, for targets
that take long to write to, and for data that must stay on the machines of the cluster.
"""

# Most of dask comes without types.
# mypy: disable-error-code="no-untyped-call"
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import argparse
import asyncio
import logging
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from typing import Any

import _connect
import _dataset
import _export
from _dataset import Dataset, Job
from _export import SIDE_BY_SIDE, Exporter, connect, prepare
from distributed import Client, LocalCluster, Worker, WorkerPlugin, as_completed, get_worker
from export_parquet import Bar, arguments, positive, run

from syllable_async import TimeWindow


class Exporting(WorkerPlugin):
    """What each worker has for its lifetime: a client, in the worker's own event loop."""

    name = "exporting"

    def __init__(self, target: str, rate: float | None, **settings: Any) -> None:
        self._target = target
        self._rate = rate
        self._settings = settings

    async def setup(self, worker: Worker) -> None:  # noqa: ARG002
        """Called when a worker starts, or starts again."""
        self._stack = AsyncExitStack()
        client = await self._stack.enter_async_context(connect(self._rate))
        self.exporter = Exporter(client, Dataset(self._target), **self._settings)

    async def teardown(self, worker: Worker) -> None:  # noqa: ARG002
        """Called when it ends in peace."""
        await self._stack.aclose()


async def write(window: TimeWindow) -> int:
    """The task: dask awaits it in the worker's event loop, as many at a time as the worker has threads."""
    plugin: Any = get_worker().plugins[Exporting.name]
    rows: int = await plugin.exporter.write(window)
    return rows


async def plan(job: Job, dataset: Dataset, rate: float | None) -> list[TimeWindow]:
    async with connect(rate) as client:
        return await prepare(client, dataset, job)


def export(options: argparse.Namespace, job: Job, dataset: Dataset) -> None:
    """Hand out the windows that are not done yet."""
    windows = asyncio.run(plan(job, dataset, options.rate))
    share = options.rate and options.rate / options.workers
    with ExitStack() as stack:
        address: Any = options.scheduler or stack.enter_context(local_cluster(options.workers))
        cluster: Any = stack.enter_context(Client(address))
        cluster.wait_for_workers(options.workers)
        for module in (_connect, _dataset, _export):  # in the order in which they import each other
            cluster.upload_file(module.__file__)
        settings = {"transcripts": job.transcripts, "requests": options.requests}
        cluster.register_plugin(Exporting(dataset.target, share, **settings))
        bar = stack.enter_context(Bar(dataset, windows))
        tasks = {cluster.submit(write, window, pure=False): window for window in bar.pending}
        done: Any = as_completed(tasks)
        for task in done:
            rows: int = task.result()
            bar.correct(tasks[task], rows)
            bar.add(rows)


def local_cluster(workers: int) -> Any:
    # What matters of the workers' complaints ends this program with a message, and a lost worker is made good.
    settings: dict[str, Any] = {"dashboard_address": None, "silence_logs": logging.CRITICAL}
    return LocalCluster(n_workers=workers, threads_per_worker=SIDE_BY_SIDE, **settings)


if __name__ == "__main__":
    parser = arguments()
    parser.add_argument("--workers", type=positive(int), default=2, help="how many there are (%(default)s)")
    parser.add_argument("--scheduler", help="address of a cluster; default: one on this machine")
    options = parser.parse_args()
    run(options, partial(export, options))
