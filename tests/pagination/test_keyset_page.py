"""When the rows of a page are: by the wire, or by what a user's hook alone can read."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from syllable_async import ListResponseSession, make_converter
from syllable_async._decoding import decode_page
from syllable_async._pagination.keyset_page import KeysetPage

TEN = datetime(2026, 1, 5, 10, tzinfo=UTC)


def page(*stamps: str, hook: Callable[[Any, Any], Any] | None = None) -> KeysetPage:
    rows = [{"session_id": str(number), "timestamp": stamp} for number, stamp in enumerate(stamps)]
    body = json.dumps({"items": rows, "page": 0, "page_size": len(rows), "total_count": len(rows)}).encode()
    converter = make_converter()
    if hook is not None:
        converter.register_structure_hook(datetime, hook)
    return KeysetPage.of(decode_page(body, ListResponseSession, converter, keep_invalid=False))


@pytest.mark.parametrize("stamp", ["2026-01-05T12:00:00+02:00", "2026-01-05T04:30:00-05:30", "2026-01-05T10:00:00Z"])
def test_instants_are_utc_whatever_the_offset(stamp: str) -> None:
    instants = page(stamp).instants
    assert instants == (TEN,)
    assert instants[0].tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "form"),
    [("5 Jan 2026 10h +0000", "%d %b %Y %Hh %z"), ("5 Jan 2026 12h +0200", "%d %b %Y %Hh %z")],
)
def test_a_time_that_only_the_hook_can_read_is_the_instant(text: str, form: str) -> None:
    instants = page(text, hook=lambda value, _cls: datetime.strptime(value, form)).instants
    assert instants == (TEN,)
    assert instants[0].tzinfo is UTC


@pytest.mark.parametrize("made", [TEN, TEN.replace(tzinfo=None)])
def test_the_hooks_own_time_is_taken_and_utc_where_it_has_no_zone(made: datetime) -> None:
    assert page("Monday at ten", hook=lambda _value, _cls: made).instants == (TEN,)


@pytest.mark.parametrize("made", ["a word", None])
def test_a_time_that_nobody_can_read_leaves_the_row_without_a_place(made: Any) -> None:
    found = page("Monday at ten", hook=lambda _value, _cls: made)
    assert (found.rows, found.instants, len(found.unplaced)) == ((), (), 1)
