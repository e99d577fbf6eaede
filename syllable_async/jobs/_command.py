"""The command line: `python -m syllable_async export | download | follow`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import sys
import threading
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from syllable_async import (
    AsyncSyllableClient,
    AuthenticationError,
    BadRequestError,
    HTTPValidationError,
    PermissionDeniedError,
    SyllableError,
    __version__,
)

if TYPE_CHECKING:
    from syllable_async.testing import FakeSyllable

from ._days import bounds, last_days, span_of
from ._download import download
from ._export import WITH, check_extra, export
from ._follow import follow
from ._progress import shown
from ._reports import DownloadReport, ExportReport, FollowReport, JobProgress
from ._storage import DATE, TargetError, local_path, make_folder, remove_own, without_password
from ._walk import by_field

GRACE = 0.7
"""Seconds after a signal in which a job ends by itself; then what still runs is ended with the process."""
NUMBER = r"[0-9]+(?:\.[0-9]+)?"
KEY = "SYLLABLESDK_API_KEY_HEADER"
REFUSED = (AuthenticationError, PermissionDeniedError)
EXAMPLES = {
    "export": """examples:
  every night, the last three days (today included), with summaries:
      {prog} export --to /data/sessions --last 3 --with summary
  once, a year; days that are final are not asked for again:
      {prog} export --to s3://bucket/sessions --since 2025-01-01 --until 2026-01-01
  sessions were deleted or came late: write all of the span again:
      {prog} export --to /data/sessions --since 2026-01-05 --until 2026-01-12 --refresh
  read it:
      duckdb -c "SELECT count(*) FROM '/data/sessions/*.parquet'"
""",
    "download": """examples:
  every night, the recordings of the last two days, below /data/recordings/:
      {prog} download --to /data --last 2
  one agent's:
      {prog} download --to /data --since 2026-01-05 --until 2026-01-12 --agent-name "Front Desk"
""",
    "follow": """examples:
  from cron, each time what is new (at least once, see session_id):
      {prog} follow --to /data/inbox --once
  as a service, from a day on:
      {prog} follow --to /data/inbox --since 2026-01-05
  to look at, best effort:
      {prog} follow | jq .agent_name
