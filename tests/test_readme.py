"""The README: its code runs in an empty folder, and what it names is there."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import syllable_async
from tests.documented_code import python_blocks, reader_environment, run_block

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PROJECT = "https://github.com/syllable-async/syllable-async/blob/main/"
PICTURES = "https://raw.githubusercontent.com/syllable-async/syllable-async/main/"
REFERENCE = "https://syllable-async.github.io/syllable-async/"
BLOCKS = python_blocks(README)
LINKS = re.findall(r"\]\(([^)\s]+)\)", README)
JOBS = re.findall(r"^python -m (syllable_async (?:export|download|follow) .+)$", README, re.MULTILINE)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_every_python_block_runs_in_an_empty_folder(number: int, tmp_path: Path) -> None:
    code = BLOCKS[number]
    with reader_environment(tmp_path) as (server, _):
        run_block(code, server)
        runs = re.search(r"asyncio\.run|FastAPI\(|^async with", code, re.MULTILINE) is not None
        assert bool(server.requests) is (runs and "FakeSyllable" not in code)
        if ".save(" in code:
            assert list((tmp_path / "recordings").glob("*.wav"))


@pytest.mark.skipif(not JOBS, reason="the README shows no job")
def test_the_jobs_run_in_an_empty_folder(tmp_path: Path) -> None:
    with reader_environment(tmp_path) as (server, _):
        for job in JOBS:
            done = subprocess.run(
                [sys.executable, "-m", *shlex.split(job, comments=True)],
                check=False,
                capture_output=True,
                text=True,
                cwd=tmp_path,
            )
            assert done.returncode == 0, done.stderr
        assert server.requests


def test_the_readme_is_read_in_five_minutes() -> None:
    assert len(README.split()) <= 900


def test_what_it_shows_and_links_to_is_seen_outside_the_repository() -> None:
    """The page of the package at PyPI has no folder beside it."""
    assert [target for target in LINKS if not target.startswith("https://")] == []


def test_the_two_commands_are_single_lines() -> None:
    commands = [line for line in README.splitlines() if line.startswith("python3 -m venv ")]
    assert len(commands) == 2
    assert commands[0].endswith(".venv/bin/python examples/quickstart.py")
    assert "-m pytest" in commands[1]


@pytest.mark.parametrize("target", LINKS)
def test_what_the_readme_links_to_is_there(target: str) -> None:
    """Files of the project by an address or a path, and names in the reference; other pages are not looked up."""
    if target.startswith(REFERENCE):
        page, _, name = target.removeprefix(REFERENCE).partition("#")
        found = importlib.import_module((page or "syllable_async.html").removesuffix(".html").replace("/", "."))
        for part in filter(None, name.split(".")):
            found = getattr(found, part)
        return
    for prefix in (PROJECT, PICTURES):
        target = target.removeprefix(prefix)
    if not target.startswith("https:"):
        assert (ROOT / target.partition("#")[0]).exists()


def test_version_and_changelog_agree() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    released = re.findall(r"^## \[(\d[^\]]*)\]", changelog, re.MULTILINE)
    assert released[0] == syllable_async.__version__
