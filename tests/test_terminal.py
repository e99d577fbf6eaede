"""`.ci/terminal` records what is left on the terminal, in a picture that loads nothing."""

from __future__ import annotations

import subprocess
import sys
from html import unescape
from pathlib import Path

COMMAND = Path(__file__).parent.parent / ".ci" / "terminal"


def test_a_recorded_terminal_shows_what_is_left_on_it(tmp_path: Path) -> None:
    picture = tmp_path / "terminal.svg"
    commands = [r"printf '1 of 2\n\r\033[1A\033[2Kall 2\n'; test -t 1 && echo on a terminal", "seq 100; exit 3"]
    done = subprocess.run([sys.executable, COMMAND, picture, "--lines", "5", *commands], check=False)
    assert done.returncode == 1
    shown = unescape(picture.read_text("utf-8")).replace("\xa0", " ")
    assert "all 2" in shown
    assert ">1 of 2<" not in shown
    assert "on a terminal" in shown
    assert ">100<" in shown
    assert ">95<" not in shown
    assert "src:" not in shown
