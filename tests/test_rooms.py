"""The structure: who imports whom, what is public, how long things are."""

from __future__ import annotations

import ast
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import syllable_async

PACKAGE = Path(syllable_async.__file__).parent
ROOT = Path(__file__).parent.parent
ROOMS: dict[str, tuple[int, set[str]]] = {
    # module: its floor, and what it may import besides the standard library and lower floors
    "errors": (0, set()),
    "models": (0, {"attrs"}),
    "_wire": (0, {"attrs"}),
    "_native": (1, {"msgspec"}),
    "_hooks": (2, {"attrs", "cattrs", "msgspec"}),
    "_converter": (3, {"cattrs", "msgspec"}),
    "_replies": (1, {"msgspec"}),
    "_trust": (1, {"yarl"}),
    "_limit": (1, set()),
    "_failures": (1, {"aiohttp"}),
    "_body": (1, {"aiohttp"}),
    "_connections": (2, {"aiohttp"}),
    "_policy": (1, {"attrs"}),
    "_retry": (2, {"attrs", "tenacity"}),
    "_query": (1, {"attrs"}),
    "_ledger": (1, set()),
    "_steps": (1, {"attrs"}),
    "_cursor": (2, {"attrs"}),
    "_pages": (2, {"attrs"}),
    "_windows": (3, {"attrs"}),
    "_walks": (3, {"attrs"}),
    "_pagination": (4, {"attrs"}),
    "_ranges": (1, {"attrs"}),
    "_pace": (1, set()),
    "_filenames": (1, set()),
    "_saving": (2, {"attrs"}),
    "_source": (2, set()),
    "_recordings": (3, set()),
    "_transport": (3, {"aiohttp", "attrs", "tenacity", "yarl"}),
    "_streams": (4, {"aiohttp", "attrs", "yarl"}),
    "_sessions": (5, {"tenacity", "yarl"}),
    "_client": (6, {"aiohttp", "attrs", "cattrs", "msgspec", "tenacity"}),
    "__init__": (7, set()),
}
ENGINES = {
    *("_query", "_ledger", "_steps", "_cursor", "_pages", "_windows", "_walks", "_pagination"),
    *("_ranges", "_pace", "_filenames", "_saving", "_source", "_recordings"),
}
BELOW_ENGINES = {"errors", "models", "_wire"} | ENGINES
LONGER_THAN_250 = {
    "errors",  # declarations: one tree, its docstrings
    "models",  # declarations: one class a reply
}


def imports(path: Path) -> tuple[set[str], set[str]]:
    """Modules of ours, and top-level packages of others, imported anywhere in a file, TYPE_CHECKING included."""
    ours: set[str] = set()
    others: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            others |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            ours |= {node.module} if node.module else {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            others.add(node.module.partition(".")[0])
    return ours, others - set(sys.stdlib_module_names)


MODULES = sorted(path.stem for path in PACKAGE.glob("*.py"))


def test_every_module_has_a_place() -> None:
    assert set(MODULES) == set(ROOMS)


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module: str) -> None:
    floor, allowed = ROOMS[module]
    ours, others = imports(PACKAGE / f"{module}.py")
    assert others <= allowed
    assert {name for name in ours if ROOMS[name][0] >= floor} == set()


@pytest.mark.parametrize("module", sorted(ENGINES))
def test_engines_see_no_network(module: str) -> None:
    ours, _ = imports(PACKAGE / f"{module}.py")
    assert ours <= BELOW_ENGINES


def test_cattrs_is_imported_for_hooks_and_tenacity_for_retries_alone() -> None:
    code = "import sys, syllable_async; syllable_async.AsyncSyllableClient('key'); print({*sys.modules} & {*sys.argv})"
    command = [sys.executable, "-c", code, "cattrs", "tenacity"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == "set()\n"


def functions(path: Path) -> list[int]:
    tree = ast.parse(path.read_text("utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [(node.end_lineno or node.lineno) - node.lineno + 1 for node in found]


def test_functions_are_short_and_modules_fit_a_screenful_or_five() -> None:
    lengths = [length for path in PACKAGE.glob("*.py") for length in functions(path)]
    assert statistics.median(lengths) <= 11
    too_long = {path.stem for path in PACKAGE.glob("*.py") if len(path.read_text("utf-8").splitlines()) > 250}
    assert too_long <= LONGER_THAN_250


def test_the_guide_shows_every_room_on_its_floor() -> None:
    guide = (ROOT / ".github" / "CONTRIBUTING.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d) \| (.*) \|$", guide, re.MULTILINE)
    shown = {name: int(floor) for floor, rooms in rows for name in re.findall(r"`(\w+)`", rooms)}
    assert shown == {name: floor for name, (floor, _) in ROOMS.items()}
    diagram = guide.partition("```mermaid")[2].partition("```")[0]
    assert set(re.findall(r"\b(_[a-z]+)\b", diagram)) <= set(ROOMS)


def test_the_changelog_begins_with_this_version() -> None:
    versions = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert versions[0] == syllable_async.__version__ or versions[:2] == ["Unreleased", syllable_async.__version__]


def test_public_names() -> None:
    assert sorted(syllable_async.__all__) == sorted(PUBLIC.split())
    assert all(hasattr(syllable_async, name) for name in syllable_async.__all__)


def test_the_tested_package_is_the_one_that_was_meant() -> None:
    """Against an installed wheel the checkout must not be what is imported."""
    expected = os.environ.get("SYLLABLE_ASYNC_FROM")
    assert expected is None or expected in PACKAGE.parts


PUBLIC = """
APIError AsyncSyllableClient AuthenticationError BadRequestError Cursor HTTPValidationError IncompleteRecordingError
InspectLatencyResponse InternalServerError LatencyCategory LatencyEntry LatencyUnitType ListResponseSession
NotFoundError OrderByDirection Pager PaginationDriftWarning PaginationError PermissionDeniedError RateLimitError
RawResponse RecordingChangedError RecordingError RecordingStream ResponseValidationError RetryPolicy SavedRecording
Session SessionAction SessionProperties SessionRecordingResponse SessionSummaryResponse SessionText
SessionTimelineResponse SessionTranscriptionResponse Sessions SummaryEntry SyllableConnectionError SyllableError
SyllableTimeoutError TimeWindow TimelineEvent TimelineEventKind TranscriptConfidence TranscriptWordConfidence
UntrustedRecordingURLError ValidationError __version__ decode make_converter to_dict to_json
"""
