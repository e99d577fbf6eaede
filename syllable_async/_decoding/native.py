"""From JSON straight into the attrs classes, by msgspec alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar, cast

import msgspec

T = TypeVar("T")
_VALUE = re.compile(r"""\s*(['"]).*\1|(?<=value) -?\d\S*|(?<=unknown field) `.*`(?= - at|$)""", re.DOTALL)
"""What msgspec's messages quote of a response: text, a number, the name of a field."""


class DecodeFailure(NamedTuple):
    """What is wrong with a reply, and where. A value and no exception: a cause or context may quote the reply."""

    problem: str
    path: str


def native_decoder(cls: type[T]) -> Callable[[bytes], T]:
    """The function that turns JSON bytes into a `cls`."""
    decoder: Callable[[bytes], T] = _decoder(cast("Hashable", cls))
    return decoder


@lru_cache(256)
def _decoder(cls: Any) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(cls).decode


def decode_failure(error: BaseException) -> DecodeFailure:
    """What msgspec, or a hook, says of a reply."""
    problem, _, path = describe(error).partition(" - at `")
    return DecodeFailure(problem, path.rstrip("`") or "$")


def describe(error: BaseException) -> str:
    """What msgspec says, without the values that it names; of a hook's or a validator's error only the class."""
    if not isinstance(error, msgspec.MsgspecError):
        return type(error).__name__
    if error.__cause__ is not None:  # msgspec repeats the words of a validator or of `__post_init__`, and adds the path
        said, words = str(error), str(error.__cause__)
        return type(error.__cause__).__name__ + (said.removeprefix(words) if said.startswith(words) else "")
    return _VALUE.sub("", str(error))
