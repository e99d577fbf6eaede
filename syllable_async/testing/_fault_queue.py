"""What a fault is made of, and the queue that hands them out."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock
from types import TracebackType
from typing import Literal, TypeVar

from ._api import Answer, Call
from ._arguments import flag, function, integer, seconds, text, wrong_type
from ._data import ListQuery
from ._request_log import OPERATIONS, Operation

Route = Literal["*"] | Operation
"""Which requests meet a fault: those that mean one operation, or all."""
_T = TypeVar("_T")
_ROUTES = ("*", *OPERATIONS)


class NotApplied(Exception):  # noqa: N818 - it says what happened to the fault, and is never seen outside
    """Raised by a hook of a fault that the request gives nothing to do; the text says why. It counts as not met."""


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

    def __post_init__(self) -> None:
        seconds(self.delay, "delay")
        seconds(self.pause, "pause")
        for name in ("pause_at", "cut_at"):
            if getattr(self, name) is not None:
                integer(getattr(self, name), name, least=0)
        for name in ("reset", "drop", "hang_up", "chunked"):
            flag(getattr(self, name), name)

    def within(self, size: int) -> Delivery:
        """The same for a body of so many bytes: what lies beyond its end is left out."""
        cut_at = None if self.cut_at is None or self.cut_at > size else self.cut_at
        pause_at = None if self.pause_at is None or self.pause_at > size else self.pause_at
        pause = 0.0 if self.pause_at != pause_at else self.pause
        return replace(self, cut_at=cut_at, pause_at=pause_at, pause=pause)

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
        before: see the call before it is answered and may change it, or answer in the API's place; raise
            `faults.NotApplied` where there was nothing to do.
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
        text(self.name, "name")
        if self.times is not None and integer(self.times, "times") < 1:
            raise ValueError("times must be at least 1, or None for always")
        for hooks in (self.before, self.query, self.after):
            if not isinstance(hooks, tuple):
                raise wrong_type(hooks, "before, query and after", "tuples of functions")
            for hook in hooks:
                function(hook, "a hook")
        if not isinstance(self.delivery, Delivery):
            raise wrong_type(self.delivery, "delivery", "a Delivery")

    def __and__(self, other: Fault) -> Fault:
        """Both at once, for the same number of requests."""
        if not isinstance(other, Fault):
            raise wrong_type(other, "what a fault is joined with", "a fault")
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
class _Guard:
    """Runs a function that a test's author wrote.

    One that raises changes nothing: its author reads of it in `pending`, and not the client in a 500.
    """

    why_not: str = ""
    """What kept the fault from being applied."""

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, NotApplied):
            self.why_not = str(error)
        elif isinstance(error, Exception):
            self.why_not = repr(error)
        return isinstance(error, Exception)


@dataclass(slots=True)
class _Scripted:
    route: Route
    fault: Fault
    when: Callable[[Call], bool] | None
    taken: int = 0
    met: int = 0
    why_not: str = ""
    """What kept it from being applied the last time."""

    def takes(self, call: Call) -> bool:
        due = self.fault.times is None or self.taken < self.fault.times
        return due and self.route in {"*", call.operation} and self._is_wanted(call)

    def _is_wanted(self, call: Call) -> bool:
        if self.when is None:
            return True
        guard, wanted = _Guard(), False
        with guard:
            wanted = self.when(call)
        self.why_not = guard.why_not or self.why_not
        return wanted

    def settle(self, why_not: str) -> None:
        self.met += not why_not
        self.why_not = why_not or self.why_not

    def __str__(self) -> str:
        times = self.fault.times or "at least 1"
        why_not = f"; not applied: {self.why_not}" if self.why_not else ""
        return f"{self.route}: {self.fault.name} (met {self.met} of {times} times{why_not})"


class _Part(_Guard):
    """One fault that a request meets, and what is known of it so far."""

    def __init__(self, scripted: _Scripted) -> None:
        super().__init__()
        self.scripted = scripted
        hooks = ("query", scripted.fault.query), ("after", scripted.fault.after)
        self.unused = {kind for kind, functions in hooks if functions}
        """The kinds of its hooks that have had no say yet."""

    @property
    def fault(self) -> Fault:
        return self.scripted.fault

    def change(self, kind: Literal["query", "after"], hook: Callable[[_T], _T], value: _T) -> _T:
        """What a hook makes of a value; the value itself where it fails."""
        self.unused.discard(kind)
        changed = value
        with self:
            changed = hook(value)
        if self.why_not:
            return value
        if not isinstance(changed, type(value)):
            self.why_not = f"it returned a {type(changed).__name__}"
            return value
        if changed == value:
            self.why_not = "it changed nothing"
        return changed


class Turn:
    """The faults that one request meets: standing ones, and the next of the queue."""

    def __init__(self, scripted: Sequence[_Scripted], lock: Lock) -> None:
        self._parts = [_Part(one) for one in scripted]
        self._lock = lock
        self.name: str = " & ".join(part.fault.name for part in self._parts)
        self.delivery: Delivery = Delivery()
        for part in self._parts:
            self.delivery &= part.fault.delivery

    def respond(self, call: Call, respond: Callable[[Call], Answer]) -> Answer:
        """The answer with every fault applied; then each of them was met, or it is known why not."""
        answer, parts = self._before(call)
        if answer is None:
            call.adjust = tuple(partial(part.change, "query", hook) for part in parts for hook in part.fault.query)
            answer = respond(call)
        for part in parts:
            for hook in part.fault.after:
                answer = part.change("after", hook, answer)
        self._settle(len(answer.body))
        return answer

    def _before(self, call: Call) -> tuple[Answer | None, list[_Part]]:
        """An answer in the API's place and the fault that gave it, or None and all of them."""
        for part in self._parts:
            for hook in part.fault.before:
                answer: Answer | None = None
                with part:
                    answer = hook(call)
                if isinstance(answer, Answer):
                    return answer, [part]
                if answer is not None:
                    part.why_not = f"it returned a {type(answer).__name__}"
        return None, self._parts

    def _settle(self, size: int) -> None:
        if not self.delivery.drop:
            self.delivery = self.delivery.within(size)
        with self._lock:
            for part in self._parts:
                part.scripted.settle(_why_not(part, size))


