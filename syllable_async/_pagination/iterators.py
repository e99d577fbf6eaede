"""What all iterators over a list share: one task at a time, an end that stays the end, `async with`."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import Generic, Self, TypeVar

from ..models import Session

T = TypeVar("T")


class ResumableIterator(Generic[T]):
    """What all walks share: one task at a time, `async with`, and an end that stays the end.

    A failed step leaves the walk where it was, so `anext` again goes on. It is a class and no async generator because
    a generator is finished by its first exception, and a caller who retries would get a short list without an error.
    """

    _closed = False
    _busy = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if self._busy:
            raise RuntimeError("two tasks share one iterator; give each a walk of its own, or share a queue")
        if self._closed:
            raise StopAsyncIteration
        self._busy = True
        try:
            return await self._next()
        finally:
            self._busy = False

    async def _next(self) -> T:
        raise NotImplementedError  # pragma: no cover - every kind of walk has its own

    async def aclose(self) -> None:
        """End the walk: what is in flight is cancelled and awaited. Can be called twice."""
        self._closed = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


class SessionIterator(ResumableIterator[Session]):
    """A walk that takes sessions in by the page and hands them out one by one."""

    def __init__(self, max_items: int | None) -> None:
        self._left = max_items
        self._rows: deque[Session] = deque()

    async def __anext__(self) -> Session:
        # Rows at hand need no await, so no other task can come between.
        if self._rows and not self._closed:
            return self._pop_session()
        return await super().__anext__()

    async def _next(self) -> Session:
        while not self._rows:
            if self._left == 0 or not await self._load_page() or self._closed:
                raise StopAsyncIteration
        return self._pop_session()

    def _pop_session(self) -> Session:
        row = self._rows.popleft()
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                self._rows.clear()
        return row

    async def _load_page(self) -> bool:
        """Take the next page in, if there may be one."""
        raise NotImplementedError  # pragma: no cover - every kind of walk has its own
