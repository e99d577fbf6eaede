"""Fixtures of the whole suite."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from syllable_async import AsyncSyllableClient
from syllable_async._timing import Clock
from syllable_async.testing import FakeSyllable
from tests.fake_time import FakeTime

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
    """The client class, with a clock and a sleep that take no time."""

    class TimelessClient(AsyncSyllableClient):
        _clock = Clock(fake_time.clock, fake_time.sleep)

    return TimelessClient


@pytest_asyncio.fixture
async def server() -> AsyncIterator[FakeSyllable]:
    async with FakeSyllable(sessions=60) as running:
        yield running


@pytest_asyncio.fixture
async def client(server: FakeSyllable) -> AsyncIterator[AsyncSyllableClient]:
    async with AsyncSyllableClient(server.api_key, base_url=server.url) as running:
        yield running
