"""Offset walks over random stories: no row that was there throughout is lost without a word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

import pytest

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
    assert seen["undecidable"] < count * 0.02, seen
    assert seen["told"] < count * 0.8, seen


@pytest.mark.parametrize("rule", NAIVE)
def test_the_same_stories_catch_naive_rules(rule: str) -> None:
    silent = sum(play(drawn(Random(number)), NAIVE[rule]).silent for number in range(300))
    assert silent >= 5
