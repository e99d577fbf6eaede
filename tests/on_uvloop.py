"""`pytest -p tests.on_uvloop`: every test on uvloop. It is in no extra: install it beside."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any

uvloop: Any = import_module("uvloop")
asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # pyright: ignore[reportDeprecated] # until Python 3.14
