"""Stories for offset walks: a list in the server's order, what happens to it between two pages, what the server says.

`play` runs a walker through a story. A row that was there from the first request to the last and did not come is lost;
a loss without a warning is silent. Where every reply is what a list would have given to which rows were only added at
its beginning, nobody can see the loss: such stories are counted apart (`undecidable`).
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeAlias

import attrs

from syllable_async._messages import Page, page_of
from syllable_async._pagination.offset_pager import OffsetPager
from syllable_async._pagination.offset_state import Identity
from syllable_async._pagination.query import PageQuery
from syllable_async.errors import PaginationDriftWarning, PaginationError
from syllable_async.models import InvalidRow, ListResponse

from .paged_source import QUICK, Lie, UnavailableError, honest

TOTALS: dict[str, Lie] = {
    "right": honest,
    "null": lambda count: None,
    "capped": lambda count: min(count, 20),
    "huge": lambda count: 10**6,
    "zero": lambda count: 0,
    "half": lambda count: count // 2,
}
KINDS = ("first", "first", "last", "anywhere", "delete", "delete", "clamp", "empty", "repeat", "fail", "burst")
"""A row comes in at an end or anywhere; one is deleted; another clamp; one answer that is empty, or that of the request
before, or a failure; a page's worth of rows comes in first."""


@attrs.frozen
class Story:
    """What happens: `moves` are (before which request, what, a number)."""

    count: int
    limit: int
    clamp: int | None
    echo_asked: bool
    total: str
    pages_too: bool
    """Whether `total_pages` is told, or null."""
    moves: list[tuple[int, str, int]]
    invalid: frozenset[int]
    """Rows that do not fit their model."""
    prefetch: int


@attrs.frozen
class Reply:
    """What the walker saw: the page's number, its rows and the totals."""

    number: int
    rows: tuple[int, ...]
    page_size: int
    total: int | None
    pages: int | None


class Server:
    """A story as it happens; call it with a query."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.rows = [*range(story.count)]
        self.steady = set(self.rows)
        self.clamp = story.clamp
        self.requests = 0
        self.replies: list[Reply] = []
        self._made = story.count
        self._fair = True

    async def __call__(self, query: PageQuery) -> Page[int, InvalidRow]:
        kinds = self._move()
        assert self.requests < 5_000, "the walk does not end"
        if "fail" in kinds:
            raise UnavailableError
        reply = self._answer(query)
        # Of two answers one at least is fair: nobody can tell a list that is always empty from an empty one.
        before, self._fair = self._fair, True
        if before and "empty" in kinds:
            reply, self._fair = attrs.evolve(reply, rows=()), False
        elif before and "repeat" in kinds and self.replies:
            reply, self._fair = attrs.evolve(self.replies[-1], number=reply.number), False
        self.replies.append(reply)
        return self._page(reply)

    def _move(self) -> list[str]:
        number, self.requests = self.requests, self.requests + 1
        kinds: list[str] = []
        for when, kind, value in self.story.moves:
            if when == number:
                kinds.append(kind)
                self._change(kind, value)
        return kinds

    def _change(self, kind: str, value: int) -> None:
        places = {"first": 0, "last": len(self.rows), "anywhere": value % (len(self.rows) + 1)}
        if kind in places:
            self._insert(places[kind])
        elif kind == "burst":
            for _ in range(value % (2 * self.story.limit) + 1):
                self._insert(0)
        elif kind == "delete" and self.rows:
            self.steady.discard(self.rows.pop(value % len(self.rows)))
        elif kind == "clamp":
            self.clamp = value % self.story.limit + 1

    def _insert(self, place: int) -> None:
        self.rows.insert(place, self._made)
        self._made += 1

    def _answer(self, query: PageQuery) -> Reply:
        asked, number = query.limit or 25, query.page or 0
        size = asked if self.clamp is None else min(asked, self.clamp)
        total = TOTALS[self.story.total](len(self.rows))
        return Reply(
            number=number,
            rows=tuple(self.rows[number * size : (number + 1) * size]),
            page_size=asked if self.story.echo_asked else size,
            total=total,
            pages=-(-total // size) if total is not None and self.story.pages_too else None,
        )

    def _page(self, reply: Reply) -> Page[int, InvalidRow]:
        good = tuple(row for row in reply.rows if row not in self.story.invalid)
        response = ListResponse(
            items=good,
            page=reply.number,
            page_size=reply.page_size,
            total_count=reply.total,
            total_pages=reply.pages,
        )
        invalid = tuple(
            InvalidRow(index=index, path="$", problem="", raw={"id": row})
            for index, row in enumerate(reply.rows)
            if row in self.story.invalid
        )
        return page_of(response, invalid=invalid)


Walker: TypeAlias = Callable[[Server], Awaitable[list[int]]]


@attrs.frozen
class Outcome:
    """How a walker fared: what it lost and doubled, and whether it or the server's replies said so."""

    lost: set[int]
    doubled: bool
    told: bool
    undecidable: bool

    @property
    def silent(self) -> bool:
        return bool(self.lost) and not self.told and not self.undecidable


