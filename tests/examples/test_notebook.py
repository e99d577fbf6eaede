"""`sessions_in_pandas.ipynb`: its cells run in order and await at top level, as in Jupyter."""

from __future__ import annotations

import ast
import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from syllable_async.testing import FakeSyllable

NOTEBOOK = Path(__file__).parents[2] / "examples" / "sessions_in_pandas.ipynb"


def cells() -> list[str]:
    document = json.loads(NOTEBOOK.read_text("utf-8"))
    return ["".join(cell["source"]) for cell in document["cells"] if cell["cell_type"] == "code"]


async def run(code: str, names: dict[str, Any]) -> Any:
    """Run one cell; the value of its last line if that is an expression."""
    tree = ast.parse(code)
    shown = ast.Expression(last.value) if isinstance(last := tree.body[-1], ast.Expr) else None
    if shown is not None:
        del tree.body[-1]
    value: Any = None
    for part, mode in ((tree, "exec"), (shown, "eval")):
        if part is not None:
            value = eval(compile(part, str(NOTEBOOK), mode, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
            value = await value if inspect.iscoroutine(value) else value
    return value


async def test_every_cell_runs_against_the_environments_api(
    server: FakeSyllable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYLLABLESDK_API_KEY_HEADER", server.api_key)
    monkeypatch.setenv("SYLLABLE_BASE_URL", server.url)
    names: dict[str, Any] = {}
    shown = [await run(code, names) for code in cells()]
    assert list(names["table"]["session_id"]) == list(server.listed)
    assert list(shown[1]["session_id"]) == list(server.listed[:5])
    assert shown[2]["count"].sum() == sum(server.session(name)["duration"] is not None for name in server.listed)
    assert set(shown[3].columns) <= {"Great", "Good", "Fair", "Poor"}
    assert shown[4] == (len(server.listed), 0)


async def test_it_invents_sessions_only_when_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYLLABLESDK_API_KEY_HEADER", raising=False)
    first, *_ = cells()
    with pytest.raises(ValueError, match="SYLLABLESDK_API_KEY_HEADER"):
        await run(first, {})
    names: dict[str, Any] = {}
    await run(first.replace("DEMO = False", "DEMO = True"), names)
    async with names["client"]:
        assert (await names["client"].sessions.list(limit=1)).items
    await names["server"].__aexit__(None, None, None)


def test_it_is_kept_without_outputs() -> None:
    document = json.loads(NOTEBOOK.read_text("utf-8"))
    assert not [cell for cell in document["cells"] if cell.get("outputs") or cell.get("execution_count")]
