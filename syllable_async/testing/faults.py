"""Faults that a test scripts: what goes wrong, how often, and with whom it combines.

`server.faults.add("sessions.list", status(503, times=2, retry_after=1.5))` lets the next two list calls fail. The
faults of a route are met one after another, one per request; `times=None` makes a fault stand: it applies to every
request from then on, together with whatever the queue brings. `a & b` is one fault that does both.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

from ._answers import Answer, encode, error, json_answer
from ._query import Bounds, ListQuery
from ._routes import OPERATIONS, Call

__all__ = [
    "Answer",
    "Call",
    "Delivery",
    "Fault",
    "FaultQueue",
    "broken_json",
    "clamp_limit",
    "content_range",
    "content_type",
    "cut",
    "date_bounds",
    "delay",
    "drop",
    "edit_json",
    "etag",
    "expire_tokens",
    "hang_up",
    "ignore_range",
    "null_totals",
    "pass_through",
    "pause",
    "rate_limit",
    "redirect",
    "repeat_page",
    "status",
    "unsatisfiable",
    "weaken_etag",
]


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
    """One thing that goes wrong. The functions of this module make them; your own hooks fit in as well.

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
            when: only calls of which this is true meet them; others pass, and the queue waits.
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


def _seconds(value: float) -> str:
    return f"{value:g}"


