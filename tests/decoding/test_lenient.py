"""The second reading of a response that did not fit: what is repaired, what is not, and what is said of it."""

from __future__ import annotations

import json
import pickle
import warnings
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from cattrs.preconf.msgspec import MsgspecJsonConverter
from hypothesis import given
from hypothesis import strategies as st

from syllable_async import ResponseDriftWarning, ResponseValidationError, decode, make_converter, models
from syllable_async._decoding.decode import check_invalid_row_hook, decode_page
from syllable_async._decoding.lenient import repair

AT = {"timestamp": "2026-01-05T10:00:00Z"}
SECRET = "+15550100"


@pytest.fixture(autouse=True)
def nothing_was_read() -> None:
    decode.__globals__["_warned"].clear()
    decode.__globals__["_native_readers"].clear()


def page(*rows: Any, **envelope: Any) -> bytes:
    return json.dumps({"items": rows, "page": 0, "page_size": len(rows), **envelope}).encode()


def session(**fields: Any) -> models.Session:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResponseDriftWarning)
        return decode(json.dumps({**AT, **fields}).encode(), models.Session)


MOMENTS = {
    "2026-01-05": datetime(2026, 1, 5),
    "2026-01-05T10:00": datetime(2026, 1, 5, 10),
    "2026-01-05T10:00Z": datetime(2026, 1, 5, 10),
    "2026-01-05t10:00:00z": datetime(2026, 1, 5, 10),
    "2026-01-05T10:00:00,25Z": datetime(2026, 1, 5, 10, 0, 0, 250_000),
    "2026-01-05T10:00:00+0200": datetime(2026, 1, 5, 8),
    "2026-01-05T10:00:00+02": datetime(2026, 1, 5, 8),
    "2026-01-05T10:00:00.9999999Z": datetime(2026, 1, 5, 10, 0, 0, 999_999),
    "2026-01-05T23:59:60Z": datetime(2026, 1, 6),
    "1767607200": datetime(2026, 1, 5, 10),
    1767607200: datetime(2026, 1, 5, 10),
    1767607200123: datetime(2026, 1, 5, 10, 0, 0, 123_000),
    1767607200.5: datetime(2026, 1, 5, 10, 0, 0, 500_000),
    -1: datetime(1969, 12, 31, 23, 59, 59),
}


@pytest.mark.parametrize("written", MOMENTS, ids=repr)
def test_a_time_in_another_form_is_read_with_the_same_value(written: Any) -> None:
    assert session(timestamp=written).timestamp == MOMENTS[written].replace(tzinfo=UTC)


FINE = {"timestamp": "2026-01-05T10:00:00.9999999Z"}
CUT = datetime(2026, 1, 5, 10, 0, 0, 999_999, tzinfo=UTC)
LONG = {**AT, "agent_name": "x" * 2000}


@pytest.mark.parametrize("before", [[LONG], [LONG, {"timestamp": "2026-01-05T10:00:00.5Z"}], [{"session_id": "1"}]])
@pytest.mark.filterwarnings("ignore::syllable_async.ResponseDriftWarning")
def test_a_time_that_is_too_fine_is_cut_in_any_row(before: list[Any]) -> None:
    found = decode_page(page(*before, FINE), models.ListResponseSession, make_converter(), keep_invalid=True)
    assert found.rows[-1].timestamp == CUT


def last_row(body: bytes, converter: MsgspecJsonConverter) -> datetime | None:
    row: models.Session = decode_page(body, models.ListResponseSession, converter, keep_invalid=False).rows[-1]
    return row.timestamp


def single(body: bytes, converter: MsgspecJsonConverter) -> datetime | None:
    return decode(body, models.Session, converter).timestamp


PLAIN = page(*[{**LONG, "agent_name": "x" * 2**20}] * 2)


