"""`python -m syllable_async.testing`: what it prints can be pasted, what it is told it does, and it stops when told."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from syllable_sdk import SyllableSDK
from yarl import URL

from syllable_async.testing import FakeSyllable
from syllable_async.testing.__main__ import main

LIST = "/api/v1/sessions/"


class Running:
    """The command in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, environment: dict[str, str]) -> None:
        self.process = process
        self.url = environment["SYLLABLE_BASE_URL"]
        self.key = environment["SYLLABLESDK_API_KEY_HEADER"]

    async def stop(self, number: int = signal.SIGTERM) -> tuple[int | None, str]:
        self.process.send_signal(number)
        _, errors = await self.process.communicate()
        return self.process.returncode, errors.decode()


@asynccontextmanager
async def running(*arguments: str) -> AsyncGenerator[Running]:
    command = [sys.executable, "-W", "error", "-m", "syllable_async.testing", "--port", "0", *arguments]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    assert process.stdout is not None
    try:
        lines = [(await asyncio.wait_for(process.stdout.readline(), 30)).decode() for _ in range(2)]
        yield Running(process, dict(shlex.split(line)[1].split("=", 1) for line in lines))
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_serves_until_it_is_told_to_stop(number: int) -> None:
    arguments = ["--sessions", "7", "--seed", "3", "--api-key", "it's mine", "--log-requests", "--plain"]
    async with running(*arguments) as fake, aiohttp.ClientSession(fake.url) as client:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", fake.url)
        assert fake.key == "it's mine"
        async with client.get(LIST, headers={"Syllable-API-Key": fake.key}) as answer:
            assert (await answer.json())["total_count"] == 7
        assert (await client.get(f"{LIST}recording/stream?token=secret&x=a%0Ab")).status == 401
        code, errors = await fake.stop(number)
    assert code == 0
    assert errors == f"GET {LIST} 200\nGET {LIST}recording/stream?token=***&x=a?b 401\n"


async def test_serves_the_vendors_client_in_another_process() -> None:
    seen: list[str] = []
    async with running("--sessions", "1000") as fake, SyllableSDK(fake.key, server_url=fake.url) as sdk:
        for page in range(10):
            found = await sdk.sessions.list_async(page=page, limit=100)
            seen += [str(session.session_id) for session in found.items]
    assert seen == list(reversed(FakeSyllable(sessions=1000).listed))


async def test_can_be_slow_faulty_and_limited() -> None:
    async with running("--fault-rate", "1", "--latency", "0.01") as fake, aiohttp.ClientSession(fake.url) as client:
        assert (await client.get(LIST)).status == 503
        assert await fake.stop() == (0, "")
    async with running("--rate-limit", "1") as fake, aiohttp.ClientSession(fake.url) as client:
        headers = {"Syllable-API-Key": fake.key}
        answers = [await client.get(LIST, headers=headers) for _ in range(10)]
        assert {200, 429} == {answer.status for answer in answers}
        assert await fake.stop() == (0, "")


async def test_serves_what_was_seen_of_the_live_api_or_the_plain_document() -> None:
    seen: list[int] = []
    for arguments in ([], ["--plain"]):
        async with running("--sessions", "100", *arguments) as fake, aiohttp.ClientSession(fake.url) as client:
            query = {"search_fields": "is_outbound", "search_field_values": "true"}
            async with client.get(LIST, params=query, headers={"Syllable-API-Key": fake.key}) as answer:
                seen.append(answer.status)
    assert seen == [422, 200]


async def test_serves_signed_urls() -> None:
    async with running("--sessions", "100", "--recording-urls", "signed") as fake, aiohttp.ClientSession() as client:
        data = FakeSyllable(sessions=100)
        session_id = next(name for name in data.sessions if data.recordings(name))
        headers = {"Syllable-API-Key": fake.key}
        async with client.post(f"{fake.url}{LIST}recording/{session_id}", headers=headers) as answer:
            [url, *_] = (await answer.json())["recordings"]
        async with client.get(URL(url, encoded=True)) as answer:
            assert await answer.read() == data.recordings(session_id)[0]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "", "no such host"])
def test_other_machines_are_kept_out_unless_they_are_meant(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--host", host])
    assert caught.value.code == 2
    assert "--allow-remote" in capsys.readouterr().err


async def test_other_machines_can_be_let_in() -> None:
    async with running("--host", "0.0.0.0", "--allow-remote") as fake, aiohttp.ClientSession() as client:
        port = fake.url.rpartition(":")[2]
        url = f"http://127.0.0.1:{port}{LIST}"
        assert (await client.get(url, headers={"Syllable-API-Key": fake.key})).status == 200


@pytest.mark.parametrize(
    "arguments",
    [
        ["--fault-rate", "2"],
        ["--sessions", "-1"],
        ["--port", "many"],
        ["--port", "65536"],
        ["--nonsense"],
        ["--rate-limit", "0"],
        ["--rate-limit", "-3"],
        ["--latency", "-1"],
        ["--latency", "nan"],
        ["--latency", "inf"],
        ["--api-key", ""],
        ["--api-key", "caf\u00e9"],
        ["--recording-urls", "magic"],
    ],
)
def test_wrong_arguments_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err


async def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    async with running() as fake:
        port = fake.url.rpartition(":")[2]
        command = [sys.executable, "-m", "syllable_async.testing", "--port", port]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=dict(os.environ))
        _, errors = await process.communicate()
    assert process.returncode == 1
    assert re.fullmatch(rf"cannot listen on 127\.0\.0\.1 port {port}: .*\n", errors.decode())


@pytest.mark.parametrize(
    ("redirection", "reason"), [("> /dev/full", "No space left on device"), (">&-", "it is closed")]
)
async def test_a_stdout_that_takes_nothing_is_said_in_one_line(redirection: str, reason: str) -> None:
    command = f"{shlex.quote(sys.executable)} -m syllable_async.testing --port 0 {redirection}"
    process = await asyncio.create_subprocess_shell(command, stderr=asyncio.subprocess.PIPE)
    _, errors = await process.communicate()
    assert (process.returncode, errors.decode()) == (1, f"cannot write to stdout: {reason}\n")
