"""Who goes through the matrix: anything that can be asked for an operation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Protocol, Self

import attrs

from tests.fault_matrix.secrets import KEY


@attrs.frozen(kw_only=True)
class Settings:
    """What a cell may ask of the client; the rest is the client's default."""

    key: str | Callable[[], str | Awaitable[str]] = attrs.field(default=KEY, repr=False)
    timeout: float | None = 30.0
    deadline: float | None = 60.0
    on_retry: Callable[[], object] | None = None
    headers: Mapping[str, str] | None = None
    pool: int | None = None
    """Size of a borrowed session's pool; None: the client's own session."""
    session: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    """Options of the borrowed session."""


class Subject(Protocol):
    """A client under test.

    Attributes:
        logs: whether it promises a line for each attempt and each retry.
    """

    logs: bool

    async def ask(self, operation: str, deadline: float | None = None) -> Any:
        """Do the operation; its `Operation.value`."""
        ...

    def judged(self, error: Exception) -> Exception:
        """The error in terms of `syllable_async.errors`."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


MakeSubject = Callable[[str, Settings], Subject]
