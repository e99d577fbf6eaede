"""From a response's bytes to a model, and back.

cattrs is the meaning: every model has its hooks, and a hook that a user registers is honoured. msgspec is the fast
path. A body that does not fit is read once more, leniently; what was repaired is warned of, so that drift is seen.
"""

from __future__ import annotations

import dataclasses
import math
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from inspect import iscoroutinefunction
from itertools import cycle, repeat
from types import GenericAlias
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast, get_args, is_typeddict

import attrs
import msgspec

from .._messages import Page, page_of
from ..errors import ResponseDriftWarning, ResponseValidationError
from ..models import InvalidRow, ListResponse
from .native import DecodeFailure, decode_failure, native_decoder

if TYPE_CHECKING:
    from cattrs.preconf.msgspec import MsgspecJsonConverter

    from .converter import HookAwareConverter
    from .lenient import Change

T = TypeVar("T")
Converter: TypeAlias = "MsgspecJsonConverter"
_FINE_TIME = re.compile(rb"\d:\d\d\.\d{7}").search
"""A time with more digits than microseconds: msgspec would round it, into the next second even."""
_LONG_FRACTION = re.compile(rb"\.\d{7}").search
"""A time or a number; quick, because it begins with a character of its own, and is called by no function of ours."""
_HEAD = 1024
"""Bytes that are searched for such times, a row, once a server is known not to write them: to search a whole page costs
a seventh of its decoding."""
_SEARCHED_WHOLE = 2**22
"""Bytes of responses of one type that are searched whole before that: where a server leaves out the zeros at the end of
a time, only some of its times are too fine."""
_ONE_OF = 32
"""Of so many responses that are no page of a walk one is searched after that: the search costs a fifth of a session's
decoding."""
_warned: set[tuple[str, Change]] = set()
"""What was warned of in this process: once per type and path."""


def make_converter() -> MsgspecJsonConverter:
    """A converter for every model, to give to `AsyncSyllableClient(converter=…)`.

    Hooks registered on it are honoured for every response, wherever plain cattrs would call them: decoding leaves the
    native path for the types that a hook touches, and for those only.
    """
    from .converter import HookAwareConverter  # noqa: PLC0415 - with the first client, not with the package

    return HookAwareConverter(detailed_validation=True)


def check_converter(converter: object) -> Converter:
    """A user's converter, or a new one for None.

    Raises:
        TypeError: it is not from `make_converter()`, nor a copy of one that is: it would judge responses otherwise.
    """
    from .converter import HookAwareConverter  # noqa: PLC0415 - as above

    if converter is None:
        return make_converter()
    if not isinstance(converter, HookAwareConverter):
        raise TypeError("converter must come from make_converter()")
    return converter


def check_invalid_row_hook(on_invalid_row: object) -> None:
    """Refuse what cannot be called with an `InvalidRow`, or would have to be awaited."""
    if not callable(on_invalid_row):
        raise TypeError(f"on_invalid_row must be a function, not {type(on_invalid_row).__name__}")
    call = getattr(on_invalid_row, "__call__", None)  # noqa: B004 - of an object whose `__call__` is async
    if iscoroutinefunction(on_invalid_row) or iscoroutinefunction(call):
        raise TypeError("on_invalid_row must be a plain function: it is called between two rows and not awaited")


def decode(body: bytes, cls: type[T], converter: Converter | None = None) -> T:
    """The one way from a response's body to a model.

    A body that does not fit is read once more, leniently: text of a number, `3.0` for an int, `1` for a bool, dates and
    times in other forms. Then `ResponseDriftWarning` is given, once per type and path.
    Times finer than a microsecond are cut. After 4 MiB of a type without one, one response in 32 is searched for them,
    until one is found.

    Args:
        body: JSON, UTF-8.
        cls: what to expect: a model, or any type that msgspec can decode; with a converter also what cattrs can.
        converter: from `make_converter()`.

    Raises:
        ResponseValidationError: with the path and the types, never a value.
    """
    own: Any = converter
    try:
        known: _Reader = (_native_readers if own is None else own.readers)[cls]
        if next(known.unsearched):
            found: T = known.load(body)
            return found
    except Exception:  # noqa: BLE001, S110 - a new type, or what does not fit: it is read again
        pass
    reader = _reader(cls, converter)
    result: T | DecodeFailure = reader.read(body)
    if isinstance(result, DecodeFailure):
        del body  # the frames of an error stay behind, and their locals
        raise ResponseValidationError(reader.name, result.path, result.problem)
    return result


