"""A second, lenient reading of a response that did not fit: the forms that drifting servers were seen to write.

The vendor's client (pydantic) reads them, so ours does, with the same value, where the meaning is plain. JSON is
repaired into the strict form here, guided by the type that is expected; what is repaired is then judged like any other
JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import NoneType, UnionType
from typing import Any, NamedTuple, Union, cast, get_args, get_origin

import attrs
import msgspec

IsKept = Callable[[Any], bool]
"""Whether a type belongs to a user's hook, which is handed the JSON as it came."""
_SEPARATOR = re.compile(r"(?<=\d)_(?=\d)", re.ASCII)
_INTEGER = re.compile(r"\s*([+-]?\d+)(?:\.0*)?\s*", re.ASCII)
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*", re.ASCII)
_TRUE = frozenset({"1", "on", "t", "true", "y", "yes"})
_FALSE = frozenset({"0", "off", "f", "false", "n", "no"})
_MOMENT = re.compile(
    r"\s*(\d{4}-\d\d-\d\d)"
    r"(?:[Tt_ ](\d\d:\d\d)(?::(\d\d)(?:[.,](\d+))?)?\s*([Zz]|[+\-\u2212]\d\d:?\d\d|[+\-\u2212]\d\d)?)?\s*",
    re.ASCII,
)
_MILLISECONDS_FROM = 2e10
"""Epoch numbers from here on are milliseconds, as in pydantic: seconds would be after the year 2600."""


class Change(NamedTuple):
    """One value that was repaired: where, what it was and what was expected; never the value."""

    path: str
    found: str
    expected: str


def repair(value: Any, cls: Any, is_kept: IsKept) -> tuple[Any, list[Change]]:
    """JSON as near to `cls` as its meaning allows, and what had to be changed for that."""
    changes: list[Change] = []
    return _Repair(is_kept, changes).value(value, cls, "$"), changes


class _Repair:
    def __init__(self, is_kept: IsKept, changes: list[Change]) -> None:
        self._is_kept = is_kept
        self._changes = changes

    def value(self, value: Any, cls: Any, path: str) -> Any:
        """`value` as a `cls`, or as it is where it has no plain meaning as one."""
        if self._is_kept(cls):
            return value
        if get_origin(cls) in {Union, UnionType}:
            return self._union(value, cls, path)
        if isinstance(cls, type) and attrs.has(cls) and isinstance(value, dict):
            return self._object(cast("dict[str, Any]", value), cls, path)
        if get_origin(cls) in {tuple, list} and isinstance(value, list):
            return [self.value(item, get_args(cls)[0], f"{path}[]") for item in value]  # pyright: ignore[reportUnknownVariableType]
        if get_origin(cls) in {dict, Mapping} and isinstance(value, dict):
            items = cast("dict[str, Any]", value).items()
            return {name: self.value(item, get_args(cls)[1], f"{path}.*") for name, item in items}
        return self._leaf(value, cls, path)

    def _union(self, value: Any, cls: Any, path: str) -> Any:
        """Of `X | None`; what has more parts is left alone, because its meaning is not plain."""
        parts = [part for part in get_args(cls) if part is not NoneType]
        return value if value is None or len(parts) != 1 else self.value(value, parts[0], path)

    def _object(self, value: dict[str, Any], cls: Any, path: str) -> dict[str, Any]:
        fields = {field.name: field for field in attrs.fields(attrs.resolve_types(cls))}
        repaired: dict[str, Any] = {}
        for name, item in value.items():
            field = fields.get(name)
            if field is None:
                repaired[name] = item
            elif item is None and field.default is not attrs.NOTHING and not _takes_none(field.type):
                # null where the document has a default, as the vendor's `transcript_complete: null`: the default.
                self._changes.append(Change(f"{path}.{name}", "null", _name(field.type)))
            else:
                repaired[name] = self.value(item, field.type, f"{path}.{name}")
        return repaired

    def _leaf(self, value: Any, cls: Any, path: str) -> Any:
        read = _READERS.get(cls)
        if read is None or value is None or isinstance(value, dict | list) or _fits(value, cls):
            return value  # pyright: ignore[reportUnknownVariableType]
        repaired = read(value)
        if repaired is None:
            return value
        self._changes.append(Change(path, _json_type(value), _name(cls)))
        return repaired


