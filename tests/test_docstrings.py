"""The guides in docstrings: their examples run in an empty folder, and the tree of errors is the one that there is."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import syllable_async
from syllable_async import (
    AsyncSyllableClient,
    Pager,
    RecordingStream,
    RetryPolicy,
    SessionDebug,
    SessionLabels,
    Sessions,
    SyllableError,
    errors,
    jobs,
    models,
    testing,
)
from tests.documented_code import python_blocks, reader_environment, run_block

GUIDES: list[Any] = [
    *(syllable_async, errors, models, testing, jobs),
    *(AsyncSyllableClient, Pager, RecordingStream, RetryPolicy),
]
OTHERS: list[Any] = [AsyncSyllableClient.request, SessionDebug, SessionLabels, Sessions.download_recordings]
EXAMPLES = [
    pytest.param(block, id=f"{guide.__name__}-{number}")
    for guide in [*GUIDES, *OTHERS]
    for number, block in enumerate(python_blocks(inspect.getdoc(guide) or ""))
]


@pytest.mark.parametrize("code", EXAMPLES)
def test_every_example_of_a_docstring_runs(code: str, tmp_path: Path) -> None:
    with reader_environment(tmp_path) as (server, _):
        run_block(code, server)
        asks = re.search(r"asyncio\.run|FastAPI\(", code) and "FakeSyllable" not in code
        assert bool(server.requests) is bool(asks)


def test_the_example_of_a_recording_leaves_files(tmp_path: Path) -> None:
    with reader_environment(tmp_path) as (server, _):
        run_block(python_blocks(inspect.getdoc(RecordingStream) or "")[0], server)
    assert list((tmp_path / "recordings").glob("*.wav"))


@pytest.mark.parametrize("code", ["raise ValueError", "def test_it():\n    assert False\n", "await undefined()\n"])
def test_an_example_that_fails_is_noticed(code: str, tmp_path: Path) -> None:
    with reader_environment(tmp_path) as (server, _), pytest.raises((ValueError, AssertionError)):
        run_block(code, server)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.__name__)
def test_a_guide_begins_with_an_example_and_says_its_rules(guide: Any) -> None:
    text = inspect.getdoc(guide) or ""
    rules = re.search(r"^## (?:Rules|Limits)", text, re.MULTILINE)
    assert rules is not None
    assert text.index("```python") < rules.start()


def test_the_tree_of_errors_is_the_one_that_there_is() -> None:
    text = (errors.__doc__ or "").partition("## The tree")[2].partition("\n## ")[0]
    lines = re.findall(r"^( *)- `(\w+)`", text, re.MULTILINE)
    parents: dict[int, str] = {}
    drawn: dict[str, str | None] = {}
    for indent, name in lines:
        parents[len(indent)] = name
        drawn[name] = parents.get(len(indent) - 4)
    classes: list[Any] = [getattr(errors, name) for name in errors.__all__]
    real = {cls.__name__: cls.__bases__[0].__name__ for cls in classes if issubclass(cls, SyllableError)}
    assert drawn == real | {"SyllableError": None}


@pytest.mark.parametrize("cls", [cls for cls in vars(errors).values() if inspect.isclass(cls)])
def test_the_tree_names_what_an_error_carries(cls: type[object]) -> None:
    """Everything under `Attributes:` of a class stands in its line of the tree."""
    text = (errors.__doc__ or "").partition("## The tree")[2].partition("\n## ")[0]
    carried = re.findall(r"^    (\w+):", (inspect.getdoc(cls) or "").partition("Attributes:")[2], re.MULTILINE)
    line = re.search(rf"^ *- `{cls.__name__}`.*?(?=^ *- |\Z)", text, re.MULTILINE | re.DOTALL)
    if issubclass(cls, SyllableError):
        assert line is not None
        assert set(carried) <= set(re.findall(r"`(\w+)`", line[0]))
