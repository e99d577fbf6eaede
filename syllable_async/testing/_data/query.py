"""What the store can be asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Bounds = Literal["[)", "[]", "()", "(]"]
"""Whether a date window holds its start and its end: square brackets do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListQuery:
    """What one call of the list asks for."""

    page: int = 0
    limit: int = 25
    search: tuple[tuple[str, Any], ...] = ()
    order_by: str | None = None
    descending: bool = False
    fields: tuple[str, ...] = ()
    start: int | None = None
    """Microseconds since 1970, as `end`."""
    end: int | None = None
    bounds: Bounds = "[)"
    echo_page: int | None = None
    """The page number that the answer claims, where it differs from the page served."""
    echo_limit: int | None = None
