"""The log of what a walk gave: what is in it, what is forgotten, and views that do not change with it."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs
import pytest

from syllable_async._pagination.keyset_page import row_key
from syllable_async._pagination.known_ids import MIN_INSTANT, IdLog, KnownIds, to_micros
from syllable_async.models import Session

from .paged_source import at, session

ZERO = to_micros(at(0))


def log(*micros: int) -> IdLog:
    """Of the sessions `s0`, `s1` and so on, at these times."""
    return IdLog(KnownIds.of([f"s{number}" for number in range(len(micros))], [ZERO + micro for micro in micros]))


def held(known: KnownIds) -> list[tuple[str, int]]:
    return [(key, micros - ZERO) for key, micros in zip(known, known.micros, strict=True)]


def test_a_session_is_known_by_its_id_or_by_all_its_fields() -> None:
    nameless = Session(timestamp=at(1))
    assert row_key(session(3)) == "s3"
    assert row_key(nameless) == row_key(attrs.evolve(nameless)) != row_key(attrs.evolve(nameless, source="x"))
    assert row_key(nameless).startswith("sha256:")


def test_microseconds_count_from_1970() -> None:
    assert to_micros(datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC)) == 1_000_005
    assert to_micros(datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)) == -1_000_000


def test_known_ids_are_a_value() -> None:
    one = KnownIds.of(["a", "b"], [1, 2])
    assert one == KnownIds.of(["a", "b"], [1, 2])
    for other in (KnownIds.of(["a", "c"], [1, 2]), KnownIds.of(["a", "b"], [1, 3])):
        assert one != other
        assert other != one
    assert one != ["a", "b"]
    assert hash(one) == hash(KnownIds.of(["a", "b"], [1, 2]))
    assert (one + KnownIds.of(["c"], [0])) == KnownIds.of(["a", "b", "c"], [1, 2, 0])
    assert held(log(4, 5, 6).view().since(at(5))) == [("s1", 5), ("s2", 6)]


def test_a_row_is_added_once_and_not_if_the_other_log_has_it() -> None:
    known = log(1)
    rows = [session(0, 1), session(1, 2), session(1, 2), session(2, 3)]
    others = IdLog(KnownIds.of(["s2"], [0]))
    assert known.add_new([(row_key(row), row.timestamp, row) for row in rows], others) == [rows[1]]
    assert held(known.view()) == [("s0", 1), ("s1", 2)]
    assert ("s1" in known, "s2" in known, len(known)) == (True, False, 2)


def test_rows_without_ids_are_added_by_their_content() -> None:
    rows = [Session(timestamp=at(1)), Session(timestamp=at(2)), Session(timestamp=at(1))]
    assert log().add_new([(row_key(row), row.timestamp, row) for row in rows], log()) == rows[:2]


def test_only_what_is_late_enough_and_new_is_taken_over() -> None:
    known = log(7)
    known.extend(log(8, 3, 5, 6).view(), at(5))
    assert held(known.view()) == [("s0", 7), ("s2", 5), ("s3", 6)]
    assert "s2" in known
    assert "s1" not in known


def test_forgetting_stops_at_the_first_that_is_not_older() -> None:
    known = log(1, 2, 9, 3, 4)
    known.forget_before(at(3))
    assert (held(known.view()), len(known)) == ([("s2", 9), ("s3", 3), ("s4", 4)], 3)
    assert ("s1" in known, "s3" in known) == (False, True)
    known.forget_before(at(9))  # the late ones wait for the one before them
    assert held(known.view()) == [("s2", 9), ("s3", 3), ("s4", 4)]
    known.forget_before(at(10))
    assert (held(known.view()), known.newest) == ([], None)


@pytest.mark.parametrize(
    ("count", "forgotten", "kept"),
    [(2_100, 1_000, 2_100), (1_999, 1_000, 1_999), (2_003, 1_001, 2_003), (2_001, 1_001, 1_000)],
)
def test_what_is_forgotten_is_dropped_once_it_is_more_than_half_and_many(count: int, forgotten: int, kept: int) -> None:
    known = log(*range(count))
    before = known.view()
    known.forget_before(at(forgotten))
    assert (len(known._ids), len(known._micros), len(known)) == (kept, kept, count - forgotten)
    assert held(known.view())[0] == (f"s{forgotten}", forgotten)
    assert len(before.ids) == count  # a view is what it was
    known.forget_before(at(forgotten + 1))
    assert held(known.view())[0] == (f"s{forgotten + 1}", forgotten + 1)


def test_a_cut_takes_what_is_late_enough_out() -> None:
    known = log(1, 5, 2, 6)
    assert held(known.cut(at(7))) == []
    assert held(log(5, 6).cut(at(5))) == held(log(5, 6).view())
    assert held(log(5).cut(at(5))) == [("s0", 5)]
    assert held(log(5).cut(at(4))) == [("s0", 5)]
    assert held(known.cut(at(5))) == [("s1", 5), ("s3", 6)]
    assert held(known.view()) == [("s0", 1), ("s2", 2)]
    assert ("s1" in known, "s0" in known) == (False, True)
    forgetful = log(1, 2, 3, 4)
    forgetful.forget_before(at(2))
    assert held(forgetful.cut(at(4))) == [("s3", 4)]
    assert held(forgetful.view()) == [("s1", 2), ("s2", 3)]
    assert "s0" not in forgetful


def test_a_view_leaves_out_the_last_and_never_shows_what_is_forgotten() -> None:
    known = log(1, 2, 3)
    assert (held(known.view(1)), len(known.view())) == ([("s0", 1), ("s1", 2)], 3)
    known.forget_before(at(3))
    assert held(known.view(2)) == []
    assert len(known.view(2)) == 0


def test_what_lies_after_an_instant_comes_in_order() -> None:
    known = log(3, 1, 2)
    assert known.after(at(1)) == [(ZERO + 2, "s2"), (ZERO + 3, "s0")]
    assert [key for _, key in known.after(None)] == ["s1", "s2", "s0"]
    first = IdLog(KnownIds.of(["first"], [to_micros(MIN_INSTANT)]))
    assert (len(first.after(None)), first.after(MIN_INSTANT)) == (1, [])
    assert known.newest == at(3)
