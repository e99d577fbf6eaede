"""Offset walks over random stories: no row that was there throughout is lost without a word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

import attrs
import pytest

from syllable_async._pagination.offset_state import OffsetState

from .offset_stories import NAIVE, Outcome, Story, drawn, ours, play


def whole_or_told(story: Story) -> Outcome:
    outcome = play(story, ours)
    assert not outcome.silent, (story, outcome.lost)
    assert not outcome.doubled, story
    return outcome


@pytest.mark.parametrize("count", [300, pytest.param(20_000, marks=pytest.mark.long)])
def test_a_plain_walk_gives_every_row_or_warns(count: int, counted: Callable[[str, int], None]) -> None:
    seen = Counter[str]()
    for number in range(count):
        outcome = whole_or_told(drawn(Random(number)))
        seen["told"] += outcome.told
        seen["lost and told"] += bool(outcome.lost) and outcome.told
        seen["undecidable"] += outcome.undecidable
    counted("random stories of an offset walk", count)
    counted("of them with a loss that no client can see", seen["undecidable"])
    # One row less before the walk and one more behind it, or a row less and nobody who counts: no client sees that.
    assert seen["undecidable"] < count * 0.05, seen
    assert seen["told"] < count / 2, seen


def test_a_walk_over_a_list_that_only_grows_at_its_beginning_loses_nothing_and_says_nothing() -> None:
    """As long as no more rows come in at once than were read."""
    for number in range(300):
        story = drawn(Random(number))
        moves = [move for move in story.moves if move[1] in {"first", "fail", "empty"}]
        outcome = play(attrs.evolve(story, limit=5, clamp=None, moves=moves, total="right", prefetch=0), ours)
        assert (outcome.lost, outcome.doubled, outcome.told) == (set(), False, False), story


def test_the_same_stories_catch_a_walk_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def say_nothing(*_: object) -> None: ...

    monkeypatch.setattr(OffsetState, "_warn_of_drift", say_nothing)
    assert sum(play(drawn(Random(number)), ours).silent for number in range(300)) >= 5


@pytest.mark.parametrize("rule", NAIVE)
def test_the_same_stories_catch_naive_rules(rule: str) -> None:
    silent = sum(play(drawn(Random(number)), NAIVE[rule]).silent for number in range(300))
    assert silent >= 5
