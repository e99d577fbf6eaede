"""Checks of arguments, once: numbers of seconds, datetimes, lists of strings."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs


def at_least(low: int, name: str, value: int | None) -> int | None:
    """A whole number that is not below `low`, or None."""
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if value < low:
        raise ValueError(f"{name} must be at least {low}")
    return int(value)


def seconds(name: str, value: float) -> float:
    """A number of seconds that is finite and not negative."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    if not 0 <= value < 1e9:
        raise ValueError(f"{name} must be a number of seconds, finite and not negative")
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
    if isinstance(value, str):
        return value
    offset = value.utcoffset()
    if offset is not None and offset % timedelta(
        minutes=1
    ):  # as zones had before 1900; RFC 3339 knows no seconds there
        value = value.astimezone(UTC)
    return value.isoformat()


def check_string(name: str, value: str | None) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    return str(value)  # an enum's member becomes the plain string that goes over the wire


def check_strings(name: str, values: Iterable[str] | None) -> tuple[str, ...] | None:
    if values is None:
        return None
    if isinstance(values, (str, bytes)):
        raise TypeError(f"{name} must be a list of str, not a single {type(values).__name__}")
    strings = tuple(values)
    for value in strings:
        if not isinstance(value, str):
            raise TypeError(f"{name} must hold str, not {type(value).__name__}")
    return tuple(map(str, strings)) or None


def _seconds(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not (isinstance(value, int | float) and 0 <= value < float("inf")):
        raise ValueError(f"{attribute.name} must be a number of seconds from 0 on")


def _seconds_or_none(policy: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None:
        _seconds(policy, attribute, value)


def _check_timeout(timeout: float | None) -> float | None:
    if timeout is not None and not (isinstance(timeout, int | float) and 0 < timeout < float("inf")):
        raise ValueError("timeout must be a positive number of seconds, or None")
    return timeout
