"""Pictures instead of rows: sessions over time, how long they last, how they are rated, and one of them in detail.

    python examples/session_report.py --hours 48 --png report.png

It writes session_report.html, one file without scripts or anything from elsewhere, and a picture of it where Chromium
is installed. The report quotes patients: keep it like the rest of their records.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import shutil
import statistics
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path

import attrs
from _connect import check_key, connect, make_parser, run

from syllable_async import AsyncSyllableClient, Session, SessionTimelineResponse, TimelineEvent

BLUE, ORANGE, PURPLE, GREEN, RED, GREY = "#2a6fdb", "#d9822b", "#7b4fc9", "#2e9e6b", "#c9403a", "#9aa5b1"
LANES = {"agent": BLUE, "user": ORANGE, "tool": PURPLE, "stt": GREEN, "llm": GREEN, "tts": GREEN}
WIDTH, HALF, LEFT, RIGHT = 1000, 480, 60, 16
UNRATED = "not rated"
ROUND = [factor * 10**power for power in range(9) for factor in (1, 2, 5)]
SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 14_400, 86_400]
STYLE = f"""
body{{font:14px/1.45 system-ui,sans-serif;color:#1f2933;width:{WIDTH}px;margin:24px auto}}
h1{{font-size:22px;margin:0}} h2{{font-size:15px;margin:22px 0 4px}} p{{color:#66727f;margin:0}} i{{font-style:normal}}
svg{{display:block}} text{{font-size:12px;fill:#52606d}} .half{{display:flex;gap:{WIDTH - 2 * HALF}px}}
ol{{list-style:none;margin:8px 0 0;padding:0;columns:2;column-gap:40px}} b{{display:inline-block;width:28px}}
li{{line-height:20px;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}}
"""


@attrs.frozen
class Report:
    """What the pictures are drawn from."""

    start: datetime
    end: datetime
    sessions: tuple[Session, ...]
    ratings: Counter[str]
    detail: SessionTimelineResponse | None


async def gather(client: AsyncSyllableClient, start: datetime, end: datetime, shown: str | None) -> Report:
    listed = client.sessions.list(start_datetime=start, end_datetime=end, limit=500)
    sessions = tuple([session async for session in listed.snapshot()])
    ids = [session.session_id for session in sessions if session.session_id]
    ratings = Counter[str]()
    waiting = iter(ids)

    async def rate() -> None:
        for session_id in waiting:  # shared: each task takes the next one
            ratings[(await client.sessions.get_full_summary(session_id)).rating or UNRATED] += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(16):
            group.create_task(rate())
    calls = [session for session in sessions if session.duration and 40 < session.duration < 120]
    example = shown or next((call.session_id for call in calls), None) or next(iter(ids), None)
    return Report(start, end, sessions, ratings, await client.sessions.get_timeline(example) if example else None)


def text(x: float, y: float, words: str, anchor: str = "middle", more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(words)}</text>'


def bar(x: float, y: float, size: tuple[float, float], colour: str, hint: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{max(size[0], 1):.1f}" height="{size[1]:.1f}"'
    return f'<rect {place} rx="1.5" fill="{colour}"><title>{escape(hint)}</title></rect>'


def svg(width: float, height: float, label: str, parts: Iterable[str]) -> str:
    box = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return f'<svg {box} role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'


def ticks(most: float, wanted: int, steps: Sequence[int] = ROUND) -> list[int]:
    """Round values from 0 to at least `most`."""
    step = next((step for step in steps if most <= step * wanted), steps[-1])
    return list(range(0, max(math.ceil(most / step), 1) * step + 1, step))


def clock(seconds: int) -> str:
    return f"{seconds // 60}:{seconds % 60:02d}"


def columns(stacks: Sequence[Sequence[tuple[int, str]]], names: dict[int, str], width: int, label: str) -> str:
    """Columns of (height, colour) pieces; `names` has the text under some of them."""
    floor, top, step = 170, 12, (width - LEFT - RIGHT) / max(len(stacks), 1)
    scale = ticks(max((sum(height for height, _ in stack) for stack in stacks), default=1), 4)
    unit = (floor - top) / scale[-1]
    parts: list[str] = []
    for value in scale:
        y = floor - value * unit
        parts.append(
            f'<path d="M{LEFT} {y:.1f}H{width - RIGHT}" stroke="#e4e7eb"/>{text(LEFT - 8, y + 4, str(value), "end")}'
        )
    for place, stack in enumerate(stacks):
        y = float(floor)
        for height, colour in stack:
            y -= height * unit
            parts.append(bar(LEFT + place * step + 1, y, (step - 2, height * unit), colour, str(height)))
    parts += [text(LEFT + (place + 0.5) * step, floor + 18, name) for place, name in names.items()]
    return svg(width, floor + 26, label, parts)


def per_hour(report: Report) -> str:
    hour = timedelta(hours=1)
    out, into = Counter[int](), Counter[int]()
    for session in report.sessions:
        (out if session.is_outbound else into)[(session.timestamp - report.start) // hour] += 1
    count = (report.end - report.start) // hour
    names = {at: f"{report.start + at * hour:%d %b %H:%M}" for at in range(0, count, -(-count // 9))}
    chart = columns([[(into[at], BLUE), (out[at], ORANGE)] for at in range(count)], names, WIDTH, "sessions per hour")
    legend = f'<i style="color:{BLUE}">■</i> inbound and chats &nbsp; <i style="color:{ORANGE}">■</i> outbound'
    return f"<h2>Sessions per hour, UTC</h2><p>{legend}</p>{chart}"


def how_long(sessions: Sequence[Session]) -> str:
    """Durations in twelve columns, the last one open."""
    lengths = sorted(session.duration for session in sessions if session.duration is not None)
    if not lengths:
        return f'<div style="width:{HALF}px"><h2>Duration</h2><p>of no session known</p></div>'
    most = lengths[len(lengths) * 99 // 100]
    width = next((seconds for seconds in SECONDS if most <= seconds * 11), SECONDS[-1])
    counts = Counter(min(int(length // width), 11) for length in lengths)
    names = {at: clock(at * width) for at in range(0, 10, 2)} | {11: f"{clock(11 * width)}+"}
    chart = columns([[(counts[at], PURPLE)] for at in range(12)], names, HALF, "durations")
    middle, high = statistics.median(lengths), lengths[len(lengths) * 9 // 10]
    return f"<div><h2>Duration, minutes</h2><p>median {middle:.0f} s, 90 % under {high:.0f} s</p>{chart}</div>"


def how_good(ratings: Counter[str]) -> str:
    """Bars for the eight most frequent ratings, whatever words they are."""
    rows, most = ratings.most_common(8), max(ratings.values(), default=1)
    parts: list[str] = []
    for place, (name, count) in enumerate(rows):
        y, long = 12 + place * 22, (HALF - 160) * count / most
        colour = GREY if name == UNRATED else GREEN
        parts += [text(90, y + 12, name[:14], "end"), bar(98, y, (long, 16), colour, name)]
        parts.append(text(104 + long, y + 12, f"{count:,}", "start"))
    share = f"{1 - ratings[UNRATED] / max(ratings.total(), 1):.0%} are rated"
    return f"<div><h2>Rating</h2><p>{share}</p>{svg(HALF, 196, 'ratings', parts)}</div>"


def in_detail(found: SessionTimelineResponse) -> str:
    """One session: who spoke when, which tools ran, and where the time went."""
    start = found.session_start or min((event.timestamp for event in found.events), default=datetime.now(UTC))
    ends = [(event.timestamp - start).total_seconds() + (event.duration_ms or 0) / 1000 for event in found.events]
    scale = ticks(max(ends, default=1.0), 10, SECONDS)
    lanes = LANES | {lane_of(event): GREY for event in found.events if lane_of(event) not in LANES}
    unit, floor = (WIDTH - LEFT - RIGHT) / scale[-1], 30 * len(lanes) + 8
    parts = [
        f'<path d="M{LEFT + at * unit:.1f} 4V{floor}" stroke="#e4e7eb"/>'
        + text(LEFT + at * unit, floor + 16, clock(at))
        for at in scale
    ]
    for row, (lane, colour) in enumerate(lanes.items()):
        y = 30 * row + 8
        parts.append(text(LEFT - 14, y + 15, lane, "end", f'style="fill:{colour};font-weight:600"'))
        parts.append(f'<path d="M{LEFT} {y + 11}H{WIDTH - RIGHT}" stroke="#e4e7eb"/>')
        events = [event for event in found.events if lane_of(event) == lane]
        parts += [mark(event, colour, start, y, unit) for event in events]
    said = [event for event in found.events if event.kind == "transcript"]
    turns = "".join(
        f'<li><b style="color:{LANES[lane_of(event)]}">{at}</b>{escape(event.text or "")}</li>'
        for at, event in enumerate(said, 1)
    )
    title = f"<h2>One session: {escape(found.session_id)}</h2><p>started {start:%d %b %Y %H:%M:%S} UTC; minutes</p>"
    return title + svg(WIDTH, floor + 24, "timeline", parts) + f"<ol>{turns}</ol>"


def lane_of(event: TimelineEvent) -> str:
    if event.kind == "transcript":
        return "agent" if event.source == "agent" else "user"
    return event.category or event.kind


def mark(event: TimelineEvent, colour: str, start: datetime, y: float, unit: float) -> str:
    """A numbered dot for what was said, a bar as long as it took for the rest, red where a tool failed."""
    x = LEFT + (event.timestamp - start).total_seconds() * unit
    if event.kind == "transcript":
        number = "" if event.turn_index is None else str(event.turn_index + 1)
        dot = f'<circle cx="{x:.1f}" cy="{y + 11}" r="9.5" fill="{colour}"/>'
        label = text(x, y + 15, number, more='style="fill:#fff;font-size:11px"')
        return f"<g><title>{escape(event.text or '')}</title>{dot}{label}</g>"
    took = event.duration_ms or 0
    hint = f"{event.label or event.category}: {took:,.0f} ms"
    return bar(x, y + 3, (took / 1000 * unit, 16), RED if event.tool_error else colour, hint)


def render(report: Report) -> str:
    """The whole file. Every text of the API's passes `escape`."""
    start, end = report.start, report.end
    count = len(report.sessions)
    head = f"<h1>{count:,} session{'s' * (count != 1)}</h1><p>{start:%d %b %Y %H:%M} to {end:%d %b %Y %H:%M}, UTC</p>"
    charts = [per_hour(report)]
    charts.append(f'<div class="half">{how_long(report.sessions)}{how_good(report.ratings)}</div>')
    charts += [in_detail(report.detail)] if report.detail else []
    title = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Sessions</title>'
    return f"{title}<style>{STYLE}</style>{head}{''.join(charts)}</html>"


def picture(page: Path, png: Path, height: int) -> None:
    """A picture of the page by Chromium, if it is installed."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("no picture: neither chromium nor google-chrome is installed")
    with tempfile.TemporaryDirectory() as profile:
        flags = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --hide-scrollbars"
        size = [f"--window-size={WIDTH + 60},{height}", f"--user-data-dir={profile}", f"--screenshot={png.absolute()}"]
        command = [
            chromium,
            *flags.split(),
            "--disable-component-update",
            "--disable-sync",
            *size,
            page.absolute().as_uri(),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=60)


async def collect(demo: bool, hours: int, shown: str | None) -> Report:
    """The report on so many hours up to the newest session."""
    async with connect(demo, sessions=1_800) as (client, _):
        newest = (await client.sessions.list(limit=1, order_by="timestamp", order_by_direction="desc")).items
        if not newest:
            raise SystemExit("there are no sessions to report on")
        last = newest[0].timestamp.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        return await gather(client, last - timedelta(hours=hours - 1), last + timedelta(hours=1), shown)


def main(argv: Sequence[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--hours", type=int, default=48, help="how far to look back from the newest session")
    parser.add_argument("--session", help="the one to show in detail; else one of about a minute")
    parser.add_argument("--output", type=Path, default=Path("session_report.html"))
    parser.add_argument("--png", type=Path, help="make a picture too")
    arguments = parser.parse_args(argv)
    if not 1 <= arguments.hours <= 240:
        parser.error("--hours must lie between 1 and 240")
    check_key(arguments.demo)
    run(write(arguments))


async def write(arguments: argparse.Namespace) -> None:
    report = await collect(arguments.demo, arguments.hours, arguments.session)
    arguments.output.write_text(render(report), "utf-8")
    print(f"{len(report.sessions)} sessions: {arguments.output}")
    if arguments.png:
        said = [event for event in report.detail.events if event.kind == "transcript"] if report.detail else []
        picture(arguments.output, arguments.png, 900 + 20 * (len(said) + 1) // 2)


if __name__ == "__main__":
    main()
