"""Which operation a request means, decided the way Starlette's router decides it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote

from .._data import ListQuery
from .._request_log import Operation

ROOT = "/api/v1/sessions/"
STREAM = "recording/stream"
BY_ID: dict[str, tuple[str, Operation]] = {
    "full-summary": ("GET", "sessions.get_full_summary"),
    "transcript": ("GET", "sessions.get_transcript"),
    "latency": ("GET", "sessions.get_latency"),
    "timeline": ("GET", "sessions.get_timeline"),
    "recording": ("POST", "sessions.generate_recording_urls"),
}


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
    session_id: str = ""
    range: str | None = None
    if_range: str | None = None
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

    def param(self, name: str) -> str | None:
        """The last value of a query parameter: the one that counts."""
        return dict(self.params).get(name)


def parse_request(method: str, target: str, origin: str = "") -> Call:
    """The call behind a method and a request target; `operation` is None where no route fits."""
    call = _unrouted_call(method, target, origin)
    for wanted, operation, session_id in _candidates(call.path):
        if wanted == method:
            call.operation, call.session_id = operation, session_id
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


def _candidates(path: str) -> list[tuple[str, Operation, str]]:
    if not path.startswith(ROOT):
        return []
    rest = path[len(ROOT) :]
    if not rest:
        return [("GET", "sessions.list", "")]
    if "/" not in rest:
        return [("GET", "sessions.get_by_id", rest)]
    prefix, _, session_id = rest.partition("/")
    entry = BY_ID.get(prefix)
    found: list[tuple[str, Operation, str]] = []
    if entry and session_id and "/" not in session_id:
        found.append((*entry, session_id))
    if rest == STREAM:
        found.append(("GET", "sessions.stream_recording", ""))
    return found
