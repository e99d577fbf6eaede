"""The API key: where it comes from, and what it may be."""

from __future__ import annotations

import hashlib
import os
import re
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from inspect import isawaitable
from typing import NoReturn, TypeVar, cast

import attrs

from ..errors import AuthenticationError

API_KEY_HEADER = "Syllable-API-Key"
ENV_KEY = "SYLLABLESDK_API_KEY_HEADER"
KeyFunction = Callable[[], str | Awaitable[str]]
T = TypeVar("T")
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


@attrs.frozen(eq=False, repr=False)
class ApiKey:
    """The client's API key: a text, or a function of the user's that is asked for each request."""

    source: str | KeyFunction

    def __reduce__(self) -> NoReturn:
        raise TypeError("what holds the API key cannot be pickled: make a client where it is needed")

    @classmethod
    def from_argument(cls, api_key: object) -> ApiKey:
        """The `api_key` of a client; None takes it from the environment."""
        if callable(api_key):
            return cls(cast("KeyFunction", api_key))
        if api_key is not None:
            return cls(check_api_key(api_key))
        key = os.environ.get(ENV_KEY)
        if not key:
            raise ValueError(f"no API key: give api_key, or set the environment variable {ENV_KEY}")
        return cls(check_api_key(key))

    def send(self, exchange: Callable[[str], Awaitable[T]]) -> Awaitable[T]:
        """One exchange; a second one after a 401 if a function gives another key by then."""
        return exchange(self.source) if isinstance(self.source, str) else self._send_with_current(exchange)

    async def _send_with_current(self, exchange: Callable[[str], Awaitable[T]]) -> T:
        key = await self.current()
        outcome = await exchange(key)
        if isinstance(outcome, AuthenticationError):
            refused = hashlib.sha256(key.encode()).digest()
            del key  # the function may fail now, and the frames of its error stay behind with their locals
            newer = await self.current()
            if hashlib.sha256(newer.encode()).digest() != refused:
                outcome = await exchange(newer)
        return outcome

    async def current(self) -> str:
        """The key to send now; `ValueError` or `TypeError` where a function gives none, without showing it."""
        answer = self.source() if callable(self.source) else self.source
        key = await answer if isawaitable(answer) else answer
        problem = api_key_error(key)
        if problem is None:
            return key
        del answer, key  # frames show what a wrong key looks like, too
        raise problem


_LIBRARIES = ("syllable_async", "aiohttp")


def forget_locals(error: BaseException) -> None:
    """Clear the local variables of our own and aiohttp's frames in a traceback: among them are headers with the key.

    File names and lines stay. Frames that still run are left as they are; they are ours, above every use of the key.
    """
    seen = set[int]()
    pending: list[BaseException | None] = [error]
    while pending:
        one = pending.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        pending += [one.__cause__, one.__context__]
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if frame.f_globals.get("__name__", "").partition(".")[0] in _LIBRARIES:
                with suppress(RuntimeError):
                    frame.clear()
