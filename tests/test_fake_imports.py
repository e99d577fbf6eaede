"""The fake shares no code with the client: a wrong field name would else be wrong on both sides and pass every test."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import syllable_async.testing

MODULES = sorted(Path(syllable_async.testing.__file__).parent.glob("*.py"))


def imported(tree: ast.Module) -> set[str]:
    """The packages that a module imports; imports from beside it are left out."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level <= 1, "reaches out of the testing kit"
            if node.level == 0:
                found.add(str(node.module).partition(".")[0])
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_imports_only_the_standard_library_and_aiohttp(module: Path) -> None:
    allowed = set(sys.stdlib_module_names) | {"aiohttp"}
    if module.name == "pytest_plugin.py":
        allowed.add("pytest")
    assert imported(ast.parse(module.read_text())) <= allowed


def test_there_are_modules_to_look_at() -> None:
    assert {"__init__.py", "__main__.py", "_server.py", "faults.py"} <= {module.name for module in MODULES}
