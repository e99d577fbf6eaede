"""A property over random schedules, and the export as it was, which it catches."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest

from syllable_async.jobs import _export
from tests.jobs.schedules import RunExport, Story, naive, ours


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of few sessions, and no waiting for the disk."""
    monkeypatch.setattr(_export, "CHUNK", 7)
    monkeypatch.setattr(os, "fsync", Mock())


async def tell(seeds: range, folder: Path, export: RunExport) -> tuple[dict[int, list[str]], Counter[str]]:
    """The problems of each story that has some, and what happened in all."""
    met, broken = Counter[str](), dict[int, list[str]]()
    for seed in seeds:
        story = Story(seed, folder / str(seed), export)
        if problems := await story.tell():
            broken[seed] = problems
        met += story.met
    return broken, met


async def test_files_are_exact_after_any_schedule(tmp_path: Path, counted: Callable[[str, int], None]) -> None:
    broken, met = await tell(range(10), tmp_path, ours)
    assert broken == {}
    assert met["kill"]
    counted("schedules of an export", 10)


@pytest.mark.long
async def test_files_are_exact_after_any_of_many_schedules(tmp_path: Path, counted: Callable[[str, int], None]) -> None:
    broken, met = await tell(range(1_000, 1_300), tmp_path, ours)
    assert broken == {}
    assert len(met) == 6
    counted("schedules of an export", 300)


async def test_the_export_as_it_was_is_caught(tmp_path: Path) -> None:
    broken, _ = await tell(range(5), tmp_path, naive)
    assert any("lost" in problem for problems in broken.values() for problem in problems)
