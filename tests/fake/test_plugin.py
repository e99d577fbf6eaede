"""The opt-in pytest plugin, in a test run of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

USER_TEST = """
import asyncio
import urllib.request

import aiohttp
import pytest
import pytest_asyncio

from syllable_async.testing import FakeSyllable


def status(server):
    request = urllib.request.Request(server.url + "/api/v1/sessions/", headers={"Syllable-API-Key": server.api_key})
    with urllib.request.urlopen(request) as answer:
        return answer.status


def test_sync(syllable_server):
    assert status(syllable_server) == 200
    assert len(syllable_server.sessions) == 100


def test_a_new_one_for_each_test(syllable_server):
    assert len(syllable_server.requests) == 0


def test_any_loop(syllable_server):
    assert asyncio.run(asyncio.to_thread(status, syllable_server)) == 200


class TestWithOptions:
    @pytest.fixture
    def syllable_server_options(self):
        return {"sessions": 7, "api_key": "mine"}

    def test_options(self, syllable_server):
        assert len(syllable_server.sessions) == 7
        assert syllable_server.api_key == "mine"


@pytest_asyncio.fixture
async def client(syllable_server):
    headers = {"Syllable-API-Key": syllable_server.api_key}
    async with aiohttp.ClientSession(syllable_server.url, headers=headers) as session:
        yield session


async def test_a_client_in_the_loop_of_its_test(client):
    assert (await client.get("/api/v1/sessions/")).status == 200


@pytest.fixture(scope="session")
def shared_server():
    with FakeSyllable(sessions=5) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_client(shared_server):
    headers = {"Syllable-API-Key": shared_server.api_key}
    async with aiohttp.ClientSession(shared_server.url, headers=headers) as session:
        yield session


@pytest.mark.asyncio(loop_scope="session")
async def test_a_client_in_the_loop_of_all_tests(shared_client):
    assert (await shared_client.get("/api/v1/sessions/")).status == 200
"""
INI = """
[pytest]
filterwarnings = error
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
"""


def test_the_fixture_serves_sync_tests_and_any_loop(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["syllable_async.testing.pytest_plugin"]\n')
    (tmp_path / "test_user.py").write_text(USER_TEST)
    (tmp_path / "pytest.ini").write_text(INI)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "pytest_asyncio.plugin"]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path, env=environment
    )
    assert "6 passed" in done.stdout, done.stdout + done.stderr
