"""Columns: what belongs to a session stands in its row, whichever rows beside it no column can hold."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from syllable_async import Session
from syllable_async.jobs._schema import to_batches

COUNT = 9


def session(number: int, *, is_huge: bool = False) -> Session:
    return Session(
        timestamp=datetime(2026, 1, 5, 10, number, tzinfo=UTC),
        session_id=str(number),
        prompt_version_number=2**70 if is_huge else number,
    )


@pytest.mark.parametrize("huge", [(), (0,), (COUNT - 1,), (1, 4, 5), tuple(range(COUNT))])
def test_parts_stay_with_their_session(huge: tuple[int, ...]) -> None:
    sessions = [session(number, is_huge=number in huge) for number in range(COUNT)]
    parts = [{"summary": {"summary": f"of {number}", "rating": None}} for number in range(COUNT)]
    batches, refused = to_batches(sessions, parts)
    rows = [row for batch in batches for row in batch.to_pylist()]
    kept = [number for number in range(COUNT) if number not in huge]
    assert [(row["session_id"], row["summary"]["summary"]) for row in rows] == [(str(n), f"of {n}") for n in kept]
    assert [one.session_id for one, _ in refused] == [str(number) for number in huge]
    assert all(row["transcript"] is None for row in rows)