def play(story: Story, walker: Walker) -> Outcome:
    """Run a walker through a story."""
    server, refused, got = Server(story), False, list[int]()

    async def run() -> None:
        got.extend(await walker(server))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            asyncio.run(run())
        except PaginationError:
            refused = True
    drift = [warning for warning in caught if issubclass(warning.category, PaginationDriftWarning)]
    assert len(drift) <= 1, "told twice"
    lost = set[int]() if refused else server.steady - story.invalid - set(got)
    return Outcome(
        lost=lost,
        doubled=len(set(got)) < len(got),
        told=bool(drift) or refused,
        undecidable=bool(lost) and could_be_harmless(story, server.replies),
    )


def could_be_harmless(story: Story, replies: list[Reply]) -> bool:
    """Whether a list to which rows were added at its beginning alone would have given these replies.

    Of a page that was asked for again the last answer counts. A page that is not full may be one of another size (a
    clamp that changed), or have rows that the server hides.
    """
    last = {reply.number: reply for reply in replies}
    pages = [reply for reply in replies if last[reply.number] is reply and reply.rows]
    longest = max((len(page.rows) for page in pages), default=0)
    own = [len(page.rows) for page in pages]
    in_step = [*own[:-1], max(own[-2:])] if own else own
    return any(fits(story, pages, replies[-1].total, sizes) for sizes in (own, in_step, [longest] * len(pages)))


def fits(story: Story, pages: list[Reply], last_total: int | None, sizes: list[int]) -> bool:
    """As `could_be_harmless`, with these page sizes: every row gets a place in the list.

    A page begins at its number times its size, less as many places as rows came in.
    """
    places, added, total = dict[int, int](), 0, pages[0].total if pages else None
    for page, size in zip(pages, sizes, strict=True):
        offset = page.number * size
        known = next((offset + index - places[row] for index, row in enumerate(page.rows) if row in places), added)
        grown = 0 if page.total is None or total is None else page.total - total
        if known < added or (story.total == "right" and grown != known - added):
            return False
        added, total = known, page.total
        for index, row in enumerate(page.rows):
            if places.setdefault(row, offset - added + index) != offset - added + index:
                return False
    honest_total = last_total == len(places) + added or not places or story.total != "right"
    return len(set(places.values())) == len(places) and honest_total


async def ours(server: Server) -> list[int]:
    """`OffsetPager.items`, asked again after each failure."""
    pager = OffsetPager(server, PageQuery(limit=server.story.limit), Identity[int](lambda row: row), QUICK)
    got = list[int]()
    async with pager.items(prefetch=server.story.prefetch) as walk:
        refusals = 0
        while True:
            try:
                got.append(await anext(walk))
            except UnavailableError:
                continue
            except PaginationError:
                refusals += 1
                if refusals > 3:
                    raise
            except StopAsyncIteration:
                return got


def naive(ends: Callable[[Reply, int, int, int], bool]) -> Walker:
    """A walker that goes from page to page until `ends(reply, rows so far, new ones on this page, limit)`."""

    async def walk(server: Server) -> list[int]:
        seen, count, page = dict[int, None](), 0, 0
        while True:
            try:
                await server(PageQuery(page=page, limit=server.story.limit))
            except UnavailableError:
                continue
            reply = server.replies[-1]
            fresh = [row for row in reply.rows if row not in seen]
            seen.update(dict.fromkeys(fresh))
            count, page = count + len(reply.rows), page + 1
            if ends(reply, count, len(fresh), server.story.limit):
                return [row for row in seen if row not in server.story.invalid]

    return walk


NAIVE = {
    "ends on a short page": naive(lambda reply, count, fresh, limit: len(reply.rows) < limit),
    "believes totals": naive(
        lambda reply, count, fresh, limit: not reply.rows or (reply.total is not None and count >= reply.total)
    ),
    "ends where nothing is new": naive(lambda reply, count, fresh, limit: not fresh),
    "ends on one empty page": naive(lambda reply, count, fresh, limit: not reply.rows),
}
"""The rules of other clients, and of 1.0.0rc1: each loses rows in these stories without a word."""


def drawn(chance: Random) -> Story:
    """A story, always the same for one seed."""
    limit = chance.randint(1, 8)
    moves = [
        (chance.randrange(chance.choice([4, 30])), chance.choice(KINDS), chance.randrange(100))
        for _ in range(chance.choice([0, 1, 2, 4, 12]))
    ]
    count = chance.randrange(chance.choice([9, 45]))
    return Story(
        count=count,
        limit=limit,
        clamp=chance.choice([None, None, chance.randint(1, limit)]),
        echo_asked=chance.random() < 0.5,
        total=chance.choice(["right", "right", "null", *TOTALS]),
        pages_too=chance.random() < 0.5,
        moves=moves,
        invalid=frozenset(chance.sample(range(count), min(count, chance.choice([0, 0, 0, 1, 5])))),
        prefetch=chance.choice([0, 0, 3]),
    )
