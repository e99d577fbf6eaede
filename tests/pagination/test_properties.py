"""What walks promise, over stories that hypothesis makes up; the naive walker shows that the stories have teeth."""

from __future__ import annotations

import asyncio
import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syllable_async._pagination.cursor import Cursor
from syllable_async._pagination.keyset import SnapshotIterator
from syllable_async._pagination.pager import Pager
from syllable_async._pagination.query import ListQuery
from syllable_async.errors import PaginationDriftWarning, PaginationError
from syllable_async.models import Session

from .paged_source import QUICK, Source, UnavailableError, ids, sessions
from .schedules import TOTALS, Schedule, World, drawn, naive, outcome, patient, schedules

few = settings(derandomize=True, max_examples=120, deadline=None, database=None)
many = settings(
    max_examples=5_000,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


async def snapshot(world: World, parallel: int = 1) -> list[Session]:
    """A walk that is thrown away at every stop, to go on from its cursor's JSON."""
    story, rows, cursor = world.schedule, list[Session](), None
    for most in [*sorted(story.stops), None]:
        pager = Pager(world, story.query, QUICK, world.source.exists)
        walk = pager.snapshot(cursor, overlap=story.overlap, parallel=parallel)
        if await stubborn(walk, rows, most):
            break
        cursor = Cursor.from_json(walk.cursor.to_json())
    return rows


async def stubborn(walk: SnapshotIterator, rows: list[Session], most: int | None) -> bool:
    """As `patient`, and past an answer to another question, which the walk refuses."""
    while True:
        try:
            return await patient(walk, rows, most)
        except PaginationError as error:
            if "does not honour start_datetime" not in str(error):
                raise


def exact(story: Schedule, parallel: int = 1) -> None:
    if parallel > 1 or story.stops:
        # A repeated page would be the answer to the question of another span or walk, which no walk can see through.
        story = attrs.evolve(story, moves=[move for move in story.moves if move[1] != "repeat"])
    try:
        lost, doubled, _ = outcome(story, partial(snapshot, parallel=parallel))
    except PaginationError as error:
        refused(story, error)
    else:
        assert (lost, doubled) == (set(), set())


def refused(story: Schedule, error: PaginationError) -> None:
    """Only for a block wider than a page that comes in another order each time, or a list from which all is gone."""
    shuffled = story.shuffled is not None and "each gave other sessions" in str(error)
    assert shuffled or "the list is empty" in str(error), error


@few
@given(schedules())
def test_a_snapshot_loses_and_doubles_nothing(story: Schedule) -> None:
    exact(story)


@pytest.mark.long
@many
@given(schedules())
def test_a_snapshot_loses_and_doubles_nothing_at_length(story: Schedule) -> None:
    exact(story)


@pytest.mark.parametrize("count", [300, pytest.param(30_000, marks=pytest.mark.long)])
def test_a_snapshot_loses_and_doubles_nothing_in_random_stories(
    count: int, counted: Callable[[str, int], None]
) -> None:
    for number in range(count):
        exact(drawn(Random(number)), parallel=8 if number % 2 else 1)
    counted("random stories of a snapshot", count)


def test_a_wrong_total_that_fits_by_chance_behind_a_full_page_ends_no_walk() -> None:
    exact(drawn(Random(9521)), parallel=8)


def test_the_same_stories_find_what_a_naive_walker_loses_and_doubles() -> None:
    found = Counter[str]()

    @few
    @given(schedules(faults=False))
    def look(story: Schedule) -> None:
        lost, doubled, _ = outcome(story, naive)
        found.update(lost=bool(lost), doubled=bool(doubled))

    look()
    for number in range(300):
        lost, doubled, _ = outcome(drawn(Random(number), faults=False), naive)
        found.update(lost_in_random=bool(lost), doubled_in_random=bool(doubled))
    # What hypothesis draws changes with the modules that are loaded; the seeded stories are always the same.
    assert min(found["lost"], found["doubled"]) >= 1, found
    assert min(found["lost_in_random"], found["doubled_in_random"]) >= 50, found


@attrs.frozen
class Still:
    """A list that nobody changes, on a server that says anything about it."""

    count: int
    limit: int
    clamp: int | None
    total: str
    total_pages: str
    echo_asked: bool
    first: int
    failures: frozenset[int]
    prefetch: int
    order_of_answers: int

    @property
    def size(self) -> int:
        return self.limit if self.clamp is None else min(self.limit, self.clamp)

    @property
    def misleading(self) -> bool:
        """Whether the server's numbers fit together, and with the rows of a page that is not the last."""
        total, pages = TOTALS[self.total](self.count), TOTALS[self.total_pages](-(-self.count // self.size))
        offset = self.first * (self.limit if self.echo_asked else self.size)
        for number in range(self.first, -(-self.count // self.size) - 1):
            offset += self.size
            if offset == total and pages in {None, number + 1}:
                return True
        return False


stills = st.builds(
    Still,
    count=st.integers(0, 60),
    limit=st.integers(1, 8),
    clamp=st.none() | st.integers(1, 8),
    total=st.sampled_from(sorted(TOTALS)),
    total_pages=st.sampled_from(sorted(TOTALS)),
    echo_asked=st.booleans(),
    first=st.integers(0, 4),
    failures=st.frozensets(st.integers(0, 20), max_size=6),
    prefetch=st.integers(0, 16),
    order_of_answers=st.integers(0, 99),
).filter(lambda still: not still.misleading)


def complete(still: Still) -> None:
    """All rows, in order, once; two requests too many at most, and one where the totals are right."""

    def fail(number: int) -> None:
        if number in still.failures:
            raise UnavailableError

    source = Source(
        sessions(still.count),
        clamp=still.clamp,
        total=TOTALS[still.total],
        total_pages=TOTALS[still.total_pages],
        echo=(lambda asked, used: asked) if still.echo_asked else (lambda asked, used: used),
        meanwhile=fail,
        delays=Random(still.order_of_answers),
    )

    async def walk() -> list[Session]:
        got = list[Session]()
        pager = Pager(source, ListQuery.from_arguments(page=still.first, limit=still.limit), QUICK)
        async with pager.items(prefetch=still.prefetch) as rows:
            assert await patient(rows, got)
        return got

    with warnings.catch_warnings():
        # An empty page is the end, though a total may say that more is there.
        warnings.simplefilter("ignore", PaginationDriftWarning)
        got = asyncio.run(walk())
    assert ids(got) == ids(source.rows[still.first * still.size :])
    assert source.most_in_flight <= max(1, still.prefetch)
    pages = {query.page or 0 for query in source.log}
    needed = max(1, -(-len(got) // still.size))
    if still.prefetch == 0:
        # An empty page is asked for twice.
        assert len(source.log) <= needed + 2 + len(still.failures)
    if still.total == still.total_pages == "honest" and (still.first == 0 or not still.echo_asked):
        # Behind a full page there may be more, and a walk that began midway does not know how far it is.
        assert pages - {still.first + needed} == set(range(still.first, still.first + needed))


@few
@given(stills)
def test_a_plain_walk_over_still_data_is_complete(still: Still) -> None:
    complete(still)


@pytest.mark.long
@many
@given(stills)
def test_a_plain_walk_over_still_data_is_complete_at_length(still: Still) -> None:
    complete(still)


def drifting(story: Schedule, prefetch: int) -> None:
    """A plain walk over data that moves: it ends, doubles nothing, and warns once at most."""

    async def walk(world: World) -> list[Session]:
        got = list[Session]()
        async with Pager(world, story.query, QUICK).items(prefetch=prefetch) as rows:
            await patient(rows, got)
        return got

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            _, doubled, _ = outcome(story, walk)
        except PaginationError as error:
            if "repeats" not in str(error):
                raise
        else:
            assert doubled == set()
    assert [warning.category for warning in caught] in ([], [PaginationDriftWarning])


@few
@given(schedules(), st.integers(0, 16))
def test_a_plain_walk_over_moving_data_ends_and_doubles_nothing(story: Schedule, prefetch: int) -> None:
    drifting(story, prefetch)


@pytest.mark.long
@many
@given(schedules(), st.integers(0, 16))
def test_a_plain_walk_over_moving_data_ends_and_doubles_nothing_at_length(story: Schedule, prefetch: int) -> None:
    drifting(story, prefetch)
