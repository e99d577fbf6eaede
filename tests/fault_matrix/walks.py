"""Rows 32 and 34 of FAULTS.md: what a list can do to a walk by key, read in one span and in eight."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import attrs

from syllable_async import PaginationError, ResponseValidationError
from tests.fault_matrix.cell import Cell, Scene
from tests.fault_matrix.operations import WALK, Operation
from tests.fault_matrix.our_client import Ours
from tests.fault_server import Exchange, ReceivedRequest, json_reply

START = datetime(2026, 3, 1, tzinfo=UTC)
COUNT, LIMIT, STEP = 120, 10, 7_300_000
END = START + timedelta(seconds=COUNT * 8)
MICROSECOND = timedelta(microseconds=1)
PATH = "/api/v1/sessions/"

Page = dict[str, Any]


@attrs.define
class SessionList:
    """A list of sessions: `rows` are (microseconds from `START`, id)."""

    rows: list[tuple[int, str]] = attrs.Factory(lambda: [(n * STEP + n % 3, f"s{n}") for n in range(COUNT)])
    show: int = 1
    grain: int = 1
    shift: int = 0
    clamp: int = 10**6
    after_start: bool = False
    before_end: bool = True
    before: Callable[[SessionList, int], None] = lambda _list, _number: None
    edit: Callable[[int, Page], Page] = lambda _number, page: page
    behind: slice | None = None
    """What a replica that is behind has of a page; it answers once, where a page can be checked by those before it."""
    lists: int = 0
    deleted: set[str] = attrs.Factory(set[str])

    def __call__(self, request: ReceivedRequest) -> Exchange:
        parts = urlsplit(request.target)
        if parts.path != PATH:
            name = parts.path.rsplit("/", 1)[-1]
            found = [self.shown(row) for row in self.rows if row[1] == name]
            return json_reply(found[0]) if found else json_reply({"detail": "Not found"}, 404)
        number, self.lists = self.lists, self.lists + 1
        self.before(self, number)
        return json_reply(
            self.edit(number, self.page({name: values[0] for name, values in parse_qs(parts.query).items()}))
        )

    def page(self, query: dict[str, str]) -> Page:
        """The answer of a server that means well."""
        rows = sorted(self.rows)
        if "start_datetime" in query:
            start = self.bound(query["start_datetime"])
            rows = [row for row in rows if row[0] > start or (row[0] == start and not self.after_start)]
        if "end_datetime" in query:
            end = self.bound(query["end_datetime"])
            rows = [row for row in rows if row[0] < end or (row[0] == end and not self.before_end)]
        size, page = min(int(query["limit"]), self.clamp), int(query.get("page", 0))
        items = [self.shown(row) for row in rows[page * size : (page + 1) * size]]
        return {
            "items": items,
            "page": page,
            "page_size": size,
            "total_count": len(rows),
            "total_pages": -(-len(rows) // size),
        }

    def bound(self, text: str) -> int:
        micros = (datetime.fromisoformat(text) - START) // MICROSECOND + self.shift
        return micros // self.grain * self.grain

    def shown(self, row: tuple[int, str]) -> Page:
        return {"session_id": row[1], "timestamp": (START + row[0] // self.show * self.show * MICROSECOND).isoformat()}

    def delete(self, index: int) -> None:
        self.deleted.add(self.rows.pop(index)[1])


async def walk(
    scene: Scene,
    _: Operation,
    *,
    make: Callable[[], SessionList],
    parallel: int,
    bounds: Sequence[datetime] = (START, END),
    refusal: type[Exception] | None = None,
    invalid: bool = False,
) -> None:
    """Every session that stays comes once; or the refusal that is expected, and nothing twice before it."""
    listed = make()
    there = {name for micros, name in listed.rows if bounds[0] <= START + micros * MICROSECOND < bounds[1]}
    told = list[Any]()
    async with scene.server(always=listed) as server, scene.client(server) as subject:
        assert isinstance(subject, Ours)
        pager = subject.client.sessions.list(
            limit=LIMIT,
            start_datetime=bounds[0],
            end_datetime=bounds[1],
            on_invalid_row=told.append if invalid else None,
        )
        got, error = list[str | None](), None
        try:
            async with pager.snapshot(parallel=parallel) as sessions:
                async for session in sessions:
                    got.append(session.session_id)
        except (PaginationError, ResponseValidationError) as raised:
            error = raised
            scene.errors.append(raised)
    names = [name for name in got if name is not None]
    assert len(names) == len(set(names))
    if refusal is not None:
        assert isinstance(error, refusal), error
        return
    assert error is None, error
    if invalid:
        assert len(told) == 1
        there.discard("s50")
    lost = there - listed.deleted - set(names)
    assert len(lost) == (1 if None in got else 0), lost


def _said(**values: Any) -> Callable[[], SessionList]:
    return lambda: SessionList(edit=lambda _, page: {**page, **values})


def _edited(edit: Callable[[int, Page], Page]) -> Callable[[], SessionList]:
    return lambda: SessionList(edit=edit)


def _with_total(change: Callable[[int], int | None]) -> Callable[[], SessionList]:
    return _edited(lambda _, page: {**page, "total_count": change(page["total_count"])})


def _null_totals(page: Page) -> Page:
    return {**page, "total_count": None, "total_pages": None}


class _Repeated:
    """The first page for ever."""

    def __init__(self) -> None:
        self.first: Page | None = None

    def __call__(self, _: int, page: Page) -> Page:
        self.first = self.first or page
        return self.first


def _with_row(**values: Any) -> Callable[[int, Page], Page]:
    """One session is shown in another way."""

    def edit(_: int, page: Page) -> Page:
        return {**page, "items": [row | values if row["session_id"] == "s50" else row for row in page["items"]]}

    return edit


_poisoned, _nameless = _with_row(duration={}), _with_row(session_id=None)


def _shrinking(listed: SessionList, number: int) -> None:
    listed.clamp = 3 if number >= 4 else 10**6


LISTS: dict[str, Callable[[], SessionList]] = {
    "wrong page echo": _said(page=99),
    "total_pages 0": _said(total_pages=0),
    "total_pages 10^9": _said(total_pages=10**9),
    "total_pages null": _said(total_pages=None),
    "total_count 10^9": _said(total_count=10**9),
    "total_count 0": _said(total_count=0),
    "total_count half": _with_total(lambda count: count // 2),
    "total_count capped": _with_total(lambda count: min(count, 20)),
    "limit clamped": lambda: SessionList(clamp=4),
    "limit clamped, echoed as asked": lambda: SessionList(clamp=4, edit=lambda _, page: {**page, "page_size": LIMIT}),
    "limit clamped midway": lambda: SessionList(before=_shrinking),
    "null totals": _edited(lambda _, page: _null_totals(page)),
    "null totals, short pages midway": lambda: SessionList(before=_shrinking, edit=lambda _, page: _null_totals(page)),
    "empty midway": _edited(lambda number, page: {**page, "items": []} if number == 5 else page),
    "ids repeated": _edited(lambda _, page: {**page, "items": [*page["items"][:1], *page["items"]]}),
    "a replica behind, empty": lambda: SessionList(behind=slice(0)),
    "a replica behind, short": lambda: SessionList(behind=slice(4, 7)),
    "null id": _edited(_nameless),
    "shown in ms": lambda: SessionList(show=1_000),
    "shown in s": lambda: SessionList(show=1_000_000),
    "filtered in ms": lambda: SessionList(grain=1_000),
    "filtered in s": lambda: SessionList(grain=1_000_000),
    "shown and filtered in s": lambda: SessionList(show=1_000_000, grain=1_000_000),
}
REFUSED: dict[str, tuple[Callable[[], SessionList], type[Exception]]] = {
    "same page again": (lambda: SessionList(edit=_Repeated()), PaginationError),
    "bounds read five hours later": (lambda: SessionList(shift=300_000_000), PaginationError),
    "bounds read five hours earlier": (lambda: SessionList(shift=-300_000_000), PaginationError),
    "an invalid row": (_edited(_poisoned), ResponseValidationError),
}


def row_32() -> Iterator[Cell]:
    """What a server says of its pages, and how it answers."""
    for parallel in (1, 8):
        kind = f"snapshot({parallel})"
        for variant, make in LISTS.items():
            yield _cell(32, f"{variant}, {kind}", partial(walk, make=make, parallel=parallel))
        for variant, (make, refusal) in REFUSED.items():
            play = partial(walk, make=make, parallel=parallel, refusal=refusal)
            # A request that is cancelled over TLS waits for the server's close_notify longer than a cell may take.
            yield Cell(32, f"{variant}, {kind}", WALK, play, schemes=("http", "https") if parallel == 1 else ("http",))
        play = partial(walk, make=_edited(_poisoned), parallel=parallel, invalid=True)
        yield _cell(32, f"an invalid row, told, {kind}", play)


def _insert(listed: SessionList, number: int) -> None:
    listed.rows.append((number * 37 % COUNT * STEP + 1_000, f"new{number}"))


def _delete(listed: SessionList, number: int) -> None:
    if len(listed.rows) > COUNT // 2:
        listed.delete(number * 31 % len(listed.rows))


def _both(listed: SessionList, number: int) -> None:
    _insert(listed, number)
    _delete(listed, number)


def _still(_list: SessionList, _number: int) -> None:
    pass


def _tied() -> list[tuple[int, str]]:
    """A block of 35 sessions of one instant among the others."""
    return [(n * STEP if n < 40 or n > 75 else 40 * STEP, f"s{n}") for n in range(COUNT)]


def row_34() -> Iterator[Cell]:
    """Data that moves between every two pages."""
    moves = {"still": _still, "inserted": _insert, "deleted": _delete, "both": _both}
    for parallel in (1, 8):
        for edges in ("[)", "[]", "(]", "()"):
            for what, before in moves.items():
                make = partial(SessionList, before=before, after_start=edges[0] == "(", before_end=edges[1] == ")")
                variant = f"{what} {edges}, snapshot({parallel})"
                yield _cell(34, variant, partial(walk, make=make, parallel=parallel))
            make = partial(_list_of_ties, after_start=edges[0] == "(", before_end=edges[1] == ")")
            yield _cell(34, f"ties {edges}, snapshot({parallel})", partial(walk, make=make, parallel=parallel))
        for zone, day in (("America/New_York", (3, 8)), ("Europe/Berlin", (3, 29)), ("America/New_York", (11, 1))):
            begin = datetime(2026, *day, 0, 30, tzinfo=ZoneInfo(zone))
            bounds = (begin, begin.replace(hour=4, minute=0))
            play = partial(walk, make=partial(_list_around, begin), parallel=parallel, bounds=bounds)
            yield _cell(34, f"{zone} {day[0]}-{day[1]}, snapshot({parallel})", play)


def _list_of_ties(*, after_start: bool, before_end: bool) -> SessionList:
    return SessionList(_tied(), after_start=after_start, before_end=before_end)


def _list_around(begin: datetime) -> SessionList:
    """A session every ten minutes from two hours before."""
    first = (begin.astimezone(UTC) - START) // MICROSECOND - 7_200_000_000
    return SessionList([(first + n * 600_000_000, f"s{n}") for n in range(60)])


def _cell(row: int, variant: str, play: Any) -> Cell:
    return Cell(row, variant, WALK, play)


def cells() -> Iterator[Cell]:
    yield from row_32()
    yield from row_34()
