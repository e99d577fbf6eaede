"""The rules of keyset pagination, one by one: the next request, from the last page alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from syllable_async._pagination.keyset_page import KeysetPage
from syllable_async._pagination.keyset_state import (
    MAX_TIE_PASSES,
    SECOND,
    KeysetContext,
    KeysetState,
    KeysetStep,
    TieStep,
    ceiling,
    floor,
    instant_before,
)
from syllable_async._pagination.known_ids import MAX_INSTANT, MIN_INSTANT, TIMESTAMP_RESOLUTION
from syllable_async.errors import PaginationError
from syllable_async.models import ListResponseSession

from .paged_source import at, session

CONTEXT = KeysetContext(end=at(10_000_000), request_number=7)
TRUSTING = replace(CONTEXT, totals_trusted=True)


def page_at(*micros: int, total: int | None = None, first: int = 0) -> KeysetPage:
    """A page of sessions at these times; `s0` at the first, and so on."""
    rows = tuple(session(number, time) for number, time in enumerate(micros, first))
    return KeysetPage.of(ListResponseSession(items=rows, page=0, page_size=3, total_count=total))


def names(*numbers: int) -> frozenset[str]:
    return frozenset(f"s{number}" for number in numbers)


def test_nothing_is_earlier_than_the_beginning_or_later_than_the_end() -> None:
    assert instant_before(at(5), TIMESTAMP_RESOLUTION) == at(4)
    first = datetime(1, 1, 1, tzinfo=UTC)
    assert instant_before(MIN_INSTANT + TIMESTAMP_RESOLUTION, timedelta(days=1)) == MIN_INSTANT == first
    assert ceiling(MAX_INSTANT) == MAX_INSTANT
    assert (ceiling(at(0)), ceiling(at(1)), floor(at(1_999_999), SECOND)) == (at(0), at(1_000_000), at(1_000_000))


@pytest.mark.parametrize(
    ("step", "page", "following"),
    [
        # No total: only what comes next says whether this was all.
        (KeysetStep(None), page_at(), None),
        (KeysetStep(None), page_at(1, 2), KeysetStep(at(1), at(2), names(0, 1))),
        (KeysetStep(None), page_at(1, 2, 10_000_000), None),
        # An eighth of the page, but a second at most, is asked for again.
        (KeysetStep(None), page_at(0, 40, 80), KeysetStep(at(70), at(80), names(0, 1, 2))),
        (
            KeysetStep(None),
            page_at(0, 4_000_000, 9_000_000),
            KeysetStep(at(8_000_000), at(9_000_000), names(0, 1, 2)),
        ),
        (KeysetStep(at(4)), page_at(5, 5, 5), TieStep(at(5), at(4), 3, page=1, ids=set(names(0, 1, 2)))),
        # One that got no further is read by offset.
        (KeysetStep(at(11), at(12)), page_at(11, 12, 12), TieStep(at(12), at(11), 3, page=1, ids=set(names(0, 1, 2)))),
        # Nothing new: by offset too, for the limit may have been cut to just that.
        (KeysetStep(at(3), at(9), names(0, 1)), page_at(4, 9), TieStep(at(9), at(3), 2, page=1, ids=set(names(0, 1)))),
        # The start was rounded down to the millisecond or the second: that unit by offset.
        (
            KeysetStep(at(900), at(800)),
            page_at(0, 300, 500),
            TieStep(at(999), at(900), 3, page=1, ids=set(names(0, 1, 2))),
        ),
        (
            KeysetStep(at(5_900), at(5_800)),
            page_at(0, 300, 500),
            TieStep(at(999_999), at(5_900), 3, page=1, ids=set(names(0, 1, 2))),
        ),
        # Behind a block: the block again, twice, and then the next instant.
        (
            KeysetStep(at(5), at(5), done_until=at(5)),
            page_at(5, 5, 5),
            KeysetStep(at(5), at(5), done_until=at(5), is_second_try=True),
        ),
        (
            KeysetStep(at(5), at(5), done_until=at(5), is_second_try=True),
            page_at(5, 5, 5),
            KeysetStep(at(6), at(5), names(0, 1, 2), done_until=at(5)),
        ),
        # Not so far back as into the block.
        (
            KeysetStep(at(95), at(95), done_until=at(95)),
            page_at(0, 50, 100),
            KeysetStep(at(96), at(100), names(0, 1, 2), done_until=at(95)),
        ),
        # Where the server shows or filters whole seconds the block comes again: what is left of the unit by offset.
        (
            KeysetStep(at(1), at(0), done_until=at(0)),
            page_at(0, 0, 0),
            TieStep(at(999), at(1), 3, page=1, ids=set(names(0, 1, 2))),
        ),
    ],
)
def test_next_of_a_keyset_step(step: KeysetStep, page: KeysetPage, following: KeysetState | None) -> None:
    assert step.next(page, CONTEXT) == following


@pytest.mark.parametrize(
    ("previous", "previous_total", "page", "is_last", "confirms"),
    [
        (names(0, 1, 2), 5, page_at(30, 40, 50, first=2, total=3), True, True),
        # Half of what there is: 10, then 8 behind the two that are passed.
        (names(0, 1, 2), 5, page_at(30, 40, 50, 60, first=2, total=4), False, False),
        # More rows are gone than were passed.
        (names(0, 1, 2), 9, page_at(30, 40, 50, first=2, total=3), False, False),
        # A cap of three.
        (names(0, 1, 2), 3, page_at(30, 40, 50, first=2, total=3), False, False),
        (names(0, 1), 2, page_at(40, first=1, total=1), True, None),
        (names(0), 1, page_at(40, first=0, total=1), False, None),
        (names(), None, page_at(40, total=1), False, None),
        (names(0, 1, 2), 5, page_at(30, 40, 50, first=2), False, False),
        (names(0, 1, 2), 5, page_at(30, 40, 50, first=2, total=0), False, False),
    ],
)
def test_a_total_ends_a_walk_where_it_fits_the_one_before(
    previous: frozenset[str],
    previous_total: int | None,
    page: KeysetPage,
    is_last: bool,
    confirms: bool | None,
) -> None:
    step = KeysetStep(at(20), at(40), previous, previous_total)
    assert (step.next(page, CONTEXT) is None) is is_last
    assert step.confirms_total(page) is confirms


def test_a_first_page_is_the_last_where_totals_are_trusted() -> None:
    assert KeysetStep(None).next(page_at(1, 2, total=2), TRUSTING) is None
    assert KeysetStep(None).next(page_at(1, 2, total=3), TRUSTING) is not None


@pytest.mark.parametrize(("page_size", "is_last"), [(0, True), (1, True), (2, False), (3, True)])
def test_a_total_is_not_believed_on_a_page_as_long_as_the_longest_before(page_size: int, is_last: bool) -> None:
    context = replace(TRUSTING, page_size=page_size)
    assert (KeysetStep(None).next(page_at(1, 2, total=2), context) is None) is is_last
    # Where pages have one row, one that has one row again tells nothing.
    assert KeysetStep(None).next(page_at(1, total=1), context) is None


def test_rows_before_the_start_raise() -> None:
    for step in (KeysetStep(at(1_000_000)), TieStep(at(1_000_000), at(1_000_000), 3)):
        with pytest.raises(PaginationError, match="does not honour start_datetime") as caught:
            step.next(page_at(999_999, 2_000_000), CONTEXT)
        assert caught.value.page == 7


def after(step: KeysetState | None, *pages: KeysetPage) -> KeysetState | None:
    for page in pages:
        assert step is not None
        step = step.next(page, CONTEXT)
    return step


BLOCK = TieStep(at(5), at(4), 3)
FULL, REST = page_at(5, 5, 5), page_at(5, first=3)


def test_a_pass_without_duplicates_counts_when_the_next_one_agrees() -> None:
    assert after(BLOCK, FULL) == TieStep(at(5), at(4), 3, page=1, ids=set(names(0, 1, 2)))
    longer = page_at(5, 5, 5, 5)
    assert after(TieStep(at(5), at(4), 3), longer) == TieStep(at(5), at(4), 3, page=1, ids=set(names(0, 1, 2, 3)))
    again = after(TieStep(at(5), at(4), 3), FULL, REST, page_at())
    assert again == TieStep(at(5), at(4), 3, passes=2, previous_pass=set(names(0, 1, 2, 3)), more_follows=False)
    assert after(again, FULL, REST) is None
    for total, following in ((4, None), (5, KeysetStep(at(5), at(5), names(0, 1, 2), done_until=at(5)))):
        again = TieStep(at(5), at(4), 3, passes=2, previous_pass=set(names(0, 1, 2, 3)), more_follows=False)
        assert after(again, FULL, page_at(5, first=3, total=total)) == following


def test_what_lies_behind_a_block_on_the_same_page_goes_on() -> None:
    first = after(TieStep(at(5), at(4), 3), page_at(5, 5, 90))
    assert first == TieStep(at(5), at(4), 3, passes=2, previous_pass=set(names(0, 1)))
    assert after(first, page_at(5, 5, 93)) == KeysetStep(at(82), at(93), names(0, 1, 2), done_until=at(5))


def test_a_block_that_ends_with_its_page_is_read_in_smaller_pages() -> None:
    first = after(TieStep(at(5), at(4), 3), FULL, page_at(90, first=3))
    assert isinstance(first, TieStep)
    assert (first.size, first.previous_pass) == (2, set(names(0, 1, 2)))


def test_what_went_from_behind_a_block_is_asked_for_by_its_time() -> None:
    believed = TieStep(at(5), at(4), 3, passes=2, previous_pass=set(names(0, 1, 2)))
    assert after(believed, FULL, page_at()) == KeysetStep(at(5), at(5), names(0, 1, 2), done_until=at(5))
    believed = TieStep(at(5), at(4), 3, passes=2, previous_pass=set(names(0, 1, 2)))
    assert after(believed, FULL, page_at(6, first=3)) == KeysetStep(at(5), at(5), names(0, 1, 2), done_until=at(5))


def test_a_pass_with_a_duplicate_does_not_count() -> None:
    assert after(TieStep(at(5), at(4), 3), FULL, page_at(5, 5, 6, first=2)) == TieStep(at(5), at(4), 3, passes=2)


def test_a_pass_that_is_cut_short_goes_on_with_smaller_pages() -> None:
    cut = after(TieStep(at(5), at(4), 3), page_at(5, 5), page_at(5, first=2))
    assert cut == TieStep(at(5), at(4), 2, passes=2, more_follows=False)


def test_passes_that_never_agree_end_in_an_error() -> None:
    with pytest.raises(PaginationError, match="100 passes over one timestamp each gave other sessions") as caught:
        TieStep(at(5), at(4), 3, passes=MAX_TIE_PASSES).next(page_at(5, 6), CONTEXT)
    assert caught.value.page == 7
    assert TieStep(at(5), at(4), 3, passes=MAX_TIE_PASSES - 1).next(page_at(5, 6), CONTEXT) is not None
    agreed = TieStep(at(5), at(4), 3, passes=MAX_TIE_PASSES, previous_pass=set(names(0)), more_follows=False)
    assert agreed.next(page_at(5), CONTEXT) is None
