"""The command line: what it says, how it ends, and what it leaves."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import signal
import subprocess
import sys
import termios
import time
from array import array
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, Any, Protocol
from unittest.mock import Mock

import pytest

from syllable_async import __version__
from syllable_async.__main__ import main
from syllable_async.jobs import _command, _export
from syllable_async.testing import FakeSyllable, faults
from tests.jobs.folder import hidden, ids, listed, record
from tests.time_control import TimelessLoop

KEY, URL = "SYLLABLESDK_API_KEY_HEADER", "SYLLABLE_BASE_URL"
WEEK = ("--since", "2026-01-05", "--until", "2026-01-12")


@pytest.fixture(scope="module")
def api() -> Iterator[FakeSyllable]:
    """One for all: what a test asks of it changes nothing."""
    with FakeSyllable(sessions=40) as running:
        yield running


def start(*words: str, api: FakeSyllable | None, code: str = "", **options: Any) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if name not in {KEY, URL}}
    if api is not None:
        environment |= {KEY: api.api_key, URL: api.url}
    command = [sys.executable, "-c", code] if code else [sys.executable, "-m", "syllable_async"]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    return subprocess.Popen([*command, *words], **pipes, **options)


class Run(Protocol):
    """Runs the command line in this process: exit status, stdout and stderr."""

    def __call__(self, *words: str, api: FakeSyllable | None) -> tuple[int, str, str]: ...


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(*words: str, api: FakeSyllable | None) -> tuple[int, str, str]:
        for name, value in ((KEY, api and api.api_key), (URL, api and api.url)):
            monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
        try:
            status = main(words)
        except SystemExit as ended:
            status = int(str(ended.code))
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


def test_export_fills_a_folder_and_ends_with_a_line_for_the_audit(run: Run, api: FakeSyllable, tmp_path: Path) -> None:
    status, out, errors = run("export", "--to", str(tmp_path), *WEEK, api=api)
    assert (status, out) == (0, "")
    assert ids(tmp_path) == listed(api)
    rows = len(listed(api))
    assert errors == f"export: origin {api.url}, span 2026-01-05/2026-01-12, {rows} rows, 7 files, exit 0\n"


def test_a_span_within_days_is_rounded_outward_and_said(run: Run, api: FakeSyllable, tmp_path: Path) -> None:
    span = ("--since", "2026-01-05T13:00+00:00", "--until", "2026-01-06T01:00+00:00")
    status, _, errors = run("export", "--to", str(tmp_path), *span, api=api)
    assert status == 0
    assert "files hold whole UTC days: the span is 2026-01-05/2026-01-07" in errors
    assert ids(tmp_path) == [*listed(api, date(2026, 1, 5)), *listed(api, date(2026, 1, 6))]


WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "neither": (("export", "--to", "out"), "give --last DAYS or --since DATE, one of them"),
    "both": (("export", "--to", "out", "--last", "3", "--since", "2026-01-05"), "one of them"),
    "until": (("export", "--to", "out", "--last", "3", "--until", "2026-01-05"), "--until goes with --since"),
    "last 0": (("export", "--to", "out", "--last", "0"), "--last: 0 is not a whole number of at least 1"),
    "last of more than there is": (("export", "--to", "out", "--last", "99999"), "last must be between 1 and"),
    "empty": (("export", "--to", "", *WEEK), "an empty path is no folder of this machine"),
    "reversed": (("export", "--to", "out", "--since", "2026-01-12", "--until", "2026-01-05"), "is not before"),
    "future": (("export", "--to", "out", "--since", "2999-01-01"), "lies in the future"),
    "no date": (("download", "--to", "out", "--since", "2026-02-30"), "2026-02-30 is not a date"),
    "no zone": (("download", "--to", "out", "--since", "2026-02-03T10:00"), "has no time zone"),
    "parallel 0": (("export", "--to", "out", *WEEK, "--parallel", "0"), "0 is not a whole number of at least 1"),
    "rate 0": (("export", "--to", "out", *WEEK, "--rate", "0"), "rate must be a finite number above 0"),
    "settle": (("export", "--to", "out", *WEEK, "--settle", "6x"), "6x is not a duration"),
    "with": (("export", "--to", "out", *WEEK, "--with", "summary,sumary"), "sumary is unknown"),
    "search": (("export", "--to", "out", *WEEK, "--search", "agent_name"), "agent_name is not FIELD=VALUE"),
    "no agent": (("export", "--to", "out", *WEEK, "--agent-name", ""), "the filter agent_name= is empty"),
    "blank agent": (("follow", "--to", "out", "--agent-name", " "), "the filter agent_name= is empty"),
    "no value": (("follow", "--search", "title="), "the filter title= is empty"),
    "no field": (("follow", "--search", "=x"), "the filter = is empty"),
    "with nothing": (("export", "--to", "out", *WEEK, "--with", ""), "--with: it is empty: choose from summary"),
    "field twice": (("export", "--to", "out", *WEEK, *("--search", "title=A") * 2), "title is filtered twice"),
    "agent twice": (("follow", "--agent-name", "A", "--search", "agent_name=B"), "agent_name is filtered twice"),
    "two agents": (("download", "--to", "out", *WEEK, *("--agent-name", "A") * 2), "agent_name is filtered twice"),
    "test twice": (("follow", "--search", "is_test=false", "--include-test"), "is_test is filtered twice"),
    "options": (("export", "--to", "out", *WEEK, "--storage-options", "[1"), "it is not a JSON object"),
    "address": (("export", "--to", "nonsense://x", *WEEK), "nonsense://x cannot be used"),
    "unknown chain": (("export", "--to", "x::s3://y", *WEEK), "x::s3://y cannot be used: one of its protocols"),
    "memory": (("export", "--to", "memory://x", *WEEK), "memory://x is gone when the program ends: give another"),
    "no folder": (("export", "--to", __file__, *WEEK), "is no folder"),
    "object": (("download", "--to", "s3://x/y", *WEEK), "is no folder of this machine"),
    "state": (("follow", "--to", "out", "--state", "s3://x/y"), "s3://x/y is no file of this machine"),
    "no state": (("follow", "--to", "out", "--state", ""), "an empty path is no file of this machine"),
    "state is a folder": (("follow", "--to", "out", "--state", "/"), "/ is a folder, and no state"),
    "interval": (("follow", "--to", "out", "--interval", "9999999d"), "interval must be a number of seconds"),
    "follow from the future": (("follow", "--to", "out", "--since", "2999-01-01"), "since lies in the future"),
    "one slash": (
        ("export", "--to", "s3:/x/y", *WEEK),
        "s3:/x/y is no folder of this machine: an address is",
    ),
    "one slash, download": (("download", "--to", "s3:/x/y", *WEEK), "an address is text with two slashes"),
    "deep options": (("export", "--to", "out", *WEEK, "--storage-options", "[" * 10**5), "it is not a JSON object"),
    "field": (("export", "--to", "out", *WEEK, "--search", "agent_nam=x"), "HTTP 422"),
    "no target": (("export", *WEEK), "arguments are required: --to"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_use_is_told_in_one_line(run: Run, api: FakeSyllable, tmp_path: Path, case: str) -> None:
    words, problem = WRONG[case]
    status, _, errors = run(*words, api=api)
    assert status == 2
    assert problem in errors
    assert errors.count("\n") == 1
    assert ids(tmp_path / "out") == []


@pytest.mark.parametrize("place", ["ftp://me:SECRET@127.0.0.1:1/x", "nonsense://me:SECRET@x", "x::ftp://me:SECRET@x/y"])
@pytest.mark.parametrize("command", ["export", "download", "follow"])
def test_a_password_in_an_address_is_shown_nowhere(run: Run, api: FakeSyllable, command: str, place: str) -> None:
    status, output, errors = run(command, "--to", place, *(() if command == "follow" else WEEK), api=api)
    assert status > 0
    assert "me@" in errors or "me:" not in errors
    assert "SECRET" not in errors + output


@pytest.mark.parametrize("words", [("--search", "title=\udcff"), ("--search", "\udcff=x"), ("--agent-name", "\udcff")])
def test_bytes_that_are_no_text_are_told_in_one_line(
    run: Run, api: FakeSyllable, tmp_path: Path, words: tuple[str, ...]
) -> None:
    for command in (("export", "--to", "out", *WEEK), ("follow", "--to", "out")):
        status, _, errors = run(*command, *words, api=api)
        assert status == 2
        assert errors.count("\n") == 1
        assert "codec" not in errors
        assert "udcff" not in errors
    assert list((tmp_path / "out").iterdir()) == []


def test_no_key_a_refused_key_and_a_missing_extra_are_told_in_one_line(
    run: Run, api: FakeSyllable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("export", "--to", str(tmp_path / "out"), *WEEK)
    status, _, errors = run(*words, api=None)
    assert (status, errors.count("\n")) == (2, 1)
    assert KEY in errors
    with FakeSyllable(sessions=0, api_key="x", seed=7) as stranger:
        stranger.api_key = "another"
        status, _, errors = run(*words, api=stranger)
    assert (status, errors.count("\n")) == (2, 1)
    assert f"the API refuses the key in {KEY}: HTTP 401" in errors
    monkeypatch.setattr(_export, "find_spec", Mock(return_value=None))
    status, _, errors = run(*words, api=api)
    assert (status, errors.count("\n")) == (2, 1)
    assert 'pip install "syllable-async[jobs]"' in errors


def test_demo_data_do_not_mix_with_real_ones(run: Run, api: FakeSyllable, tmp_path: Path) -> None:
    demo = ("export", "--to", str(tmp_path), "--since", "2026-01-05", "--until", "2026-01-06", "--demo")
    assert run(*demo, api=None)[0] == run(*demo, api=None)[0] == 0
    before = ids(tmp_path)
    status, _, errors = run(*demo[:-1], api=api)
    assert status == 2
    assert "is of demo, not of" in errors
    assert ids(tmp_path) == before != []


def test_with_may_be_given_several_times(run: Run, api: FakeSyllable, tmp_path: Path) -> None:
    words = ("export", "--to", str(tmp_path), "--since", "2026-01-05", "--until", "2026-01-06")
    assert run(*words, "--with", "summary", "--with", "latency,timeline", api=api)[0] == 0
    assert record(tmp_path, date(2026, 1, 5)).with_ == ("summary", "latency", "timeline")


def test_what_failed_is_listed_and_the_status_is_1(run: Run, tmp_path: Path) -> None:
    with FakeSyllable(sessions=10) as api:
        api.faults.add("sessions.get_full_summary", faults.status(403))
        status, _, errors = run("export", "--to", str(tmp_path), *WEEK, "--with", "summary", api=api)
    assert status == 1
    assert "2026-01-05: 1 could not be read, see _problems/2026-01-05.jsonl" in errors
    assert errors.endswith("exit 1\n")


def test_what_ends_a_run_is_told_and_a_day_that_failed_ends_none(run: Run, tmp_path: Path) -> None:
    with FakeSyllable(sessions=10) as api:
        api.faults.add("sessions.list", faults.status(418))
        status, _, errors = run("export", "--to", str(tmp_path), *WEEK, api=api)
        assert status == 1
        assert re.search(r"^export: 2026-01-\d\d: HTTP 418", errors)
        assert "6 files, exit 1" in errors
        api.faults.add("sessions.list", faults.status(418))
        status, _, errors = run("download", "--to", str(tmp_path), *WEEK, api=api)
    assert status == 1
    assert re.search(r"download: stopped: HTTP 418 .*; the same command goes on\n", errors)


def test_follow_begins_at_a_time_or_with_its_first_run(run: Run, api: FakeSyllable, tmp_path: Path) -> None:
    since = "2026-01-05T12:00:00+00:00"
    status, out, errors = run("follow", "--to", str(tmp_path / "a"), "--since", since, "--once", api=api)
    later = [name for name in listed(api) if api.session(name)["timestamp"] >= "2026-01-05T12"]
    assert (status, out) == (0, "")
    assert later
    assert f"span {since}/, {len(later)} rows, 1 files, exit 0" in errors
    status, _, errors = run("follow", "--to", str(tmp_path / "b"), "--once", api=api)
    assert status == 0
    assert ", 0 rows, 0 files, exit 0" in errors
    assert "best effort" not in errors


def test_in_a_demo_of_follow_a_call_comes_in_each_second() -> None:
    fake = FakeSyllable(sessions=0)

    async def main() -> None:
        calls = asyncio.ensure_future(_command._calls_come_in(fake))
        await asyncio.sleep(3.5)
        calls.cancel()

    with asyncio.Runner(loop_factory=TimelessLoop) as runner:
        runner.run(main())
    assert len(fake.sessions) == 3


def test_a_reader_that_is_gone_ends_a_follow_with_a_line(api: FakeSyllable) -> None:
    with start("follow", "--since", "2026-01-05", "--once", api=api) as running:
        assert running.stdout is not None
        running.stdout.close()
        assert running.stderr is not None
        errors = running.stderr.read()
    assert running.returncode == 1
    assert "follow: stdout was closed by its reader" in errors
    assert "Traceback" not in errors


def test_download_and_follow(run: Run, api: FakeSyllable, tmp_path: Path) -> None:
    status, _, errors = run(
        "download", "--to", str(tmp_path), "--since", "2026-01-05", "--until", "2026-01-06", api=api
    )
    assert status == 0
    assert re.search(r"\d+ saved, 0 there already", errors)
    assert list((tmp_path / "recordings" / "2026-01-05").glob("*-1of*.wav"))
    status, out, errors = run("follow", "--since", "2026-01-05", "--once", "--state", str(tmp_path / "s"), api=api)
    assert (status, out.count("\n")) == (0, len(listed(api)))
    assert "stdout is best effort" in errors
    assert f"span 2026-01-05T00:00:00+00:00/, {len(listed(api))} rows" in errors
    assert run("follow", "--since", "2026-01-05", "--once", "--state", str(tmp_path / "s"), api=api)[1] == ""


def test_a_closed_stdout_is_told_in_one_line(
    run: Run, api: FakeSyllable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", None)
    status, _, errors = run("follow", "--once", "--state", str(tmp_path / "s"), api=api)
    assert status == 2
    assert errors.endswith("follow: stdout is closed: use --to\n")
    assert errors.count("\n") == 1
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_within_a_second_and_leaves_nothing_half(number: signal.Signals, tmp_path: Path) -> None:
    with FakeSyllable(sessions=40) as api:
        api.faults.add("sessions.get_full_summary", faults.delay(30.0, times=None))
        with start("export", "--to", str(tmp_path), *WEEK, "--with", "summary", api=api) as running:
            while not hidden(tmp_path):
                time.sleep(0.01)
            running.send_signal(number)
            began = time.monotonic()
            _, errors = running.communicate(timeout=30)
        took = time.monotonic() - began
    assert running.returncode == 128 + number
    assert "the same command goes on" in errors
    assert errors.endswith(f"exit {128 + number}\n")
    assert errors.count("\n") == 2
    assert hidden(tmp_path) == []
    assert took < 10  # a run that is not ended waits for 30 s


def test_a_thread_that_does_not_end_is_ended_with_the_process(tmp_path: Path) -> None:
    code = (
        "import sys, time; from syllable_async.jobs import _schema; from syllable_async.__main__ import main;"
        "_schema.DayWriter.close = lambda *_: time.sleep(30); sys.exit(main())"
    )
    words = ("export", "--to", str(tmp_path), "--since", "2026-01-05", "--until", "2026-01-06")
    with FakeSyllable(sessions=5) as api, start(*words, api=api, code=code) as running:
        while not hidden(tmp_path):
            time.sleep(0.01)
        time.sleep(0.3)
        running.terminate()
        _, errors = running.communicate(timeout=20)
    assert running.returncode == 143
    assert "the same command goes on" in errors
    assert hidden(tmp_path) == []


def test_a_reader_that_does_not_read_holds_up_no_signal(tmp_path: Path) -> None:
    """The pipe is full, and a thread waits for room in it. A second signal changes nothing."""

    def waits(pipe: IO[str]) -> bool:
        held = array("i", [0])
        fcntl.ioctl(pipe, termios.FIONREAD, held)
        return held[0] > 2048

    words = ("follow", "--since", "2026-01-05", "--state", str(tmp_path / "state"))
    with FakeSyllable(sessions=1_000) as api, start(*words, api=api, pipesize=4096) as running:
        assert running.stdout is not None
        while not waits(running.stdout):
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        running.terminate()
        running.wait(timeout=20)
        assert running.stderr is not None
        errors = running.stderr.read()
    assert running.returncode in {130, 143}  # whichever is seen first
    assert errors.count("the same command goes on") == 1


def test_a_signal_in_the_last_moment_counts(capsys: pytest.CaptureFixture[str]) -> None:
    class Deaf(_command.Command):
        async def run(self) -> int:
            os.kill(os.getpid(), signal.SIGTERM)
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            return 0

    options = _command.make_parser("x").parse_args(["export", "--to", "out", *WEEK])
    assert asyncio.run(_command._until_signalled(Deaf("x", options))) == 143
    assert "export: interrupted" in capsys.readouterr().err


def test_an_interrupt_before_anything_runs_is_a_status(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(main: Coroutine[Any, Any, int]) -> int:
        main.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(asyncio, "run", interrupted)
    assert main(("export", "--to", "out", *WEEK)) == 130


def test_a_full_disk_is_told_in_a_line(
    run: Run, api: FakeSyllable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("syllable_async.jobs._schema.DayWriter.close", full)
    status, _, errors = run("export", "--to", str(tmp_path), *WEEK, api=api)
    assert status == 1
    assert f"stopped: {tmp_path}: [Errno 28] No space left on device; once that is mended" in errors
    assert errors.count("\n") == 2
    assert hidden(tmp_path) == []


def test_help_shows_examples_and_needs_no_extra(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("export", "download", "follow"):
        with pytest.raises(SystemExit) as ended:
            main((command, "--help"))
        assert ended.value.code == 0
        shown = capsys.readouterr().out
        assert "examples:" in shown
        assert "--to" in shown
    assert main(()) == 2
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(("--version",))
    assert (ended.value.code, capsys.readouterr().out) == (0, f"syllable-async {__version__}\n")


@pytest.mark.parametrize("command", ["download", "follow"])
def test_invented_data_stay_out_of_folders_with_real_ones(
    run: Run, api: FakeSyllable, tmp_path: Path, command: str
) -> None:
    end = ("--once",) if command == "follow" else ("--until", "2026-01-06")
    options = ("--since", "2026-01-05", *end)
    for name, first, second, words in (
        ("real", (), ("--demo",), "holds other data: give another folder to --demo"),
        ("demo", ("--demo",), (), "holds the invented data of --demo"),
    ):
        to = ("--to", str(tmp_path / name))
        assert run(command, *to, *options, *first, api=api)[0] == 0
        before = sorted(tmp_path.rglob("*"))
        status, _, errors = run(command, *to, *options, *second, api=api)
        assert (status, words in errors) == (2, True)
        assert sorted(tmp_path.rglob("*")) == before
        assert run(command, *to, *options, *first, api=api)[0] == 0, "again"


def test_a_stdout_that_takes_nothing_is_told_once(api: FakeSyllable) -> None:
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    for words in (("follow", "--once", "--since", "2026-01-05"), ("export", "--help")):
        command = [sys.executable, "-m", "syllable_async", *words]
        with Path("/dev/full").open("w") as full:
            ended = subprocess.run(
                command,
                check=False,
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                env=buffered | {KEY: api.api_key, URL: api.url},
            )
        assert "Exception ignored" not in ended.stderr
        assert ended.returncode in {0, 1}
        assert ended.returncode == 1 or words[-1] == "--help"


def test_without_stderr_the_work_is_done_all_the_same(api: FakeSyllable, tmp_path: Path) -> None:
    command = f"{sys.executable} -m syllable_async export --to {tmp_path} {' '.join(WEEK)} 2>&-"
    ended = subprocess.run(["/bin/sh", "-c", command], check=False, env={**os.environ, KEY: api.api_key, URL: api.url})
    assert ended.returncode == 0
    assert ids(tmp_path) == listed(api)


def test_last_means_today_and_the_days_before(run: Run, api: FakeSyllable, tmp_path: Path) -> None:
    assert run("export", "--to", str(tmp_path), "--last", "2", api=api)[0] == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 2
    assert names[-1] >= f"sessions-{datetime.now(UTC).date()}"[:18]
