"""What the programs here share: which API they talk to, and how they end."""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import signal
import sys
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn, cast

KEY = "SYLLABLESDK_API_KEY_HEADER"
EPILOG = f"""
The key of the API stands in the environment as {KEY}, another address in SYLLABLE_BASE_URL.
Without a key, --demo starts a server of invented sessions on this machine.
"""


def fail(line: str, status: int) -> NoReturn:
    """End the program with one line on stderr."""
    sys.stderr.write(f"{line}\n")
    raise SystemExit(status)


def _end(number: int, hint: str = "") -> NoReturn:
    fail(f"Ended by {signal.Signals(number).name}. {hint}".rstrip(), 128 + number)


def _on_signal(number: int, _: FrameType | None) -> NoReturn:
    _end(number)


def _on_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
        sys.stderr.write(f"This program needs {package}: pip install 'syllable-async[examples]'\n")
    else:
        sys.__excepthook__(kind, error, trace)


# As soon as a program imports this module, and before it imports anything that takes long or may be missing.
if Path(sys.argv[0]).resolve().parent == Path(__file__).resolve().parent and not multiprocessing.parent_process():
    sys.excepthook = _on_exception
    os.umask(0o077)  # patients' data is for this user alone
    for _number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(_number, _on_signal)

from syllable_async import AsyncSyllableClient, SyllableError  # noqa: E402
from syllable_async.testing import FakeSyllable  # noqa: E402


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser of a program's arguments, with `--demo`."""
    parser = argparse.ArgumentParser(
        description=description, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--demo", action="store_true", help="use invented sessions")
    return parser


def check_key(demo: bool) -> None:
    """Exit status 2 where there is neither a key nor `--demo`: nobody shall take invented data for their own."""
    if demo:
        return
    if not os.environ.get(KEY):
        fail(f"No {KEY} in the environment. Set it, or try the program on invented sessions with --demo.", 2)
    _make_client()


def _make_client(**settings: Any) -> AsyncSyllableClient:
    """A client of the environment's API; exit status 2 where its key or address cannot be one."""
    try:
        return AsyncSyllableClient(**settings)
    except ValueError as error:
        fail(f"The environment is wrong: {error}", 2)


@asynccontextmanager
async def connect(
    demo: bool, sessions: int = 250, **settings: Any
) -> AsyncGenerator[tuple[AsyncSyllableClient, FakeSyllable | None]]:
    """A client with these settings: of the environment's API; or, with `demo`, of a fake one, which comes along."""
    if demo:
        with FakeSyllable(sessions) as fake:
            async with AsyncSyllableClient(fake.api_key, base_url=fake.url, **settings) as client:
                yield client, fake
        return
    async with _make_client(**settings) as client:
        yield client, None


def run(
    main: Coroutine[Any, Any, int | None],
    *,
    errors: tuple[type[Exception], ...] = (SyllableError, OSError),
    hint: str = "",
) -> NoReturn:
    """Run to the end, and exit: 0, or what `main` says; 1 and a line for one of the errors; 130 or 143 for a signal.

    What `main` has opened is closed first, also after a signal: that cancels it. `hint` says how to go on then.
    """
    try:
        sys.exit(asyncio.run(_until_signal(main, hint)))
    except Exception as error:
        first = _first(error)
        if not isinstance(first, errors):
            raise
        fail(f"Stopped: {first}", 1)


async def _until_signal(main: Coroutine[Any, Any, int | None], hint: str) -> int:
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(main)
    received: list[int] = []

    def stop(number: int) -> None:
        received.append(number)
        task.cancel()

    with suppress(NotImplementedError):  # Windows: the plain handler stays
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop, number)
    try:
        return await task or 0
    except asyncio.CancelledError:
        if not received:
            raise
    _end(received[0], hint)


def _first(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = cast("ExceptionGroup[Exception]", error).exceptions[0]
    return error
