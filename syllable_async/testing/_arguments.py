"""Checks of what a test's author passes: what is wrong is refused where it is written, with its name and the reason."""

from __future__ import annotations

import inspect
import math
from typing import Any, cast


def wrong_type(value: object, place: str, wanted: str) -> TypeError:
    """The error for a value of another type than the one that is wanted."""
    return TypeError(f"{place} must be {wanted}, not {type(value).__name__}")


def text(value: Any, place: str) -> str:
    """A str."""
    if not isinstance(value, str):
        raise wrong_type(value, place, "a str")
    return value


def header(value: Any, place: str) -> str:
    """A str that can stand in a header."""
    if not text(value, place).isprintable():
        raise ValueError(f"{place} must not hold control characters")
    return str(value)


def flag(value: Any, place: str) -> bool:
    """A bool."""
    if not isinstance(value, bool):
        raise wrong_type(value, place, "a bool")
    return value


def integer(value: Any, place: str, least: int | None = None, most: int | None = None) -> int:
    """An int that is no bool, between two bounds."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong_type(value, place, "an int")
    _check_bounds(value, place, least, most)
    return value


def number(value: Any, place: str, least: float | None = None) -> float:
    """An int or a float that is finite."""
    found = seconds(value, place, least)
    if found in {math.inf, -math.inf}:
        raise ValueError(f"{place} must be finite")
    return found


def seconds(value: Any, place: str, least: float | None = 0) -> float:
    """An int or a float that may be infinite."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise wrong_type(value, place, "a number")
    if value != value:  # noqa: PLR0124 - NaN alone differs from itself, and an int may be too large for math.isnan
        raise ValueError(f"{place} must be a number, not NaN")
    _check_bounds(value, place, least, None)
    return value


def items(value: Any, place: str, wanted: str = "a list") -> list[Any]:
    """A list or a tuple."""
    if not isinstance(value, list | tuple):
        raise wrong_type(value, place, wanted)
    return list(cast("list[Any]", value))


def fields(value: Any, place: str) -> dict[Any, Any]:
    """A dict."""
    found: dict[Any, Any] = value
    if not issubclass(
        type(value), dict
    ):  # isinstance would make its fields unknown to pyright, a cast redundant to mypy
        raise wrong_type(value, place, "a dict")
    return found


def one_of(value: Any, place: str, choices: tuple[str, ...]) -> str:
    """A str out of some."""
    if text(value, place) not in choices:
        raise ValueError(f"{place} must be one of {', '.join(map(repr, choices))}, not {value!r}")
    return str(value)


def function(value: Any, place: str) -> None:
    """Something that can be called, and is not awaited."""
    if not callable(value):
        raise wrong_type(value, place, "a function")
    if inspect.iscoroutinefunction(value):
        raise TypeError(f"{place} must be a plain function, not an async one")


def _check_bounds(value: float, place: str, least: float | None, most: float | None) -> None:
    if least == 0 and value < 0:
        raise ValueError(f"{place} must not be negative")
    if least is not None and value < least:
        raise ValueError(f"{place} must be at least {least}")
    if most is not None and value > most:
        raise ValueError(f"{place} must be at most {most}")
