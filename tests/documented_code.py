"""Code in documents: the Python blocks of a text, and what runs each as its reader would, in an empty folder."""

from __future__ import annotations

import ast
import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from syllable_async.testing import FakeSyllable


def python_blocks(text: str) -> list[str]:
    """The code between ```python and ```."""
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@contextmanager
def reader_environment(folder: Path) -> Generator[tuple[FakeSyllable, pytest.MonkeyPatch]]:
    """What a reader has: a key in the environment, an address where an API answers, and an empty folder."""
    with FakeSyllable(sessions=12) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYLLABLESDK_API_KEY_HEADER", server.api_key)
        patch.setenv("SYLLABLE_BASE_URL", server.url)
        patch.chdir(folder)
        assert not [*folder.iterdir()]
        yield server, patch


def run_block(code: str, server: FakeSyllable) -> dict[str, Any]:
    """Run a block by what it is, and give back what it defined.

    A FastAPI application is started, and each of its GET routes is asked for a session; a test module is given to
    pytest; a notebook's cell, which awaits outside a function, runs in a kernel; anything else runs as a program.
    """
    names: dict[str, Any] = {"__name__": "documented"}
    if re.search(r"^(?:async )?def test_", code, re.MULTILINE):
        _run_tests(code)
    elif _awaits_outside_functions(code):
        _run_in_notebook(code)
    else:
        exec(compile(code, "documented code", "exec"), names)
        app = next((value for value in names.values() if isinstance(value, FastAPI)), None)
        if app is not None:
            asyncio.run(_ask(app, server))
    return names


def _awaits_outside_functions(code: str) -> bool:
    try:
        compile(code, "documented code", "exec", dont_inherit=True)
    except SyntaxError:
        compile(code, "documented code", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        return True
    return False


async def _ask(app: FastAPI, server: FakeSyllable) -> None:
    session_id = next(iter(server.listed))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app) as state,
        httpx.AsyncClient(transport=_WithState(transport, state), base_url="http://service") as browser,
    ):
        shown = await browser.get(f"/sessions/{session_id}")
        assert shown.status_code == 200
        assert shown.json()["session_id"] == session_id
        assert (await browser.get("/sessions/0")).status_code == 404


class _WithState(httpx.AsyncBaseTransport):
    """Gives each request the state that the application's lifespan yielded, as a server does."""

    def __init__(self, transport: httpx.ASGITransport, state: Any) -> None:
        self._transport = transport
        app: Any = transport.app

        async def with_state(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, "state": dict(state or {})}, receive, send)

        transport.app = with_state

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._transport.handle_async_request(request)


def _run_tests(code: str) -> None:
    Path("test_documented.py").write_text(code, "utf-8")
    modes = "asyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
    Path("pytest.ini").write_text(f"[pytest]\n{modes}", "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "pytest_asyncio.plugin", "-p", "no:cacheprovider"]
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # others cost seconds to import
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


def _run_in_notebook(code: str) -> None:
    from jupyter_client.manager import start_new_kernel

    said: list[Any] = []
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        reply: Any = client.execute_interactive(code, timeout=60, output_hook=said.append)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert reply["content"]["status"] == "ok", said
