"""What every job asks the API: the filters, the time of day, and an exact walk of a span."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Protocol, Self

import attrs

from syllable_async import AsyncSyllableClient, Cursor, InvalidRow, Pager, Session, SyllableError

from ._patience import Patience

LIST = "/api/v1/sessions/"
CLOCKS_APART = timedelta(days=2)
"""More than clocks are set wrong by: a server that says 1970 has none."""


class Walk(Protocol):
    """An exact walk: `Pager.snapshot` or `Pager.follow`. A step that failed leaves it where it was."""

    @property
    def cursor(self) -> Cursor: ...
    def __aiter__(self) -> Self: ...
    async def __anext__(self) -> Session: ...
    async def aclose(self) -> None: ...


def by_field(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The filters by their fields.

    Raises:
        ValueError: a field comes twice, so that one of its filters would be lost.
    """
    found = dict[str, str]()
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name} is filtered twice: give one value")
        found[name] = value
    return found


@attrs.frozen
class Filters:
    """Fields and the values that they must have, all of them; sorted."""

    pairs: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_arguments(cls, search: Mapping[str, str] | None, agent_name: str | None, *, include_test: bool) -> Self:
        """Refuse what is no text or empty; `include_test` is a filter by which the API adds test sessions to a list."""
        given = [*dict(search or {}).items()]
        if agent_name is not None:
            given.append(("agent_name", agent_name))
        if include_test:
            given.append(("is_test", "true"))
        for name, value in given:
            if not isinstance(name, str) or not isinstance(value, str):
                raise TypeError("search must map names of fields to text")
            if not name.strip() or not value.strip():
                raise ValueError(f"the filter {name}= is empty: give a field and its value")
        return cls(tuple(sorted(by_field(given).items())))

    def list(
        self,
        client: AsyncSyllableClient,
        start: datetime,
        end: datetime | None = None,
        on_invalid_row: Callable[[InvalidRow], object] | None = None,
    ) -> Pager:
        """The sessions that match."""
        return client.sessions.list(
            search_fields=[name for name, _ in self.pairs] or None,
            search_field_values=[value for _, value in self.pairs] or None,
            start_datetime=start,
            end_datetime=end,
            on_invalid_row=on_invalid_row,
        )


class PatientWalk(AsyncIterator[Session]):
    """A walk of which each step is tried again for as long as the job's patience lasts."""

    def __init__(self, walk: Walk, patience: Patience) -> None:
        self._walk = walk
        self._patience = patience

    async def __anext__(self) -> Session:
        session = await self.read(1)
        if not session:
            raise StopAsyncIteration
        return session[0]

    async def read(self, count: int) -> list[Session]:
        """The next sessions, `count` of them; fewer, or none, at the end."""
        sessions: list[Session] = []
        wait = self._patience.begin()
        while len(sessions) < count:
            try:
                async for session in self._walk:
                    sessions.append(session)
                    if len(sessions) == count:
                        break
                else:
                    break
            except SyllableError as error:  # the walk stands where it stood, and goes on from there
                await wait(error)
        self._patience.succeeded()
        return sessions

    async def aclose(self) -> None:
        """End the walk."""
        await self._walk.aclose()


@attrs.frozen
class Times:
    """The time of day by two clocks, the API's and ours; where the API says none, ours stands for both."""

    api: datetime
    ours: datetime

    @property
    def earlier(self) -> datetime:
        """One of ours that is fast makes no day final."""
        return min(self.api, self.ours)

    @property
    def present(self) -> datetime:
        """The end of what can have begun: ours, but within the API's second, of which it says whole ones only."""
        return min(self.ours, self.api + timedelta(seconds=1))

    def check(self) -> None:
        """Refuse an API that is far behind us: nobody knows which days have begun.

        Raises:
            SyllableError: one of the clocks is wrong by more than `CLOCKS_APART`.
        """
        if self.ours - self.api > CLOCKS_APART:
            raise SyllableError(f"the API's clock says {self.api}, ours {self.ours:%Y-%m-%d %H:%M:%S}: one is wrong")


async def times(client: AsyncSyllableClient, now: Callable[[], datetime]) -> Times:
    """Both clocks; costs a request."""
    response = await client.request("GET", LIST, query={"limit": 1})
    ours = now()
    try:
        api = parsedate_to_datetime(response.headers.get("date", ""))
        return Times(api.replace(tzinfo=UTC) if api.tzinfo is None else api.astimezone(UTC), ours)
    except (ValueError, TypeError, OverflowError):
        return Times(ours, ours)