def decode_page(body: bytes, cls: Any, converter: Converter | None, *, keep_invalid: bool) -> Page[Any, InvalidRow]:
    """A page of a list, and what the wire says of its rows: walks go by that, whatever a user's hook makes of them.

    Args:
        body: JSON, UTF-8.
        cls: the envelope: `items` is a tuple of rows.
        converter: from `make_converter()`.
        keep_invalid: rows that do not fit are given beside the others; else one of them ends it all.

    Raises:
        ResponseValidationError: the envelope does not fit, or a row where it should; or a hook gives other than one
            row for each on the wire.
    """
    reader = _reader(cls, converter)
    result = reader.read(body)
    if isinstance(result, DecodeFailure) and keep_invalid:
        return _read_rows(reader, body, result)
    if isinstance(result, DecodeFailure):
        del body
        raise ResponseValidationError(reader.name, result.path, result.problem)
    if reader.is_native:
        return page_of(result)
    return _hooked_page(reader, result, msgspec.json.decode(body))


def _hooked_page(reader: _Reader, result: Any, envelope: Any, **invalid: Any) -> Page[Any, InvalidRow]:
    """The page of an envelope that a user's hook had its hands in."""
    raw: Any = cast("dict[str, Any]", envelope).get("items") if isinstance(envelope, dict) else None
    rows: Any = getattr(result, "items", None)
    if {type(raw), type(rows)} - {tuple, list} or len(rows) != len(raw):
        raise ResponseValidationError(reader.name, "$.items", "a hook gives other than one row for each")
    counts = _reader(ListResponse, None).reread({**envelope, "items": []})
    page = page_of(result if isinstance(counts, DecodeFailure) else counts, raw=tuple(raw), **invalid)
    return msgspec.structs.replace(page, response=result, rows=tuple(rows), instants=tuple(map(_instant_of, raw)))


def list_response_type(cls: Any, converter: Converter) -> type[ListResponse[Any]]:
    """The envelope of a list whose rows are of `cls`.

    Raises:
        TypeError: `cls` is no model, or one that has no form in JSON.
    """
    if not (_is_model(cls) or cast("HookAwareConverter", converter).is_users(cls)):
        shown: str = getattr(cls, "__name__", type(cls).__name__)
        raise TypeError(
            f"cls must be a model (an attrs class, a dataclass, a TypedDict, a msgspec Struct) or dict, not {shown}"
        )
    envelope = _envelope(cls)
    _reader(envelope, converter)
    return envelope


def _is_model(cls: Any) -> bool:
    if not isinstance(cls, type):
        return False
    plain: Any = cls  # what follows narrows the type to nothing that has a name
    return (
        plain is dict
        or is_typeddict(plain)
        or attrs.has(plain)
        or dataclasses.is_dataclass(plain)
        or issubclass(plain, msgspec.Struct)
    )


@lru_cache(256)
def _envelope(cls: Any) -> type[ListResponse[Any]]:
    """A class and no `ListResponse[cls]`: a lenient reading looks at the fields of classes."""
    namespace = {"__annotations__": {"items": GenericAlias(tuple, (cls, ...))}, "__module__": __name__}
    name = re.sub(r"\W", "_", f"ListResponse{cls.__name__}")  # cattrs makes functions of that name
    return attrs.frozen(type(name, (ListResponse,), namespace), kw_only=True, eq=False, repr=False)


def _instant_of(row: object) -> datetime | None:
    """The timestamp of a row's JSON, None where it cannot be read."""
    stamp = cast("dict[str, Any]", row).get("timestamp") if isinstance(row, dict) else None
    repaired, _ = _repair(stamp, datetime, lambda _: False)
    try:
        moment = msgspec.convert(repaired, datetime)
    except msgspec.ValidationError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _read_rows(reader: _Reader, body: bytes, failure: DecodeFailure) -> Page[Any, InvalidRow]:
    """Row by row, so that one that does not fit costs no other; the first failure where the envelope does not fit."""
    envelope = reader.attempt(msgspec.json.decode, body)
    rows = cast("dict[str, Any]", envelope).get("items") if isinstance(envelope, dict) else None
    response: Any = None
    if isinstance(rows, list):
        response = reader.reread({**cast("dict[str, Any]", envelope), "items": []})
    if response is None or isinstance(response, DecodeFailure):
        del body, envelope, rows
        raise ResponseValidationError(reader.name, failure.path, failure.problem)
    items = {field.name: field.type for field in attrs.fields(attrs.resolve_types(reader.cls))}["items"]
    one = _reader(get_args(items)[0], reader.converter)
    read = [(raw, one.reread(raw)) for raw in cast("list[Any]", rows)]
    good = [(raw, row) for raw, row in read if not isinstance(row, DecodeFailure)]
    bad = [(index, raw, row) for index, (raw, row) in enumerate(read) if isinstance(row, DecodeFailure)]
    page = _hooked_page(
        reader,
        attrs.evolve(response, items=tuple(row for _, row in good)),
        {**cast("dict[str, Any]", envelope), "items": [raw for raw, _ in good]},
        invalid=tuple(InvalidRow(index=n, path=row.path, problem=row.problem, raw=raw) for n, raw, row in bad),
        invalid_instants=tuple(_instant_of(raw) for _, raw, _ in bad),
    )
    return msgspec.structs.replace(page, raw=()) if reader.is_native else page


_native_readers: dict[Any, _Reader] = {}
"""Of types that are read without a converter."""
_READERS = 256
"""That are kept: classes may be made without end."""


