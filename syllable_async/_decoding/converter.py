"""The cattrs converter: every model has its hooks, and a hook that a user registers is honoured.

cattrs is the meaning. Where no user's hook is in the way, bytes go to msgspec, as `native` does it; a property test
holds both paths equal.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache, partial
from pathlib import Path
from types import GenericAlias, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin
from uuid import UUID

import attrs
import msgspec
from cattrs import transform_error
from cattrs.cols import list_structure_factory
from cattrs.errors import BaseValidationError
from cattrs.preconf.msgspec import MsgspecJsonConverter, configure_converter

from .. import models
from .native import DecodeFailure, decode_failure, describe, native_decoder

T = TypeVar("T")
_Predicate = Callable[[Any], bool]
LEAVES: tuple[Any, ...] = (
    *(str, int, float, bool, bytes),
    *(datetime, date, time, timedelta, Decimal, UUID),
)
"""Types without parts, which msgspec reads."""
OF_CATTRS = (Path, deque, Counter, OrderedDict, defaultdict)
"""Types that cattrs reads, and msgspec does not."""


class HookAwareConverter(MsgspecJsonConverter):
    """A `MsgspecJsonConverter` that knows which types a user's hooks touch, and decodes the others natively."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._user_hooks: list[_Predicate] = []
        self._hooked_classes: set[type] = set()
        self._loads: dict[Any, Callable[[bytes], Any]] = {}
        self.readers: dict[Any, Any] = {}
        """What `decode` has bound to a type, once; until a hook is registered."""
        super().__init__(*args, **options)
        configure_converter(self)
        super().register_structure_hook(msgspec.Struct, partial(_structure_struct, self))
        self.register_structure_hook_factory(_is_attrs_class, _model_factory)
        self.register_structure_hook_factory(_is_array, _array_factory)
        self.register_structure_hook_factory(_is_optional, _optional_factory)
        for leaf in LEAVES:
            self.register_structure_hook(leaf, _structure_strictly)
        self.register_structure_hook(Enum, _structure_enum)
        # These hooks mean what msgspec does. An option such as `forbid_extra_keys` is cattrs' own, for every class.
        self._user_hooks.clear()
        self._hooked_classes.clear()
        if self._has_options():
            self._user_hooks.append(_is_class)

    def _has_options(self) -> bool:
        given = (
            self.forbid_extra_keys,
            getattr(self, "use_alias", False),
            self.omit_if_default,
            self._prefer_attrib_converters,
        )
        return any(given) or bool(self.type_overrides)

    def get_loads_hook(self, cl: type[T]) -> Callable[[bytes], T]:
        """The function that turns JSON bytes into a `cl`; cached until a hook is registered."""
        hook = self._loads.get(cl)
        if hook is None:
            hook = native_decoder(cl) if self.is_native(cl) else self._cattrs_loader(cl)
            self._loads[cl] = hook
        return hook

    def _cattrs_loader(self, cl: type[T]) -> Callable[[bytes], T]:
        def loads(body: bytes) -> T:
            return self.structure(msgspec.json.decode(body), cl)

        return loads

    def structure_json(self, value: Any, cl: type[T]) -> T:
        """A `cl` from decoded JSON, by the path that `get_loads_hook` takes for it."""
        return msgspec.convert(value, cl) if self.is_native(cl) else self.structure(value, cl)

    def is_native(self, cl: Any) -> bool:
        """Whether `get_loads_hook` hands the bytes of a `cl` to msgspec."""
        return not self._has_user_hook(cl) and (_is_read_alike(cl) or not self._has_cattrs_hook(cl))

    def is_users(self, cl: Any) -> bool:
        """Whether a user's hook is registered for just this type."""
        return any(_accepts(predicate, cl) for predicate in self._user_hooks if predicate is not _is_class)

    def _has_user_hook(self, cl: Any) -> bool:
        return bool(self._user_hooks) and any(
            _accepts(predicate, part) for part in _types_within(cl) for predicate in self._user_hooks
        )

    def _has_cattrs_hook(self, cl: Any) -> bool:
        try:
            self.get_structure_hook(cl)
        except Exception:  # noqa: BLE001 - msgspec says why
            return False
        return True

    def _note_user_hook(self, predicate: _Predicate) -> None:
        self._user_hooks.append(predicate)
        self._loads.clear()
        self.readers.clear()

    def register_structure_hook(self, cl: Any, func: Any = None) -> Any:
        """As in cattrs; responses with a `cl` anywhere in them are structured by cattrs from now on."""
        if func is None:  # a decorator: the type stands in the function's return annotation
            result = super().register_structure_hook(cl)
            self._note_user_hook(lambda _: True)
            return result
        if not _may_have_subclasses(cl):
            # Unions and generics as well: cattrs' own registries for them would be asked after our factories.
            return self.register_structure_hook_func(lambda part: part == cl, func)
        super().register_structure_hook(cl, func)
        if cl is int and bool not in self._hooked_classes:
            # A bool is an int for cattrs, which has no hook of its own for it.
            super().register_structure_hook(bool, func)
        self._hooked_classes.add(cl)
        return self._note_user_hook(lambda part: part == cl or (_is_class(part) and issubclass(part, cl)))

    def register_structure_hook_func(self, check_func: _Predicate, func: Any) -> None:
        """As in cattrs; responses with a type that `check_func` accepts are structured by cattrs from now on."""
        super().register_structure_hook_func(check_func, func)
        self._note_user_hook(check_func)

    def register_structure_hook_factory(self, predicate: Any, factory: Any = None) -> Any:
        """As in cattrs; responses with a type that `predicate` accepts are structured by cattrs from now on."""
        self._note_user_hook(predicate)
        return super().register_structure_hook_factory(predicate, factory)

    def copy(self, *args: Any, **options: Any) -> HookAwareConverter:
        """As in cattrs, with the user's hooks and with options for every class."""
        other = super().copy(*args, **options)
        other._hooked_classes |= self._hooked_classes
        other._user_hooks = [*self._user_hooks, *other._user_hooks]
        if not self.is_users(msgspec.Struct):  # this one's would go on asking this one
            MsgspecJsonConverter.register_structure_hook(other, msgspec.Struct, partial(_structure_struct, other))
        return other


