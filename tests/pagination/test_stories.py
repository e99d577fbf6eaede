"""Random stories on a model server: each walk is whole, or refuses where the story deserves it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from random import Random

import attrs
import pytest
from msgspec.structs import replace

from syllable_async._pagination import keyset
from syllable_async._pagination.cursor import Cursor
from syllable_async._pagination.keyset_page import KeysetPage
from syllable_async._pagination.pager import Pager
from syllable_async._pagination.query import ListQuery
from syllable_async._pagination.span import Span
from syllable_async.errors import PaginationError
from syllable_async.models import Session

from .model_server import MICROSECOND, SECOND, START, CallCentre, ModelServer, Story, drawn
from .paged_source import UnavailableError
from .schedules import patient

Walk = Callable[[ModelServer, list[Session]], Coroutine[None, None, None]]


def query_of(server: ModelServer) -> ListQuery:
    end = START + server.began * MICROSECOND
    return ListQuery.from_arguments(limit=server.story.limit, end_datetime=end)


async def snapshot(server: ModelServer, rows: list[Session]) -> None:
    """A walk that is thrown away at every stop, to go on from its cursor's JSON with another number of spans."""
    story, cursor = server.story, None
    for most, parallel in zip([*story.stops, None], story.parallel, strict=False):
        server.began_at.append(server.requests)
        walk = Pager(server, query_of(server), server.clock, server.exists).snapshot(cursor, parallel=parallel)
        if await patient(walk, rows, most):
            return
        cursor = Cursor.from_json(walk.cursor.to_json())
        await walk.aclose()


async def first_release(server: ModelServer, rows: list[Session]) -> None:
    """The rule of 1.0.0rc1: a page that is shorter than the longest is the last, unless its total says otherwise."""
    query = query_of(server).replace(page=0, order_by="timestamp", order_by_direction="asc")
    seen, longest, start = set[str | None](), 0, None
    while True:
        try:
            page = await server(query.replace(start_datetime=start))
        except UnavailableError:
            continue
        fresh = [row for row in page.items if row.session_id not in seen]
        seen |= {row.session_id for row in fresh}
        rows += fresh
        longest = max(longest, len(page.items))
        short = len(page.items) < longest and (page.total_count is None or page.total_count <= len(page.items))
        if not fresh or short:
            return
        start = page.items[-1].timestamp - MICROSECOND


def told(story: Story, walk: Walk = snapshot) -> str:
    """How a story ends: `whole`, `lost`, `doubled`, `refused` or `refused without a reason`."""
    server, rows = ModelServer(story), list[Session]()
    # Sessions that are younger than the lag are promised to nobody.
    settled = ModelServer(story).truth.at(server.began - (40 * SECOND if story.lag else 0)).times
    try:
        asyncio.run(walk(server, rows))
    except PaginationError as error:
        if "each gave other sessions" in str(error):
            return "refused, a block never held still"
        return "refused" if story.may_be_refused or server.was_empty else "refused without a reason"
    got = [row.session_id for row in rows if row.session_id not in server.moved]
    now = server.truth.at(server.now).times
    must = {name for name, time in settled.items() if now.get(name) == time and time < server.began}
    lost = must - set(got) - server.moved
    if lost:
        return "undecidable" if server.is_undecidable else "lost"
    return "doubled" if len(set(got)) < len(got) else "whole"


ALLOWED = {"whole", "refused", "refused, a block never held still", "undecidable"}


@pytest.mark.parametrize("parallel", [1, 8])
@pytest.mark.parametrize("count", [200, pytest.param(10_000, marks=pytest.mark.long)])
def test_every_story_ends_whole_or_in_a_refusal_that_it_deserves(
    count: int, parallel: int, counted: Callable[[str, int], None]
) -> None:
    ends = Counter[str]()
    for seed in range(count):
        end = told(drawn(seed, parallel))
        assert end in ALLOWED, (seed, end)
        ends[end] += 1
    assert ends["whole"] > 0.8 * count
    assert ends["undecidable"] + ends["refused, a block never held still"] < 0.02 * count
    for end, number in ends.items():
        counted(f"stories with parallel={parallel}: {end}", number)


CAUGHT = [11, 13, 14, 28, 31, 37, 48, 57]
"""Stories in which the first release lost sessions without a word."""


@pytest.mark.parametrize("seed", CAUGHT)
def test_the_same_stories_catch_the_rules_of_the_first_release(seed: int) -> None:
    assert told(drawn(seed, 1), first_release) == "lost"
    assert told(drawn(seed, 1)) in ALLOWED


