"""The cattrs converter: every model has its hooks, and a hook that a user registers is honoured.

Where no user's hook is in the way it decodes natively, as `native` does. A property test holds both paths equal.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import Enum
from types import GenericAlias, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin

import attrs
import msgspec
from cattrs import transform_error
from cattrs.cols import list_structure_factory
from cattrs.errors import BaseValidationError, ForbiddenExtraKeysError, StructureHandlerNotFoundError
from cattrs.gen import make_dict_structure_fn
from cattrs.preconf.msgspec import MsgspecJsonConverter, configure_converter

from .native import DECODE_EXCEPTIONS, DecodeFailure, decode_failure, describe, native_decoder

T = TypeVar("T")
_Predicate = Callable[[Any], bool]


class HookAwareConverter(MsgspecJsonConverter):
    """A `MsgspecJsonConverter` that knows which types a user's hooks touch, and decodes the others natively."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._user_hooks: list[_Predicate] = []
        self._loads: dict[Any, Callable[[bytes], Any]] = {}
        super().__init__(*args, **options)
        configure_converter(self)
        self.register_structure_hook_factory(_is_attrs_class, _model_factory)
        self.register_structure_hook_factory(_is_tuple_of, _tuple_factory)
        self.register_structure_hook_factory(_is_optional, _optional_factory)
        for leaf in (str, int, float, bool, datetime, Enum):
            self.register_structure_hook(leaf, _structure_strictly)
        self._user_hooks.clear()  # these hooks mean what msgspec does

    def get_loads_hook(self, cl: type[T]) -> Callable[[bytes], T]:
        """The function that turns JSON bytes into a `cl`; cached until a hook is registered."""
        hook = self._loads.get(cl)
        if hook is None:
            hook = self._cattrs_loader(cl) if self._has_user_hook(cl) else native_decoder(cl)
            self._loads[cl] = hook
        return hook

    def _cattrs_loader(self, cl: type[T]) -> Callable[[bytes], T]:
        def loads(body: bytes) -> T:
            return self.structure(msgspec.json.decode(body), cl)

        return loads

    def _has_user_hook(self, cl: Any) -> bool:
        return any(predicate(part) for part in _types_within(cl) for predicate in self._user_hooks)

    def _note_user_hook(self, predicate: _Predicate) -> None:
        self._user_hooks.append(predicate)
        self._loads.clear()

    def register_structure_hook(self, cl: Any, func: Any = None) -> Any:
        """As in cattrs; replies with a `cl` anywhere in them are structured by cattrs from now on."""
        if func is None:  # a decorator: the type stands in the function's return annotation
            result = super().register_structure_hook(cl)
            self._note_user_hook(lambda _: True)
            return result
        super().register_structure_hook(cl, func)
        return self._note_user_hook(
            lambda part: part == cl or (_is_class(part) and _is_class(cl) and issubclass(part, cl))
        )

    def register_structure_hook_func(self, check_func: _Predicate, func: Any) -> None:
        """As in cattrs; replies with a type that `check_func` accepts are structured by cattrs from now on."""
        super().register_structure_hook_func(check_func, func)
        self._note_user_hook(check_func)

    def register_structure_hook_factory(self, predicate: Any, factory: Any = None) -> Any:
        """As in cattrs; replies with a type that `predicate` accepts are structured by cattrs from now on."""
        self._note_user_hook(predicate)
        return super().register_structure_hook_factory(predicate, factory)

    def copy(self, *args: Any, **options: Any) -> HookAwareConverter:
        """As in cattrs, with the user's hooks."""
        other = super().copy(*args, **options)
        other._user_hooks = list(self._user_hooks)
        return other


def _is_class(value: object) -> bool:
    return isinstance(value, type)


def _types_within(cl: Any, seen: set[Any] | None = None) -> set[Any]:
    """Every type that stands in `cl`: itself, its fields', its arguments'."""
    seen = set() if seen is None else seen
    if cl in seen:
        return seen
    seen.add(cl)
    parts: list[Any] = list(get_args(cl))
    if _is_class(cl) and attrs.has(cl):
        parts += [field.type for field in attrs.fields(attrs.resolve_types(cl))]
    for part in parts:
        if part is not Ellipsis:
            _types_within(part, seen)
    return seen


def _structure_strictly(value: Any, cl: Any) -> Any:
    """Leaves are judged by msgspec on both paths, so that neither is more lenient."""
    return msgspec.convert(value, cl)


def _is_attrs_class(cl: Any) -> bool:
    return _is_class(cl) and attrs.has(cl)


def _is_optional(cl: Any) -> bool:
    return get_origin(cl) in {Union, UnionType} and type(None) in get_args(cl) and len(get_args(cl)) == 2


def _is_tuple_of(cl: Any) -> bool:
    return get_origin(cl) is tuple and get_args(cl)[1:] == (Ellipsis,)


def _model_factory(cl: Any, converter: Any) -> Callable[[Any, Any], Any]:
    fields = make_dict_structure_fn(cl, converter)

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise msgspec.ValidationError(f"Expected `object`, got `{_json_type(value)}`")
        return fields(cast("dict[str, Any]", value), cl)

    return structure


def _tuple_factory(cl: Any, converter: Any) -> Callable[[Any, Any], Any]:
    many: Any = GenericAlias(list, get_args(cl)[:1])
    items = list_structure_factory(many, converter)

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise msgspec.ValidationError(f"Expected `array`, got `{_json_type(value)}`")
        return tuple(items(value, many))

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


def decode_by_converter(body: bytes, cls: type[T], converter: MsgspecJsonConverter) -> T | DecodeFailure:
    """A `cls` from JSON by a user's converter, or why not."""
    try:
        return converter.get_loads_hook(cls)(body)
    except BaseValidationError as error:
        first = transform_error(error, format_exception=lambda part, _: describe(part))[0]
        problem, _, path = first.rpartition(" @ ")
        return DecodeFailure(problem, path)
    except (*DECODE_EXCEPTIONS, ForbiddenExtraKeysError, StructureHandlerNotFoundError) as error:
        return decode_failure(error)
