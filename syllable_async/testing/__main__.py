"""`python -m syllable_async.testing`: the fake for any client, in any language."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import math
import os
import random
import shlex
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import get_args

from . import faults
from ._api import RecordingUrls, check_key
from ._request_log import LoggedRequest
from ._server import FakeSyllable


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m syllable_async.testing", description=__doc__)
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    add("--port", type=int, default=8765, help="0 takes a free one (%(default)s)")
    add("--sessions", type=int, default=1000, help="how many there are (%(default)s)")
    add("--seed", type=int, default=0, help="the same seed gives the same data (%(default)s)")
    add("--api-key", help="the key to accept; default: one made from the seed")
    add("--latency", type=float, default=0.0, metavar="SECONDS", help="wait so long before every answer")
    add("--rate-limit", type=int, metavar="N", help="answer 429 to more than N requests a second")
    add("--fault-rate", type=float, default=0.0, metavar="SHARE", help="answer 503 to this share of the requests")
    add("--plain", action="store_true", help="as the API's document says, without what was only seen of the live API")
    add("--recording-urls", choices=get_args(RecordingUrls), default="own", help="what a list of recordings holds")
    add("--log-requests", action="store_true", help="write one line per request to stderr")
    add("--allow-remote", action="store_true", help="listen on an address that other machines can reach")
    arguments = parser.parse_args(argv)
    if not 0 <= arguments.latency < math.inf:
        parser.error("--latency must be a number of seconds that is not negative")
    if arguments.rate_limit is not None and arguments.rate_limit < 1:
        parser.error("--rate-limit must be at least 1")
    if not 0 <= arguments.fault_rate <= 1:
        parser.error("--fault-rate must lie between 0 and 1")
    if not 0 <= arguments.port < 2**16:
        parser.error("--port must lie between 0 and 65535")
    if arguments.sessions < 0:
        parser.error("--sessions must not be negative")
    try:
        check_key("key" if arguments.api_key is None else arguments.api_key)
    except ValueError as refusal:
        parser.error(f"--api-key: {refusal}")
    if not arguments.allow_remote and not _is_loopback(arguments.host):
        parser.error("other machines could reach that address; say --allow-remote if that is meant")
    return arguments


def _is_loopback(host: str) -> bool:
    """Whether every address behind the name is this machine's own."""
    try:
        found = socket.getaddrinfo(host or None, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        return False
    return all(ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found)


def _script(server: FakeSyllable, arguments: argparse.Namespace) -> None:
    if arguments.latency:
        server.faults.add("*", faults.delay(arguments.latency, times=None))
    if arguments.rate_limit is not None:
        server.faults.add("*", faults.rate_limit(arguments.rate_limit, clock=time.monotonic))
    if arguments.fault_rate:
        rng = random.Random(arguments.seed)
        server.faults.add("*", faults.status(503, times=None), when=lambda _: rng.random() < arguments.fault_rate)


def _line(entry: LoggedRequest) -> str:
    query = "&".join(f"{name}={'***' if name == 'token' else value}" for name, value in entry.query)
    fault = f" [{entry.fault}]" if entry.fault else ""
    return f"{entry.method} {entry.path}{'?' if query else ''}{query} {entry.status}{fault}".translate(_PRINTABLE)


_PRINTABLE = dict.fromkeys((*range(32), 127), "?")


async def _serve(arguments: argparse.Namespace) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError):  # on Windows Ctrl-C is a KeyboardInterrupt
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
    server = FakeSyllable(
        arguments.sessions,
        arguments.seed,
        arguments.api_key,
        host=arguments.host,
        port=arguments.port,
        log_limit=1_000,
        on_answer=_report if arguments.log_requests else None,
        recording_urls=arguments.recording_urls,
        numeric_ids=not arguments.plain,
        refuse_sids=not arguments.plain,
        hide_tests=not arguments.plain,
        refuse_is_outbound=not arguments.plain,
        redirect_slashes=not arguments.plain,
    )
    _script(server, arguments)
    async with server:
        if not _announce(server):
            return 1
        await stop.wait()
    return 0


def _announce(server: FakeSyllable) -> bool:
    """Print what a shell can evaluate; False where stdout takes nothing."""
    if not sys.stdout:  # it was closed before Python began
        sys.stderr.write("cannot write to stdout: it is closed\n")
        return False
    key, url = shlex.quote(server.api_key), shlex.quote(server.url)
    try:
        sys.stdout.write(f"export SYLLABLESDK_API_KEY_HEADER={key}\nexport SYLLABLE_BASE_URL={url}\n")
        sys.stdout.flush()
    except OSError as failure:
        sys.stderr.write(f"cannot write to stdout: {failure.strerror}\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python's end would flush it once more
        return False
    return True


def _report(entry: LoggedRequest) -> None:
    sys.stderr.write(f"{_line(entry)}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; the exit status."""
    arguments = _arguments(argv)
    try:
        return asyncio.run(_serve(arguments))
    except OSError as failure:
        sys.stderr.write(f"cannot listen on {arguments.host} port {arguments.port}: {failure.strerror}\n")
        return 1
    except KeyboardInterrupt:  # pragma: no cover - Windows
        return 0


if __name__ == "__main__":
    sys.exit(main())