@pytest.mark.parametrize("seed", [11, 31, 48, 57, 91, 97, 139, 166])
def test_the_same_stories_catch_an_engine_that_believes_each_page(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def believe(_span: Span, _page: KeysetPage) -> bool:
        return False

    monkeypatch.setattr(Span, "is_doubtful", believe)
    assert told(drawn(seed, 1)) == "lost"


def anchored(_span: Span, _page: KeysetPage) -> bool:
    return True


@pytest.mark.parametrize("seed", [156, 259])
def test_the_same_stories_catch_a_walk_that_believes_its_first_page(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Span, "is_anchored", anchored)
    assert told(drawn(seed, 1)) == "lost"


@pytest.mark.parametrize("seed", [187, 284])
def test_the_same_stories_catch_spans_that_believe_their_first_pages(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keep(_span: Span, _page: KeysetPage) -> bool:
        return True

    monkeypatch.setattr(Span, "begin", keep)
    assert told(drawn(seed, 8)) == "lost"


def test_a_third_answer_decides_where_two_first_pages_begin_in_one_instant(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(drawn(4411, 8)) == "whole"

    async def look_twice(_reader: keyset.PageReader, page: KeysetPage, _query: ListQuery, _span: Span) -> KeysetPage:
        return page

    monkeypatch.setattr(keyset.PageReader, "_look_twice", look_twice)
    assert told(drawn(4411, 8)) == "lost"


def test_the_same_stories_catch_halves_that_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = Span.split

    def split(span: Span) -> Span | None:
        end, right = span.end, cut(span)
        span.end = end
        return right

    monkeypatch.setattr(Span, "split", split)
    assert {told(attrs.evolve(drawn(seed, 8), stops=())) for seed in (1, 37, 38, 54)} == {"doubled"}


class EnoughError(Exception):
    """The story is over."""


def followed(seed: int, hours: float = 2.5) -> tuple[set[str], int, int]:
    """A walk that is thrown away now and then and goes on from its cursor: what it lost, doubled, and how many requests
    it sent. Refusals are waited out."""
    chance = Random(seed)
    story = attrs.evolve(
        drawn(seed, 1),
        count=chance.randrange(200),
        late=chance.choice([0, 60, 290, 3_000, 14_000]) * SECOND,
        moves=0.0,
        lag=chance.choice([0, 0, 3 * SECOND, 30 * SECOND]),
        purge=chance.choice(["none", "near"]),
        limit=chance.choice([5, 20, 100]),
        archive=False,
        span=SECOND,
    )
    server, rows, cursor = CallCentre(story), list[Session](), None
    last = server.began + round(hours * 3_600) * SECOND

    async def sleep(seconds: float) -> None:
        server.now += round(seconds * SECOND)
        if server.now > last:
            raise EnoughError

    async def part(most: int) -> Cursor:
        clock = replace(server.clock, sleep=sleep)
        walk = Pager(server, ListQuery.from_arguments(limit=story.limit), clock, server.exists).follow(cursor)
        with suppress(EnoughError):
            while most and server.now < last:
                try:
                    rows.append(await anext(walk))
                    most -= 1
                except UnavailableError:
                    await sleep(1)
                except PaginationError:
                    await sleep(30)
        return walk.cursor

    while server.now < last:
        cursor = Cursor.from_json(asyncio.run(part(chance.choice([3, 20, 10_000]))).to_json())
    got = [row.session_id for row in rows]
    # What was listed before the last long look back, and is still there.
    settled = CallCentre(story).truth.at(last - 800 * SECOND).times
    now = server.truth.at(server.now).times
    late = {name: listed - time for listed, what, name, time in server.log if what == "add"}
    must = {name for name in settled if name in now and late[name] <= 14_000 * SECOND}
    return must - set(got), len(got) - len(set(got)), server.requests


@pytest.mark.parametrize("count", [6, pytest.param(2_000, marks=pytest.mark.long)])
def test_following_loses_and_doubles_nothing(count: int, counted: Callable[[str, int], None]) -> None:
    for seed in range(count):
        lost, doubled, _ = followed(seed)
        assert (lost, doubled) == (set(), 0), seed
    counted("stories of following", count)


@pytest.mark.parametrize("seed", [0, 1, 3, 9, 11])
def test_the_same_stories_catch_a_short_look_back_alone(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyset, "LONG_LOOK_EVERY", timedelta(days=1))
    assert followed(seed)[0]


@pytest.mark.parametrize("seed", [103, 424])
def test_a_page_that_leaves_out_the_oldest_known_session_is_asked_for_again(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert followed(seed)[0] == set()

    def holds_any(span: Span, page: KeysetPage) -> bool:
        return span.knows_any(page)

    monkeypatch.setattr(Span, "is_anchored", holds_any)
    assert followed(seed)[0]
