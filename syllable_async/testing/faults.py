"""Faults that a test scripts: what goes wrong, how often, and with whom it combines.

`server.faults.add("sessions.list", status(503, times=2, retry_after=1.5))` lets the next two list calls fail. The
faults of a route are met one after another, one per request; `times=None` makes a fault stand: it applies to every
request from then on, together with whatever the queue brings. `a & b` is one fault that does both.

Every request: `status`, `redirect`, `rate_limit`, `delay`, `pause`, `cut`, `drop`, `hang_up`, `content_type`,
`edit_json`, `broken_json`; `pass_through` lets some requests by. The list: `clamp_limit`, `repeat_page`, `date_bounds`,
`null_totals`. Recordings: `etag`, `weaken_etag`, `content_range`, `ignore_range`, `unsatisfiable`, `expire_tokens`.
Hooks of your own go into a `Fault`, and a `FaultQueue` takes both.

Routes: `"*"` (every request), `"sessions.list"`, `"sessions.get_by_id"`, `"sessions.get_full_summary"`,
`"sessions.get_transcript"`, `"sessions.get_latency"`, `"sessions.get_timeline"`,
`"sessions.generate_recording_urls"`, `"sessions.stream_recording"`, `"session_labels.list"`,
`"session_labels.get_by_id"`, `"session_labels.create"`, `"session_debug.get_by_sid"`,
`"session_debug.get_by_session_id"`, `"session_debug.get_tool_result"`, `"storage.download"` (signed URLs).

A fault that could not be applied was not met, and `pending` says why. Wrong arguments raise `TypeError` or
`ValueError`.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, get_args

from ._api import Answer, Call, error, json_answer
from ._arguments import function, header, integer, number, one_of, wrong_type
from ._arguments import seconds as check_seconds
from ._data import Bounds, ListQuery
from ._fault_queue import Delivery, Fault, FaultQueue, NotApplied, Route
from ._json import encode

__all__ = [
    "Answer",
    "Call",
    "Delivery",
    "Fault",
    "FaultQueue",
    "NotApplied",
    "Route",
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
    integer(code, "code", least=200, most=599)
    if headers is not None and not isinstance(headers, Mapping):
        raise wrong_type(headers, "headers", "a mapping of names to values")
    extra = {
        header(name, "a header's name"): header(value, f"header {name}") for name, value in (headers or {}).items()
    }
    if retry_after is not None:
        if not isinstance(retry_after, str):
            check_seconds(retry_after, "retry_after", least=None)
            retry_after = _seconds(retry_after)
        extra["Retry-After"] = header(retry_after, "retry_after")
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
    integer(code, "code", least=300, most=399)
    answer = Answer(code, {"Location": header(location, "location")}, b"")
    return Fault(name=f"redirect {code}", times=times, before=(lambda _call: answer,))


def rate_limit(requests: int, per: float = 1.0, *, clock: Callable[[], float] = time.monotonic) -> Fault:
    """Standing: more than `requests` in `per` seconds of the clock are answered by 429 with `Retry-After`."""
    integer(requests, "requests", least=1)
    if number(per, "per", least=0) == 0:
        raise ValueError("per must be more than 0 seconds")
    function(clock, "clock")
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
    check_seconds(seconds, "seconds")
    return Fault(name=f"delay {_seconds(seconds)} s", times=times, delivery=Delivery(delay=seconds))


def pause(at: int, seconds: float, *, times: int | None = 1) -> Fault:
    """Wait in the middle of the body, after `at` bytes; `math.inf`: stall there."""
    integer(at, "at", least=0)
    check_seconds(seconds, "seconds")
    return Fault(name=f"pause at byte {at}", times=times, delivery=Delivery(pause_at=at, pause=seconds))


def cut(at: int, *, reset: bool = False, chunked: bool = False, times: int | None = 1) -> Fault:
    """End the connection after `at` bytes of the body, cleanly or by a reset."""
    integer(at, "at", least=0)
    return Fault(name=f"cut at byte {at}", times=times, delivery=Delivery(cut_at=at, reset=reset, chunked=chunked))


def drop(*, reset: bool = False, times: int | None = 1) -> Fault:
    """End the connection when the request has come, without a byte of an answer."""
    return Fault(name="drop", times=times, delivery=Delivery(drop=True, reset=reset))


def hang_up(*, times: int | None = 1) -> Fault:
    """Answer, then end the connection although the answer left it alive."""
    return Fault(name="hang up", times=times, delivery=Delivery(hang_up=True))


def _query_fault(name: str, times: int | None, change: Callable[[ListQuery], ListQuery]) -> Fault:
    return Fault(name=name, times=times, query=(change,))


def _response_fault(name: str, times: int | None, change: Callable[[Answer], Answer]) -> Fault:
    return Fault(name=name, times=times, after=(change,))


def clamp_limit(most: int, *, echo_asked: bool = False, times: int | None = 1) -> Fault:
    """Serve at most so many sessions a page; `page_size` says so, or pretends that all that was asked for came."""
    integer(most, "most", least=0)

    def clamp(query: ListQuery) -> ListQuery:
        if query.limit <= most:
            return query
        return replace(query, limit=most, echo_limit=query.limit if echo_asked else None)

    return _query_fault(f"clamp limit to {most}", times, clamp)


def repeat_page(page: int | None = None, *, times: int | None = 1) -> Fault:
    """Serve this page, or the one before the one that was asked for, under the number that was asked for."""
    if page is not None:
        integer(page, "page", least=0)

    def repeat(query: ListQuery) -> ListQuery:
        served = max(0, query.page - 1) if page is None else page
        if served == query.page:
            return query
        return replace(query, page=served, echo_page=query.page)

    return _query_fault("repeat page", times, repeat)


def date_bounds(bounds: Bounds, *, times: int | None = 1) -> Fault:
    """Take the date window as open or closed: `"[)"`, `"[]"`, `"()"` or `"(]"`."""
    one_of(bounds, "bounds", get_args(Bounds))
    return _query_fault(f"date bounds {bounds}", times, lambda query: replace(query, bounds=bounds))


def edit_json(change: Callable[[Any], Any], *, name: str = "edit JSON", times: int | None = 1) -> Fault:
    """Send what `change` makes of the answer's document. One that raises is not met: the answer goes out unchanged."""
    function(change, "change")
    return _response_fault(name, times, lambda answer: replace(answer, body=encode(change(json.loads(answer.body)))))


