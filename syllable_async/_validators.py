"""Checks of arguments, once: numbers of seconds, datetimes, lists of strings."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

_MAX_SECONDS = 1e9
"""About 31 years: nothing here waits longer, and no timer overflows."""


class AsyncContextOnly:
    """Refuses `with`, and names what was meant. Type checkers are not told: they see that `with` is missing."""

    __slots__ = ()

    if not TYPE_CHECKING:

        def __enter__(self):
            raise TypeError(f"use `async with`: `with` cannot wait for the {type(self).__name__} to close")

        def __exit__(self, *_):
            raise NotImplementedError  # pragma: no cover - `with` looks for it, and then `__enter__` raises


class AsyncIterationOnly(AsyncContextOnly):
    """Refuses `for` and `await` too, and names what was meant. Type checkers see that both are missing."""

    __slots__ = ()

    if not TYPE_CHECKING:

        def __iter__(self):
            raise TypeError(f"use `async for`: `for` cannot wait for what the {type(self).__name__} gives")

        def __await__(self):
            raise TypeError(f"use `async for`: `await` gives nothing of the {type(self).__name__}")

    @staticmethod
    def _not_the_end() -> RuntimeError:
        """In place of a `StopAsyncIteration` of a user's function, which would look as if everything had come."""
        return RuntimeError("a function that was given to the client raised StopAsyncIteration")


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
        raise ValueError(f"{name} must be a number of seconds, at least 0 and below a billion")
    return float(value)


def positive_seconds(name: str, value: float) -> float:
    """A number of seconds above 0, below a billion."""
    if not non_negative_seconds(name, value):
        raise ValueError(f"{name} must be more than 0 seconds")
    return float(value)


def positive_rate(name: str, value: float) -> float:
    """A number above 0 for each second."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number of requests a second, not {type(value).__name__}")
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} must be a finite number above 0")
    return float(value)


def parse_instant(name: str, value: datetime | str) -> datetime:
    """The instant, in UTC, that a datetime or an ISO 8601 string stands for; `ValueError` where it has no offset."""
    known = known_instant(name, value)
    if known is None:
        raise ValueError(f"{name} must be an ISO 8601 time with an offset")
    return known


def known_instant(name: str, value: datetime | str) -> datetime | None:
    """As `parse_instant`, and None for a string that is no time with an offset."""
    if isinstance(value, datetime):
        return to_utc(name, value)
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return None
    return None if parsed.utcoffset() is None else to_utc(name, parsed)


def to_utc(name: str, value: datetime) -> datetime:
    """A plain datetime in UTC, of whatever subclass and zone the value is.

    Two datetimes of one zone are compared and subtracted by the clock on the wall, which is wrong across a change of
    clocks: so nothing else is ever computed with. A subclass (pandas has one) may do arithmetic in its own way.
    """
    if value.tzinfo is UTC and type(value) is datetime:
        return value
    try:
        offset = value.utcoffset()
    except (TypeError, ValueError):  # pandas.NaT
        offset = None
    if not isinstance(offset, timedelta):
        raise ValueError(f"{name} has no time zone; it must be aware, for example datetime.now(UTC)")  # noqa: TRY004 - it is the value that lacks a zone
    wall = datetime(
        value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond, tzinfo=UTC
    )
    try:
        return wall - offset
    except OverflowError:
        raise ValueError(f"{name} is before the year 1 or after 9999 in UTC") from None


def check_datetime(name: str, value: datetime | str | None) -> datetime | str | None:
    """An aware datetime in UTC; a str stays as it is, and is sent so."""
    if value is None:
        return None
    if isinstance(value, str):
        return check_text(name, value)
    if isinstance(value, datetime):
        return to_utc(name, value)
    raise TypeError(f"{name} must be a datetime or an ISO 8601 str, not {type(value).__name__}")


def format_datetime(value: datetime | str) -> str:
    """ISO 8601 in UTC, the one form in which a datetime is sent; a naive one and a str are sent as they are."""
    if isinstance(value, str):
        return value
    return (to_utc("a datetime", value) if value.tzinfo is not None else value).isoformat()


def check_text(name: str, value: object) -> str:
    """Refuse what is no text, or text that UTF-8 cannot carry; the value is not shown."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        raise ValueError(f"{name} must not hold lone surrogates")
    return str(value)  # an enum's member becomes the plain string that goes over the wire


def check_string(name: str, value: str | None) -> str | None:
    """A str, or None."""
    return None if value is None else check_text(name, value)


def check_strings(name: str, values: Iterable[str] | None) -> tuple[str, ...] | None:
    """Several str as a tuple; None for none. A single str is refused: its letters were not meant."""
    if values is None:
        return None
    if isinstance(values, (str, bytes)):
        raise TypeError(
            f"{name} must be a list of str, not a single {type(values).__name__}: put it in brackets, [...]"
        )
    return tuple(map(partial(check_text, f"each of {name}"), values)) or None
