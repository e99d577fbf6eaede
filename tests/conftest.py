"""Fixtures of the whole suite."""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import aiohttp
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from syllable_async import AsyncSyllableClient
from syllable_async.testing import FakeSyllable
from tests.time_control import FakeTime, timeless_client

if TYPE_CHECKING:
    import trustme

settings.register_profile(
    "default", max_examples=25, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("long", settings.get_profile("default"), max_examples=2_000)
settings.load_profile("default")


@pytest.fixture
def counted(record_property: Callable[[str, object], None]) -> Callable[[str, int], None]:
    """Tell the summary that this test ran so many of something."""
    return lambda what, number: record_property("counted", (what, number))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many cells of the matrix ran (one that ran over http and https counts once, and passed if both did), how
    much else that stands in no number of tests, and why something was left out."""
    cells: dict[str, set[object]] = {"passed": set(), "failed": set()}
    total = Counter[str]()
    for outcome, names in cells.items():
        for report in terminalreporter.stats.get(outcome, []):
            for name, value in report.user_properties:
                if name == "cell":
                    names.add(value)
                elif name == "counted" and outcome == "passed":
                    total[value[0]] += value[1]
    if ran := cells["passed"] | cells["failed"]:
        terminalreporter.write_line(f"matrix: {len(ran)} cells run, {len(ran - cells['failed'])} passed")
    if total:
        terminalreporter.write_line(f"passed: {', '.join(f'{number:,} {what}' for what, number in total.items())}")
    for reason in {report.longrepr[2] for report in terminalreporter.stats.get("skipped", [])}:
        terminalreporter.write_line(reason)


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def timeless(fake_time: FakeTime) -> type[AsyncSyllableClient]:
    """The client class, on `fake_time`."""
    return timeless_client(fake_time)


@pytest_asyncio.fixture
async def server() -> AsyncIterator[FakeSyllable]:
    async with FakeSyllable(sessions=60) as running:
        yield running


@pytest_asyncio.fixture
async def client(server: FakeSyllable) -> AsyncIterator[AsyncSyllableClient]:
    async with AsyncSyllableClient(server.api_key, base_url=server.url) as running:
        yield running


@pytest.fixture(scope="session")
def ca() -> trustme.CA:
    """A private authority; made, and its library imported, for those tests alone that speak TLS."""
    import trustme

    return trustme.CA()


@pytest.fixture(scope="session")
def server_tls(ca: trustme.CA) -> ssl.SSLContext:
    """For `FaultServer(..., tls=server_tls)`."""
    from tests.fault_server.tls import server_context

    return server_context(ca)


@pytest.fixture(scope="session")
def client_tls(ca: trustme.CA) -> ssl.SSLContext:
    """For a client that trusts the private CA and no other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ca.configure_trust(context)  # pyright: ignore[reportUnknownMemberType]
    return context


@pytest.fixture
def trusted(client_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions that a client makes for itself trust the private CA."""
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", client_tls)
