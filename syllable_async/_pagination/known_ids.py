"""What a walk by key knows of the sessions that it gave: their keys and timestamps, in a log that only grows."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Self

from .keyset_page import Row

TIMESTAMP_RESOLUTION = timedelta(microseconds=1)
MIN_INSTANT = datetime.min.replace(tzinfo=UTC)
MAX_INSTANT = datetime.max.replace(tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class KnownIds:
    """Ids that were yielded, with their timestamps, oldest first: a view of a log that only grows, so it costs O(1)."""

    __slots__ = ("_ids", "_micros", "_start", "_stop")

    def __init__(self, ids: list[str], micros: array[int], start: int, stop: int) -> None:
        self._ids, self._micros, self._start, self._stop = ids, micros, start, stop

    @classmethod
    def of(cls, ids: Iterable[str] = (), micros: Iterable[int] = ()) -> Self:
        """Of so many ids and as many timestamps, in microseconds since 1970."""
        names, times = list(ids), array("q", micros)
        return cls(names, times, 0, len(names))

    @property
    def ids(self) -> list[str]:
        """The ids alone."""
        return self._ids[self._start : self._stop]

    @property
    def micros(self) -> array[int]:
        """Their timestamps, in microseconds since 1970."""
        return self._micros[self._start : self._stop]

    def since(self, moment: datetime) -> KnownIds:
        """Those at or after an instant."""
        bound = to_micros(moment)
        pairs = [(key, at) for key, at in zip(self.ids, self.micros, strict=True) if at >= bound]
        return KnownIds.of([key for key, _ in pairs], [at for _, at in pairs])

    def __len__(self) -> int:
        return self._stop - self._start

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KnownIds) and self.ids == other.ids and self.micros == other.micros

    def __hash__(self) -> int:
        return hash(tuple(self.ids))

    def __add__(self, other: KnownIds) -> KnownIds:
        return KnownIds.of(self.ids + other.ids, self.micros + other.micros)

    def __repr__(self) -> str:
        return f"<{len(self)} ids>"


class IdLog:
    """The ids that can come again, in the order in which they were taken in; those before a floor are forgotten."""

    __slots__ = ("_head", "_ids", "_members", "_micros")

    def __init__(self, known: KnownIds) -> None:
        self._ids, self._micros, self._head = known.ids, known.micros, 0
        self._members = set(self._ids)

    def __contains__(self, key: str) -> bool:
        return key in self._members

    def __len__(self) -> int:
        return len(self._ids) - self._head

    def add_new(self, found: Iterable[tuple[str, datetime, Row]], others: IdLog) -> list[Row]:
        """Append the rows that are in neither log, each with its key and its instant, and give them back."""
        members, known = self._members, others._members
        new = list[tuple[str, datetime, Row]]()
        for one in found:
            key = one[0]
            # A span that has ended, or the walk before this one, may have given it.
            if key not in members and key not in known:
                members.add(key)
                new.append(one)
        self._ids.extend([key for key, _, _ in new])
        self._micros.extend([(instant - EPOCH) // TIMESTAMP_RESOLUTION for _, instant, _ in new])
        return [row for _, _, row in new]

    def extend(self, known: KnownIds, since: datetime) -> None:
        """Append those at or after an instant that are not there yet."""
        bound = to_micros(since)
        for key, micros in zip(known.ids, known.micros, strict=True):
            if micros >= bound and key not in self._members:
                self._members.add(key)
                self._ids.append(key)
                self._micros.append(micros)

    def forget_before(self, moment: datetime) -> None:
        """Drop the oldest up to the first that is not older. A late one behind it stays until its turn comes."""
        bound, head, end = to_micros(moment), self._head, len(self._ids)
        while head < end and self._micros[head] < bound:
            self._members.discard(self._ids[head])
            head += 1
        self._head = head
        if head > 1_000 and 2 * head > end:
            # A new list, because views hold the old one; half of it is dropped, so each id is moved once on average.
            self._ids, self._micros, self._head = self._ids[head:], self._micros[head:], 0

    def cut(self, moment: datetime) -> KnownIds:
        """Take out those at or after an instant."""
        bound, known = to_micros(moment), self.view()
        # Nearly always: a walk that has just begun knows nothing of the later half, and nothing is copied.
        if all(at < bound for at in known.micros):
            return KnownIds.of()
        taken = known.since(moment)
        kept = [(key, at) for key, at in zip(known.ids, known.micros, strict=True) if at < bound]
        self._ids, self._micros = [key for key, _ in kept], array("q", [at for _, at in kept])
        self._head, self._members = 0, set(self._ids)
        return taken

    def view(self, without_last: int = 0) -> KnownIds:
        """What is in it now, the last so many aside."""
        return KnownIds(self._ids, self._micros, self._head, max(self._head, len(self._ids) - without_last))

    def after(self, start: datetime | None) -> list[tuple[int, str]]:
        """Those after an instant, oldest first."""
        # Without a start the very first instant is one of them.
        bound = to_micros(start or MIN_INSTANT) - (start is None)
        known = self.view()
        return sorted((at, key) for key, at in zip(known.ids, known.micros, strict=True) if at > bound)

    def is_last_after(self, start: datetime | None) -> bool:
        """Whether the last one that was taken in is after an instant."""
        return start is None or self._micros[-1] > to_micros(start)

    @property
    def newest(self) -> datetime | None:
        """The newest timestamp."""
        micros = self.view().micros
        return EPOCH + max(micros) * TIMESTAMP_RESOLUTION if micros else None


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - EPOCH) // TIMESTAMP_RESOLUTION
