"""What stands on the command line as words, and what a file and the API say of themselves."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from unittest.mock import Mock

import pytest

from syllable_async import AsyncSyllableClient
from syllable_async.jobs._command import options_of_json, pair, positive, seconds
from syllable_async.jobs._walk import api_now


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (seconds, "90", 90.0),
        (seconds, "1.5m", 90.0),
        (seconds, "6h", 21_600.0),
        (seconds, "2d", 172_800.0),
        (positive, "7", 7),
        (pair, "agent_name=a=b", ("agent_name", "a=b")),
        (options_of_json, '{"anon": true}', {"anon": True}),
    ],
)
def test_words_are_read(parse: Callable[[str], Any], text: str, value: Any) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text"),
    [(seconds, "1w"), (positive, "\u00b2"), (pair, "x"), (options_of_json, "[]")],
)
def test_other_words_are_refused(parse: Callable[[str], Any], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        parse(text)


NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("told", "now"),
    [
        ("Mon, 05 Jan 2026 11:00:00 GMT", NOON.replace(hour=11)),
        ("Mon, 05 Jan 2026 11:00:00 -0000", NOON.replace(hour=11)),  # without a zone: UTC
        ("Mon, 05 Jan 2026 13:00:00 GMT", NOON),
        ("yesterday", NOON),
    ],
)
async def test_the_earlier_of_two_clocks_counts(told: str, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    async def request(*_: object, **__: object) -> Mock:
        return Mock(headers={"date": told})

    async with AsyncSyllableClient("key") as client:
        monkeypatch.setattr(client, "request", request)
        assert await api_now(client, lambda: NOON) == now
