"""The arguments of `sessions.list`: what is refused, and what goes over the wire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, urlencode
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syllable_async._pagination.query import ListQuery
from syllable_async._validators import parse_instant
from syllable_async.models import OrderByDirection, SessionProperties

TIMES = st.datetimes(datetime.min + timedelta(days=2), datetime.max - timedelta(days=2), timezones=st.timezones())
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def test_a_parameter_that_is_not_given_is_not_sent() -> None:
    assert ListQuery.from_arguments().to_query_items() == []
    assert ListQuery.from_arguments(search_fields=[], search_field_values=[], fields=[]).to_query_items() == []


def test_lists_are_repeated_keys_and_members_are_plain_strings() -> None:
    query = ListQuery.from_arguments(
        page=0,
        limit=10,
        search_fields=[SessionProperties.SOURCE, "agent_id"],
        search_field_values=["+1 555", "7"],
        order_by=SessionProperties.TIMESTAMP,
        order_by_direction=OrderByDirection.DESC,
        fields=["timestamp", SessionProperties.SESSION_ID],
        start_datetime=NOON.astimezone(timezone(timedelta(hours=2))),
        end_datetime="2026-05-02",
    )
    assert query.to_query_items() == [
        ("page", "0"),
        ("limit", "10"),
        ("search_fields", "source"),
        ("search_fields", "agent_id"),
        ("search_field_values", "+1 555"),
        ("search_field_values", "7"),
        ("order_by", "timestamp"),
        ("order_by_direction", "desc"),
        ("fields", "timestamp"),
        ("fields", "session_id"),
        ("start_datetime", "2026-05-01T12:00:00+00:00"),
        ("end_datetime", "2026-05-02"),
    ]
    assert {type(value) for _, value in query.to_query_items()} == {str}


def test_it_is_a_value() -> None:
    query = ListQuery.from_arguments(search_fields=["source"], search_field_values=["+1 555 0100"])
    assert query == ListQuery.from_arguments(search_fields=("source",), search_field_values=("+1 555 0100",))
    assert hash(query) == hash(
        ListQuery.from_arguments(search_fields=("source",), search_field_values=("+1 555 0100",))
    )
    assert "+1 555 0100" not in repr(query)


@pytest.mark.parametrize(
    ("arguments", "error", "reason"),
    [
        ({"page": -1}, ValueError, "page must be at least 0"),
        ({"limit": -1}, ValueError, "limit must be at least 0"),
        ({"page": True}, TypeError, "page must be an int, not bool"),
        ({"limit": 1.0}, TypeError, "limit must be an int, not float"),
        ({"limit": "5"}, TypeError, "limit must be an int, not str"),
        ({"fields": "timestamp"}, TypeError, "fields must be a list of str, not a single str"),
        ({"fields": [1]}, TypeError, "each of fields must be a str, not int"),
        ({"search_fields": "source", "search_field_values": ["x"]}, TypeError, "search_fields must be a list"),
        ({"search_fields": ["source"], "search_field_values": "x"}, TypeError, "search_field_values must be a list"),
        ({"search_fields": ["source"]}, ValueError, "the same length"),
        ({"search_field_values": ["x"]}, ValueError, "the same length"),
        ({"search_fields": ["source"], "search_field_values": ["x", "y"]}, ValueError, "the same length"),
        ({"search_fields": ["source"], "search_field_values": [None]}, TypeError, "must be a str, not NoneType"),
        ({"order_by": 1}, TypeError, "order_by must be a str, not int"),
        ({"order_by_direction": True}, TypeError, "order_by_direction must be a str, not bool"),
        ({"start_datetime": datetime(2026, 1, 1)}, ValueError, "start_datetime has no time zone"),
        ({"end_datetime": datetime(2026, 1, 1)}, ValueError, "end_datetime has no time zone"),
        ({"end_datetime": NOON.date()}, TypeError, "end_datetime must be a datetime or an ISO 8601 str, not date"),
        ({"start_datetime": 0}, TypeError, "start_datetime must be a datetime or an ISO 8601 str, not int"),
        ({"start_datetime": NOON, "end_datetime": NOON - timedelta(microseconds=1)}, ValueError, "must not be after"),
        ({"start_datetime": NOON, "end_datetime": "2026-05-01T11:59:59Z"}, ValueError, "must not be after"),
    ],
)
def test_wrong_arguments_say_why_and_keep_the_value_to_themselves(
    arguments: dict[str, Any], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        ListQuery.from_arguments(**arguments)


def test_a_start_that_may_be_before_its_end_is_let_through() -> None:
    spans: list[tuple[datetime | str, datetime | str]] = [(NOON, NOON), (NOON, "yesterday"), ("2026-05-02", "b")]
    for start, end in spans:
        query = ListQuery.from_arguments(start_datetime=start, end_datetime=end)
        assert [name for name, _ in query.to_query_items()] == ["start_datetime", "end_datetime"]


def test_only_a_time_with_an_offset_is_an_instant() -> None:
    assert parse_instant("start", NOON) is NOON
    assert parse_instant("start", "2026-05-01T14:00:00+02:00") == NOON
    assert parse_instant("start", "2026-05-01T12:00:00Z") == NOON
    for text in ("2026-05-01T12:00:00", "2026-05-01", "noon"):
        with pytest.raises(ValueError, match="start must be an ISO 8601 time with an offset"):
            parse_instant("start", text)


def test_an_offset_with_seconds_is_sent_in_utc() -> None:
    old = timezone(timedelta(minutes=19, seconds=32))  # Amsterdam until 1937
    query = ListQuery.from_arguments(start_datetime=datetime(1900, 1, 1, 12, tzinfo=old))
    assert query.to_query_items() == [("start_datetime", "1900-01-01T11:40:28+00:00")]
    with pytest.raises(ValueError, match="start_datetime is before the year 1 or after 9999 in UTC"):
        ListQuery.from_arguments(start_datetime=datetime.min.replace(tzinfo=old))


@settings(derandomize=True, max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.text(), st.text())),
    st.integers(0),
    st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.timezones()),
)
def test_the_wire_form_can_be_read_back(search: list[tuple[str, str]], page: int, start: datetime) -> None:
    search = [(name, value) for name, value in search if max(name + value, default="") < "\ud800"]
    query = ListQuery.from_arguments(
        page=page,
        search_fields=[name for name, _ in search],
        search_field_values=[value for _, value in search],
        start_datetime=start,
    )
    read = parse_qsl(urlencode(query.to_query_items()), keep_blank_values=True)
    assert read == query.to_query_items()
    assert [value for name, value in read if name == "search_fields"] == [name for name, _ in search]
    sent = datetime.fromisoformat(dict(read)["start_datetime"])
    assert sent == start.astimezone(UTC)
    assert sent.utcoffset() == timedelta(0)


class Stamp(datetime):
    """As pandas' own: a subclass whose arithmetic gives something else."""

    def __sub__(self, other: Any) -> Any:
        raise AssertionError("nothing is computed with it")

    __add__ = __sub__