def null_totals(*, times: int | None = 1) -> Fault:
    """Leave `total_pages` and `total_count` null."""
    nulls = {"total_pages": None, "total_count": None}
    return edit_json(lambda page: {**page, **nulls}, name="null totals", times=times)


def broken_json(*, times: int | None = 1) -> Fault:
    """Send the first half of the document, in complete framing."""
    return _response_fault(
        "broken JSON", times, lambda answer: replace(answer, body=answer.body[: len(answer.body) // 2])
    )


def content_type(value: str, *, times: int | None = 1) -> Fault:
    """Send another `Content-Type`."""
    header(value, "value")
    return _response_fault(f"content type {value}", times, lambda answer: answer.with_headers({"Content-Type": value}))


def etag(value: str | None, *, times: int | None = 1) -> Fault:
    """Send another ETag, or none. What `If-Range` is compared with stays the real one."""
    name = "no ETag" if value is None else "other ETag"
    if value is not None:
        header(value, "value")
    return _response_fault(name, times, lambda answer: answer.with_headers({"ETag": value}))


def weaken_etag(*, times: int | None = 1) -> Fault:
    """Send the ETag as a weak one."""

    def weaken(answer: Answer) -> Answer:
        strong = answer.headers.get("ETag")
        return answer.with_headers({"ETag": f"W/{strong}"}) if strong else answer

    return _response_fault("weak ETag", times, weaken)


def content_range(value: str | None, *, times: int | None = 1) -> Fault:
    """Send another `Content-Range`, or none; only answers that are partial are changed."""
    if value is not None:
        header(value, "value")
    return _response_fault(
        "wrong Content-Range",
        times,
        lambda answer: answer.with_headers({"Content-Range": value}) if answer.status == 206 else answer,
    )


def ignore_range(*, times: int | None = 1) -> Fault:
    """Send the whole recording whatever `Range` says."""

    def forget(call: Call) -> None:
        if call.range is None:
            raise NotApplied("the request has no Range")
        call.range = None

    return Fault(name="ignore Range", times=times, before=(forget,))


def unsatisfiable(total: int | None = None, *, times: int | None = 1) -> Fault:
    """Answer 416, with `Content-Range: bytes */total` where a total is given."""
    if total is not None:
        integer(total, "total", least=0)
    headers = {} if total is None else {"Content-Range": f"bytes */{total}"}
    answer = error(416, "Requested range not satisfiable").with_headers(headers)
    return Fault(name="416", times=times, before=(lambda _call: answer,))


def expire_tokens(*, code: int = 403, times: int | None = 1) -> Fault:
    """Let every token be expired when the request comes, which a stream then answers by `code`."""
    integer(code, "code", least=400, most=599)

    def expire(call: Call) -> None:
        call.expire_tokens(code)

    return Fault(name="expire tokens", times=times, before=(expire,))
