"""What a job could not read: a list beside the data, which readers of datasets pass over."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Self, cast

import attrs
import msgspec

from syllable_async import InvalidRow

from ._storage import Storage


@attrs.frozen(kw_only=True)
class Problem:
    """A session that could not be read, or a part of it. No value of the session's but its id."""

    session_id: str | None
    part: str
    """`"session"`, `"recordings"`, or what of `with_` is missing."""
    problem: str
    may_pass: bool

    @classmethod
    def of_row(cls, row: InvalidRow) -> Self:
        """A row of the list that does not fit."""
        raw: object = row.raw
        found = cast("dict[str, object]", raw).get("session_id") if isinstance(raw, dict) else None
        session_id = found if isinstance(found, str) else None
        return cls(session_id=session_id, part="session", problem=f"{row.problem} at {row.path}", may_pass=False)


def list_problems(storage: Storage, of: date | str, problems: Iterable[Problem]) -> None:
    """Put the list of a day, or of a poll, in place; where there are none, there is no list."""
    name = f"_problems/{of}.jsonl"
    lines = [msgspec.json.encode(attrs.asdict(problem)) + b"\n" for problem in problems]
    if not lines:
        return storage.remove(name)
    with storage.part(name) as part:
        part.file.writelines(lines)
        storage.put(part, name)
    return None