class NotATime(datetime):
    """As `pandas.NaT`: an instance of datetime that has no offset and no year."""

    def utcoffset(self) -> Any:
        raise ValueError("NaT")


BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("start", "end", "sent"),
    [
        (
            datetime(2026, 3, 29, 3, tzinfo=BERLIN),
            datetime(2026, 3, 29, 4, tzinfo=BERLIN),
            ["2026-03-29T01:00:00+00:00", "2026-03-29T02:00:00+00:00"],
        ),
        (
            datetime(2026, 11, 1, 1, 30, tzinfo=NEW_YORK),
            datetime(2026, 11, 1, 1, 10, fold=1, tzinfo=NEW_YORK),
            ["2026-11-01T05:30:00+00:00", "2026-11-01T06:10:00+00:00"],
        ),
        (
            Stamp(2026, 11, 1, 1, tzinfo=NEW_YORK),
            Stamp(2026, 11, 1, 1, fold=1, tzinfo=NEW_YORK),
            ["2026-11-01T05:00:00+00:00", "2026-11-01T06:00:00+00:00"],
        ),
    ],
)
def test_bounds_are_instants_across_a_change_of_clocks(start: datetime, end: datetime, sent: list[str]) -> None:
    query = ListQuery.from_arguments(start_datetime=start, end_datetime=end)
    assert [value for _, value in query.to_query_items()] == sent
    assert {type(bound) for bound in query.time_bounds()} == {datetime}
    with pytest.raises(ValueError, match="must not be after"):
        ListQuery.from_arguments(start_datetime=end, end_datetime=start)


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="start_datetime has no time zone"):
        ListQuery.from_arguments(start_datetime=NotATime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "arguments",
    [
        {"search_fields": ["\ud800"], "search_field_values": ["x"]},
        {"search_fields": ["source"], "search_field_values": ["+15550100\udfff"]},
        {"order_by": "\ud800"},
        {"order_by_direction": "\ud800"},
        {"fields": ["timestamp", "\udc80"]},
        {"start_datetime": "2026-01-01\ud800"},
        {"end_datetime": "\udcff"},
    ],
    ids="-".join,
)
def test_text_that_utf8_cannot_carry_is_refused_without_its_value(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must not hold lone surrogates") as caught:
        ListQuery.from_arguments(**arguments)
    assert type(caught.value) is ValueError
    assert "5550100" not in repr(caught.value)
