"""The span of a job: rounded outward to UTC days, cut at now."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syllable_async.jobs._days import DAY, Span, bounds, last_days, span_of

NOW = datetime(2026, 1, 10, 12, 30, tzinfo=UTC)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2026, 1, 10), timezones=st.just(UTC))


@given(moments, st.timedeltas(timedelta(microseconds=1), timedelta(days=5)))
def test_a_span_holds_what_was_asked_for_and_less_than_a_day_more_at_each_end(
    start: datetime, length: timedelta
) -> None:
    span = span_of(start, start + length, NOW)
    first, last = bounds(span.since)[0], bounds(span.until)[0]
    assert first <= start < first + DAY
    assert last - DAY < min(start + length, NOW) <= last
    assert [day + DAY for day in span.days()] == [*span.days()[1:], span.until]


def test_dates_are_utc_days_and_the_end_is_not_included() -> None:
    assert span_of(date(2026, 1, 5), date(2026, 1, 7), NOW) == Span(date(2026, 1, 5), date(2026, 1, 7))
    assert str(Span(date(2026, 1, 5), date(2026, 1, 7))) == "2026-01-05/2026-01-07"


def test_without_an_end_or_with_one_to_come_a_span_ends_with_today() -> None:
    for until in (None, date(2027, 1, 1), NOW + DAY):
        assert span_of(date(2026, 1, 9), until, NOW).until == date(2026, 1, 11)
    assert span_of(date(2026, 1, 9), None, datetime(2026, 1, 10, tzinfo=UTC)).until == date(2026, 1, 10)


def test_other_time_zones_are_rounded_in_utc() -> None:
    east = timezone(timedelta(hours=2))
    span = span_of(datetime(2026, 1, 5, 1, tzinfo=east), datetime(2026, 1, 6, 1, tzinfo=east), NOW)
    assert span == Span(date(2026, 1, 4), date(2026, 1, 6))


@pytest.mark.parametrize(
    ("since", "until", "problem"),
    [
        (date(2026, 1, 7), date(2026, 1, 7), "since 2026-01-07 is not before until 2026-01-07"),
        (date(2026, 1, 8), date(2026, 1, 7), "is not before"),
        (date(2026, 1, 11), None, "lies in the future"),
        (date(202, 1, 5), None, "has no meaning"),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2))), None, "has no meaning in UTC"),
        (datetime(2026, 1, 5), None, "has no time zone"),
        (date(2026, 1, 5), datetime(2026, 1, 6), "has no time zone"),
    ],
)
def test_a_span_that_cannot_be_meant_raises(since: date, until: date | None, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        span_of(since, until, NOW)


def test_a_text_is_no_date() -> None:
    with pytest.raises(TypeError, match="since must be a date or an aware datetime, not str"):
        span_of("2026-01-05", None, NOW)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def test_the_last_days_hold_today() -> None:
    assert last_days(1, NOW) == date(2026, 1, 10)
    assert last_days(3, NOW) == date(2026, 1, 8)
    for count in (0, -1, 10**9):
        with pytest.raises(ValueError, match="last must be between 1 and 9506 days"):
            last_days(count, NOW)
    with pytest.raises(TypeError, match="last must be an int"):
        last_days(True, NOW)
