"""The store that is written to, and a replica of it that is behind."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, Literal

from .store import Store, listed_part

Replica = Literal["sticky", "random"]
"""Which list calls a replica that is behind answers: all of them, or a random half."""


class ReplicatedStore:
    """One store for writes and single sessions; with a lag, a second one for lists, which gets each write later."""

    def __init__(self, make: Callable[[], Store], lag: float, replica: Replica, seed: int, clock: Callable[[], float]):
        self.primary = make()
        self._replica = make() if lag else None
        self._lag = lag
        self._sticky = replica == "sticky"
        self._random = Random(f"{seed}/replica")
        self._clock = clock
        self._writes: deque[tuple[float, Callable[[Store], object]]] = deque()

    def add(self, values: dict[str, Any]) -> str:
        """As `Store.add`."""
        with self.primary.lock:
            session_id = self.primary.add(values)
            shown = listed_part(values)
            self._later(lambda store: store.add(shown))
            return session_id

    def update(self, session_id: str, values: dict[str, Any]) -> None:
        """As `Store.update`."""
        with self.primary.lock:
            self.primary.update(session_id, values)
            shown = listed_part(values)
            self._later(lambda store: store.update(session_id, shown))

    def delete(self, session_id: str) -> None:
        """As `Store.delete`."""
        with self.primary.lock:
            self.primary.delete(session_id)
            self._later(lambda store: store.delete(session_id))

    def _later(self, change: Callable[[Store], object]) -> None:
        if self._replica is not None:
            self._writes.append((self._clock() + self._lag, change))

    def for_list(self) -> Store:
        """The store that answers the next list call."""
        if self._replica is None:
            return self.primary
        with self.primary.lock:
            self._catch_up(self._clock())
            behind = self._sticky or self._random.random() < 0.5
            return self._replica if behind else self.primary

    def catch_up(self) -> None:
        """Let the replica have every write."""
        with self.primary.lock:
            self._catch_up(float("inf"))

    def _catch_up(self, now: float) -> None:
        while self._replica is not None and self._writes and self._writes[0][0] <= now:
            self._writes.popleft()[1](self._replica)
