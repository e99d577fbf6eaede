"""The rules of offset pagination, one by one: end, repeats, drift."""

from __future__ import annotations

import warnings

import pytest

from syllable_async._pagination.offset_state import MAX_REMEMBERED_IDS, OffsetState
from syllable_async.errors import PaginationDriftWarning, PaginationError
from syllable_async.models import ListResponseSession

from .paged_source import ids, session


def numbered(*numbers: int, total: int | None = None, pages: int | None = None, size: int = 2) -> ListResponseSession:
    rows = tuple(session(number) for number in numbers)
    return ListResponseSession(items=rows, page=0, page_size=size, total_count=total, total_pages=pages)


def test_totals_tell_the_expected_end() -> None:
    state = OffsetState()
    assert (state.next_page, state.largest_page, state.expected_end, state.ended) == (0, 0, None, False)
    assert ids(state.accept_page(numbered(0, 1, total=5, pages=9))) == ["s0", "s1"]
    assert (state.next_page, state.largest_page, state.expected_end, state.ended) == (1, 2, 3, False)
    state = OffsetState(4)
    state.accept_page(numbered(8, 9, pages=6))
    assert (state.next_page, state.expected_end) == (5, 6)


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
    state = OffsetState(first)
    state.accept_page(page)
    assert state.ended is ended


def test_the_rows_of_a_clamped_page_count_and_not_its_page_size() -> None:
    state = OffsetState()
    state.accept_page(numbered(0, 1, total=3, size=100))
    assert not state.ended
    state.accept_page(numbered(2, total=3, size=100))
    assert state.ended


@pytest.mark.filterwarnings("ignore::syllable_async.errors.PaginationDriftWarning")
def test_short_stale_pages_are_let_through_once() -> None:
    state = OffsetState()
    state.accept_page(numbered(0, 1, 2))
    assert state.accept_page(numbered(1, 2)) == ()
    with pytest.raises(PaginationError, match="repeats") as caught:
        state.accept_page(numbered(0, 2))
    assert (caught.value.page, state.next_page) == (2, 2)
    assert ids(state.accept_page(numbered(3))) == ["s3"]
    assert state.accept_page(numbered(0, 3)) == ()


@pytest.mark.filterwarnings("ignore::syllable_async.errors.PaginationDriftWarning")
def test_a_page_may_come_again_where_the_total_has_grown_by_as_much() -> None:
    state = OffsetState()
    state.accept_page(numbered(0, 1, total=6))
    with pytest.raises(PaginationError, match="repeats"):
        state.accept_page(numbered(0, 1, total=7))
    assert state.accept_page(numbered(0, 1, total=8)) == ()


def test_ids_are_forgotten_after_ten_thousand() -> None:
    assert MAX_REMEMBERED_IDS == 10_000
    state = OffsetState()
    state.accept_page(numbered(*range(MAX_REMEMBERED_IDS)))
    with pytest.warns(PaginationDriftWarning, match="page 1: sessions came twice"):
        assert ids(state.accept_page(numbered(0, MAX_REMEMBERED_IDS))) == [f"s{MAX_REMEMBERED_IDS}"]
    assert ids(state.accept_page(numbered(0, 1, 2))) == ["s0"]


def test_a_duplicate_on_one_page_is_dropped() -> None:
    with pytest.warns(PaginationDriftWarning, match="page 0: sessions came twice"):
        assert ids(OffsetState().accept_page(numbered(0, 1, 0))) == ["s0", "s1"]


def test_an_empty_page_behind_the_total_is_no_drift() -> None:
    state = OffsetState()
    state.accept_page(numbered(0, 1, total=1))
    assert state.accept_page(numbered(total=1)) == ()
    assert state.ended


def test_one_session_again_and_again_is_a_cycle_without_totals() -> None:
    state = OffsetState()
    state.accept_page(numbered(0))
    with pytest.raises(PaginationError, match="repeats"):
        state.accept_page(numbered(0))


@pytest.mark.parametrize(
    ("total", "pages", "asked_again"),
    [(7, 4, True), (7, 3, False), (7, None, False), (None, 4, False), (2, 1, False), (1, 1, False), (0, 0, False)],
)
def test_a_suspicious_empty_page_is_checked_once_more(total: int | None, pages: int | None, asked_again: bool) -> None:
    state = OffsetState()
    state.accept_page(numbered(0, 1, pages=9))
    empty = numbered(total=total, pages=pages)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert state.accept_page(empty) == ()
        assert (state.next_page, state.ended, len(caught)) == ((1, False, 0) if asked_again else (2, True, total == 7))
        if asked_again:
            assert state.accept_page(empty) == ()
            assert (state.next_page, state.ended, len(caught)) == (2, True, 1)


def test_every_suspicious_empty_page_is_checked_anew() -> None:
    state = OffsetState()
    for number in (0, 2):
        state.accept_page(numbered(total=7, pages=4))
        assert not state.ended
        state.accept_page(numbered(number, number + 1, total=7, pages=4))
    assert state.next_page == 2
