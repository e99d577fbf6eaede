"""The API key: where it comes from, and what it may be."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable
from typing import cast

API_KEY_HEADER = "Syllable-API-Key"
ENV_KEY = "SYLLABLESDK_API_KEY_HEADER"
KeyFunction = Callable[[], str | Awaitable[str]]
KeySource = str | KeyFunction
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


def _key_source(api_key: object) -> KeySource:
    if callable(api_key):
        return cast("KeySource", api_key)
    if api_key is not None:
        return check_api_key(api_key)
    key = os.environ.get(ENV_KEY)
    if not key:
        raise ValueError(f"no API key: give api_key, or set the environment variable {ENV_KEY}")
    return check_api_key(key)
