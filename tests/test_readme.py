"""The README: its Python runs, and what it names is there."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import syllable_async
from syllable_async import AsyncSyllableClient
from syllable_async.testing import FakeSyllable

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeSyllable]:
    """The API that the README's code finds: a fake, its key in the environment."""
    with FakeSyllable(sessions=12) as server:
        defaults: Any = AsyncSyllableClient.__init__.__kwdefaults__
        monkeypatch.setitem(defaults, "base_url", server.url)
        monkeypatch.setenv("SYLLABLESDK_API_KEY_HEADER", server.api_key)
        monkeypatch.chdir(tmp_path)
        (tmp_path / "recordings").mkdir()
        yield server


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_every_python_block_runs(number: int, api: FakeSyllable, tmp_path: Path) -> None:
    code = BLOCKS[number].replace("/var/recordings", str(tmp_path / "recordings"))
    names: dict[str, Any] = {"__name__": "readme"}
    exec(compile(code, f"README block {number}", "exec"), names)
    if "def main(session_id" in code:
        asyncio.run(names["main"](next(name for name in api.sessions if api.recordings(name))))
        assert list((tmp_path / "recordings").glob("*.wav"))
    asks = "main(session_id" in code or ("asyncio.run" in code and "FakeSyllable" not in code)
    assert (len(api.requests) > 0) is asks


def test_the_two_commands_are_single_lines() -> None:
    commands = [line for line in README.splitlines() if line.startswith("python3 -m venv ")]
    assert len(commands) == 2
    assert commands[0].endswith(".venv/bin/python examples/quickstart.py")
    assert "-m pytest" in commands[1]


def test_files_that_the_readme_links_to_exist() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_version_and_changelog_agree() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    released = re.findall(r"^## \[(\d[^\]]*)\]", changelog, re.MULTILINE)
    assert released[0] == syllable_async.__version__