@pytest.mark.filterwarnings("ignore::syllable_async.ResponseDriftWarning")
def test_whole_pages_are_searched_until_4_mebibytes_had_no_such_time() -> None:
    def cut_after(*bodies: bytes) -> list[bool]:
        converter = make_converter()
        return [last_row(body, converter) == CUT for body in bodies]

    assert cut_after(*[PLAIN] * 1, page(LONG, FINE))[-1]
    assert cut_after(*[PLAIN] * 2, page(LONG, FINE), page(FINE), page(LONG, FINE))[-3:] == [False, True, True]
    assert cut_after(page(LONG, FINE), *[PLAIN] * 9, page(LONG, FINE))[-1], "such a time was seen"


@pytest.mark.filterwarnings("ignore::syllable_async.ResponseDriftWarning")
def test_after_that_one_of_32_single_responses_is_searched() -> None:
    converter = make_converter()
    plain, fine = json.dumps(LONG).encode(), json.dumps(FINE).encode()
    for _ in range(2**22 // len(plain)):
        assert single(plain, converter) != CUT
    assert single(fine, converter) == CUT

    converter = make_converter()
    for _ in range(2**22 // len(plain) + 1):
        assert single(plain, converter) != CUT
    found = [single(fine, converter) == CUT for _ in range(100)]
    assert found == [False] * 31 + [True] * 69


@pytest.mark.filterwarnings("ignore::syllable_async.ResponseDriftWarning")
def test_such_a_time_in_one_type_has_all_types_searched() -> None:
    converter = make_converter()
    for _ in range(2):
        last_row(PLAIN, converter)
    assert last_row(page(LONG, FINE), converter) != CUT
    assert single(json.dumps(FINE).encode(), converter) == CUT
    assert last_row(page(LONG, FINE), converter) == CUT


def test_a_hook_is_called_as_often_for_the_first_response_as_for_the_last() -> None:
    converter = make_converter()
    calls = 0

    def hook(value: str, _: Any) -> str:
        nonlocal calls
        calls += 1
        return value

    converter.register_structure_hook(str, hook)

    def called_for(body: bytes) -> int:
        before = calls
        with pytest.raises(ResponseValidationError):
            single(body, converter)
        return calls - before

    body = json.dumps({**LONG, "duration": "long"}).encode()
    first = called_for(body)
    single(json.dumps({**LONG, "agent_name": "x" * 2**22}).encode(), converter)
    assert first > 0
    assert {called_for(body) for _ in range(40)} == {first}


@pytest.mark.filterwarnings("ignore::syllable_async.ResponseDriftWarning")
def test_a_response_that_is_not_searched_is_read_leniently_all_the_same() -> None:
    converter = make_converter()
    single(json.dumps({**LONG, "agent_name": "x" * 2**22}).encode(), converter)
    for _ in range(40):
        assert decode(json.dumps({**AT, "duration": "61.5"}).encode(), models.Session, converter).duration == 61.5
        with pytest.raises(ResponseValidationError, match="duration"):
            decode(json.dumps({**AT, "duration": "long"}).encode(), models.Session, converter)


@pytest.mark.parametrize("written", ["10:00", "2026-13-05", "2026-01-05T25:00Z", "yesterday", "", True, [], 10**30])
def test_what_has_no_plain_meaning_as_a_time_is_refused(written: Any) -> None:
    with pytest.raises(ResponseValidationError, match="timestamp"):
        session(timestamp=written)


@pytest.mark.parametrize("written", ["2026-13-05T23:59:60Z", "9999-12-31T23:59:60Z"])
def test_a_leap_second_of_no_day_or_after_the_last_year_is_refused(written: str) -> None:
    with pytest.raises(ResponseValidationError, match="timestamp"):
        session(timestamp=written)


@pytest.mark.parametrize(
    ("field", "written", "value"),
    [
        ("duration", "61.5", 61.5),
        ("duration", True, 1.0),
        ("prompt_version_number", "3", 3),
        ("prompt_version_number", 3.0, 3),
        ("prompt_version_number", "3.0", 3),
        ("is_test", "true", True),
        ("is_test", 0, False),
        ("is_test", 1.0, True),
        ("is_test", "OFF", False),
    ],
)
def test_a_number_or_a_bool_in_another_form_is_read_with_the_same_value(field: str, written: Any, value: Any) -> None:
    read = getattr(session(**{field: written}), field)
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("field", "written"),
    [
        ("duration", "inf"),
        ("duration", "nan"),
        ("duration", "1e999"),
        ("duration", ""),
        ("duration", {"seconds": 61}),
        ("prompt_version_number", 3.5),
        ("prompt_version_number", "3.5"),
        ("is_test", 2),
        ("is_test", "maybe"),
        ("source", 5),
        ("source", True),
    ],
)
def test_what_has_no_plain_meaning_is_refused_with_its_path(field: str, written: Any) -> None:
    with pytest.raises(ResponseValidationError, match=field):
        session(**{field: written})


def test_null_where_the_document_has_a_default_is_the_default() -> None:
    body = b'{"session_id":"1","transcription":[],"actions":[],"transcript_complete":null}'
    with pytest.warns(ResponseDriftWarning, match="transcript_complete"):
        assert decode(body, models.SessionTranscriptionResponse).transcript_complete is False


def test_each_value_of_a_mapping_is_repaired_under_one_path() -> None:
    repaired, drifts = repair({"a": "1", "b": 2.0, "c": 3}, dict[str, int], lambda _: False)
    assert repaired == {"a": 1, "b": 2, "c": 3}
    assert {drift.path for drift in drifts} == {"$.*"}


def test_drift_is_warned_of_once_per_type_and_path_without_the_value() -> None:
    page = {"items": [{**AT, "duration": SECRET[1:], "is_test": 1}] * 3, "page": "0", "page_size": 3}
    with pytest.warns(ResponseDriftWarning) as first:
        decode(json.dumps(page).encode(), models.ListResponseSession)
    told = [str(warning.message) for warning in first]
    assert [text.partition(" - at ")[2].partition(";")[0] for text in told] == [
        "`$.items[].duration`",
        "`$.items[].is_test`",
        "`$.page`",
    ]
    assert not any(SECRET[1:] in text for text in told)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decode(json.dumps(page).encode(), models.ListResponseSession)


def test_a_warning_that_is_made_an_error_is_one_only_once() -> None:
    body = json.dumps({**AT, "duration": "1"}).encode()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ResponseDriftWarning):
            decode(body, models.Session)
        assert decode(body, models.Session).duration == 1


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=3), lambda x: st.lists(x, max_size=2)))
def test_what_the_strict_reading_takes_is_never_changed(value: Any) -> None:
    for cls in (int, float, bool, str, datetime, int | None, tuple[float, ...], dict[str, int], models.Session):
        try:
            msgspec.convert(value, cls)
        except msgspec.ValidationError:
            continue
        assert repair(value, cls, lambda _: False) == (value, [])