def _is_class(value: object) -> bool:
    return isinstance(value, type) and not isinstance(value, GenericAlias)


def _accepts(predicate: _Predicate, cl: Any) -> bool:
    """As cattrs asks: a predicate that fails, such as `issubclass` of what is no class, does not accept."""
    try:
        return bool(predicate(cl))
    except Exception:  # noqa: BLE001 - a predicate of the user's
        return False


def _may_have_subclasses(cl: Any) -> bool:
    try:
        return _is_class(cl) and issubclass(cl, cl)
    except TypeError:  # a TypedDict, or a protocol: cattrs' registry of classes would fail for every other class
        return False


def _types_within(cl: Any, seen: list[Any] | None = None) -> list[Any]:
    """Every type that stands in `cl`: itself, its fields', its arguments', what a `NewType` or a `type` names."""
    seen = [] if seen is None else seen
    if cl in seen or cl is Ellipsis or isinstance(cl, str):
        return seen
    seen.append(cl)
    named = [getattr(cl, name) for name in ("__supertype__", "__value__") if hasattr(cl, name)]
    for part in (*get_args(cl), *_field_types(cl), *named):
        _types_within(part, seen)
    return seen


def _field_types(cl: Any) -> list[Any]:
    origin = get_origin(cl) or cl
    if not isinstance(origin, type):
        return []
    if attrs.has(origin):
        return [field.type for field in attrs.fields(attrs.resolve_types(origin))]
    has_fields = dataclasses.is_dataclass(origin) or issubclass(origin, msgspec.Struct)
    if has_fields or typing.is_typeddict(origin) or hasattr(origin, "_fields"):  # pyright: ignore[reportUnknownArgumentType]
        return [*typing.get_type_hints(origin).values()]  # pyright: ignore[reportUnknownArgumentType]
    return []


@lru_cache(256)
def _is_read_alike(cl: Any) -> bool:
    """Whether msgspec reads a type at all, and as cattrs does; the models of this package are of that kind."""
    if getattr(cl, "__module__", "") == models.__name__:
        return True
    if any(map(_is_for_cattrs, _types_within(cl))):
        return False
    try:
        native_decoder(cl)
    except (TypeError, NotImplementedError):  # a union of classes, an enum of text and numbers, `takes_self`
        return False
    return True


