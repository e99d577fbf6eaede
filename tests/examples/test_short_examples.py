"""The short examples, run as a reader would run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import wave
from pathlib import Path

import pytest

from syllable_async.testing import FakeSyllable

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(folder: Path, name: str, *words: str) -> str:
    environment = {**os.environ, "COLUMNS": "200"}
    environment.pop("SYLLABLESDK_API_KEY_HEADER", None)
    command = [sys.executable, str(EXAMPLES / name), *words]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_quickstart(tmp_path: Path) -> None:
    out = run(tmp_path, "quickstart.py")
    assert f"The first of {len(FakeSyllable(sessions=250).listed)} sessions" in out
    assert "verified by length" in out
    (saved,) = (tmp_path / "demo-recordings").glob("*.wav")
    seconds = float(re.findall(r"It plays for ([\d.]+) s", out)[0])
    with wave.open(str(saved)) as audio:
        assert audio.getnframes() / audio.getframerate() == pytest.approx(seconds, abs=0.05)
    assert re.search(rf"{saved.stem[:8]}.*, {seconds:g} s", out), "the session announced another duration"


def test_mock_with_aioresponses(tmp_path: Path) -> None:
    assert run(tmp_path, "testing/mock_with_aioresponses.py") == "Front desk\n"
