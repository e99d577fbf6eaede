"""UTC days: the span of a job, rounded outward to whole days."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, TypeAlias

import attrs
import msgspec

Aware: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time that a file holds; without its zone the file is damaged."""
DAY = timedelta(days=1)
EARLIEST = date(2000, 1, 1)
"""No session is older; a span from the year 202 is a slip of the keyboard."""


@attrs.frozen
class Span:
    """Whole UTC days, from `since` to `until`, which is not included."""

    since: date
    until: date

    def __str__(self) -> str:
        return f"{self.since}/{self.until}"

    def days(self) -> list[date]:
        """The days, oldest first."""
        return [self.since + timedelta(days=number) for number in range((self.until - self.since).days)]


def span_of(since: date, until: date | None, now: datetime) -> Span:
    """The days that hold the span, cut at the end of the day of `now`.

    Raises:
        ValueError: a datetime without a time zone, an end that is not after its start, or a start in the future.
        TypeError: no date and no datetime.
    """
    start = _instant("since", since)
    end = now if until is None else _instant("until", until)
    if start >= now:
        raise ValueError(f"since {since} lies in the future")
    if start >= end:
        raise ValueError(f"since {since} is not before until {until}")
    if start.date() < EARLIEST:
        raise ValueError(f"since {since} has no meaning: there are no sessions before {EARLIEST}")
    last = min(end, now)
    whole = last.time() == time.min
    return Span(start.date(), last.date() if whole else last.date() + DAY)


def last_days(count: int, now: datetime) -> date:
    """The first of the last `count` UTC days, today included."""
    if isinstance(count, bool) or not isinstance(count, int):
        raise TypeError(f"last must be an int, not {type(count).__name__}")
    most = (now.date() - EARLIEST).days
    if not 1 <= count <= most:
        raise ValueError(f"last must be between 1 and {most} days, not {count}")
    return now.date() - (count - 1) * DAY


def bounds(day: date) -> tuple[datetime, datetime]:
    """Where a UTC day begins and ends."""
    start = datetime.combine(day, time.min, UTC)
    return start, start + DAY


def _instant(name: str, value: date) -> datetime:
    """A date is the beginning of its UTC day."""
    if not isinstance(value, date):
        raise TypeError(f"{name} must be a date or an aware datetime, not {type(value).__name__}")
    if not isinstance(value, datetime):
        return bounds(value)[0]
    if value.utcoffset() is None:
        raise ValueError(f"{name} {value} has no time zone: add its offset, such as +00:00")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{name} {value} has no meaning in UTC") from None