def status(
    code: int,
    *,
    times: int | None = 1,
    retry_after: float | str | None = None,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Fault:
    """Answer with a status and FastAPI's `{"detail": …}`, or with a body of your own.

    Args:
        code: the HTTP status.
        times: how many requests meet it; None: all.
        retry_after: value of `Retry-After`; seconds or any text.
        body: bytes as they are, anything else as JSON.
        headers: to add.
    """
    extra = dict(headers or {})
    if retry_after is not None:
        extra["Retry-After"] = retry_after if isinstance(retry_after, str) else _seconds(retry_after)
    answer = _scripted(code, body).with_headers(extra)
    return Fault(name=f"status {code}", times=times, before=(lambda _call: answer,))


def _scripted(code: int, body: Any) -> Answer:
    if body is None:
        return error(code, f"Scripted {code}")
    if isinstance(body, bytes):
        return Answer(code, {"Content-Type": "text/plain"}, body)
    return json_answer(body, code)


def pass_through(*, times: int = 1) -> Fault:
    """Nothing: the next `times` requests are answered as usual, and the queue goes on after them."""
    return Fault(name="pass through", times=times)


def redirect(location: str, code: int = 307, *, times: int | None = 1) -> Fault:
    """Answer with a redirect."""
    answer = Answer(code, {"Location": location}, b"")
    return Fault(name=f"redirect {code}", times=times, before=(lambda _call: answer,))


def rate_limit(requests: int, per: float = 1.0, *, clock: Callable[[], float] = time.monotonic) -> Fault:
    """Standing: more than `requests` in `per` seconds of the clock are answered by 429 with `Retry-After`."""
    arrivals: list[float] = []

    def limit(_call: Call) -> Answer | None:
        now = clock()
        arrivals[:] = [arrival for arrival in arrivals if arrival > now - per]
        if len(arrivals) < requests:
            arrivals.append(now)
            return None
        wait = max(1, math.ceil(arrivals[0] + per - now))
        return error(429, "Rate limit exceeded").with_headers({"Retry-After": str(wait)})

    return Fault(name=f"rate limit {requests} per {_seconds(per)} s", times=None, before=(limit,))


def delay(seconds: float, *, times: int | None = 1) -> Fault:
    """Wait before the head of the answer; `math.inf`: never answer."""
    return Fault(name=f"delay {_seconds(seconds)} s", times=times, delivery=Delivery(delay=seconds))


def pause(at: int, seconds: float, *, times: int | None = 1) -> Fault:
    """Wait in the middle of the body, after `at` bytes; `math.inf`: stall there."""
    return Fault(name=f"pause at byte {at}", times=times, delivery=Delivery(pause_at=at, pause=seconds))


def cut(at: int, *, reset: bool = False, chunked: bool = False, times: int | None = 1) -> Fault:
    """End the connection after `at` bytes of the body, cleanly or by a reset."""
    return Fault(name=f"cut at byte {at}", times=times, delivery=Delivery(cut_at=at, reset=reset, chunked=chunked))


def drop(*, reset: bool = False, times: int | None = 1) -> Fault:
    """End the connection when the request has come, without a byte of an answer."""
    return Fault(name="drop", times=times, delivery=Delivery(drop=True, reset=reset))


def hang_up(*, times: int | None = 1) -> Fault:
    """Answer, then end the connection although the answer left it alive."""
    return Fault(name="hang up", times=times, delivery=Delivery(hang_up=True))


def _asked(name: str, times: int | None, change: Callable[[ListQuery], ListQuery]) -> Fault:
    return Fault(name=name, times=times, query=(change,))


def _answered(name: str, times: int | None, change: Callable[[Answer], Answer]) -> Fault:
    return Fault(name=name, times=times, after=(change,))


def clamp_limit(most: int, *, echo_asked: bool = False, times: int | None = 1) -> Fault:
    """Serve at most so many sessions a page; `page_size` says so, or pretends that all that was asked for came."""

    def clamp(query: ListQuery) -> ListQuery:
        return replace(query, limit=min(query.limit, most), echo_limit=query.limit if echo_asked else None)

    return _asked(f"clamp limit to {most}", times, clamp)


def repeat_page(page: int | None = None, *, times: int | None = 1) -> Fault:
    """Serve this page, or the one before the one that was asked for, under the number that was asked for."""

    def repeat(query: ListQuery) -> ListQuery:
        served = max(0, query.page - 1) if page is None else page
        return replace(query, page=served, echo_page=query.page)

    return _asked("repeat page", times, repeat)


def date_bounds(bounds: Bounds, *, times: int | None = 1) -> Fault:
    """Take the date window as open or closed: `"[)"`, `"[]"`, `"()"` or `"(]"`."""
    return _asked(f"date bounds {bounds}", times, lambda query: replace(query, bounds=bounds))


def edit_json(change: Callable[[Any], Any], *, name: str = "edit JSON", times: int | None = 1) -> Fault:
    """Send what `change` makes of the answer's document."""
    return _answered(name, times, lambda answer: replace(answer, body=encode(change(json.loads(answer.body)))))


def null_totals(*, times: int | None = 1) -> Fault:
    """Leave `total_pages` and `total_count` null."""
    nulls = {"total_pages": None, "total_count": None}
    return edit_json(lambda page: {**page, **nulls}, name="null totals", times=times)


def broken_json(*, times: int | None = 1) -> Fault:
    """Send the first half of the document, in complete framing."""
    return _answered("broken JSON", times, lambda answer: replace(answer, body=answer.body[: len(answer.body) // 2]))


def content_type(value: str, *, times: int | None = 1) -> Fault:
    """Send another `Content-Type`."""
    return _answered(f"content type {value}", times, lambda answer: answer.with_headers({"Content-Type": value}))


def etag(value: str | None, *, times: int | None = 1) -> Fault:
    """Send another ETag, or none. What `If-Range` is compared with stays the real one."""
    name = "no ETag" if value is None else "other ETag"
    return _answered(name, times, lambda answer: answer.with_headers({"ETag": value}))


def weaken_etag(*, times: int | None = 1) -> Fault:
    """Send the ETag as a weak one."""

    def weaken(answer: Answer) -> Answer:
        strong = answer.headers.get("ETag")
        return answer.with_headers({"ETag": f"W/{strong}"}) if strong else answer

    return _answered("weak ETag", times, weaken)


def content_range(value: str | None, *, times: int | None = 1) -> Fault:
    """Send another `Content-Range`, or none; only answers that are partial are changed."""
    return _answered(
        "wrong Content-Range",
        times,
        lambda answer: answer.with_headers({"Content-Range": value}) if answer.status == 206 else answer,
    )


def ignore_range(*, times: int | None = 1) -> Fault:
    """Send the whole recording whatever `Range` says."""

    def forget(call: Call) -> None:
        call.range = None

    return Fault(name="ignore Range", times=times, before=(forget,))


def unsatisfiable(total: int | None = None, *, times: int | None = 1) -> Fault:
    """Answer 416, with `Content-Range: bytes */total` where a total is given."""
    headers = {} if total is None else {"Content-Range": f"bytes */{total}"}
    answer = error(416, "Requested range not satisfiable").with_headers(headers)
    return Fault(name="416", times=times, before=(lambda _call: answer,))


def expire_tokens(*, code: int = 403, times: int | None = 1) -> Fault:
    """Let every token be expired when the request comes, which a stream then answers by `code`."""

    def expire(call: Call) -> None:
        call.expire_tokens(code)

    return Fault(name="expire tokens", times=times, before=(expire,))