def _reader(cls: Any, converter: Any) -> _Reader:
    readers: dict[Any, _Reader] = _native_readers if converter is None else converter.readers
    reader = readers.get(cls)
    if reader is None:
        if len(readers) >= _READERS:
            readers.clear()
        reader = readers[cls] = _Reader(cls, converter, readers)
    return reader


class _Reader:
    """Reads one type: strictly, then leniently. A failure is a value: an error's context would quote the response."""

    __slots__ = (
        *("cls", "converter", "is_native", "load", "name", "unsearched"),
        *("_beside", "_failure", "_search_end", "_search_whole"),
    )

    def __init__(self, cls: Any, converter: Converter | None, beside: dict[Any, _Reader]) -> None:
        self.cls = cls
        self.name: str = getattr(cls, "__name__", str(cls))
        self.converter = cast("HookAwareConverter | None", converter)
        self.is_native = self.converter is None or self.converter.is_native(cls)
        """Whether msgspec reads it: no user's hook is in the way."""
        self.load = native_decoder(cls) if self.converter is None else self.converter.get_loads_hook(cls)
        self._failure = decode_failure
        if self.converter is not None:
            from .converter import structure_failure  # noqa: PLC0415 - loaded with the converter

            self._failure = structure_failure
        self._beside = beside
        self.unsearched: Iterator[bool] = repeat(False)
        """Whether the next response that is no page of a walk goes without a search."""
        self._search_end = sys.maxsize
        self._search_whole: float = _SEARCHED_WHOLE
        """Bytes that are still to be searched whole."""

    def read(self, body: bytes) -> Any:
        """A `cls`, or a `DecodeFailure`."""
        try:
            result = self.load(body)
        except Exception as error:  # noqa: BLE001 - whatever a hook or a validator raises: its words may quote the response
            result = self._failure(error)
        else:
            end = self._search_end
            if _LONG_FRACTION(body, 0, end) is None or _FINE_TIME(body, 0, end) is None:
                if end != _HEAD:
                    self._count_searched(body)
                return result
            for reader in list(self._beside.values()):
                reader.search_always()
        value = self.attempt(msgspec.json.decode, body)
        if isinstance(value, DecodeFailure):
            return result
        again = self._leniently(value)
        return result if again is None else again

    def search_always(self) -> None:
        """Search each response whole from now on: the server writes times that are too fine."""
        self.unsearched, self._search_end, self._search_whole = repeat(False), sys.maxsize, math.inf

    def _count_searched(self, body: bytes) -> None:
        self._search_whole -= len(body)
        if self._search_whole <= 0:
            self._search_end = _HEAD
            if self.is_native:  # a hook would be called twice for what does not fit
                self.unsearched = cycle((True,) * (_ONE_OF - 1) + (False,))

    def reread(self, value: Any) -> Any:
        """A `cls` from decoded JSON, or a `DecodeFailure`; leniently at once, which alone sees a time too fine."""
        again = self._leniently(value)
        return self.attempt(self._structure, value) if again is None else again

    def _leniently(self, value: Any) -> Any:
        """None where there is nothing that a lenient reading could change."""
        repaired, changes = _repair(value, self.cls, self._is_kept)
        if not changes:
            return None
        again = self.attempt(self._structure, repaired)
        if not isinstance(again, DecodeFailure):
            _warn(self.name, changes)
        return again

    def _structure(self, value: Any) -> Any:
        if self.converter is None:
            return msgspec.convert(value, self.cls)
        return self.converter.structure_json(value, self.cls)

    def attempt(self, read: Callable[[Any], Any], source: Any) -> Any:
        """What `read` makes of it, or a `DecodeFailure`."""
        try:
            return read(source)
        except Exception as error:  # noqa: BLE001 - see `read`
            return self._failure(error)

    def _is_kept(self, cls: Any) -> bool:
        return self.converter is not None and self.converter.is_users(cls)


def _repair(value: Any, cls: Any, is_kept: Callable[[Any], bool]) -> tuple[Any, list[Change]]:
    from .lenient import repair  # noqa: PLC0415 - where the API drifts, and not with the package

    return repair(value, cls, is_kept)


def _warn(name: str, changes: list[Change]) -> None:
    for change in dict.fromkeys(changes):
        if (name, change) in _warned:
            continue
        _warned.add((name, change))  # before the warning: a filter may make an error of it
        warnings.warn(
            f"{name}: `{change.found}` in place of `{change.expected}` - at `{change.path}`; it was read all the same",
            ResponseDriftWarning,
            stacklevel=2,
        )


def to_dict(model: Any) -> dict[str, Any]:
    """A model as a dict: lists for tuples, strings for enums, aware `datetime` objects as they are."""
    result: dict[str, Any] = msgspec.to_builtins(model, builtin_types=(datetime,))
    return result


def to_json(model: Any) -> bytes:
    """A model as JSON, UTF-8; `decode(to_json(model), type(model)) == model`."""
    return msgspec.json.encode(model)
