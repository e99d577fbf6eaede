"""Threads for the disk: a few that all recordings of a client share."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")
MAX_THREADS = 8


class DiskThreads:
    """At most `MAX_THREADS` threads, however many recordings are saved at once; none before the first is.

    The event loop's own threads are left alone: a name is resolved there, which must not wait for a disk, and a
    function of the user's that waits there for a recording would keep the thread that the recording needs.
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    def submit(self, work: Callable[..., T], *arguments: Any) -> Future[T]:
        """Run it when a thread is free."""
        if self._pool is None:
            self._pool = futures.ThreadPoolExecutor(MAX_THREADS, "syllable-disk")
        return self._pool.submit(work, *arguments)


class InOrder:
    """What one recording has to do on the disk: one thing after the other, in any of the threads."""

    def __init__(self, threads: DiskThreads) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._running = False

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Run it when all that was submitted before has ended."""
        future: Future[T] = Future()
        with self._lock:
            self._waiting.append((future, work))
            idle, self._running = not self._running, True
        if idle:
            self._threads.submit(self._run_next)
        return future

    def _run_next(self) -> None:
        """Run one, and queue for the next: recordings take turns where there are more of them than threads."""
        future, work = self._waiting.popleft()
        if future.set_running_or_notify_cancel():
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - it is the waiting coroutine's, which raises it
                future.set_exception(error)
            else:
                future.set_result(result)
        with self._lock:
            self._running = more = bool(self._waiting)
        if more:
            self._threads.submit(self._run_next)
