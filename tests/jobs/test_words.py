"""What stands on the command line as words, and what a file and the API say of themselves."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any
from unittest.mock import Mock

import pytest

from syllable_async import AsyncSyllableClient
from syllable_async.jobs._command import moment, number, options_of_json, pair, positive, seconds, target
from syllable_async.jobs._walk import times

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (seconds, "90", 90.0),
        (seconds, "1.5m", 90.0),
        (seconds, "6h", 21_600.0),
        (seconds, "2d", 172_800.0),
        (target, "s3://bucket/memory://x", "s3://bucket/memory://x"),
        (number, "0.5", 0.5),
        (positive, "7", 7),
        (moment, "2026-01-05", date(2026, 1, 5)),
        (moment, "2026-01-05T12:00Z", NOON),
        (moment, "2026-01-05 13:00:00.0+01:00", NOON),
        (pair, "agent_name=a=b", ("agent_name", "a=b")),
        (options_of_json, '{"anon": true}', {"anon": True}),
    ],
)
def test_words_are_read(parse: Callable[[str], Any], text: str, value: Any) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (target, "simplecache::memory://x"),
        (seconds, "1w"),
        (seconds, "\u0663h"),
        (number, "\u0663"),
        (number, "1_000"),
        (number, "nan"),
        (positive, "\u00b2"),
        (moment, "20260105"),
        (moment, "2026-W01"),
        (moment, "2026-W01-1T12:00Z"),
        (moment, "2026-01-05T"),
        (moment, "2026-01-05T1\u0662:00Z"),
        (moment, "2026-01-05X12:00Z"),
        (pair, "x"),
        (options_of_json, "[]"),
    ],
)
def test_other_words_are_refused(parse: Callable[[str], Any], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        parse(text)


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
        assert (await times(client, lambda: NOON)).earlier == now
