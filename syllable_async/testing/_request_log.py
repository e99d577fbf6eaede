"""What the fake was asked, and what it answered."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args, overload

from ._arguments import one_of

KEY_HEADER = "Syllable-API-Key"
Operation = Literal[
    "sessions.list",
    "sessions.get_by_id",
    "sessions.get_full_summary",
    "sessions.get_transcript",
    "sessions.get_latency",
    "sessions.get_timeline",
    "sessions.generate_recording_urls",
    "sessions.stream_recording",
    "session_labels.list",
    "session_labels.get_by_id",
    "session_labels.create",
    "session_debug.get_by_sid",
    "session_debug.get_by_session_id",
    "session_debug.get_tool_result",
    "storage.download",
]
"""What a request can mean: the names of our methods, and the download of a signed URL from the storage host."""
OPERATIONS: tuple[Operation, ...] = get_args(Operation)


@dataclass(slots=True, kw_only=True)
class LoggedRequest:
    """One request, logged when its head has arrived. The answer's fields are filled in once it is sent."""

    method: str
    path: str
    """Decoded, without the query."""
    query: list[tuple[str, str]] = field(repr=False)
    """The decoded pairs in the order sent."""
    headers: Mapping[str, str] = field(repr=False)
    """Looked up without regard to case. The API key reads `***`."""
    time: float
    """The fake's clock, in seconds: only differences mean something."""
    operation: Operation | None
    """None where no route fits."""
    key_sent: bool
    """Whether a key came along, right or wrong."""
    body: bytes = field(default=b"", repr=False)
    """Of the request."""
    status: int | None = None
    """None while the answer is under way, and where none was sent."""
    answer_headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    bytes_sent: int = 0
    """Bytes of the answer's body that were handed to the connection."""
    fault: str | None = None
    """The faults that this request met."""

    def param(self, name: str) -> str | None:
        """The last value of a query parameter: the one that a FastAPI server reads."""
        return dict(self.query).get(name)

    def params(self, name: str) -> list[str]:
        """All values of a query parameter."""
        return [value for key, value in self.query if key == name]


class RequestLog(Sequence[LoggedRequest]):
    """The requests in the order of their arrival. Reading it from another thread is safe."""

    def __init__(self, limit: int | None = None) -> None:
        self._entries: deque[LoggedRequest] = deque(maxlen=limit)

    def append(self, entry: LoggedRequest) -> None:
        """Used by the server."""
        self._entries.append(entry)

    def to(self, operation: Operation) -> list[LoggedRequest]:
        """The requests that meant one operation, such as `"sessions.list"`; `ValueError` for a name that is none."""
        one_of(operation, "operation", OPERATIONS)
        return [entry for entry in self._snapshot() if entry.operation == operation]

    def clear(self) -> None:
        """Forget all of them."""
        self._entries.clear()

    def _snapshot(self) -> list[LoggedRequest]:
        return list(self._entries.copy())

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[LoggedRequest]:
        return iter(self._snapshot())

    @overload
    def __getitem__(self, index: int) -> LoggedRequest: ...
    @overload
    def __getitem__(self, index: slice) -> list[LoggedRequest]: ...
    def __getitem__(self, index: int | slice) -> LoggedRequest | list[LoggedRequest]:
        return self._snapshot()[index]

    def __repr__(self) -> str:
        return f"<RequestLog of {len(self)}>"