def test_a_lenient_reading_by_pythons_own_rules_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The naive version: whatever `float` and `bool` make of a value."""
    monkeypatch.setitem(repair.__globals__["_READERS"], float, float)
    monkeypatch.setitem(repair.__globals__["_READERS"], bool, bool)
    assert session(duration="inf").duration == float("inf")
    assert session(is_test="off").is_test is True


def test_a_users_hook_is_handed_the_json_as_it_came() -> None:
    converter = make_converter()
    converter.register_structure_hook(float, lambda value, _: ("hook", value))
    body = json.dumps({**AT, "duration": "1", "is_test": 1}).encode()
    with pytest.warns(ResponseDriftWarning, match="is_test"):
        read: Any = decode(body, models.Session, converter)
    assert (read.duration, read.is_test) == (("hook", "1"), True)


def test_a_page_gives_the_instants_of_the_wire_whatever_a_hook_makes_of_them() -> None:
    converter = make_converter()
    converter.register_structure_hook(datetime, lambda value, _: datetime(2030, 1, 1))
    body = page({"timestamp": "2026-01-05T10:00:00+02:00"}, {"timestamp": "2026-01-05T10:00:00"})
    read = decode_page(body, models.ListResponseSession, converter, keep_invalid=False)
    assert read.instants == (datetime(2026, 1, 5, 8, tzinfo=UTC), datetime(2026, 1, 5, 10, tzinfo=UTC))
    assert all(moment is not None and moment.tzinfo is UTC for moment in read.instants)
    assert read.rows == read.response.items
    for owner in (make_converter(), None):  # without a hook the rows themselves say it
        read = decode_page(body, models.ListResponseSession, owner, keep_invalid=False)
        assert (read.instants, read.raw) == ((), ())


def test_a_page_gives_what_the_wire_says_of_its_rows_whatever_hooks_make_of_them() -> None:
    converter = make_converter()
    converter.register_structure_hook(str | None, lambda value, _: value and "<redacted>")
    converter.register_structure_hook(int | None, lambda value, _: str(value))
    body = page({**AT, "session_id": "7"}, {**AT, "session_id": "8"}, total_count=9)
    read = decode_page(body, models.ListResponseSession, converter, keep_invalid=False)
    assert [row.session_id for row in read.rows] == ["<redacted>", "<redacted>"]
    assert [raw["session_id"] for raw in read.raw] == ["7", "8"]
    assert (read.total_count, read.response.total_count) == (9, "9")


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"items":null}'], ids=bytes.decode)
def test_a_hook_that_makes_a_page_of_what_has_no_rows_is_refused_by_a_walk(body: bytes) -> None:
    made = models.ListResponseSession(items=(), page=0, page_size=0)
    converter = make_converter()
    converter.register_structure_hook(models.ListResponseSession, lambda _value, _cls: made)
    with pytest.raises(ResponseValidationError, match="a hook gives other than one row for each"):
        decode_page(body, models.ListResponseSession, converter, keep_invalid=False)


@pytest.mark.parametrize("made", [(), {}, None], ids=repr)
def test_a_hook_that_gives_other_than_one_row_for_each_is_refused(made: object) -> None:
    converter = make_converter()
    converter.register_structure_hook(tuple[models.Session, ...], lambda _value, _cls: made)
    with pytest.raises(ResponseValidationError, match="a hook gives other than one row for each"):
        decode_page(page(AT), models.ListResponseSession, converter, keep_invalid=False)


def test_a_row_that_does_not_fit_costs_no_other_row() -> None:
    bad = {"timestamp": "2026-01-05T11:00:00Z", "source": SECRET, "duration": {"seconds": 61}}
    body = page(AT, bad, {**AT, "is_test": 1}, 5, total_count=9)
    with pytest.raises(ResponseValidationError, match=r"\$\.items\[1\]\.duration"):
        decode_page(body, models.ListResponseSession, None, keep_invalid=False)
    with pytest.warns(ResponseDriftWarning, match="is_test"):
        read = decode_page(body, models.ListResponseSession, None, keep_invalid=True)
    assert [row.is_test for row in read.rows] == [None, True]
    assert read.total_count == 9
    first, second = read.invalid
    assert (first.index, first.path, first.raw) == (1, "$.duration", bad)
    assert (second.index, second.path, second.raw) == (3, "$", 5)
    assert read.invalid_instants == (datetime(2026, 1, 5, 11, tzinfo=UTC), None)
    assert SECRET not in repr(first)
    assert repr(read) == "<Page of 4 rows>"
    assert "raw=<hidden>" in repr(first)
    assert pickle.loads(pickle.dumps(first)) == first


@pytest.mark.parametrize("body", [b"[]", b"{}", b"<html>", b'{"items": 5, "page": 0, "page_size": 1}', page(page="x")])
def test_an_envelope_that_does_not_fit_is_refused_all_the_same(body: bytes) -> None:
    with pytest.raises(ResponseValidationError):
        decode_page(body, models.ListResponseSession, None, keep_invalid=True)


class AsyncCallable:
    async def __call__(self, row: object) -> None: ...


async def async_hook(row: object) -> None: ...


@pytest.mark.parametrize("hook", [5, "print", async_hook, AsyncCallable()], ids=["int", "str", "async", "async call"])
def test_a_hook_for_invalid_rows_must_be_a_plain_function(hook: object) -> None:
    with pytest.raises(TypeError, match="on_invalid_row must be a"):
        check_invalid_row_hook(hook)
    check_invalid_row_hook(print)