""",
}
WORDS = {
    "export": "one Parquet file a UTC day, replaced in one step",
    "download": "the recordings of a span, skipping what is there",
    "follow": "sessions as they appear, as lines of JSON",
}


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def target(text: str) -> str:
    """A folder or an address; none that ends with the process."""
    if re.search("(?:^|::)memory://", text):
        raise argparse.ArgumentTypeError(f"{without_password(text)} is gone when the program ends: give another")
    return text


def moment(text: str) -> date:
    """A date, or a datetime with its offset."""
    with suppress(ValueError):
        if re.fullmatch(DATE, text):
            return date.fromisoformat(text)
        if re.match(rf"{DATE}[T ]", text):
            return datetime.fromisoformat(text)
    raise argparse.ArgumentTypeError(f"{text} is not a date such as 2026-01-05")


def number(text: str) -> float:
    """A number that is not negative."""
    if not re.fullmatch(NUMBER, text):
        raise argparse.ArgumentTypeError(f"{text} is not a number such as 20 or 0.5")
    return float(text)


def seconds(text: str) -> float:
    """A duration: `90`, `90s`, `15m`, `6h`, `2d`."""
    found = re.fullmatch(rf"({NUMBER})([smhd]?)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text} is not a duration such as 90s, 15m, 6h or 2d")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]


def positive(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1")
    return int(text)


def pair(text: str) -> tuple[str, str]:
    """`FIELD=VALUE`."""
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text} is not FIELD=VALUE")
    return name, value


def agent(text: str) -> tuple[str, str]:
    """The filter that `--agent-name` stands for."""
    return "agent_name", text


def names(text: str) -> list[str]:
    """Names that `--with` knows, separated by commas."""
    found = [name.strip() for name in text.split(",") if name.strip()]
    for name in found:
        if name not in WITH:
            raise argparse.ArgumentTypeError(f"{name} is unknown: choose from {', '.join(WITH)}")
    if not found:
        raise argparse.ArgumentTypeError(f"it is empty: choose from {', '.join(WITH)}")
    return found


def options_of_json(text: str) -> dict[str, Any]:
    """A JSON object."""
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError("it is not a JSON object")
    return found  # pyright: ignore[reportUnknownVariableType]


def make_parser(prog: str) -> Parser:
    """All commands and their flags."""
    about = "Jobs over the sessions of the Syllable API. After any failure run the same command again."
    status = "exit status: 0 all done, 1 some failed (listed), 2 wrong use or no key, 130/143 interrupted"
    top = Parser(prog=prog, description=about, epilog=status)
    top.add_argument("--version", action="version", version=f"syllable-async {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    for name, words in WORDS.items():
        command = commands.add_parser(
            name,
            help=words,
            description=f"{name}: {words}.",
            epilog=f"{EXAMPLES[name].format(prog=prog)}\n{status}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        _add_flags(command, name)
    return top


def _add_flags(command: Parser, name: str) -> None:
    add = command.add_argument
    place = "a folder, or an address that fsspec knows" if name == "export" else "a folder"
    place += ", or stdout" if name == "follow" else ""
    add("--to", type=target, required=name != "follow", metavar="TARGET", help=place)
    begin = "a UTC day, or a time with its offset" + ("" if name == "follow" else "; rounded outward to days")
    add("--since", type=moment, metavar="DATE", help=begin)
    if name == "follow":
        add("--state", metavar="FILE", help="where to go on; by default in the folder of --to")
        add("--once", action="store_true", help="end when all sessions that are listed now are written")
        add("--interval", type=seconds, default=30.0, help="between two polls (30s)")
    else:
        add("--until", type=moment, metavar="DATE", help="the end, not included; now by default")
        add("--last", type=positive, metavar="DAYS", help="in place of --since: today and the UTC days before it")
        add("--settle", type=seconds, default=21600.0, help="how long after its end a day may still change (6h)")
        add("--parallel", type=positive, default=8, help="requests at once (8)")
    if name == "export":
        add(
            "--with",
            dest="with_",
            type=names,
            action="extend",
            default=[],
            metavar="NAMES",
            help=f"what to ask for besides: {','.join(WITH)}",
        )
        add("--refresh", action="store_true", help="write all of the span again")
        add("--fewer", action="store_true", help="let a file be replaced by one with less than 90 %% of its rows")
        add("--storage-options", type=options_of_json, metavar="JSON", help="for fsspec, such as encryption")
    filters: Any = {"dest": "search", "action": "append", "default": []}
    add("--agent-name", type=agent, metavar="NAME", help="only sessions of that agent", **filters)
    several = "only sessions with that value; may be given several times, once a field"
    add("--search", type=pair, metavar="FIELD=VALUE", help=several, **filters)
    add("--include-test", action="store_true", help="test sessions too")
    add("--rate", type=number, help="requests a second at most")
    patience = "how long to retry what may pass: connection errors, timeouts, 429, 5xx (1h)"
    add("--patience", type=seconds, default=3600.0, help=patience)
    add("--demo", action="store_true", help="invented sessions of 2026-01-05 to 2026-01-11, from no API")


class DemoClient(AsyncSyllableClient):
    """A client of a fake that runs on another port each time, and is the same API all the same."""

    @property
    def base_url(self) -> str:
        """No address: nothing of it goes into a folder with real data."""
        return "demo"


class Command:
    """One run of the command line."""

    def __init__(self, prog: str, options: argparse.Namespace) -> None:
        self.prog = prog
        self.options = options
        self.name: str = options.command
        self.span = "-"
        self.origin = "-"
        self.latest = JobProgress()
        self.audited = False

    def say(self, line: str) -> None:
        """A line on stderr; one that nobody can read is no reason to stop."""
        with suppress(OSError, ValueError):
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()

    def audit(self, status: int, rows: int | None = None, files: int | None = None) -> None:
        """The line for the audit: once, no patient data in it, and none of a run that was refused before it began."""
        if self.audited or (status == 2 and not self.latest.sessions):
            return
        self.audited = True
        rows = self.latest.sessions if rows is None else rows
        files = (self.latest.recordings or self.latest.days_done or self.latest.files) if files is None else files
        self.say(f"{self.name}: origin {self.origin}, span {self.span}, {rows} rows, {files} files, exit {status}")

    def fail(self, status: int, problem: str) -> int:
        """Say what is wrong, in a line."""
        self.say(f"{self.prog} {self.name}: {' '.join(problem.split())}")
        return status

    async def run(self) -> int:
        """The exit status."""
        try:
            if self.name == "export":
                check_extra()
            span = {} if self.name == "follow" else self._span()
            self._keep_invented_apart()
            async with self._client() as client:
                self.origin = client.base_url
                return await self._run_job(client, span)
        except REFUSED as error:
            return self.fail(2, f"the API refuses the key in {KEY}: {error}")
        except UnicodeEncodeError:  # its text holds a part of the value
            return self.fail(2, "an argument is not text in UTF-8")
        except (ValueError, TypeError, ImportError, BadRequestError, HTTPValidationError) as error:
            return self.fail(2, str(error))
        except BrokenPipeError:
            return self.fail(1, "stdout was closed by its reader")
        except OSError as error:
            place = f"{without_password(self.options.to)}: " if self.options.to and error.filename is None else ""
            return self.fail(1, f"stopped: {place}{error}; once that is mended the same command goes on")
        except SyllableError as error:
            return self.fail(1, f"stopped: {error}; the same command goes on")

    def _keep_invented_apart(self) -> None:
        """Recordings and lines do not say of which API they are, as an export's files do.

        Raises:
            TargetError: a `ValueError`: invented data would come into a folder of real data, or the other way round.
        """
        if self.name == "export" or self.options.to is None:
            return
        follows = self.name == "follow"
        folder = local_path(self.options.to, "folder") / ("" if follows else "recordings")
        mark, demo = folder / "_demo", self.options.demo
        if mark.exists() is demo:
            return
        if not demo:
            raise TargetError(f"{folder} holds the invented data of --demo: give another folder")
        make_folder(folder)
        if next(folder.glob("*.ndjson" if follows else "*/*"), None) is not None:
            raise TargetError(f"{folder} holds other data: give another folder to --demo")
        os.close(os.open(mark, os.O_WRONLY | os.O_CREAT, 0o600))

    @asynccontextmanager
    async def _client(self) -> AsyncGenerator[AsyncSyllableClient]:
        """A client of the environment's API, or of the fake where that was asked for."""
        if not self.options.demo:
            async with AsyncSyllableClient(rate=self.options.rate) as client:
                yield client
            return
        from syllable_async.testing import FakeSyllable  # noqa: PLC0415 - a server, which only the demo needs

        with FakeSyllable(sessions=5_000, log_limit=0) as fake:
            self.say("demo: these sessions are invented; they lie from 2026-01-05 to 2026-01-11")
            calls = asyncio.ensure_future(_calls_come_in(fake if self.name == "follow" else None))
            try:
                async with DemoClient(fake.api_key, base_url=fake.url, rate=self.options.rate) as client:
                    yield client
            finally:
                calls.cancel()

    async def _run_job(self, client: AsyncSyllableClient, span: Mapping[str, Any]) -> int:
        options = self.options
        common: dict[str, Any] = {
            "search": by_field(options.search),
            "include_test": options.include_test,
            "patience": options.patience,
        }
        if self.name != "follow":
            common |= {"to": options.to, "settle": options.settle, "parallel": options.parallel, **span}
        async with shown(self.name, sys.stderr, self.say) as tell:

            def progress(now: JobProgress) -> None:
                self.latest = now
                tell(now)

            report: ExportReport | DownloadReport | FollowReport
            if self.name == "export":
                chosen = {"with_": options.with_, "refresh": options.refresh, "fewer": options.fewer}
                storage = options.storage_options
                report = await export(client, **common, **chosen, storage_options=storage, progress=progress)
            elif self.name == "download":
                report = await download(client, **common, progress=progress)
            else:
                report = await self._follow(client, common, progress)
        # The bars are gone: as long as they stand they break lines at the terminal's width.
        return self._end_job(report)

    def _end_job(self, report: ExportReport | DownloadReport | FollowReport) -> int:
        if isinstance(report, ExportReport):
            return self._end_export(report)
        if isinstance(report, FollowReport):
            self.span = f"{report.since.isoformat(timespec='seconds')}/"
            if report.problems:
                self.say(f"follow: {report.problems} could not be read" + ", see _problems" * bool(self.options.to))
            return self._end(report.complete, report.sessions, report.files)
        self.say(
            f"download: {report.sessions} sessions: {report.saved} saved, {report.skipped} there already,"
            f" {report.none} without, {report.pending} pending, {report.failed} failed"
        )
        return self._end(report.complete, report.sessions, report.recordings)

    def _end(self, complete: bool, rows: int, files: int) -> int:
        status = 0 if complete else 1
        self.audit(status, rows, files)
        return status

    def _end_export(self, report: ExportReport) -> int:
        for day in report.days:
            if day.error is not None:
                self.say(f"export: {day.day}: {day.error}")
            if day.problems:
                self.say(f"export: {day.day}: {day.problems} could not be read, see _problems/{day.day}.jsonl")
        files = sum(day.status != "failed" or day.rows > 0 for day in report.days)
        return self._end(report.complete, report.rows, files)

    def _span(self) -> dict[str, Any]:
        """`since` and `until`; what is rounded is said."""
        options, now = self.options, datetime.now(UTC)
        if (options.last is None) == (options.since is None):
            raise ValueError("give --last DAYS or --since DATE, one of them")
        if options.last is not None and options.until is not None:
            raise ValueError("--until goes with --since, not with --last")
        since: date = options.since if options.last is None else last_days(options.last, now)
        span = span_of(since, options.until, now)
        self.span = str(span)
        for given, day in ((since, span.since), (options.until, span.until)):
            if isinstance(given, datetime) and given < now and given != bounds(day)[0]:
                self.say(f"{self.name}: files hold whole UTC days: the span is {span}")
                break
        return {"since": since, "until": options.until}

    async def _follow(self, client: AsyncSyllableClient, common: dict[str, Any], progress: Any) -> FollowReport:
        options = self.options
        if options.to is None and not sys.stdout:  # it was closed before Python began
            raise ValueError("stdout is closed: use --to")
        since = options.since
        if since is not None and not isinstance(since, datetime):
            since = bounds(since)[0]
        if since is not None:
            self.span = f"{since.isoformat(timespec='seconds')}/"
        if options.to is None and options.state is not None:
            self.say("follow: stdout is best effort: what a pipe holds when its reader dies is lost; use --to")
        return await follow(
            client,
            **common,
            to=sys.stdout.buffer if options.to is None else options.to,
            since=since,
            state=options.state,
            once=options.once,
            interval=options.interval,
            progress=progress,
        )


