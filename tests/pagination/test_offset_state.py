"""The rules of offset pagination, one by one: end, repeats, drift, page sizes."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import pytest

from syllable_async._messages import Page, page_of
from syllable_async._pagination.offset_state import MAX_MOVES, MAX_PAGES, MAX_REMEMBERED_IDS, Identity, OffsetState
from syllable_async.errors import PaginationDriftWarning, PaginationError
from syllable_async.models import InvalidRow, ListResponse


def state(first: int = 0, limit: int | None = None) -> OffsetState[int]:
    return OffsetState(first, Identity[int](lambda row: row), limit)


def numbered(
    *rows: int, total: int | None = None, pages: int | None = None, size: int = 2, invalid: Iterable[int] = ()
) -> Page[int, InvalidRow]:
    response = ListResponse(items=rows, page=0, page_size=size, total_count=total, total_pages=pages)
    bad = tuple(InvalidRow(index=index, path="$", problem="", raw={"rows": rows, "at": index}) for index in invalid)
    return page_of(response, invalid=bad)


def test_totals_tell_the_expected_end() -> None:
    walk = state()
    assert (walk.next_page, walk.largest_page, walk.expected_end, walk.ended) == (0, 0, None, False)
    assert walk.accept_page(numbered(0, 1, total=5, pages=9)) == (0, 1)
    assert (walk.next_page, walk.largest_page, walk.expected_end, walk.ended) == (1, 2, 3, False)
    assert walk.accept_page(numbered(2, 3, total=5, pages=2)) == (2, 3)
    assert walk.expected_end == 2  # whichever is sooner: it only limits what is asked for ahead
    walk = state(4)
    walk.accept_page(numbered(8, 9, pages=6))
    assert (walk.next_page, walk.expected_end) == (5, 6)


@pytest.mark.parametrize(
    ("first", "page", "ended"),
    [
        (0, numbered(0, total=1), True),
        (0, numbered(0, total=1, pages=1), True),
        (0, numbered(0, total=1, pages=2), False),
        (0, numbered(0, total=2, pages=1), False),
        (0, numbered(0), False),
        (0, numbered(0, 1, total=2), False),  # a full page: the total may be capped
        (0, numbered(0, 1, total=2, size=3), True),
        (0, numbered(total=0), True),
        (2, numbered(4, total=5, pages=3), False),  # how many rows are before it is an estimate
        (2, numbered(total=4), True),
        (2, numbered(total=5, size=0), False),
    ],
)
def test_a_walk_ends_where_rows_and_totals_agree(first: int, page: Page[int, InvalidRow], ended: bool) -> None:
    walk = state(first)
    walk.accept_page(page)
    assert walk.ended is ended


def test_a_full_page_is_one_as_long_as_the_limit_or_as_the_longest() -> None:
    walk = state(limit=3)
    walk.accept_page(numbered(0, 1, total=4, size=9))
    walk.accept_page(numbered(2, 3, total=4, size=9))
    assert not walk.ended
    walk.accept_page(numbered(total=4, size=9))
    assert walk.ended
    for limit, count in ((3, 3), (2, 3), (1, 1)):
        walk = state(limit=limit)
        walk.accept_page(numbered(*range(count), total=count, size=9))
        assert not walk.ended


@pytest.mark.parametrize(
    ("totals", "looks", "reason"),
    [
        ((2, 2), 1, None),
        ((None, None), 2, None),
        ((7, 7), 2, "the total says that more is there"),
        ((1, 1), 2, None),
        ((2, None), 2, None),
        ((7, 2), 2, "the total moved"),
    ],
)
def test_an_empty_page_is_the_end_once_it_was_seen_twice_or_the_total_agrees(
    totals: tuple[int | None, int | None], looks: int, reason: str | None
) -> None:
    walk = state()
    walk.accept_page(numbered(0, 1, total=totals[0]))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for number in range(looks):
            assert (walk.second_look, walk.ended) == (number > 0, False)
            assert walk.accept_page(numbered(total=totals[1])) == ()
    assert (walk.ended, walk.second_look, walk.next_page) == (True, False, 2)
    assert [str(warning.message).split("; ")[0] for warning in caught] == ([f"page 1: {reason}"] if reason else [])


def test_page_counts_alone_tell_of_more_too() -> None:
    walk = state()
    walk.accept_page(numbered(0, 1, pages=3))
    walk.accept_page(numbered(pages=3))
    with pytest.warns(PaginationDriftWarning, match="page 1: the total says that more is there"):
        walk.accept_page(numbered(pages=3))
    assert walk.ended


def test_every_empty_page_is_doubted_anew() -> None:
    walk = state()
    for number in (0, 2):
        assert walk.accept_page(numbered(total=7, pages=4)) == ()
        assert walk.second_look
        assert walk.accept_page(numbered(number, number + 1, total=7, pages=4)) == (number, number + 1)
        assert not walk.second_look
    assert walk.next_page == 2


def test_rows_that_came_in_before_explain_repeats_of_the_last_rows_in_their_order() -> None:
    walk = state()
    walk.accept_page(numbered(0, 1, 2, total=9, size=3))
    assert walk.accept_page(numbered(2, 3, 4, total=10, size=3)) == (3, 4)
    assert walk.accept_page(numbered(0, 1, 2, total=15, size=3)) == ()  # five more: a page's worth and two
    assert walk.accept_page(numbered(3, 4, 5, total=15, size=3)) == (5,)
    assert walk.drifts == 3


@pytest.mark.parametrize(
    ("rows", "total", "reason"),
    [
        ((3, 4, 5), 8, "the total moved"),
        ((3, 4, 5), 10, "the total moved"),
        ((2, 3, 4), 9, "rows came twice"),
        ((1, 3, 4), 10, "rows came twice"),
        ((3, 2, 4), 10, "rows came twice"),
        ((1, 2, 3), 10, "rows came twice"),
    ],
)
def test_what_growth_does_not_explain_is_drift(rows: tuple[int, ...], total: int, reason: str) -> None:
    walk = state()
    walk.accept_page(numbered(0, 1, 2, total=9, size=3))
    with pytest.warns(PaginationDriftWarning, match=f"^page 1: {reason}; rows may be missing$"):
        assert walk.accept_page(numbered(*rows, total=total, size=3)) == tuple(row for row in rows if row > 2)


def test_without_totals_an_overlap_is_explained_unless_its_page_may_be_older() -> None:
    walk = state()
    walk.accept_page(numbered(0, 1))
    assert walk.accept_page(numbered(1, 2)) == (2,)
    with pytest.warns(PaginationDriftWarning, match="rows came twice"):
        assert walk.accept_page(numbered(2, 3), early=True) == (3,)


def test_a_page_without_anything_new_is_doubted_and_then_gone_past_and_refused_in_the_end() -> None:
    walk = state()
    walk.accept_page(numbered(0, 1, total=6))
    with pytest.warns(PaginationDriftWarning, match="page 1: rows came twice"):  # noqa: PT031
        for page in (1, 2, 3):
            assert walk.accept_page(numbered(0, 1, total=6)) == ()
            assert (walk.next_page, walk.second_look) == (page, True)
            assert walk.accept_page(numbered(0, 1, total=6)) == ()
            assert (walk.next_page, walk.second_look) == (page + 1, False)
    assert walk.accept_page(numbered(0, 1, total=6)) == ()
    for _ in range(2):
        with pytest.raises(PaginationError, match="page 4: the server repeats rows"):
            walk.accept_page(numbered(0, 1, total=6))
    assert walk.accept_page(numbered(2, 3, total=6)) == (2, 3)  # and goes on where something new comes after all
    assert walk.next_page == 5


def test_pages_that_become_longer_are_read_from_where_the_rows_end() -> None:
    walk = state()
    for page in ((0, 1), (2, 3), (4, 5)):
        walk.accept_page(numbered(*page, size=9))
    assert walk.accept_page(numbered(12, 13, 14, 15, size=9)) == ()
    assert (walk.next_page, walk.largest_page) == (1, 4)
    assert walk.accept_page(numbered(4, 5, 6, 7, size=9)) == (6, 7)
    assert walk.next_page == 2


def test_a_page_size_that_grows_is_believed_on_an_empty_page_too() -> None:
    walk = state()
    for page in ((0, 1), (2, 3)):
        walk.accept_page(numbered(*page))
    assert walk.accept_page(numbered(size=4)) == ()
    assert (walk.next_page, walk.second_look) == (1, False)


def test_pages_that_become_shorter_are_skipped_as_far_as_they_were_read() -> None:
    walk = state()
    walk.accept_page(numbered(0, 1, 2, 3, 4, 5, 6, 7, size=8))
    assert walk.accept_page(numbered(2, 3, size=8)) == ()
    assert (walk.next_page, walk.largest_page, walk.second_look) == (4, 2, False)
    assert walk.accept_page(numbered(8, 9, size=8)) == (8, 9)
    walk = state()
    walk.accept_page(numbered(0, 1, 2, 3, total=7, size=9))
    assert walk.accept_page(numbered(3, 4, 5, total=7, size=9)) == (4, 5)
    assert walk.accept_page(numbered(6, total=7, size=9)) == (6,)
    assert walk.ended


def test_a_walk_that_began_midway_does_not_guess_where_longer_pages_begin() -> None:
    walk = state(2)
    walk.accept_page(numbered(4, 5))
    with pytest.warns(PaginationDriftWarning, match="page 3: its pages have another size"):
        assert walk.accept_page(numbered(9, 10, 11)) == (9, 10, 11)


def test_a_server_whose_page_size_never_settles_is_gone_past_with_a_warning() -> None:
    walk = state()
    walk.accept_page(numbered(0))
    with pytest.warns(PaginationDriftWarning, match="its pages have another size"):  # noqa: PT031
        for size in range(2, MAX_MOVES + 5):
            walk.next_page = 1
            rows = tuple(range(100 * size, 101 * size))
            assert walk.accept_page(numbered(*rows, size=1)) == (() if size < MAX_MOVES + 2 else rows)


def nameless() -> OffsetState[int]:
    return OffsetState(0, Identity[int](lambda row: None))


@pytest.mark.parametrize(
    "rows",
    [
        (3, 4, 5),  # an overlap of one row, where two came in
        (2, 4, 5),  # it begins like one of two rows, and goes on in another way
    ],
)
def test_rows_without_ids_are_new_unless_they_overlap_as_expected(rows: tuple[int, ...]) -> None:
    walk = nameless()
    walk.accept_page(numbered(1, 2, 3, total=9, size=3))
    with pytest.warns(PaginationDriftWarning, match="the total moved"):
        assert walk.accept_page(numbered(*rows, total=11, size=3)) == rows
    walk = nameless()
    walk.accept_page(numbered(1, 2, 3, total=9, size=3))
    assert walk.accept_page(numbered(2, 3, 4, total=11, size=3)) == (4,)


def test_a_walk_is_refused_after_a_million_pages() -> None:
    walk = state()
    walk._count = MAX_PAGES - 2
    assert walk.accept_page(numbered(0, 1)) == (0, 1)
    assert walk.accept_page(numbered(2, 3)) == (2, 3)
    for _ in range(2):
        with pytest.raises(PaginationError, match="does not end within 1000000 pages"):
            walk.accept_page(numbered(4, 5))


def test_invalid_rows_count_as_rows_and_are_no_drift() -> None:
    walk = state()
    assert walk.accept_page(numbered(0, 2, total=5, size=3, invalid=[1])) == (0, 2)
    assert walk.accept_page(numbered(total=5, size=3, invalid=[0, 1])) == ()
    assert (walk.ended, walk.second_look, walk.next_page) == (True, False, 2)


def test_ids_are_forgotten_after_ten_thousand() -> None:
    assert MAX_REMEMBERED_IDS == 10_000
    walk = state()
    walk.accept_page(numbered(*range(MAX_REMEMBERED_IDS)))
    with pytest.warns(PaginationDriftWarning, match="page 1: rows came twice"):
        assert walk.accept_page(numbered(0, MAX_REMEMBERED_IDS)) == (MAX_REMEMBERED_IDS,)
    assert walk.accept_page(numbered(0, 1, 2)) == (0,)


def test_a_duplicate_on_one_page_is_dropped() -> None:
    with pytest.warns(PaginationDriftWarning, match="page 0: rows came twice"):
        assert state().accept_page(numbered(0, 1, 0)) == (0, 1)
