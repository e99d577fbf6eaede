"""`session_report.py`: its figures are the server's, and what a patient says is drawn and not obeyed."""

# matplotlib's types leave much open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest
import session_report
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from syllable_async import AsyncSyllableClient, RetryPolicy
from syllable_async.testing import FakeSyllable, faults

QUICK = RetryPolicy(initial=0, maximum=0)


async def report(client: AsyncSyllableClient, shown: str | None = None) -> Figure:
    span = await session_report.newest_hours(client, 48)
    return session_report.draw(await session_report.gather(client, *span, shown))


def words(axes: Axes) -> list[str]:
    return [text.get_text() for text in (*axes.texts, *axes.get_yticklabels(), axes.title)]


def titled(figure: Figure, title: str) -> Axes:
    return next(axes for axes in figure.axes if axes.get_title(loc="left").startswith(title))


async def test_its_figures_are_the_servers_although_one_request_of_twenty_fails(tmp_path: Path) -> None:
    flaky = Random(1)
    async with FakeSyllable(sessions=150, hide_tests=False) as api:
        api.faults.add("*", faults.status(503, times=None), when=lambda _: flaky.random() < 1 / 20)
        async with AsyncSyllableClient(api.api_key, base_url=api.url, retries=QUICK) as client:
            figure = await report(client)
        rows = [api.session(name) for name in api.sessions]
        api.faults.assert_all_met()
    hours = Counter(datetime.fromisoformat(row["timestamp"]).replace(minute=0, second=0, microsecond=0) for row in rows)
    axes = titled(figure, "Sessions per hour")
    inbound, outbound = ([bar.get_height() for bar in bars] for bars in axes.containers)
    first = max(hours) - timedelta(hours=47)
    assert [low + high for low, high in zip(inbound, outbound, strict=True)] == [
        hours[first + timedelta(hours=place)] for place in range(48)
    ]
    assert sum(outbound) == sum(row["is_outbound"] is True for row in rows)
    [columns] = titled(figure, "Duration").containers
    assert sum(bar.get_height() for bar in columns) == sum(row["duration"] is not None for row in rows)
    [bars] = titled(figure, "Rating").containers
    assert sum(bar.get_width() for bar in bars) == 150
    assert {"Great", "Good", "Fair", "Poor", "not rated"} <= set(words(titled(figure, "Rating")))
    assert {"agent", "user", "tool", "stt", "llm", "tts", "1"} <= set(words(titled(figure, "One session")))
    for ending, begin in ((".png", b"\x89PNG"), (".svg", b"<?xml")):
        figure.savefig(tmp_path / f"report{ending}")
        assert (tmp_path / f"report{ending}").read_bytes().startswith(begin)


async def test_what_a_patient_says_is_no_markup(tmp_path: Path) -> None:
    evil = "$\\frac{1}{$ <script>"

    def poison(document: dict[str, object]) -> dict[str, object]:
        event = {"kind": "x", "timestamp": "2026-01-01T00:00:00Z", "offset": "", "label": evil, "category": "$x^{$"}
        said = {**event, "kind": "transcript", "source": evil, "text": evil, "turn_index": 0}
        return {**document, "session_id": evil, "session_start": None, "events": [event, said]}

    async with FakeSyllable(sessions=1) as api:
        api.add_session(duration=60.0, rating="$r^{$")
        api.faults.add("sessions.get_timeline", faults.edit_json(poison))
        async with AsyncSyllableClient(api.api_key, base_url=api.url) as client:
            figure = await report(client)
    figure.savefig(tmp_path / "report.svg")
    assert any("script" in word for axes in figure.axes for word in words(axes))
    assert "<script" not in (tmp_path / "report.svg").read_text("utf-8")


async def test_a_session_without_duration_or_talk_is_drawn() -> None:
    async with FakeSyllable(sessions=0) as api, AsyncSyllableClient(api.api_key, base_url=api.url) as client:
        with pytest.raises(SystemExit):
            await report(client)
        api.add_session(duration=None, timestamp="2026-01-01T10:00:00Z")
        figure = await report(client)
        figure.canvas.draw()
    assert titled(figure, "Duration: of no session known").containers == []


def test_the_picture_in_the_readme_is_small_enough_to_be_kept() -> None:
    picture = Path(session_report.__file__).with_name("session_report.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 200_000