async def _calls_come_in(fake: FakeSyllable | None) -> None:
    """A call a second, for those who follow."""
    while fake is not None:
        await asyncio.sleep(1)
        fake.add_session(timestamp=datetime.now(UTC))


async def _until_signalled(command: Command) -> int:
    """The exit status of a command that SIGINT and SIGTERM end within a second."""
    job = asyncio.ensure_future(command.run())
    received: list[int] = []

    def interrupted() -> int:
        status = 128 + received[0]
        command.say(f"{command.name}: interrupted; what is whole stays, and the same command goes on")
        command.audit(status)
        return status

    def end_with_the_process() -> None:
        """A thread still writes, or an upload runs: neither has put anything in place, and now never will."""
        status = interrupted()
        remove_own()
        os._exit(status)

    def on_signal(number: int) -> None:
        received.append(number)
        if len(received) == 1:
            job.cancel()
            timer.start()

    timer = threading.Timer(GRACE, end_with_the_process)
    timer.daemon = True
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal, number)
    try:
        status = await job
    except asyncio.CancelledError:
        timer.cancel()
        return interrupted()
    if received:
        timer.cancel()
        return interrupted()
    command.audit(status)
    return status


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    if not sys.stderr:  # it was closed before Python began
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - to the end of the process
    prog = Path(sys.argv[0]).name
    parser = make_parser("python -m syllable_async" if prog == "__main__.py" else prog)
    try:
        options = parser.parse_args(argv)
        if options.command is None:
            parser.print_help(sys.stderr)
            return 2
        return asyncio.run(_until_signalled(Command(parser.prog, options)))
    except KeyboardInterrupt:  # before the handlers stood
        return 128 + signal.SIGINT
    finally:
        _empty_stdout()


def _empty_stdout() -> None:
    """Python flushes it once more at its end, and where that fails ends with a status of its own."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
