"""Every program in `examples/`, as a user meets it: help, no key, invented data, a missing package, Ctrl-C."""

from __future__ import annotations

import os
import re
import runpy
import signal
import subprocess
import sys
import wave
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from syllable_async.testing import FakeSyllable

EXAMPLES = Path(__file__).parents[2] / "examples"
KEY = "SYLLABLESDK_API_KEY_HEADER"
WORDS = {  # what a program needs besides `--demo`
    "quickstart.py": [],
    "follow_sessions.py": ["--interval", "0.1"],
    "service.py": ["--port", "0"],
    "fastapi_service.py": ["--port", "0"],
    "session_report.py": ["--hours", "2"],
    "export_on_dask.py": ["2026-01-05", "2026-01-07", "out"],
    "testing/mock_with_aioresponses.py": [],
}
SERVING = {"follow_sessions.py": "rating", "service.py": "http://", "fastapi_service.py": "running on http://"}
"""Programs that run until they are ended, and what they say when they have begun."""


@pytest.fixture(params=WORDS)
def program(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name == "export_on_dask.py":
        pytest.importorskip("syllable_async.jobs")
    return name


def call(name: str, *words: str) -> int:
    """Run a program in this process: its imports are there already. The exit status."""
    before, sys.argv = sys.argv, [str(EXAMPLES / name), *words]
    try:
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(sys.argv[0], run_name="__main__")
    finally:
        sys.argv = before
    return ended.value.code if isinstance(ended.value.code, int) else int(ended.value.code is not None)


@contextmanager
def started(folder: Path, *words: str) -> Generator[subprocess.Popen[str]]:
    """A process of its own, in an empty folder and without a key."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SYLLABLE")}
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        env={**environment, "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def finish(folder: Path, *words: str) -> str:
    """What it printed until its good end."""
    with started(folder, *words) as process:
        out, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        return out


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and no key in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(KEY, raising=False)
    return tmp_path


def test_every_program_is_here() -> None:
    programs = {path for path in EXAMPLES.rglob("*.py") if "__main__" in path.read_text("utf-8")}
    assert {str(path.relative_to(EXAMPLES)) for path in programs} == set(WORDS)


def test_help_says_what_it_does_and_does_nothing_else(
    program: str, empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(program, "--help") == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: ")
    assert f"    python examples/{program}" in out  # an example
    assert not list(empty.iterdir())


def test_without_a_key_it_invents_nothing(program: str, empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if program in {"quickstart.py", "testing/mock_with_aioresponses.py"}:
        return
    assert call(program, *WORDS[program]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert KEY in told.err
    assert "--demo" in told.err
    assert not list(empty.iterdir())


@pytest.mark.parametrize(
    ("program", "words", "told"),
    [
        ("session_report.py", "--hours 0", "--hours must"),
        ("session_report.py", "--output report.exe", "--output must"),
        ("follow_sessions.py", "--interval 0", "--interval must"),
        ("follow_sessions.py", "--interval nan", "--interval must"),
        ("follow_sessions.py", "--workers 0", "--workers must"),
        ("service.py", "--port 99999", "argument --port: invalid port value: '99999'"),
    ],
)
def test_wrong_arguments_are_told(
    program: str, words: str, told: str, empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(program, *words.split(), "--demo") == 2
    assert told in capsys.readouterr().err
    assert not list(empty.iterdir())


@pytest.mark.parametrize("program", sorted(set(WORDS) - {"testing/mock_with_aioresponses.py"}))
@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [(KEY, "no\nkey", "The environment is wrong: "), ("SYLLABLE_BASE_URL", "http://x.example", "http")],
)
def test_a_wrong_environment_is_told_in_a_line(
    program: str,
    variable: str,
    value: str,
    told: str,
    empty: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(KEY, "key")
    monkeypatch.setenv(variable, value)
    assert call(program, *WORDS[program]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1
    assert not list(empty.iterdir())


def test_a_refused_key_and_a_place_that_cannot_be_written_are_told_in_a_line(
    empty: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeSyllable(sessions=10) as server:
        monkeypatch.setenv("SYLLABLE_BASE_URL", server.url)
        monkeypatch.setenv(KEY, "another")
        assert call("session_report.py") == 1
        assert re.fullmatch(r"Stopped: HTTP 401.*\n", capsys.readouterr().err)
        monkeypatch.setenv(KEY, server.api_key)
        assert call("session_report.py", "--output", str(empty / "nowhere" / "report.png")) == 1
        assert re.fullmatch(r"Stopped: .*No such file.*\n", capsys.readouterr().err)


def test_the_quickstart_says_first_that_it_invents(tmp_path: Path) -> None:
    out = finish(tmp_path, str(EXAMPLES / "quickstart.py"))
    first, *_ = out.splitlines()
    assert KEY in first
    assert "invented" in first
    assert f"The first of {len(FakeSyllable(sessions=250).listed)} sessions" in out
    assert "verified by length" in out
    (saved,) = (tmp_path / "demo-recordings").glob("*.wav")
    seconds = float(re.findall(r"It plays for ([\d.]+) s", out)[0])
    with wave.open(str(saved)) as audio:
        assert audio.getnframes() / audio.getframerate() == pytest.approx(seconds, abs=0.05)
    assert re.search(rf"{saved.stem[:8]}.*, {seconds:g} s", out), "the session announced another duration"


def test_the_report_is_drawn_from_invented_data_when_asked(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("session_report.py", "--demo", *WORDS["session_report.py"]) == 0
    assert "sessions: session_report.png" in capsys.readouterr().out
    assert (empty / "session_report.png").read_bytes().startswith(b"\x89PNG")


def test_the_export_on_dask_writes_a_file_a_day(tmp_path: Path) -> None:
    pytest.importorskip("syllable_async.jobs")
    out = finish(tmp_path, str(EXAMPLES / "export_on_dask.py"), *WORDS["export_on_dask.py"], "--demo")
    counts = dict(re.findall(r"(2026-01-0\d): ([\d,]+) sessions", out))
    assert sorted(path.name for path in tmp_path.glob("out/*.parquet")) == [
        f"sessions-{day}.parquet" for day in sorted(counts)
    ]
    assert len(counts) == 2


def test_mock_with_aioresponses(tmp_path: Path) -> None:
    assert finish(tmp_path, str(EXAMPLES / "testing/mock_with_aioresponses.py")) == "Front desk\n"


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_a_signal_ends_a_service_with_one_line(number: signal.Signals, tmp_path: Path) -> None:
    with ExitStack() as stack:
        running = [
            (begun, stack.enter_context(started(tmp_path, str(EXAMPLES / name), *WORDS[name], "--demo")))
            for name, begun in SERVING.items()
        ]
        for begun, process in running:
            assert process.stderr is not None
            while begun not in (line := process.stderr.readline()):
                assert line, process.args
            process.send_signal(number)
        for _, process in running:
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 128 + number, errors
            assert "Traceback" not in errors
            assert re.search(rf"^Ended by {number.name}\..*\n\Z", errors, re.MULTILINE)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 1
    assert {path.stat().st_mode & 0o077 for path in written} == {0}


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("quickstart.py", "rich"),
        pytest.param("fastapi_service.py", "fastapi", marks=pytest.mark.long),
        pytest.param("fastapi_service.py", "uvicorn", marks=pytest.mark.long),
        pytest.param("session_report.py", "matplotlib", marks=pytest.mark.long),
        pytest.param("export_on_dask.py", "distributed", marks=pytest.mark.long),
        pytest.param("testing/mock_with_aioresponses.py", "aioresponses", marks=pytest.mark.long),
    ],
)
def test_a_missing_package_is_told_with_what_to_install(name: str, missing: str, tmp_path: Path) -> None:
    path = EXAMPLES / name
    code = (
        f"import sys, runpy; sys.modules[{missing!r}] = None; sys.path.insert(0, {str(path.parent)!r});"
        f"sys.argv = [{str(path)!r}]; runpy.run_path({str(path)!r}, run_name='__main__')"
    )
    with started(tmp_path, "-c", code) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert re.fullmatch(rf"This program needs {missing}\S*: pip install \S+\n", errors)
