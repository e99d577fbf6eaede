"""One span of a keyset walk, rule by rule: what is asked, what is believed, and where it is cut in two."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from syllable_async._pagination.cursor import CursorSpan
from syllable_async._pagination.keyset import PageReader
from syllable_async._pagination.keyset_page import KeysetPage
from syllable_async._pagination.keyset_state import KeysetContext, KeysetStep, TieStep
from syllable_async._pagination.known_ids import MIN_INSTANT, IdLog, KnownIds, to_micros
from syllable_async._pagination.query import ListQuery
from syllable_async._pagination.span import Span
from syllable_async.errors import PaginationError
from syllable_async.models import ListResponseSession, Session

from .paged_source import QUICK, UnavailableError, at, ids, session

S = 1_000_000
END = at(1_000 * S)
NOBODY = IdLog(KnownIds.of())


def page(*rows: Session, total: int | None = None) -> KeysetPage:
    return KeysetPage.of(ListResponseSession(items=rows, page=0, page_size=3, total_count=total))


def seconds(*numbers: int, total: int | None = None) -> KeysetPage:
    """The sessions of these seconds: `s7` at 7 s."""
    return page(*(session(number, number * S) for number in numbers), total=total)


def span(
    since: datetime | None = None, end: datetime = END, *, known: KnownIds | None = None, is_checked: bool = True
) -> Span:
    of_before = KnownIds.of() if known is None else known
    return Span(CursorSpan(floor=since, since=since, end=end, known=of_before, is_checked=is_checked), end)


def accept(walk: Span, *pages: KeysetPage, keep_from: datetime = MIN_INSTANT) -> Span:
    for number, one in enumerate(pages):
        walk.accept(one, KeysetContext(walk.end, number), keep_from, NOBODY)
    return walk


def names_of(walk: Span) -> list[str]:
    return ids(walk.rows)


def test_the_first_request_begins_a_tick_early_and_ends_at_a_whole_second() -> None:
    query = span(at(5 * S), at(9 * S + 1)).query(ListQuery.from_arguments(limit=3))
    assert (query.start_datetime, query.end_datetime) == (at(5 * S - 1), at(10 * S))
    assert (query.page, query.limit) == (0, 3)
    assert span().query(ListQuery.from_arguments()).start_datetime is None


@pytest.mark.parametrize(("since", "alive"), [(at(4), True), (at(5), False), (at(6), False)])
def test_a_span_that_begins_at_its_end_is_empty(since: datetime, alive: bool) -> None:
    assert span(since, at(5)).alive is alive


def test_a_page_of_a_block_is_asked_for_by_its_number_and_size() -> None:
    walk = span()
    walk.step = TieStep(at(5), at(4), 7, page=2)
    query = walk.query(ListQuery.from_arguments(limit=3))
    assert (query.page, query.limit, query.start_datetime) == (2, 7, at(4))


def test_rows_out_of_order_raise_and_equal_timestamps_do_not() -> None:
    with pytest.raises(PaginationError, match="does not honour order_by=timestamp") as caught:
        span().check(seconds(2, 1), 4)
    assert caught.value.page == 4
    span().check(page(session(1, 5), session(2, 5)), 4)


def test_it_gives_the_rows_between_its_start_and_its_end_once() -> None:
    walk = span(at(2 * S), at(4 * S))
    walk.accept(seconds(1, 2, 3, 4), KeysetContext(walk.end, 0), MIN_INSTANT, IdLog(KnownIds.of(["s3"], [0])))
    assert names_of(walk) == ["s2"]
    assert (walk.step, walk.alive) == (None, True)
    walk.rows.clear()
    assert not walk.alive


def test_an_error_leaves_the_span_as_it_was() -> None:
    walk = accept(span(at(5 * S)), seconds(5, 6, 7))
    step, rows = walk.step, names_of(walk)
    with pytest.raises(PaginationError, match="start_datetime"):
        accept(walk, seconds(1, 2))
    assert (walk.step, names_of(walk)) == (step, rows)


def test_of_a_block_only_its_own_rows_are_taken_in_until_it_is_proven() -> None:
    walk = span(at(4))
    walk.step = TieStep(at(5), at(4), 3)
    block = page(session(0, 5), session(1, 5), session(2, 90))
    assert names_of(accept(walk, block)) == ["s0", "s1"]
    assert names_of(accept(walk, block)) == ["s0", "s1", "s2"]  # the second pass agrees, and the walk goes on behind it
    assert isinstance(walk.step, KeysetStep)


def test_a_cursor_stands_before_the_rows_that_are_not_given_yet() -> None:
    walk = accept(span(), seconds(1, 2, 3))
    waiting = walk.cursor
    assert (waiting.since, waiting.known.ids, waiting.is_checked) == (None, [], True)
    walk.rows.popleft()
    assert walk.cursor.known.ids == ["s1"]
    walk.rows.clear()
    done = walk.cursor
    assert (done.since, done.known.ids, done.end) == (at(3 * S - S // 4), ["s1", "s2", "s3"], END)
    walk.step = TieStep(at(5), at(4), 3)
    assert not walk.cursor.is_checked
    assert (walk.newest, walk.floor) == (at(3 * S), None)
    assert walk.known().ids == ["s1", "s2", "s3"]


def given(*numbers: int) -> KnownIds:
    return KnownIds.of([f"s{number}" for number in numbers], [to_micros(at(number * S)) for number in numbers])


@pytest.mark.parametrize(
    ("answer", "doubtful", "missing"),
    [
        (seconds(6, 7), False, ()),
        (seconds(), True, ("s5", "s7")),
        (seconds(9), True, ("s5", "s7")),
        (seconds(8, 9, 10), True, ("s5", "s7")),
        # Full, so those at its last timestamp may be on the next page.
        (page(session(90, 5 * S)), False, ()),
        # Not full, so they should have been there.
        (page(session(90, 5 * S), total=1), False, ()),
    ],
)
def test_a_page_without_any_session_that_was_given_is_doubtful(
    answer: KeysetPage, doubtful: bool, missing: tuple[str, ...]
) -> None:
    walk = span(at(5 * S), known=given(5, 6, 7))
    assert walk.is_doubtful(answer) is doubtful
    if doubtful:
        assert walk.missing(answer) == missing
        walk.expect_nothing(answer)
        assert walk.missing(answer) == ()
        assert walk.is_doubtful(answer) is (not answer.rows)


def test_a_page_that_is_not_full_should_have_what_lies_at_its_last_timestamp() -> None:
    walk = accept(span(at(5 * S)), seconds(5, 6, 7))
    walk.step = KeysetStep(at(7 * S - 1))
    same_time = page(session(90, 7 * S))
    assert walk.missing(same_time) == ("s7",)
    assert walk.missing(page(session(90, 7 * S), total=2)) == ()  # more follow
    for longest in (3, 4):  # as long as the longest, or longer
        assert walk.missing(page(*(session(90 + number, 7 * S) for number in range(longest)))) == ()
    assert walk.missing(page(session(90, 7 * S), session(91, 8 * S))) == ("s7",)
    walk.step = TieStep(at(7 * S), at(7 * S - 1), 1)
    assert walk.missing(same_time) == ()  # as long as was asked for


def test_sessions_without_an_id_are_named_where_no_other_is_missing() -> None:
    nameless = KnownIds.of(["sha256:1", "s6", "sha256:2"], [to_micros(at(second * S)) for second in (5, 6, 7)])
    assert span(at(5 * S), known=nameless).missing(seconds()) == ("s6",)
    assert span(at(7 * S), known=nameless).missing(seconds()) == ("sha256:2",)


def test_what_a_cursor_inside_a_block_knows_is_not_expected() -> None:
    walk = span(at(5 * S), known=given(5, 6), is_checked=False)
    assert walk.missing(seconds(9)) == ()
    assert not walk.is_doubtful(seconds(9))
    assert walk.is_doubtful(seconds())


def test_an_empty_page_inside_a_block_is_doubtful_unless_the_total_says_so_too() -> None:
    walk = span(at(4))
    walk.step = TieStep(at(5), at(4), 2, page=1, ids={"s0", "s1"})
    assert not walk.is_doubtful(page(total=2))
    assert walk.is_doubtful(page(total=3))
    assert walk.is_doubtful(page())
    assert not walk.is_doubtful(page(session(2, 5), total=3))
    assert walk.missing(page()) == ()


def test_it_forgets_whole_seconds_and_never_goes_back() -> None:
    walk = accept(span(), seconds(1, 2, 3))
    walk.forget(at(2 * S + 5))
    assert (walk.floor, walk.known().ids) == (at(2 * S), [])
    walk.rows.clear()
    assert walk.known().ids == ["s2", "s3"]
    walk.forget(at(1 * S))
    assert walk.floor == at(2 * S)
    walk.forget(at(3 * S))
    accept(walk, seconds(2, 3, 4))
    assert names_of(walk) == ["s4"]


def test_ids_are_kept_from_the_start_of_the_last_page_or_from_where_they_are_wanted() -> None:
    pages = seconds(1, 2, 3), seconds(3, 4, 5), seconds(5, 6, 7)
    walk = accept(span(), *pages, keep_from=END)
    walk.rows.clear()
    assert walk.known().ids == ["s4", "s5", "s6", "s7"]
    walk = accept(span(), *pages, keep_from=at(2 * S))
    walk.rows.clear()
    assert walk.known().ids == ["s2", "s3", "s4", "s5", "s6", "s7"]


@pytest.mark.parametrize(
    ("answer", "rows_left"),
    [
        (seconds(0, 1, 2, total=100), 97),
        (seconds(0, 1, 2, total=1), 0),
        # As dense as this page, up to the end: 3 rows in 2 s.
        (seconds(0, 1, 2), 998 * 3 / 2),
        (seconds(), 0),
    ],
)
def test_it_reckons_how_many_rows_are_left(answer: KeysetPage, rows_left: float) -> None:
    assert span().rows_left is None
    assert accept(span(), answer).rows_left == pytest.approx(rows_left)


def test_rows_before_a_page_of_a_block_are_not_left() -> None:
    walk = span(at(4))
    walk.step = TieStep(at(5), at(4), 3, page=1, ids={"s0", "s1", "s2"})
    assert accept(walk, page(*(session(number, 5) for number in (3, 4, 5)), total=10)).rows_left == 4


def split_after(total: int | None = None, *, count: int = 3, end: datetime = END) -> tuple[Span, Span | None]:
    walk = accept(span(at(0), end), seconds(*range(count), total=total))
    return walk, walk.split()


def test_a_split_is_halfway_at_a_whole_second() -> None:
    left, right = split_after(2_000)
    assert right is not None
    # From 2 s to 1,000 s.
    assert (left.end, right.end, right.floor) == (at(501 * S), END, at(501 * S))
    assert left.rows_left == right.rows_left == (2_000 - 3) / 2
    assert isinstance(right.step, KeysetStep)
    assert right.step.start == at(501 * S - 1)


def test_a_split_is_sooner_where_the_rows_end_sooner_at_this_pace() -> None:
    left, right = split_after(33)
    assert right is not None
    # 30 rows, of which three take 2 s: 20 s, of which half.
    assert left.end == at(12 * S)


@pytest.mark.parametrize(
    ("total", "end", "worth_it"),
    [
        (2_000, at(4 * S), False),
        (2_000, at(5 * S), False),
        (2_000, at(7 * S), True),
    ],
)
def test_what_is_short_is_not_split(total: int, end: datetime, worth_it: bool) -> None:
    assert (split_after(total, end=end)[1] is not None) is worth_it


@pytest.mark.parametrize(("total", "worth_it"), [(3, False), (11, False), (12, True)])
def test_less_than_three_pages_are_not_split(total: int, worth_it: bool) -> None:
    walk = accept(span(at(0)), seconds(0, 100, 200, total=total))
    assert (walk.split() is not None) is worth_it


def test_a_span_without_a_page_or_at_its_end_is_not_split() -> None:
    assert span(at(0)).split() is None
    assert accept(span(), seconds()).split() is None
    walk = span()
    walk.rows_left = 1_000
    assert walk.split() is None  # it has no place yet


def test_both_halves_know_what_was_given_of_them() -> None:
    walk = accept(span(at(0), known=given(1, 800), is_checked=False), seconds(0, 1, 2, total=2_000))
    right = walk.split()
    assert right is not None
    assert right.known().ids == ["s800"]
    assert "s800" not in walk.known().ids
    assert right.missing(seconds()) == ()  # given in the midst of a block, so not expected here either


def test_the_place_of_a_block_is_its_last_instant() -> None:
    walk = accept(span(at(0), at(101 * S)), seconds(0, 1, 2, total=2_000))
    walk.step = TieStep(at(50 * S), at(3 * S), 3)
    right = walk.split()
    assert right is not None
    assert walk.end == at(75 * S)
    walk._reached = at(71 * S)
    assert walk.split() is None  # the rows that were taken in reach that far: too little is left


def test_a_key_step_stands_at_its_last_timestamp() -> None:
    walk = accept(span(at(0), at(25 * S // 2)), seconds(0, 4, 8, total=2_000))
    walk.rows.clear()
    right = walk.split()
    assert right is not None
    assert walk.end == at(10 * S)


def test_a_split_span_reckons_with_the_same_pages() -> None:
    walk, right = split_after(2_000)
    assert right is not None
    assert (right._largest_page, right._time_per_row) == (walk._largest_page, walk._time_per_row)
    assert walk._time_per_row == timedelta(seconds=2) / 3


def test_a_cursor_never_begins_behind_its_end() -> None:
    walk = span(at(0))
    walk.step = KeysetStep(walk.end + timedelta(seconds=1))
    assert walk.cursor.since == walk.end == walk.cursor.end


def halves(*numbers: int) -> KeysetPage:
    """The sessions of these half seconds."""
    return page(*(session(number, number * S // 2) for number in numbers))


async def test_a_first_look_that_no_second_followed_is_not_compared_with_the_next_question() -> None:
    right = halves(31, 32, 34)
    answers: list[KeysetPage | None] = [halves(16, 18), None, halves(15, 16, 31, 32), halves(32, 34), right]

    async def fetch(_query: ListQuery) -> ListResponseSession:
        answer = answers.pop(0)
        if answer is None:
            raise UnavailableError
        return ListResponseSession(items=cast("Any", answer.rows), page=0, page_size=3)

    reader = PageReader(fetch, None, lambda _: None, ListQuery.from_arguments(limit=4), QUICK)
    walk = accept(span(), halves(0, 15, 16))
    with pytest.raises(UnavailableError):
        await reader.read(walk)
    accept(walk, await reader.read(walk))
    found = await reader.read(walk)
    assert found.keys == right.keys
    assert answers == []


def test_a_deleted_session_is_missed_once_and_not_at_each_look() -> None:
    walk, rest = accept(span(at(0)), seconds(1, 2, 3)), seconds(2, 3)
    for anchored in (False, True):
        walk.begin_at(at(0))
        assert walk.is_anchored(rest) is anchored
        accept(walk, rest)
