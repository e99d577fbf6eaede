"""How long a response asks to wait: every form of `Retry-After`, and what means nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from syllable_async._http.status_errors import parse_retry_after

NOW = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT


RETRY_AFTER = [
    ("0", 0.0), ("1", 1.0), ("1.5", 1.5), (" 7\t", 7.0), ("121", 121.0), ("315360000", 315360000.0), ("1e35", 1e35),
    ("Fri, 15 Jan 2027 08:00:20 GMT", 20.0), ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
    ("Friday, 15-Jan-27 08:00:20 GMT", 20.0),
    ("inf", None), ("Infinity", None), ("nan", None), ("-10", None), ("+1", None),
    ("1e999", None),
    ("²", None),
    ("", None), (" ", None), ("Zun, 99 Jan 2027 08:00:20 GMT", None), ("Fri, 15 Jan 100000 08:00:20 GMT", None),
    ("soon", None), ("1, 2", None), ("0x10", None), ("1_000", None),
    ("9" * 5000, None), (".", None), ("1;", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "seconds"), RETRY_AFTER)
def test_retry_after_forms(text: str, seconds: float | None) -> None:
    assert parse_retry_after(CIMultiDict({"retry-after": text}), NOW) == seconds
    assert parse_retry_after({"Retry-After": text}, NOW) == seconds


def test_retry_after_in_milliseconds_goes_first_and_two_of_them_mean_nothing() -> None:
    assert parse_retry_after(CIMultiDict({"Retry-After-Ms": "250", "Retry-After": "9"}), NOW) == 0.25
    assert parse_retry_after(CIMultiDict({"Retry-After-Ms": "x", "Retry-After": "9"}), NOW) == 9
    assert parse_retry_after(CIMultiDict([("Retry-After", "1"), ("Retry-After", "2")]), NOW) is None
    assert parse_retry_after({}, NOW) is None


@pytest.mark.parametrize("off", [-3600, 0, 3600, 86400 * 365])
def test_a_date_is_read_against_the_responses_own_date(off: float) -> None:
    headers = {"Retry-After": "Fri, 15 Jan 2027 08:00:20 GMT", "Date": "Fri, 15 Jan 2027 08:00:05 GMT"}
    assert parse_retry_after(CIMultiDict(headers), NOW + off) == 15
    assert parse_retry_after(CIMultiDict({**headers, "Date": "soon"}), NOW) == 20
    assert parse_retry_after(CIMultiDict({**headers, "Retry-After": "7"}), NOW + off) == 7


def test_the_obsolete_date_without_a_zone_is_utc() -> None:
    assert parse_retry_after(CIMultiDict({"Retry-After": "Fri Jan 15 08:00:20 2027"}), NOW) == 20


@given(st.text())
def test_no_retry_after_breaks_anything(text: str) -> None:
    seconds = parse_retry_after({"Retry-After": text, "retry-after-ms": text}, NOW)
    assert seconds is None or 0 <= seconds < float("inf")
