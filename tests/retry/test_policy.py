"""`RetryPolicy`, and which errors of which calls it repeats."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from syllable_async import RetryPolicy, SyllableConnectionError, SyllableError, SyllableTimeoutError
from syllable_async._retry.policy import is_safe_to_repeat, should_retry
from tests.retry.scripts import GET, POST, failing


def test_the_policy_is_what_its_documentation_says() -> None:
    policy = RetryPolicy()
    assert attrs.astuple(policy) == (4, 0.5, 8.0, 60.0, 60.0, {408, 429, 500, 502, 503, 504}, None)
    nothing = RetryPolicy(max_attempts=1, initial=0, maximum=0, deadline=0, max_retry_after=0, statuses=frozenset())
    assert nothing.deadline == 0
    assert RetryPolicy(deadline=None).deadline is None


WRONG: list[dict[str, Any]] = [
    {"max_attempts": 0}, {"max_attempts": "4"}, {"initial": -1}, {"maximum": float("nan")}, {"deadline": float("inf")},
    {"deadline": -1}, {"max_retry_after": "x"}, {"initial": None}, {"maximum": None}, {"max_retry_after": None},
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_policy_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        RetryPolicy(**wrong)


def test_a_policy_shows_its_numbers_and_no_hook() -> None:
    assert "max_attempts=4" in repr(RetryPolicy())
    assert "on_retry" not in repr(RetryPolicy(on_retry=print))


RETRIED: list[SyllableError] = [
    *(failing(status) for status in (408, 429, 500, 502, 503, 504)),
    SyllableConnectionError("reset"),
    SyllableTimeoutError("timeout", 30),
]
FINAL: list[SyllableError] = [
    failing(404),
    failing(501),
    failing(505),
    SyllableConnectionError("untrusted", transient=False),
    SyllableTimeoutError("deadline", 60),
]


@pytest.mark.parametrize("error", RETRIED, ids=str)
def test_transient_errors_are_worth_another_attempt(error: SyllableError) -> None:
    assert should_retry(error, RetryPolicy(), GET)


@pytest.mark.parametrize("error", FINAL, ids=str)
def test_final_errors_are_not(error: SyllableError) -> None:
    assert not should_retry(error, RetryPolicy(), GET)


@pytest.mark.parametrize(
    ("error", "safe"),
    [
        (SyllableConnectionError("refused", outcome_unknown=False), True),
        (failing(429, 1), True),
        (failing(429), True),
        (failing(503, 1), False),  # a gateway's 503 may come after the deed
        (failing(503), False),
        (SyllableConnectionError("reset"), False),
        (SyllableTimeoutError("timeout", 30), False),
        (failing(408), False),
        (failing(500), False),
        (failing(502, 1), False),
    ],
    ids=str,
)
def test_a_call_that_changes_something_is_repeated_only_where_it_was_not_acted_upon(
    error: SyllableError, safe: bool
) -> None:
    assert is_safe_to_repeat(error, POST) is safe
    assert is_safe_to_repeat(error, GET)
