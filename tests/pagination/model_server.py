"""A list of sessions as a service really keeps it: a primary, replicas that are behind, purges, and coarse clocks.

It keeps a log of what happened and when, in virtual time that only requests and sleeps move. Each replica shows the log
up to its own lag. Times are microseconds from `START`.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Literal

import attrs

from syllable_async._pagination.query import ListQuery
from syllable_async._timing import Clock
from syllable_async._validators import parse_instant
from syllable_async.models import ListResponseSession, Session

from .paged_source import UnavailableError

START = datetime(2026, 3, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SECOND = 1_000_000
REQUEST = 25_000
"""What a request takes."""

Totals = Literal["right", "null", "capped", "half", "zero", "huge"]
TOTALS: dict[Totals, Callable[[int], int | None]] = {
    "right": lambda count: count,
    "null": lambda count: None,
    "capped": lambda count: min(count, 30),
    "half": lambda count: count // 2,
    "zero": lambda count: 0,
    "huge": lambda count: 10**9,
}
Purge = Literal["none", "retention", "all", "near"]


@attrs.frozen
class Story:
    """How one server behaves, and what happens on it."""

    seed: int
    span: int
    """The sessions' times lie in so many microseconds before the walk."""
    count: int
    limit: int
    clamps: tuple[tuple[int, int], ...]
    """From which request on a page has how many rows at most."""
    totals: Totals
    show: int
    """What timestamps are cut to in replies, in microseconds; `grain`: what bounds are cut to."""
    grain: int
    after_start: bool
    before_end: bool
    lag: int
    sticky: bool
    late: int
    """How much later than its timestamp a session may be listed."""
    purge: Purge
    archive: bool
    """Whether a purged session is still found by its id."""
    down: int | None
    """The request from which on the list is empty for 90 s."""
    lies: float
    """Probability of one empty answer where there should be rows."""
    failures: float
    moves: float
    """Probability that a session's timestamp changes before a request."""
    stops: tuple[int, ...]
    parallel: tuple[int, ...]
    """How many spans each part of the walk reads."""
    shifts: float = 0.0
    """Probability that the answer to a question by key leaves out the first sessions; to the same question only once.

    Not where timestamps move: a session that was given and moved up then proves a page that it should not be on.
    Nor with pages of one row: that they hold one that was given and the next one too cannot be asked of them.
    """

    @property
    def may_be_refused(self) -> bool:
        """Whether the list was ever behind what it had given, or gave nothing."""
        behind = bool(self.lag or self.lies or self.moves or self.shifts) or self.down is not None
        return behind or self.purge == "all" or (self.purge != "none" and self.archive)


def drawn(seed: int, parallel: int) -> Story:
    """A story of its own for each seed."""
    r = Random(seed)
    lag = r.choice([0, 0, 0, 300_000, 3 * SECOND, 30 * SECOND])
    count = r.randrange(r.choice([4, 40, 250]))
    clamps = [(0, r.choice([10**6, 10**6, r.randint(1, 20)]))]
    if r.random() < 0.3:
        clamps.append((r.randrange(1, 12), r.randint(1, 20)))
    return Story(
        seed=seed,
        span=r.choice([5, 3_000, 2 * SECOND, 60 * SECOND, 3_600 * SECOND]),
        count=count,
        limit=r.choice([1, 2, 3, 5, 20, 20, 50]),
        clamps=tuple(clamps),
        totals=r.choice(list(TOTALS)),
        show=r.choice([1, 1, 1_000, SECOND]),
        grain=r.choice([1, 1, 1_000, SECOND]),
        after_start=r.random() < 0.3,
        before_end=r.random() < 0.5,
        lag=lag,
        sticky=r.random() < 0.5,
        late=r.choice([0, 2 * SECOND, 900 * SECOND]),
        purge=r.choice(["none", "none", "retention", "all", "near"]),
        archive=r.random() < 0.1,
        down=r.choice([None] * 8 + [r.randrange(12)]),
        lies=r.choice([0.0, 0.0, 0.03]),
        failures=r.choice([0.0, 0.1]),
        moves=r.choice([0.0, 0.0, 0.2]),
        stops=tuple(sorted(r.randrange(max(1, count)) for _ in range(r.randrange(4)))),
        parallel=tuple(parallel if r.random() < 0.7 else r.choice([1, 2, 8]) for _ in range(4))
        if parallel > 1
        else (1, 1, 1, 1),
        shifts=r.choice([0.0, 0.0, 0.3]),
    )