def _takes_none(cls: Any) -> bool:
    return cls is NoneType or cls is Any or NoneType in get_args(cls)


def _fits(value: Any, cls: Any) -> bool:
    """Whether a value is of the strict form already. A time is looked at in any case: it may be too fine."""
    if cls is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return cls is not datetime and type(value) is cls


def _read_int(value: Any) -> int | None:
    if isinstance(value, str):  # "5", " 5 ", "5.0", "5_000"
        match = _INTEGER.fullmatch(_without_separators(value))
        return int(match[1]) if match is not None and len(match[1]) <= 4300 else None
    if isinstance(value, float):  # 3.0, and neither 3.5 nor 6e31, whose digits nobody meant
        return int(value) if value.is_integer() and abs(value) < 2**63 else None
    return int(value)  # true and false


def _read_float(value: Any) -> float | None:
    if isinstance(value, str):  # "1.5"; not "nan" and "inf", which JSON cannot say
        text = _without_separators(value)
        return float(text) if _NUMBER.fullmatch(text) and abs(float(text)) < float("inf") else None
    return float(value)


def _without_separators(number: str) -> str:
    """Without any white space around it, and without underscores between its digits."""
    return _SEPARATOR.sub("", number.strip())


def _read_bool(value: Any) -> bool | None:
    if isinstance(value, str):
        text = value.lower()
        return True if text in _TRUE else False if text in _FALSE else None
    return bool(value) if value in {0, 1} else None


def _read_datetime(value: Any) -> str | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _from_epoch(value)
    if _is_strict(value):
        return None
    if _NUMBER.fullmatch(value):  # an epoch number as text
        whole = _INTEGER.fullmatch(value)
        return _from_epoch(float(value) if whole is None else int(whole[1]))
    match = _MOMENT.fullmatch(value)
    if match is None:
        return None
    return _from_parts(*match.groups())


def _is_strict(text: str) -> bool:
    """Whether msgspec reads a time as it stands, without rounding it."""
    try:
        msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return False
    return re.search(r"\.\d{7}", text) is None


def _from_epoch(number: float) -> str | None:
    """RFC 3339 of seconds or milliseconds since 1970; whole numbers are reckoned without a float's loss."""
    unit = 1000 if abs(number) > _MILLISECONDS_FROM else 1_000_000
    try:
        microseconds = number * unit if isinstance(number, int) else round(number * unit)
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)).isoformat()
    except (OverflowError, ValueError):
        return None


def _from_parts(
    day: str, minute: str | None, second: str | None, fraction: str | None, offset: str | None
) -> str | None:
    """RFC 3339 of a time that lacks something: no time of day is midnight, no second is 0, digits are cut at six."""
    leap = second == "60"  # RFC 3339 §5.7: the second after :59, which clocks without leap seconds call :00
    text = f"{day}T{minute or '00:00'}:{'59' if leap else second or '00'}"
    text += f".{fraction[:6]}" if fraction else ""
    text += _offset(offset)
    if not leap:
        return text
    try:
        return (datetime.fromisoformat(text) + timedelta(seconds=1)).isoformat()
    except (ValueError, OverflowError):
        return None


def _offset(offset: str | None) -> str:
    if offset is None or offset in {"Z", "z"}:
        return "" if offset is None else "Z"
    digits = offset[1:].replace(":", "").ljust(4, "0")
    sign = "+" if offset[0] == "+" else "-"  # ISO 8601 prefers U+2212 to the hyphen
    return f"{sign}{digits[:2]}:{digits[2:]}"


_READERS: dict[Any, Callable[[Any], Any]] = {
    int: _read_int,
    float: _read_float,
    bool: _read_bool,
    datetime: _read_datetime,
}


def _name(cls: Any) -> str:
    return cls.__name__ if isinstance(cls, type) else str(cls)


_TYPES: dict[type, str] = {str: "str", bool: "bool", int: "int", float: "float"}


def _json_type(value: object) -> str:
    return _TYPES.get(type(value), "object")