def _why_not(part: _Part, size: int) -> str:
    if part.why_not:
        return part.why_not
    if part.unused:
        return "the request did not get as far"
    delivery = part.fault.delivery
    return "" if delivery == delivery.within(size) else f"the body has only {size} bytes"


class FaultQueue:
    """The faults of one fake, in the order in which they were added. Safe to use from any thread."""

    def __init__(self) -> None:
        self._scripted: list[_Scripted] = []
        self._raised: list[str] = []
        self._lock = Lock()

    def add(self, route: Route, *faults: Fault, when: Callable[[Call], bool] | None = None) -> None:
        """Queue faults for an operation, or for `"*"`: every request.

        The routes: `"*"`, `"sessions.list"`, `"sessions.get_by_id"`, `"sessions.get_full_summary"`,
        `"sessions.get_transcript"`, `"sessions.get_latency"`, `"sessions.get_timeline"`,
        `"sessions.generate_recording_urls"`, `"sessions.stream_recording"`, `"session_labels.list"`,
        `"session_labels.get_by_id"`, `"session_labels.create"`, `"session_debug.get_by_sid"`,
        `"session_debug.get_by_session_id"`, `"session_debug.get_tool_result"`, and `"storage.download"` for the signed
        URLs of `recording_urls="signed"`.

        Args:
            route: our method's name, such as `"sessions.list"`.
            faults: one after another, each made by a function of `syllable_async.testing.faults` or by `Fault`.
            when: only calls of which this is true meet them; others pass them by.

        Raises:
            TypeError: a fault is not a `Fault`, or `when` is not a function.
            ValueError: an unknown route, or no fault.
        """
        if text(route, "route") not in _ROUTES:
            raise ValueError(f"no route is called {route!r}; there are * and {', '.join(OPERATIONS)}")
        if not faults:
            raise ValueError(f"no fault was given for {route}")
        for fault in faults:
            if not isinstance(fault, Fault):
                raise wrong_type(fault, "a fault", "made by a function of syllable_async.testing.faults")
        if when is not None:
            function(when, "when")
        with self._lock:
            self._scripted.extend(_Scripted(route, fault, when) for fault in faults)

    def take(self, call: Call) -> Turn | None:
        """The faults that this call meets. Used by the server."""
        if not self._scripted:
            return None
        with self._lock:
            due = [scripted for scripted in self._scripted if scripted.takes(call)]
            standing = [scripted for scripted in due if scripted.fault.times is None]
            queued = [scripted for scripted in due if scripted.fault.times is not None][:1]
            for scripted in standing + queued:
                scripted.taken += 1
        return Turn(standing + queued, self._lock) if due else None

    @contextmanager
    def watch(self, name: str) -> Generator[None]:
        """Run a function that a test's author gave to the fake: what it raises is `pending`. Used by the server."""
        guard = _Guard()
        with guard:
            yield
        if guard.why_not:
            with self._lock:
                self._raised.append(f"{name} raised {guard.why_not}")

    @property
    def pending(self) -> list[str]:
        """What was scripted and has not been met as often as it should, in words.

        A fault that could not be applied was not met: a cut beyond the body's end, an edit that raises, a change that
        changes nothing. The text then says why, and the request went on as if there were no fault.
        So it does where the fake's own `sleep` or `on_answer` raises.
        """
        with self._lock:
            unmet = [str(scripted) for scripted in self._scripted if scripted.met < (scripted.fault.times or 1)]
            return unmet + self._raised

    def assert_all_met(self) -> None:
        """Raise `AssertionError` with the list of faults that were not met."""
        pending = self.pending
        if pending:
            raise AssertionError("faults that were not met:\n  " + "\n  ".join(pending))

    def clear(self) -> None:
        """Forget all faults, met or not."""
        with self._lock:
            self._scripted.clear()
            self._raised.clear()
