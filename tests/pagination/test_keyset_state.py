"""The rules of keyset pagination, one by one: the next request, from the last page alone."""

from __future__ import annotations

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
from syllable_async.errors import PaginationError
from syllable_async.models import ListResponseSession

from .paged_source import at, session

BOUNDS = KeysetContext(end=at(1_000), largest_page=3, overlap=timedelta(microseconds=2), request_number=7)


def page_at(*micros: int, total: int | None = None, pages: int | None = None, size: int = 3) -> ListResponseSession:
    """A page of sessions at these times; `s0` at the first, and so on."""
    rows = tuple(session(number, time) for number, time in enumerate(micros))
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
        (page_at(1, 2, 1_000), 0, True),
        (page_at(1, 2, 1_001), 0, True),
        (page_at(1, 2, 999), 0, False),
        (page_at(1, 2), 0, True),
        (page_at(1, 2, total=2), 0, True),
        (page_at(1, 2, total=3), 0, False),
        (page_at(1, 2, total=5), 3, True),
        (page_at(1, 2, total=6), 3, False),
        (page_at(), 0, True),
        (page_at(total=1), 0, False),
    ],
)
def test_the_last_page_is_told_by_its_timestamps_or_its_length(
    page: ListResponseSession, offset: int, last: bool
) -> None:
    assert BOUNDS.is_last(page, offset) is last


@pytest.mark.parametrize(
    ("step", "page", "following"),
    [
        (KeysetStep(None, None), page_at(), None),
        (KeysetStep(None, None), page_at(1, 2), None),
        (KeysetStep(None, None), page_at(1, 2, total=2), None),
        (KeysetStep(None, None), page_at(0, 40, 80), KeysetStep(at(78), at(80))),
        (KeysetStep(None, None), page_at(0, 4, 8), KeysetStep(at(7), at(8))),
        (KeysetStep(None, None), page_at(5, 5, 5), KeysetStep(at(4), at(5))),
        (KeysetStep(at(10), at(12)), page_at(10, 12, 90), KeysetStep(at(88), at(90))),
        (KeysetStep(at(10), at(12)), page_at(9, 12, 90), KeysetStep(at(88), at(90))),
        (KeysetStep(at(11), at(12)), page_at(11, 12, 12), TieStep(at(12), 3)),
        (KeysetStep(at(12), at(12)), page_at(12, 12, 12), KeysetStep(at(12), at(12), is_second_try=True)),
        (KeysetStep(at(12), at(12), is_second_try=True), page_at(12, 12, 12), KeysetStep(at(13), at(12))),
        (KeysetStep(at(12), None), page_at(12, 12, 12), TieStep(at(12), 3)),
        (KeysetStep(at(12), at(11)), page_at(12, 12, 12), TieStep(at(12), 3)),
    ],
)
def test_next_of_a_keyset_step(step: KeysetStep, page: ListResponseSession, following: KeysetState | None) -> None:
    assert step.next(page, BOUNDS) == following


@pytest.mark.parametrize(("start", "reached"), [(10, None), (10, 90), (10, 95)])
def test_rows_before_the_start_raise(start: int, reached: int | None) -> None:
    step = KeysetStep(at(start), None if reached is None else at(reached))
    with pytest.raises(PaginationError, match="does not honour start_datetime") as caught:
        step.next(page_at(9, 20, 90), BOUNDS)
    assert caught.value.page == 7


def test_a_tie_step_begins_just_before_its_timestamp() -> None:
    step = TieStep(at(5), 3, page=2)
    assert (step.start, step.until, step.offset, step.size) == (at(4), at(5), 6, 3)
    assert TieStep(at(5), 3).next(page_at(4, 5, 5), BOUNDS) is not None
    with pytest.raises(PaginationError, match="does not honour start_datetime") as caught:
        TieStep(at(5), 3).next(page_at(3, 5, 5), BOUNDS)
    assert caught.value.page == 7


def after(step: KeysetState | None, *pages: ListResponseSession) -> KeysetState | None:
    for page in pages:
        assert step is not None
        step = step.next(page, BOUNDS)
    return step


def test_a_pass_without_duplicates_counts_when_the_next_one_agrees() -> None:
    full, rest = page_at(5, 5, 5), attrs.evolve(page_at(), items=(session(3, 5),))
    assert after(TieStep(at(5), 3), full) == TieStep(at(5), 3, page=1, ids={"s0", "s1", "s2"})
    again = after(TieStep(at(5), 3), full, rest)
    assert again == TieStep(at(5), 3, passes=2, previous_pass={"s0", "s1", "s2", "s3"}, more_follows=False)
    assert after(TieStep(at(5), 3), full, rest, full) is not None
    assert after(TieStep(at(5), 3), full, rest, full, rest) is None


def test_a_tie_with_rows_behind_it_is_followed_by_a_keyset_step() -> None:
    first = after(TieStep(at(5), 3), page_at(5, 5, 6))
    assert first == TieStep(at(5), 3, passes=2, previous_pass={"s0", "s1"}, more_follows=True)
    assert after(first, page_at(5, 5, 6)) == KeysetStep(at(5), at(5))


def test_a_pass_with_a_duplicate_does_not_count() -> None:
    repeat = attrs.evolve(page_at(), items=(session(2, 5), session(3, 5), session(4, 6)))
    assert after(TieStep(at(5), 3), page_at(5, 5, 5), repeat) == TieStep(
        at(5), 3, passes=2, previous_pass=None, more_follows=True
    )


def test_a_pass_that_is_cut_short_goes_on_with_smaller_pages() -> None:
    cut = TieStep(at(5), 3).next(page_at(5, 5, total=9), BOUNDS)
    assert cut == TieStep(at(5), 2, passes=2, previous_pass=None, more_follows=True)


def test_passes_that_never_agree_end_in_an_error() -> None:
    last = TieStep(at(5), 3, passes=MAX_TIE_PASSES)
    with pytest.raises(PaginationError, match="100 passes over one timestamp never agreed") as caught:
        last.next(page_at(5, 5), BOUNDS)
    assert caught.value.page == 7
    assert TieStep(at(5), 3, passes=MAX_TIE_PASSES - 1).next(page_at(5, 5), BOUNDS) is not None
    assert (
        TieStep(at(5), 3, passes=MAX_TIE_PASSES, previous_pass={"s0", "s1"}, more_follows=False).next(
            page_at(5, 5), BOUNDS
        )
        is None
    )
