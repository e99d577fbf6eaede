"""The fake shares no code with the client: a wrong field name would else be wrong on both sides and pass every test."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import syllable_async.testing

PACKAGE = Path(syllable_async.testing.__file__).parent
MODULES = {path.relative_to(PACKAGE).with_suffix("").as_posix(): path for path in PACKAGE.rglob("*.py")}
ROWS: list[set[str]] = [
    # A file imports only what stands in a row above its own; inside a folder the folder's own rows count.
    {"_arguments", "_json"},
    {"_request_log"},
    {"_data"},
    {"_api"},
    {"_fault_queue"},
    {"faults", "_response_writer"},
    {"_server"},
    {"__init__"},
    {"__main__", "pytest_plugin"},
]
INSIDE: dict[str, list[set[str]]] = {
    "_data": [
        {"seeded", "query", "audio"},
        {"documents", "conversations"},
        {"debug"},
        {"store"},
        {"replica", "labels"},
        {"__init__"},
    ],
    "_api": [
        {"response", "routes", "settings"},
        {"query_params", "range_requests", "recordings"},
        {"request_body"},
        {"label_handlers", "debug_handlers"},
        {"handlers"},
        {"app"},
        {"__init__"},
    ],
}
PARTS = sorted(
    {name for row in ROWS for name in row if name not in INSIDE}
    | {f"{folder}/{name}" for folder, rows in INSIDE.items() for row in rows for name in row}
)


def imports(tree: ast.Module) -> tuple[set[tuple[int, str]], set[str]]:
    """What a module imports, anywhere in it: (dots, module) of ours, and packages of others."""
    ours: set[tuple[int, str]] = set()
    others: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            others |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            ours |= {(node.level, name) for name in ([node.module] if node.module else [it.name for it in node.names])}
        elif isinstance(node, ast.ImportFrom):
            others.add(str(node.module).partition(".")[0])
    return ours, others


def above(rows: list[set[str]], name: str) -> set[str]:
    """What stands in the rows above a name's own."""
    [place] = [number for number, row in enumerate(rows) if name in row]
    return {other for row in rows[:place] for other in row}


def reach(module: str) -> set[tuple[int, str]]:
    """What a module may import of ours."""
    folder, _, name = module.rpartition("/")
    if not folder:
        return {(1, other) for other in above(ROWS, name)}
    return {(1, other) for other in above(INSIDE[folder], name)} | {(2, other) for other in above(ROWS, folder)}


def test_every_file_has_a_place() -> None:
    assert sorted(MODULES) == PARTS


@pytest.mark.parametrize("module", PARTS)
def test_imports_the_rows_above_the_standard_library_and_aiohttp(module: str) -> None:
    ours, others = imports(ast.parse(MODULES[module].read_text("utf-8")))
    assert ours <= reach(module)
    allowed = {"aiohttp", "pytest"} if module == "pytest_plugin" else {"aiohttp"}
    assert others - set(sys.stdlib_module_names) <= allowed


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("_data/store", "from .._api import Answer"),
        ("_data/store", "from ... import models"),
        ("_api/routes", "from .handlers import API"),
        ("faults", "from ._server import FakeSyllable"),
        ("faults", "from .._decoding import decode"),
        ("_server", "from . import pytest_plugin"),
    ],
)
def test_an_arrow_upwards_would_be_seen(module: str, source: str) -> None:
    ours, _ = imports(ast.parse(source))
    assert not ours <= reach(module)