class Replica:
    """What has been listed up to a moment."""

    def __init__(self, log: list[tuple[int, str, str, int]], lag: Callable[[int], int]) -> None:
        self._log, self._lag, self._position = log, lag, 0
        self.rows: list[tuple[int, str]] = []
        self.times: dict[str, int] = {}

    def at(self, now: int) -> Replica:
        """The same, brought up to date."""
        while self._position < len(self._log) and self._log[self._position][0] <= now - self._lag(now):
            _, what, name, time = self._log[self._position]
            self._position += 1
            if what != "add" or name in self.times:
                self._drop(name)
            if what != "drop":
                self.times[name] = time
                insort(self.rows, (time, name))
        return self

    def _drop(self, name: str) -> None:
        if name in self.times:
            self.rows.pop(bisect_left(self.rows, (self.times.pop(name), name)))


class ModelServer:
    """Call it with a query; `exists` says whether a session can be had by its id."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self._chance = chance = Random(story.seed)
        self.now = 100 * SECOND if story.span < 100 * SECOND else 2 * story.span
        self.began = self.now
        self.requests = 0
        self.log: list[tuple[int, str, str, int]] = []
        self._down_until: int | None = None
        self._lied = False
        self._shifts = Random(f"shifts of {story.seed}")
        self._shifted = set[tuple[object, ...]]()
        self.moved = set[str]()
        self.began_at = list[int]()
        """The requests with which each part of a walk began."""
        self.was_empty = False
        """Whether nothing at all was listed once."""
        self._fill(chance)
        self.truth = Replica(self.log, lambda now: 0)
        self.replicas = [Replica(self.log, self._lag_of(number)) for number in range(3 if story.lag else 1)]
        self._sticky = chance.choice(self.replicas)

    def _fill(self, chance: Random) -> None:
        story, now = self.story, self.now
        rows = [(now - 1 - chance.randrange(story.span), f"s{number}") for number in range(story.count)]
        for time, name in rows:
            self.log.append((time + chance.randrange(story.late + 1), "add", name, time))
        for number in range(chance.randrange(20)):  # calls go on coming
            time = now + chance.randrange(20 * SECOND)
            self.log.append((time + chance.randrange(story.late + 1), "add", f"n{number}", time))
        when = now + chance.randrange(3 * SECOND)
        if story.purge != "none" and rows:
            centre, width = chance.choice(rows)[0], max(1, story.span // 10)
            for time, name in rows:
                hit = {"all": True, "retention": time < centre, "near": abs(time - centre) < width}[story.purge]
                if hit:
                    self.log.append((max(when, time + story.late), "drop", name, time))
        self.log.sort(key=lambda entry: entry[0])

    def _lag_of(self, number: int) -> Callable[[int], int]:
        if not number:
            return lambda now: 0
        chance, most = self._chance, self.story.lag
        marks = [(self.now + chance.randrange(-60, 60) * SECOND, chance.randrange(most + 1)) for _ in range(8)]
        marks.sort(reverse=True)
        return lambda now: next((lag for at, lag in marks if at <= now), most)

    @property
    def is_undecidable(self) -> bool:
        """Whether a part of the walk began while the list was down, or just before.

        It has seen nothing then, and in the midst of a block its cursor proves nothing: an empty list cannot be told
        from one that is down.
        """
        down = self.story.down
        return down is not None and any(down - began < 4 for began in self.began_at)

    @property
    def clock(self) -> Clock:
        """Virtual time."""

        async def sleep(seconds: float) -> None:
            self.now += round(seconds * SECOND)

        return Clock(monotonic=lambda: self.now / SECOND, sleep=sleep, now=lambda: START + self.now * MICROSECOND)

    async def exists(self, name: str) -> bool:
        """As `get_by_id`, from the primary; an archive keeps what the list has dropped."""
        self.now += REQUEST
        archived = self.story.archive and any(name == entry[2] for entry in self.log)
        return archived or name in self.truth.at(self.now).times

    async def __call__(self, query: ListQuery) -> ListResponseSession:
        story, chance = self.story, self._chance
        number, self.requests = self.requests, self.requests + 1
        assert number < 200_000, "the walk does not end"
        self.now += REQUEST
        self.was_empty = self.was_empty or not self.truth.at(self.now).rows
        if chance.random() < story.failures:
            raise UnavailableError
        if chance.random() < story.moves:
            self._move(chance)
        replica = self._sticky if story.sticky else chance.choice(self.replicas)
        rows = self._matching(replica.at(self.now).rows, query)
        if story.down == number:
            self._down_until = self.now + 90 * SECOND
        is_shifted = (query.start_datetime, query.page, query.limit) in self._shifted
        lie = chance.random() < story.lies and not self._lied and not is_shifted  # of two answers one is right
        self._lied = lie
        if lie or (self._down_until is not None and self.now < self._down_until):
            rows = []
        rows = self._shift(rows, query)
        clamp = [most for since, most in story.clamps if since <= number][-1]
        size = min(query.limit or 25, clamp)
        page = query.page or 0
        items = tuple(
            Session(timestamp=START + time // story.show * story.show * MICROSECOND, session_id=name)
            for time, name in rows[page * size : (page + 1) * size]
        )
        return ListResponseSession(items=items, page=page, page_size=size, total_count=TOTALS[story.totals](len(rows)))

    def _shift(self, rows: list[tuple[int, str]], query: ListQuery) -> list[tuple[int, str]]:
        question = (query.start_datetime, query.page, query.limit)
        one_row = 1 in {query.limit, *(most for _, most in self.story.clamps)}
        chance = 0.0 if query.page or one_row or self.story.moves else self.story.shifts
        if len(rows) < 2 or question in self._shifted or self._shifts.random() >= chance:
            return rows
        self._shifted.add(question)
        return rows[self._shifts.randrange(1, min(len(rows), 2 * (query.limit or 25))) :]

    def _matching(self, rows: list[tuple[int, str]], query: ListQuery) -> list[tuple[int, str]]:
        low, high = 0, len(rows)
        if query.start_datetime is not None:
            start = self._bound(query.start_datetime)
            low = bisect_left(rows, (start + self.story.after_start, ""))
        if query.end_datetime is not None:
            high = bisect_left(rows, (self._bound(query.end_datetime) + (not self.story.before_end), ""))
        return rows[low:high]

    def _bound(self, moment: datetime | str) -> int:
        return (parse_instant("bound", moment) - START) // MICROSECOND // self.story.grain * self.story.grain

    def _move(self, chance: Random) -> None:
        times = self.truth.at(self.now).times
        if times:
            name = chance.choice(sorted(times))
            time = max(0, times[name] + chance.randrange(-60, 60) * SECOND)
            self.moved.add(name)
            entry = (self.now, "move", name, time)
            self.log.insert(bisect_left(self.log, self.now + 1, key=lambda old: old[0]), entry)


class CallCentre(ModelServer):
    """Calls come in for two hours, are listed up to `late` after they began, and some are deleted."""

    def _fill(self, chance: Random) -> None:
        self.now = self.began = 5 * 3_600 * SECOND
        story, hour = self.story, 3_600 * SECOND
        for number in range(story.count):
            time = self.now + chance.randrange(-hour, 2 * hour)
            listed = time + (chance.randrange(story.late + 1) if chance.random() < 0.5 else 0)
            self.log.append((listed, "add", f"s{number}", time))
            if story.purge != "none" and chance.random() < 0.1:
                self.log.append((listed + chance.randrange(hour), "drop", f"s{number}", time))
        self.log.sort(key=lambda entry: entry[0])
