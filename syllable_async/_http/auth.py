"""The API key: where it comes from, and what it may be."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import NoReturn, cast

import attrs

API_KEY_HEADER = "Syllable-API-Key"
ENV_KEY = "SYLLABLESDK_API_KEY_HEADER"
KeyFunction = Callable[[], str | Awaitable[str]]
_MAX_KEY = 8 * 2**10
_KEY = re.compile(r"[!-~]+", re.ASCII)


def check_api_key(key: object) -> str:
    """An API key that can stand in a header; errors never show it."""
    problem = api_key_error(key)
    if problem is not None:
        del key
        raise problem
    return cast("str", key)


def api_key_error(key: object) -> ValueError | TypeError | None:
    """What keeps a key from standing in a header, without showing it."""
    if not isinstance(key, str):
        return TypeError(f"the API key must be a str, not {type(key).__name__}")
    if not key:
        return ValueError("the API key is empty")
    if len(key) > _MAX_KEY or not _KEY.fullmatch(key):
        return ValueError("the API key must be at most 8 KiB of printable ASCII without spaces or line ends")
    return None


class Secret:
    """A key on its way to a request's headers: what holds it shows it in no `repr`, traceback or pickle."""

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value: str = value

    def __repr__(self) -> str:
        return "<hidden>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an API key cannot be pickled")


NO_KEY = Secret("")
"""For a foreign origin."""


@attrs.frozen(eq=False, repr=False)
class ApiKey:
    """The client's API key: a text, or a function of the user's that is asked for each request.

    Attributes:
        fixed: the key, where it is no function.
    """

    fixed: Secret | None
    _function: KeyFunction | None = None

    @classmethod
    def from_argument(cls, api_key: object) -> ApiKey:
        """The `api_key` of a client; None takes it from the environment."""
        if callable(api_key):
            return cls(None, cast("KeyFunction", api_key))
        if api_key is not None:
            return cls(Secret(check_api_key(api_key)))
        key = os.environ.get(ENV_KEY)
        if not key:
            raise ValueError(f"no API key: give api_key, or set the environment variable {ENV_KEY}")
        return cls(Secret(check_api_key(key)))

    async def current(self) -> Secret:
        """The key that the function gives now; `ValueError` or `TypeError` where it gives none, without showing it."""
        given = cast("KeyFunction", self._function)()
        key = await given if isawaitable(given) else given
        problem = api_key_error(key)
        if problem is None:
            return Secret(key)
        del given, key  # frames show what a wrong key looks like, too
        raise problem

    def __reduce__(self) -> NoReturn:
        raise TypeError("an API key cannot be pickled")
