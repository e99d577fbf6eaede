"""From a reply's bytes to a model, and back.

cattrs is the meaning: every model has its hooks, and a hook that a user registers is honoured. msgspec is the fast
path, and the only one without a converter of the user's: so cattrs is imported by who asks for one, and nobody else
pays the tenth of the import's time that it takes.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec

from ..errors import ResponseValidationError
from .native import DecodeFailure, decode_natively

if TYPE_CHECKING:
    from cattrs.preconf.msgspec import MsgspecJsonConverter

T = TypeVar("T")
Converter: TypeAlias = "MsgspecJsonConverter | None"


def make_converter() -> MsgspecJsonConverter:
    """A converter for every model, to give to `AsyncSyllableClient(converter=…)`.

    Hooks registered on it are honoured for every reply: decoding leaves the native path for the types that a hook
    touches, and for those only.
    """
    from .converter import HookAwareConverter  # noqa: PLC0415

    return HookAwareConverter(detailed_validation=True)


def check_converter(converter: object) -> Converter:
    """A user's converter, or None: without hooks."""
    if converter is None:
        return None
    from cattrs.preconf.msgspec import MsgspecJsonConverter  # noqa: PLC0415

    if not isinstance(converter, MsgspecJsonConverter):
        raise TypeError("converter must come from make_converter()")
    return converter


def decode(body: bytes, cls: type[T], converter: Converter = None) -> T:
    """The one way from a reply's body to a model.

    Args:
        body: JSON, UTF-8.
        cls: what to expect, a model or any type that msgspec can decode.
        converter: from `make_converter()`.

    Raises:
        ResponseValidationError: with the path and the types, never a value.
    """
    if converter is None:
        result = decode_natively(body, cls)
    else:
        from .converter import decode_by_converter  # noqa: PLC0415

        result = decode_by_converter(body, cls, converter)
    if isinstance(result, DecodeFailure):
        del body  # the frames of an error stay behind, and their locals
        raise ResponseValidationError(getattr(cls, "__name__", str(cls)), result.path, result.problem)
    return result


def to_dict(model: Any) -> dict[str, Any]:
    """A model as a dict: lists for tuples, strings for enums, aware `datetime` objects as they are."""
    result: dict[str, Any] = msgspec.to_builtins(model, builtin_types=(datetime,))
    return result


def to_json(model: Any) -> bytes:
    """A model as JSON, UTF-8; `decode(to_json(model), type(model)) == model`."""
    return msgspec.json.encode(model)
