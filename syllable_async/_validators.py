"""Checks of arguments, once: numbers of seconds, datetimes, lists of strings."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

_MAX_SECONDS = 1e9
"""About 31 years: nothing here waits longer, and no timer overflows."""


def non_negative_int(name: str, value: int | None) -> int | None:
    """A whole number from 0 on, or None; a bool is no number here."""
    return _int_from(0, name, value)


def positive_int(name: str, value: int | None) -> int | None:
    """A whole number from 1 on, or None."""
    return _int_from(1, name, value)


def _int_from(low: int, name: str, value: int | None) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if value < low:
        raise ValueError(f"{name} must be at least {low}")
    return int(value)


def non_negative_seconds(name: str, value: float) -> float:
    """A number of seconds from 0 on, below a billion."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    if not 0 <= value < _MAX_SECONDS:
        raise ValueError(f"{name} must be a number of seconds from 0 on, below a billion")
    return float(value)


def positive_seconds(name: str, value: float) -> float:
    """A number of seconds above 0, below a billion."""
    if not non_negative_seconds(name, value):
        raise ValueError(f"{name} must be more than 0 seconds")
    return float(value)


def positive_rate(name: str, value: float) -> float:
    """A number above 0 for each second."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number a second, not {type(value).__name__}")
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} must be a finite number above 0")
    return float(value)


def parse_instant(name: str, value: datetime | str) -> datetime:
    """The moment that a datetime or an ISO 8601 string stands for; `ValueError` where it has no offset."""
    known = _known_instant(value)
    if known is None:
        raise ValueError(f"{name} must be an ISO 8601 time with an offset")
    return known


def _known_instant(value: datetime | str) -> datetime | None:
    if isinstance(value, datetime):
        return value
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return None
    return None if parsed.utcoffset() is None else parsed


def check_datetime(name: str, value: datetime | str | None) -> None:
    """Refuse what is no aware datetime and no str; a str is sent as it is."""
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise ValueError(f"{name} has no time zone; it must be aware, for example datetime.now(UTC)")
        try:
            format_datetime(value)
        except OverflowError:
            raise ValueError(f"{name} is before the year 1 or after 9999 in UTC") from None
    elif value is not None and not isinstance(value, str):
        raise TypeError(f"{name} must be a datetime or an ISO 8601 str, not {type(value).__name__}")


def format_datetime(value: datetime | str) -> str:
    """ISO 8601 with an offset, the one form in which a datetime is sent; a str is sent as it is."""
    if isinstance(value, str):
        return value
    offset = value.utcoffset()
    if offset is not None and offset % timedelta(minutes=1):
        # As zones had before 1900: RFC 3339 knows no seconds in an offset.
        value = value.astimezone(UTC)
    return value.isoformat()


def check_string(name: str, value: str | None) -> str | None:
    """A str, or None."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    return str(value)  # an enum's member becomes the plain string that goes over the wire


def check_strings(name: str, values: Iterable[str] | None) -> tuple[str, ...] | None:
    """Several str as a tuple; None for none. A single str is refused: its letters were not meant."""
    if values is None:
        return None
    if isinstance(values, (str, bytes)):
        raise TypeError(f"{name} must be a list of str, not a single {type(values).__name__}")
    strings = tuple(values)
    for value in strings:
        if not isinstance(value, str):
            raise TypeError(f"{name} must hold str, not {type(value).__name__}")
    return tuple(map(str, strings)) or None
