"""`session_report.py`: its figures are the server's, it is one file, and it lets no patient write into it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from xml.etree import ElementTree

import pytest
import session_report

from syllable_async.testing import FakeSyllable, faults


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSyllable]:
    """A server in a thread, as the key's owner finds it."""
    with FakeSyllable(sessions=150, hide_tests=False) as server:
        monkeypatch.setenv("SYLLABLESDK_API_KEY_HEADER", server.api_key)
        monkeypatch.setenv("SYLLABLE_BASE_URL", server.url)
        yield server


def report(words: list[str], status: int = 0) -> None:
    """Run the program to its end."""
    with pytest.raises(SystemExit) as ended:
        session_report.main(words)
    assert ended.value.code == status


def charts(page: str) -> dict[str, ElementTree.Element]:
    """The pictures by their labels; each is well-formed."""
    found = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg .*?</svg>", page)]
    return {svg.attrib["aria-label"]: svg for svg in found}


def hints(svg: ElementTree.Element) -> list[str]:
    return [title.text or "" for title in svg.iter("title")]


def words(svg: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in svg.iter("text")]


def test_its_figures_are_the_servers_although_one_request_of_twenty_fails(api: FakeSyllable, tmp_path: Path) -> None:
    flaky = Random(1)
    api.faults.add("*", faults.status(503, times=None, retry_after=0), when=lambda _: flaky.random() < 1 / 20)
    output = tmp_path / "report.html"
    report(["--hours", "48", "--output", str(output)])
    page = output.read_text("utf-8")
    pictures = charts(page)
    rows = [api.session(name) for name in api.sessions]
    assert "<h1>150 sessions</h1>" in page
    assert sum(map(int, hints(pictures["sessions per hour"]))) == 150
    assert sum(map(int, hints(pictures["durations"]))) == sum(row["duration"] is not None for row in rows)
    labels = words(pictures["ratings"])
    ratings = Counter(dict(zip(labels[::2], map(int, labels[1::2]), strict=True)))
    assert ratings.total() == 150
    assert set(ratings) == {"Great", "Good", "Fair", "Poor", "not rated"}
    assert {"agent", "user", "tool", "stt", "llm", "tts", "0:00"} <= set(words(pictures["timeline"]))
    api.faults.assert_all_met()


def test_it_is_one_file_without_scripts_or_anything_from_elsewhere(api: FakeSyllable, tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    report(["--output", str(output)])
    page = output.read_text("utf-8")
    assert not re.search(r"<(script|link|img|iframe|object)|https?:|url\(|@import|\bon\w+=|\bsrc=|\bhref=", page)
    assert api.api_key not in page


def test_a_patient_cannot_write_into_it(api: FakeSyllable, tmp_path: Path) -> None:
    evil = "<script>alert('x')</script>\"&"
    session_id = api.add_session(duration=60.0, rating=evil)

    def poison(document: dict[str, object]) -> dict[str, object]:
        event = {"kind": evil, "timestamp": "2026-01-01T00:00:00Z", "offset": evil, "label": evil, "category": evil}
        said = {**event, "kind": "transcript", "source": evil, "text": evil, "turn_index": 0}
        return {**document, "session_id": evil, "session_start": None, "events": [event, said]}

    api.faults.add("sessions.get_timeline", faults.edit_json(poison))
    output = tmp_path / "report.html"
    report(["--session", session_id, "--output", str(output)])
    page = output.read_text("utf-8")
    pictures = charts(page)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 7  # heading; lane and hint; dot and list; rating and hint
    assert evil in words(pictures["timeline"])
    assert evil in hints(pictures["timeline"])


def test_where_there_is_nothing_to_show_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with FakeSyllable(sessions=0) as server:
        monkeypatch.setenv("SYLLABLESDK_API_KEY_HEADER", server.api_key)
        monkeypatch.setenv("SYLLABLE_BASE_URL", server.url)
        with pytest.raises(SystemExit, match="there are no sessions"):
            session_report.main(["--output", str(tmp_path / "report.html")])
        server.add_session(duration=None, timestamp="2026-01-01T10:00:00Z")
        report(["--output", str(tmp_path / "report.html")])
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "<h1>1 session</h1>" in page
    assert "durations" not in charts(page)
    assert "of no session known" in page


def test_a_refusal_midway_leaves_the_last_report_in_place(api: FakeSyllable, tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    output.write_text("the last one")
    api.faults.add("sessions.get_full_summary", faults.pass_through(times=30), faults.status(401, times=100))
    report(["--output", str(output)], status=1)
    assert output.read_text() == "the last one"


def test_wrong_arguments_are_told_in_a_line(api: FakeSyllable, tmp_path: Path) -> None:
    report(["--hours", "0"], status=2)
    assert not api.requests
    report(["--output", str(tmp_path / "nowhere" / "report.html")], status=1)


def test_the_picture_is_chromiums_work(monkeypatch: pytest.MonkeyPatch, api: FakeSyllable, tmp_path: Path) -> None:
    page, png, chromium = tmp_path / "report.html", tmp_path / "report.png", tmp_path / "chromium"
    chromium.write_text(
        '#!/bin/sh\nfor word; do case $word in --screenshot=*) echo "$word" > "${word#*=}";; esac; done\n'
    )
    arguments = ["--output", str(page), "--png", str(png)]
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="neither chromium nor"):
        session_report.main(arguments)
    chromium.chmod(0o755)
    report(arguments)
    assert png.read_text() == f"--screenshot={png}\n"


def test_the_picture_in_the_readme_is_small_enough_to_be_kept() -> None:
    picture = Path(session_report.__file__).with_name("session_report.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 200_000
