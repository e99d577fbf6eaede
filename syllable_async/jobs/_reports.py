"""What a job tells: its progress while it runs, and its report at the end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Literal

import attrs

ExportStatus = Literal["written", "kept", "superseded", "fewer", "failed"]


@attrs.frozen(kw_only=True)
class JobProgress:
    """How far a job is."""

    day: date | None = None
    """The day that was last worked on."""
    days_done: int = 0
    days: int = 0
    """Days of the span in all; 0 for one that does not end."""
    sessions: int = 0
    """Sessions that were written, downloaded or followed in this run."""
    recordings: int = 0
    bytes: int = 0
    """Of recordings."""
    files: int = 0
    """Files that followed sessions were written to."""


Progress = Callable[[JobProgress], object]


@attrs.frozen(kw_only=True)
class DayReport:
    """What became of one day of an export.

    `status`: `"written"`; `"kept"`, it was final already; `"superseded"`, a run that began later has written it;
    `"fewer"`, the API lists less than 90 % of the rows that stand there, which were kept; `"failed"`, see `error`.
    """

    day: date
    status: ExportStatus
    address: str
    rows: int = 0
    """In the file that stands there now."""
    final: bool = False
    problems: int = 0
    """Sessions that could not be read, listed in `_problems/`."""
    error: str | None = None


@attrs.frozen(kw_only=True)
class ExportReport:
    """What an export did, and what stands there now. `since` and `until` (not included) are whole UTC days."""

    origin: str
    since: date
    until: date
    days: tuple[DayReport, ...]

    @property
    def rows(self) -> int:
        """Rows of the span's files."""
        return sum(day.rows for day in self.days)

    @property
    def problems(self) -> int:
        """Sessions, or parts of sessions, that could not be read."""
        return sum(day.problems for day in self.days)

    @property
    def complete(self) -> bool:
        """Whether nothing failed."""
        return not self.problems and all(day.status in {"written", "kept", "superseded"} for day in self.days)


@attrs.frozen(kw_only=True)
class DownloadReport:
    """What a download did, in sessions. `since` and `until` (not included) are whole UTC days."""

    origin: str
    since: date
    until: date
    saved: int = 0
    """At least one recording is new."""
    skipped: int = 0
    """All recordings were there already."""
    none: int = 0
    """There are no recordings."""
    pending: int = 0
    """There are none yet; the next run asks again."""
    failed: int = 0
    """Listed in `recordings/_problems/`."""
    recordings: int = 0
    """Files of the span that are in place."""

    @property
    def sessions(self) -> int:
        """Sessions in all."""
        return self.saved + self.skipped + self.none + self.pending + self.failed

    @property
    def complete(self) -> bool:
        """Whether nothing failed."""
        return not self.failed


@attrs.frozen(kw_only=True)
class FollowReport:
    """What was followed until the end of a walk with `once`."""

    origin: str
    since: datetime
    sessions: int = 0
    files: int = 0
    problems: int = 0
    """Sessions that could not be read; those of a folder are listed in its `_problems/`."""

    @property
    def complete(self) -> bool:
        """Whether every session could be read."""
        return not self.problems
