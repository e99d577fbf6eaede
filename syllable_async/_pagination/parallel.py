"""Requests of several spans in flight side by side, and the cutting of spans that gives each hand something to do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from .iterators import cancel_threadsafe, consume_exception
from .keyset_page import KeysetPage
from .span import Span

Read = Callable[[Span], Awaitable[KeysetPage]]


def split_spans(spans: list[Span], parallel: int) -> list[Span]:
    """The same spans, those with most sessions left cut in two until there are as many as may be read side by side."""
    spans = list(spans)
    while sum(span.step is not None for span in spans) < parallel:
        largest = max(spans, key=lambda span: span.rows_left or 0, default=None)
        right = None if largest is None else largest.split()
        if largest is None or right is None:
            break
        spans.insert(spans.index(largest) + 1, right)
    return spans


def link_spans(spans: list[Span]) -> None:
    """Tell each span that has not begun which one ends where it begins, if there is one."""
    for left, span in zip([None, *spans], spans, strict=False):
        meets = left is not None and left.end == span.floor and span.alive and not span.has_begun
        span.left = left if meets else None


class SpanRequests:
    """One request in flight for each span, `parallel` at most.

    The tasks hold the spans and not the iterator, so a walk that is dropped is collected, and ends them.
    """

    def __init__(self, read: Read, parallel: int) -> None:
        self._read = read
        self._parallel = parallel
        self._tasks: dict[asyncio.Task[KeysetPage], Span] = {}

    def launch(self, spans: Sequence[Span]) -> bool:
        """Send the next request of each span that has no rows; a span with rows counts as one in flight.

        Returns:
            Whether there are requests that leave as soon as the loop runs.
        """
        flying = set(self._tasks.values())
        free = self._parallel - len(flying) - sum(bool(span.rows) for span in spans)
        for span in spans:
            if free > 0 and span.step is not None and not span.rows and span not in flying:
                task = asyncio.create_task(_call(self._read, span))
                task.add_done_callback(consume_exception)
                self._tasks[task] = span
                free -= 1
        return len(self._tasks) > len(flying)

    async def wait(self) -> list[tuple[Span, asyncio.Task[KeysetPage]]]:
        """The requests that ended, at least one of them; empty where none is in flight."""
        if not self._tasks:
            return []
        # Waiting for tasks and not awaiting them: cancelling this step must not cancel them.
        await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        ended = [(span, task) for task, span in self._tasks.items() if task.done()]
        for _, task in ended:
            del self._tasks[task]
        return ended

    async def aclose(self) -> None:
        """Cancel what is in flight and wait until it has ended; of a loop that is gone it is gone too."""
        tasks, loop = list(self._tasks), asyncio.get_running_loop()
        for task in tasks:
            cancel_threadsafe(task)
        here = [task for task in tasks if task.get_loop() is loop]
        if here:
            await asyncio.wait(here)

    def __del__(self) -> None:
        # `async for … break` calls no aclose: what is in flight ends with the iterator.
        for task in self._tasks:
            cancel_threadsafe(task)


async def _call(read: Read, span: Span) -> KeysetPage:
    return await read(span)
