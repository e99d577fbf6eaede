"""A stand-in until aioresponses knows aiohttp 3.14's responses (pnuckowski/aioresponses#289)."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

from aiohttp import ClientResponse


class MockedResponse(ClientResponse):
    """Give it to each mock as `response_class=`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("stream_writer", Mock(output_size=0))
        super().__init__(*args, **options)
