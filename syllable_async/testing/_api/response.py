"""What the fake is about to send, before it is sent: faults change it here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from .._json import encode

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole reply. `Content-Length` follows from the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def with_headers(self, changes: Mapping[str, str | None]) -> Self:
        """The same answer with headers set, or taken away where the value is None. Names must be spelled alike."""
        headers = {**self.headers, **changes}
        return replace(self, headers={name: value for name, value in headers.items() if value is not None})


def json_answer(document: Any, status: int = 200) -> Answer:
    """A JSON reply."""
    return Answer(status, {"Content-Type": JSON}, encode(document))


def error(status: int, detail: Any) -> Answer:
    """FastAPI's shape of an error."""
    return json_answer({"detail": detail}, status)
