"""Which operation a request means, decided the way Starlette's router decides it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote

from .._data import ListQuery
from .._request_log import Operation

ROOT = "/api/v1/sessions/"
STREAM = "recording/stream"
LABELS = "/api/v1/session_labels/"
DEBUG = "/api/v1/session_debug/"
BY_ID: dict[str, tuple[str, Operation]] = {
    "full-summary": ("GET", "sessions.get_full_summary"),
    "transcript": ("GET", "sessions.get_transcript"),
    "latency": ("GET", "sessions.get_latency"),
    "timeline": ("GET", "sessions.get_timeline"),
    "recording": ("POST", "sessions.generate_recording_urls"),
}

DEBUG_BY: dict[str, tuple[Operation, int]] = {
    "sid": ("session_debug.get_by_sid", 2),
    "session_id": ("session_debug.get_by_session_id", 1),
    "tool_result": ("session_debug.get_tool_result", 2),
}
"""The operation behind a prefix, and how many segments follow it."""
_Candidate = tuple[str, Operation, tuple[str, ...]]


@dataclass(slots=True)
class Call:
    """One request as the fake understands it. A fault may change it before it is answered."""

    method: str
    path: str
    """Decoded, without the query."""
    params: list[tuple[str, str]]
    origin: str
    """Scheme, host and port as the client wrote them."""
    operation: Operation | None = None
    segments: tuple[str, ...] = ()
    """What stands in the path where the route has names."""
    range: str | None = None
    if_range: str | None = None
    content_type: str | None = None
    body: bytes = field(default=b"", repr=False)
    key: str | None = field(default=None, repr=False)
    """The API key that came along."""
    target: str = field(default="", repr=False)
    """Path and query, byte for byte as they came."""
    adjust: tuple[Callable[[ListQuery], ListQuery], ...] = ()
    """Changes what the list is asked, once that is read."""
    expire_tokens: Callable[[int], None] = field(default=lambda _: None)
    """Lets every recording token be expired, and be answered by this status."""
    allowed: str | None = None
    """The method that the first route of this path answers."""

    @property
    def session_id(self) -> str:
        """The id in the path of an operation of `sessions`."""
        return self.segments[0] if self.segments else ""

    def param(self, name: str) -> str | None:
        """The last value of a query parameter: the one that counts."""
        return dict(self.params).get(name)


def parse_request(method: str, target: str, origin: str = "") -> Call:
    """The call behind a method and a request target; `operation` is None where no route fits."""
    call = _unrouted_call(method, target, origin)
    for wanted, operation, segments in _candidates(call.path):
        if wanted == method:
            call.operation, call.segments = operation, segments
            break
        call.allowed = call.allowed or wanted
    return call


def parse_storage_request(method: str, target: str, origin: str = "") -> Call:
    """The same for the storage host, where every path is an object."""
    call = _unrouted_call(method, target, origin)
    if method == "GET":
        call.operation = "storage.download"
    else:
        call.allowed = "GET"
    return call


def _unrouted_call(method: str, target: str, origin: str) -> Call:
    path, _, query = target.partition("?")
    params = parse_qsl(query, keep_blank_values=True) if query else []
    return Call(method, unquote(path), params, origin, target=target)


def slash_redirect(path: str) -> str | None:
    """Where a path leads that would fit with the slash at its end added or taken away."""
    other = path.rstrip("/") if path.endswith("/") else f"{path}/"
    return quote(other, safe="/:%@!$&'()*+,;=~") if _candidates(other) else None


def _candidates(path: str) -> list[_Candidate]:
    for root, find in ((ROOT, _of_sessions), (LABELS, _of_labels), (DEBUG, _of_debug)):
        if path.startswith(root):
            return find(path[len(root) :])
    return []


def _of_sessions(rest: str) -> list[_Candidate]:
    if not rest:
        return [("GET", "sessions.list", ())]
    if "/" not in rest:
        return [("GET", "sessions.get_by_id", (rest,))]
    prefix, _, session_id = rest.partition("/")
    entry = BY_ID.get(prefix)
    found: list[_Candidate] = []
    if entry and session_id and "/" not in session_id:
        found.append((*entry, (session_id,)))
    if rest == STREAM:
        found.append(("GET", "sessions.stream_recording", ()))
    return found


def _of_labels(rest: str) -> list[_Candidate]:
    if not rest:
        return [("POST", "session_labels.create", ()), ("GET", "session_labels.list", ())]
    return [] if "/" in rest else [("GET", "session_labels.get_by_id", (rest,))]


def _of_debug(rest: str) -> list[_Candidate]:
    prefix, *segments = rest.split("/")
    operation, count = DEBUG_BY.get(prefix, (None, 0))
    return [("GET", operation, tuple(segments))] if operation and len(segments) == count and all(segments) else []
