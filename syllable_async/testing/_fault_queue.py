"""What a fault is made of, and the queue that hands them out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock

from ._api import OPERATIONS, Answer, Call
from ._data import ListQuery


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How an answer goes out. Offsets are bytes of the body, times are seconds; `math.inf` waits for the fake's end."""

    delay: float = 0.0
    """Before the first byte of the head."""
    pause_at: int | None = None
    pause: float = 0.0
    cut_at: int | None = None
    """The connection ends after so many bytes of the body, although the head promised all of it."""
    reset: bool = False
    """End it by a reset and not by a clean close."""
    drop: bool = False
    """End it before the first byte of the head."""
    hang_up: bool = False
    """End it after the whole answer, which did not announce that."""
    chunked: bool = False

    def __and__(self, other: Delivery) -> Delivery:
        plain = Delivery()
        changes = {
            name: getattr(other, name) for name in self.__slots__ if getattr(other, name) != getattr(plain, name)
        }
        return replace(self, **changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong. The functions of `faults` make them; your own hooks fit in as well.

    Attributes:
        name: for the log and for the list of faults that were not met.
        times: how many requests meet it; None: all of them, from now on.
        before: see the call before it is answered and may change it, or answer in the API's place.
        query: change what the list is asked.
        after: change the answer.
        delivery: how the answer goes out.
    """

    name: str
    times: int | None = 1
    before: tuple[Callable[[Call], Answer | None], ...] = ()
    query: tuple[Callable[[ListQuery], ListQuery], ...] = ()
    after: tuple[Callable[[Answer], Answer], ...] = ()
    delivery: Delivery = Delivery()

    def __post_init__(self) -> None:
        if self.times is not None and self.times < 1:
            raise ValueError("times must be at least 1, or None for always")

    def __and__(self, other: Fault) -> Fault:
        """Both at once, for the same number of requests."""
        if self.times != other.times:
            raise ValueError("faults that are joined must have the same times")
        return Fault(
            name=f"{self.name} & {other.name}",
            times=self.times,
            before=self.before + other.before,
            query=self.query + other.query,
            after=self.after + other.after,
            delivery=self.delivery & other.delivery,
        )


@dataclass(slots=True)
class _Scripted:
    route: str
    fault: Fault
    when: Callable[[Call], bool] | None
    met: int = 0

    def takes(self, call: Call) -> bool:
        due = self.fault.times is None or self.met < self.fault.times
        return due and self.route in {"*", call.operation} and (self.when is None or self.when(call))

    def __str__(self) -> str:
        return f"{self.route}: {self.fault.name} (met {self.met} of {self.fault.times or 'at least 1'} times)"


class FaultQueue:
    """The faults of one fake, in the order in which they were added. Safe to use from any thread."""

    def __init__(self) -> None:
        self._scripted: list[_Scripted] = []
        self._lock = Lock()

    def add(self, route: str, *faults: Fault, when: Callable[[Call], bool] | None = None) -> None:
        """Queue faults for an operation, or for `"*"`: every request.

        Args:
            route: our method's name, such as `"sessions.list"`.
            faults: one after another.
            when: only calls of which this is true meet them; others pass them by.
        """
        if route != "*" and route not in OPERATIONS:
            raise ValueError(f"no route is called {route!r}; there are * and {', '.join(OPERATIONS)}")
        with self._lock:
            self._scripted.extend(_Scripted(route, fault, when) for fault in faults)

    def take(self, call: Call) -> Fault | None:
        """The fault that this call meets, standing ones joined to it. Used by the server."""
        if not self._scripted:
            return None
        with self._lock:
            due = [scripted for scripted in self._scripted if scripted.takes(call)]
            standing = [scripted for scripted in due if scripted.fault.times is None]
            queued = [scripted for scripted in due if scripted.fault.times is not None][:1]
            met: Fault | None = None
            for scripted in standing + queued:
                scripted.met += 1
                fault = replace(scripted.fault, times=None)
                met = fault if met is None else met & fault
        return met

    @property
    def pending(self) -> list[str]:
        """What was scripted and has not been met as often as it should, in words."""
        with self._lock:
            return [str(scripted) for scripted in self._scripted if scripted.met < (scripted.fault.times or 1)]

    def assert_all_met(self) -> None:
        """Raise `AssertionError` with the list of faults that were not met."""
        pending = self.pending
        if pending:
            raise AssertionError("faults that were not met:\n  " + "\n  ".join(pending))

    def clear(self) -> None:
        """Forget all faults, met or not."""
        with self._lock:
            self._scripted.clear()