def _is_for_cattrs(part: Any) -> bool:
    origin: Any = get_origin(part) or part
    if not isinstance(origin, type):
        return False
    if attrs.has(origin):
        converts = any(field.converter is not None for field in attrs.fields(origin))
        return converts or _has_own_init(origin, attrs.fields(origin))
    if dataclasses.is_dataclass(origin):
        return _has_own_init(origin, dataclasses.fields(origin))
    return issubclass(origin, OF_CATTRS)


def _has_own_init(cl: Any, fields: Iterable[Any]) -> bool:
    """Whether `__init__` is no generated one that takes every field: msgspec calls none, and sets the fields itself."""
    code = getattr(cl.__init__, "__code__", None)
    generated = code is None or code.co_filename.startswith("<")
    return not generated or not all(field.init for field in fields)


def _structure_strictly(value: Any, cl: Any) -> Any:
    """Leaves are judged by msgspec on both paths, so that neither is more lenient."""
    return msgspec.convert(value, cl)


def _structure_enum(value: Any, cl: Any) -> Any:
    try:
        return msgspec.convert(value, cl)
    except TypeError:  # an enum of text and numbers, which msgspec does not read
        return cl(value)


def _is_attrs_class(cl: Any) -> bool:
    return _is_class(cl) and attrs.has(cl)


def _is_optional(cl: Any) -> bool:
    return get_origin(cl) in {Union, UnionType} and type(None) in get_args(cl) and len(get_args(cl)) == 2


def _is_array(cl: Any) -> bool:
    return get_origin(cl) is list or (get_origin(cl) is tuple and get_args(cl)[1:] == (Ellipsis,))


def _model_factory(cl: Any, converter: Any) -> Callable[[Any, Any], Any]:
    fields = converter.gen_structure_attrs_fromdict(cl)

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise msgspec.ValidationError(f"Expected `object`, got `{_json_type(value)}`")
        return fields(cast("dict[str, Any]", value), cl)

    return structure


def _structure_struct(converter: HookAwareConverter, value: Any, cl: Any) -> Any:
    """A msgspec Struct field by field, so that hooks reach into it."""
    if not isinstance(value, dict):
        raise msgspec.ValidationError(f"Expected `object`, got `{_json_type(value)}`")
    found, fields = cast("dict[str, Any]", value), msgspec.structs.fields(cl)
    missing = [field.encode_name for field in fields if field.required and field.encode_name not in found]
    if missing:
        raise msgspec.ValidationError(f"Object missing required field `{missing[0]}`")
    known = [field for field in fields if field.encode_name in found]
    return cl(**{field.name: converter.structure(found[field.encode_name], field.type) for field in known})


def _array_factory(cl: Any, converter: Any) -> Callable[[Any, Any], Any]:
    make: Any = get_origin(cl)
    many: Any = GenericAlias(list, get_args(cl)[:1])
    items = list_structure_factory(many, converter)

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise msgspec.ValidationError(f"Expected `array`, got `{_json_type(value)}`")
        return make(items(value, many))

    return structure


def _optional_factory(cl: Any, converter: Any) -> Callable[[Any, Any], Any]:
    (some,) = (part for part in get_args(cl) if part is not type(None))
    hook = converter.get_structure_hook(some)
    return lambda value, _: None if value is None else hook(value, some)


def _json_type(value: object) -> str:
    names: dict[Any, str] = {
        dict: "object",
        list: "array",
        str: "str",
        bool: "bool",
        int: "int",
        float: "float",
        type(None): "null",
    }
    return names.get(type(value), type(value).__name__)


def structure_failure(error: BaseException) -> DecodeFailure:
    """What msgspec, cattrs or a hook says of a response, without its values."""
    if isinstance(error, BaseValidationError):
        first = transform_error(error, format_exception=_describe_part)[0]
        problem, _, path = first.rpartition(" @ ")
        return DecodeFailure(problem, re.sub(r"""\[(['"]).*\1\]""", "[...]", path, flags=re.DOTALL))  # keys of dicts
    return decode_failure(error)


def _describe_part(error: BaseException, _: Any) -> str:
    # cattrs' own generated code looks a required field up in the dict; a KeyError from elsewhere may quote a value.
    if isinstance(error, KeyError) and _is_from_cattrs(error):
        return f"Object missing required field `{error.args[0]}`"
    return describe(error)


def _is_from_cattrs(error: KeyError) -> bool:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_filename.startswith("<cattrs generated")
