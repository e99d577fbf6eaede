"""The rules behind the walks, asked one by one: what comes after which answer. Nothing here waits or asks anybody."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from syllable_async._pagination.keyset_state import (
    MAX_TIE_PASSES,
    MIN_INSTANT,
    TIMESTAMP_RESOLUTION,
    KeysetContext,
    KeysetState,
    KeysetStep,
    TieStep,
    instant_before,
)
from syllable_async._pagination.offset_state import MAX_REMEMBERED_IDS, OffsetState
from syllable_async.errors import PaginationDriftWarning, PaginationError
from syllable_async.models import ListResponseSession

from .paged_source import at, ids, session

BOUNDS = KeysetContext(end=at(1_000), largest_page=3, overlap=timedelta(microseconds=2), request_number=7)


def answer(*micros: int, total: int | None = None, pages: int | None = None, size: int = 3) -> ListResponseSession:
    """A page of sessions at these times; `s0` at the first, and so on."""
    rows = tuple(session(number, time) for number, time in enumerate(micros))
    return ListResponseSession(items=rows, page=0, page_size=size, total_count=total, total_pages=pages)


def numbered(*numbers: int, total: int | None = None, pages: int | None = None, size: int = 2) -> ListResponseSession:
    rows = tuple(session(number) for number in numbers)
    return ListResponseSession(items=rows, page=0, page_size=size, total_count=total, total_pages=pages)


def test_nothing_is_earlier_than_the_beginning() -> None:
    assert instant_before(at(5), TIMESTAMP_RESOLUTION) == at(4)
    assert (
        instant_before(MIN_INSTANT + TIMESTAMP_RESOLUTION, timedelta(days=1))
        == MIN_INSTANT
        == datetime(1, 1, 1, tzinfo=UTC)
    )


@pytest.mark.parametrize(
    ("page", "offset", "last"),
    [
        (answer(1, 2, 1_000), 0, True),
        (answer(1, 2, 1_001), 0, True),
        (answer(1, 2, 999), 0, False),
        (answer(1, 2), 0, True),
        (answer(1, 2, total=2), 0, True),
        (answer(1, 2, total=3), 0, False),
        (answer(1, 2, total=5), 3, True),
        (answer(1, 2, total=6), 3, False),
        (answer(), 0, True),
        (answer(total=1), 0, False),
    ],
)
def test_a_page_is_the_last_by_its_time_or_by_its_length(page: ListResponseSession, offset: int, last: bool) -> None:
    assert BOUNDS.is_last(page, offset) is last


@pytest.mark.parametrize(
    ("step", "page", "following"),
    [
        (KeysetStep(None, None), answer(), None),
        (KeysetStep(None, None), answer(1, 2), None),
        (KeysetStep(None, None), answer(1, 2, total=2), None),
        (KeysetStep(None, None), answer(0, 40, 80), KeysetStep(at(78), at(80))),
        (KeysetStep(None, None), answer(0, 4, 8), KeysetStep(at(7), at(8))),
        (KeysetStep(None, None), answer(5, 5, 5), KeysetStep(at(4), at(5))),
        (KeysetStep(at(10), at(12)), answer(10, 12, 90), KeysetStep(at(88), at(90))),
        (KeysetStep(at(10), at(12)), answer(9, 12, 90), KeysetStep(at(88), at(90))),
        (KeysetStep(at(11), at(12)), answer(11, 12, 12), TieStep(at(12), 3)),
        (KeysetStep(at(12), at(12)), answer(12, 12, 12), KeysetStep(at(12), at(12), is_second_try=True)),
        (KeysetStep(at(12), at(12), is_second_try=True), answer(12, 12, 12), KeysetStep(at(13), at(12))),
        (KeysetStep(at(12), None), answer(12, 12, 12), TieStep(at(12), 3)),
        (KeysetStep(at(12), at(11)), answer(12, 12, 12), TieStep(at(12), 3)),
    ],
)
def test_what_follows_a_page_by_key(step: KeysetStep, page: ListResponseSession, following: KeysetState | None) -> None:
    assert step.next(page, BOUNDS) == following


@pytest.mark.parametrize(("start", "reached"), [(10, None), (10, 90), (10, 95)])
def test_a_server_that_answers_from_before_the_start_is_refused(start: int, reached: int | None) -> None:
    step = KeysetStep(at(start), None if reached is None else at(reached))
    with pytest.raises(PaginationError, match="does not honour start_datetime") as caught:
        step.next(answer(9, 20, 90), BOUNDS)
    assert caught.value.page == 7


def test_a_block_is_asked_for_from_just_before_it() -> None:
    block = TieStep(at(5), 3, page=2)
    assert (block.start, block.until, block.offset, block.size) == (at(4), at(5), 6, 3)
    assert TieStep(at(5), 3).next(answer(4, 5, 5), BOUNDS) is not None
    with pytest.raises(PaginationError, match="does not honour start_datetime") as caught:
        TieStep(at(5), 3).next(answer(3, 5, 5), BOUNDS)
    assert caught.value.page == 7


def after(step: KeysetState | None, *pages: ListResponseSession) -> KeysetState | None:
    for page in pages:
        assert step is not None
        step = step.next(page, BOUNDS)
    return step


def test_a_clean_pass_is_believed_when_the_next_one_agrees() -> None:
    full, rest = answer(5, 5, 5), attrs.evolve(answer(), items=(session(3, 5),))
    assert after(TieStep(at(5), 3), full) == TieStep(at(5), 3, page=1, ids={"s0", "s1", "s2"})
    again = after(TieStep(at(5), 3), full, rest)
    assert again == TieStep(at(5), 3, passes=2, previous_pass={"s0", "s1", "s2", "s3"}, more_follows=False)
    assert after(TieStep(at(5), 3), full, rest, full) is not None
    assert after(TieStep(at(5), 3), full, rest, full, rest) is None


def test_a_pass_that_found_sessions_behind_the_block_goes_on_by_key() -> None:
    first = after(TieStep(at(5), 3), answer(5, 5, 6))
    assert first == TieStep(at(5), 3, passes=2, previous_pass={"s0", "s1"}, more_follows=True)
    assert after(first, answer(5, 5, 6)) == KeysetStep(at(5), at(5))


def test_a_pass_with_a_repeat_is_not_believed() -> None:
    repeat = attrs.evolve(answer(), items=(session(2, 5), session(3, 5), session(4, 6)))
    assert after(TieStep(at(5), 3), answer(5, 5, 5), repeat) == TieStep(
        at(5), 3, passes=2, previous_pass=None, more_follows=True
    )


def test_a_pass_that_is_cut_short_goes_on_with_smaller_pages() -> None:
    cut = TieStep(at(5), 3).next(answer(5, 5, total=9), BOUNDS)
    assert cut == TieStep(at(5), 2, passes=2, previous_pass=None, more_follows=True)


def test_passes_that_never_agree_end_in_an_error() -> None:
    last = TieStep(at(5), 3, passes=MAX_TIE_PASSES)
    with pytest.raises(PaginationError, match="100 passes over one timestamp never agreed") as caught:
        last.next(answer(5, 5), BOUNDS)
    assert caught.value.page == 7
    assert TieStep(at(5), 3, passes=MAX_TIE_PASSES - 1).next(answer(5, 5), BOUNDS) is not None
    assert (
        TieStep(at(5), 3, passes=MAX_TIE_PASSES, previous_pass={"s0", "s1"}, more_follows=False).next(
            answer(5, 5), BOUNDS
        )
        is None
    )


def test_a_ledger_knows_the_end_that_the_totals_tell() -> None:
    ledger = OffsetState()
    assert (ledger.next_page, ledger.largest_page, ledger.expected_end, ledger.ended) == (0, 0, None, False)
    assert ids(ledger.accept_page(numbered(0, 1, total=5, pages=9))) == ["s0", "s1"]
    assert (ledger.next_page, ledger.largest_page, ledger.expected_end, ledger.ended) == (1, 2, 3, False)
    ledger = OffsetState(4)
    ledger.accept_page(numbered(8, 9, pages=6))
    assert (ledger.next_page, ledger.expected_end) == (5, 6)


@pytest.mark.parametrize(
    ("first", "page", "ended"),
    [
        (0, numbered(0, 1, total=2), True),
        (0, numbered(0, 1, total=2, pages=1), True),
        (0, numbered(0, 1, total=2, pages=2), False),
        (0, numbered(0, 1, total=3, pages=1), False),
        (0, numbered(0, 1), False),
        (2, numbered(4, total=5, pages=3), True),
        (2, numbered(4, total=5, pages=3, size=-1), False),
        (2, numbered(4, total=2, pages=3, size=0), False),
        (0, numbered(), True),
    ],
)
def test_a_walk_ends_where_rows_and_totals_agree_or_on_an_empty_page(
    first: int, page: ListResponseSession, ended: bool
) -> None:
    ledger = OffsetState(first)
    ledger.accept_page(page)
    assert ledger.ended is ended


def test_the_rows_of_a_clamped_page_are_counted_and_not_what_it_says_of_its_size() -> None:
    ledger = OffsetState()
    ledger.accept_page(numbered(0, 1, total=3, size=100))
    assert not ledger.ended
    ledger.accept_page(numbered(2, total=3, size=100))
    assert ledger.ended


@pytest.mark.filterwarnings("ignore::syllable_async.errors.PaginationDriftWarning")
def test_short_stale_pages_are_let_through_once() -> None:
    ledger = OffsetState()
    ledger.accept_page(numbered(0, 1, 2))
    assert ledger.accept_page(numbered(1, 2)) == ()
    with pytest.raises(PaginationError, match="repeats") as caught:
        ledger.accept_page(numbered(0, 2))
    assert (caught.value.page, ledger.next_page) == (2, 2)
    assert ids(ledger.accept_page(numbered(3))) == ["s3"]
    assert ledger.accept_page(numbered(0, 3)) == ()


@pytest.mark.filterwarnings("ignore::syllable_async.errors.PaginationDriftWarning")
def test_a_page_comes_again_where_the_total_has_grown_by_as_much() -> None:
    ledger = OffsetState()
    ledger.accept_page(numbered(0, 1, total=6))
    with pytest.raises(PaginationError, match="repeats"):
        ledger.accept_page(numbered(0, 1, total=7))
    assert ledger.accept_page(numbered(0, 1, total=8)) == ()


def test_ids_are_forgotten_after_ten_thousand() -> None:
    assert MAX_REMEMBERED_IDS == 10_000
    ledger = OffsetState()
    ledger.accept_page(numbered(*range(MAX_REMEMBERED_IDS)))
    with pytest.warns(PaginationDriftWarning, match="page 1: sessions came twice"):
        assert ids(ledger.accept_page(numbered(0, MAX_REMEMBERED_IDS))) == [f"s{MAX_REMEMBERED_IDS}"]
    assert ids(ledger.accept_page(numbered(0, 1, 2))) == ["s0"]


def test_a_repeat_on_one_page_comes_once() -> None:
    with pytest.warns(PaginationDriftWarning, match="page 0: sessions came twice"):
        assert ids(OffsetState().accept_page(numbered(0, 1, 0))) == ["s0", "s1"]


def test_an_empty_page_behind_the_total_is_no_drift() -> None:
    ledger = OffsetState()
    ledger.accept_page(numbered(0, 1, total=1))
    assert ledger.accept_page(numbered(total=1)) == ()
    assert ledger.ended


def test_one_session_again_and_again_is_a_circle_where_nobody_counts() -> None:
    ledger = OffsetState()
    ledger.accept_page(numbered(0))
    with pytest.raises(PaginationError, match="repeats"):
        ledger.accept_page(numbered(0))


@pytest.mark.parametrize(
    ("total", "pages", "asked_again"),
    [(7, 4, True), (7, 3, False), (7, None, False), (None, 4, False), (2, 1, False), (1, 1, False), (0, 0, False)],
)
def test_an_empty_page_is_doubted_once_where_totals_fit_together_and_tell_of_more(
    total: int | None, pages: int | None, asked_again: bool
) -> None:
    ledger = OffsetState()
    ledger.accept_page(numbered(0, 1, pages=9))
    empty = numbered(total=total, pages=pages)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert ledger.accept_page(empty) == ()
        assert (ledger.next_page, ledger.ended, len(caught)) == (
            (1, False, 0) if asked_again else (2, True, total == 7)
        )
        if asked_again:
            assert ledger.accept_page(empty) == ()
            assert (ledger.next_page, ledger.ended, len(caught)) == (2, True, 1)


def test_every_empty_page_is_doubted_anew() -> None:
    ledger = OffsetState()
    for number in (0, 2):
        ledger.accept_page(numbered(total=7, pages=4))
        assert not ledger.ended
        ledger.accept_page(numbered(number, number + 1, total=7, pages=4))
    assert ledger.next_page == 2
