"""What the store can be asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Bounds = Literal["[)", "[]", "()", "(]"]
"""Whether a date window holds its start and its end: square brackets do."""
Resolution = Literal["microseconds", "milliseconds", "seconds"]
"""How fine a moment is shown or compared."""
MICROSECONDS: dict[Resolution, int] = {"microseconds": 1, "milliseconds": 1_000, "seconds": 1_000_000}


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
    tests: bool = True
    """Whether test sessions are shown."""
    listed_by: int | None = None
    """Only what is listed by this moment (microseconds since 1970); None: everything."""
    echo_page: int | None = None
    """The page number that the answer claims, where it differs from the page served."""
    echo_limit: int | None = None
