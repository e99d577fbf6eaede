"""Pictures instead of rows: sessions over time, how long they last, how they are rated, and one of them in detail.

    python examples/session_report.py --hours 48 --output report.png

The file's ending says what it is: png, svg or pdf. It quotes patients: keep it like the rest of their records.
"""

# matplotlib's types leave much open.
# mypy: disable-error-code="no-untyped-call"
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
import statistics
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
from _connect import check_key, connect, fail, make_parser, run
from matplotlib.axes import Axes
from matplotlib.dates import ConciseDateFormatter, date2num
from matplotlib.figure import Figure

from syllable_async import AsyncSyllableClient, Session, SessionTimelineResponse, TimelineEvent

BLUE, ORANGE, PURPLE, GREEN, RED, GREY = "#2a6fdb", "#d9822b", "#7b4fc9", "#2e9e6b", "#c9403a", "#9aa5b1"
LANES = {"agent": BLUE, "user": ORANGE, "tool": PURPLE, "stt": GREEN, "llm": GREEN, "tts": GREEN}
UNRATED = "not rated"
ENDINGS = {".png", ".svg", ".pdf"}


@attrs.frozen
class Report:
    """What the pictures are drawn from."""

    start: datetime
    end: datetime
    sessions: tuple[Session, ...]
    ratings: Counter[str]
    detail: SessionTimelineResponse | None


async def newest_hours(client: AsyncSyllableClient, hours: int) -> tuple[datetime, datetime]:
    """So many whole hours, of which the last one holds the newest session."""
    newest = (await client.sessions.list(limit=1, order_by="timestamp", order_by_direction="desc")).items
    if not newest:
        fail("There are no sessions to report on.", 1)
    last = newest[0].timestamp.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return last - timedelta(hours=hours - 1), last + timedelta(hours=1)


async def gather(client: AsyncSyllableClient, start: datetime, end: datetime, shown: str | None) -> Report:
    """All sessions of the span, all ratings, sixteen at a time, and the timeline of one session."""
    listed = client.sessions.list(start_datetime=start, end_datetime=end, limit=500)
    sessions = tuple([session async for session in listed.snapshot()])
    ids = [session.session_id for session in sessions if session.session_id]
    ratings, waiting = Counter[str](), iter(ids)

    async def rate() -> None:
        for session_id in waiting:  # shared: each task takes the next one
            ratings[(await client.sessions.get_full_summary(session_id)).rating or UNRATED] += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(16):
            group.create_task(rate())
    calls = [session for session in sessions if session.duration and 40 < session.duration < 120]
    example = shown or next((call.session_id for call in calls), None) or next(iter(ids), None)
    return Report(start, end, sessions, ratings, await client.sessions.get_timeline(example) if example else None)


def draw(report: Report) -> Figure:
    """All pictures on one page. Texts of the API's are drawn as they are: nothing in them is markup."""
    said = [event for event in report.detail.events if event.kind == "transcript"] if report.detail else []
    lines = -(-len(said) // 2)
    figure = Figure(figsize=(11, 9.5 + 0.22 * lines), layout="constrained", facecolor="white")
    grid = figure.add_gridspec(4, 2, height_ratios=(3, 3, 3, 0.22 * lines + 0.01), hspace=0.08)
    count = len(report.sessions)
    span = f"{report.start:%d %b %Y %H:%M} to {report.end:%d %b %Y %H:%M}, UTC"
    figure.suptitle(f"{count:,} session{'s' * (count != 1)}, {span}", x=0.01, ha="left", weight="bold")
    per_hour(figure.add_subplot(grid[0, :]), report)
    durations(figure.add_subplot(grid[1, 0]), report.sessions)
    ratings(figure.add_subplot(grid[1, 1]), report.ratings)
    if report.detail:
        timeline(figure.add_subplot(grid[2, :]), report.detail, said)
        transcript([figure.add_subplot(grid[3, side]) for side in (0, 1)], said)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
    return figure


def per_hour(axes: Axes, report: Report) -> None:
    hour = timedelta(hours=1)
    outbound, inbound = Counter[int](), Counter[int]()
    for session in report.sessions:
        (outbound if session.is_outbound else inbound)[(session.timestamp - report.start) // hour] += 1
    places = range((report.end - report.start) // hour)
    # In the middle of each hour; matplotlib counts days.
    at = [date2num(report.start) + (place + 0.5) / 24 for place in places]
    below = [inbound[place] for place in places]
    axes.bar(at, below, width=0.9 / 24, color=BLUE, label="inbound and chats")
    axes.bar(at, [outbound[place] for place in places], 0.9 / 24, below, color=ORANGE, label="outbound")
    axes.xaxis_date(tz=UTC)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(axes.xaxis.get_major_locator(), tz=UTC))
    axes.margins(x=0.005)
    axes.grid(axis="y", color="#e4e7eb")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
    axes.set_title("Sessions per hour, UTC", loc="left")


def durations(axes: Axes, sessions: Sequence[Session]) -> None:
    lengths = sorted(session.duration for session in sessions if session.duration is not None)
    if not lengths:
        axes.set_title("Duration: of no session known", loc="left")
        return
    middle, high, most = statistics.median(lengths), lengths[len(lengths) * 9 // 10], lengths[len(lengths) * 99 // 100]
    axes.hist([min(length, most) / 60 for length in lengths], bins=20, color=PURPLE, rwidth=0.92)
    axes.grid(axis="y", color="#e4e7eb")
    axes.set_title(f"Duration: median {middle:.0f} s, 90 % under {high:.0f} s", loc="left")
    axes.set_xlabel(f"minutes; the last column holds all from {most / 60:.1f}")


def ratings(axes: Axes, found: Counter[str]) -> None:
    """The eight most frequent ratings, whatever words they are."""
    rows = found.most_common(8)
    colours = [GREY if name == UNRATED else GREEN for name, _ in rows]
    bars = axes.barh(range(len(rows)), [count for _, count in rows], color=colours)
    axes.bar_label(bars, padding=4)
    axes.set_yticks(range(len(rows)), [name[:14] for name, _ in rows], parse_math=False)
    axes.invert_yaxis()
    axes.set_title(f"Rating: {1 - found[UNRATED] / max(found.total(), 1):.0%} are rated", loc="left")


def lane_of(event: TimelineEvent) -> str:
    if event.kind == "transcript":
        return "agent" if event.source == "agent" else "user"
    return event.category or event.kind


def timeline(axes: Axes, found: SessionTimelineResponse, said: Sequence[TimelineEvent]) -> None:
    """One session: a number for what was said, a bar as long as it took for the rest, red where a tool failed."""
    start = found.session_start or min((event.timestamp for event in found.events), default=datetime.now(UTC))
    lanes = [*LANES, *sorted({lane_of(event) for event in found.events} - set(LANES))]
    for event in found.events:
        at, lane = (event.timestamp - start).total_seconds(), lanes.index(lane_of(event))
        colour = RED if event.tool_error else LANES.get(lane_of(event), GREY)
        if event.kind == "transcript":
            axes.plot(at, lane, "o", markersize=15, color=colour)
            axes.text(at, lane, str(said.index(event) + 1), color="white", ha="center", va="center", fontsize=8)
        else:
            axes.barh(lane, max((event.duration_ms or 0) / 1000, 0.1), 0.5, at, color=colour)
    axes.set_yticks(range(len(lanes)), [lane[:14] for lane in lanes], parse_math=False)
    axes.set_ylim(len(lanes) - 0.5, -0.7)
    axes.grid(color="#e4e7eb")
    axes.set_title(f"One session: {found.session_id}", loc="left", parse_math=False)
    axes.set_xlabel(f"seconds from {start:%d %b %Y %H:%M:%S} UTC")


def transcript(columns: Sequence[Axes], said: Sequence[TimelineEvent]) -> None:
    """What was said, by the numbers of the timeline, in two columns."""
    half = -(-len(said) // 2)
    for side, axes in enumerate(columns):
        axes.set_axis_off()
        axes.set_ylim(max(half, 1), 0)
        for row, event in enumerate(said[side * half : (side + 1) * half]):
            axes.text(0.03, row + 0.5, str(side * half + row + 1), color=LANES[lane_of(event)], ha="right", va="center")
            words = " ".join((event.text or "").split())
            axes.text(0.05, row + 0.5, words[:70] + "…" * (len(words) > 70), va="center", parse_math=False)


async def main(demo: bool, hours: int, shown: str | None, output: Path) -> None:
    async with connect(demo, sessions=1_800) as (client, _):
        report = await gather(client, *await newest_hours(client, hours), shown)
    draw(report).savefig(output, dpi=100)
    print(f"{len(report.sessions)} sessions: {output}")


if __name__ == "__main__":
    parser = make_parser(__doc__)
    parser.add_argument("--hours", type=int, default=48, help="how far to look back from the newest session")
    parser.add_argument("--session", help="the one to show in detail; else one of about a minute")
    parser.add_argument("--output", type=Path, default=Path("session_report.png"))
    arguments = parser.parse_args()
    if not 1 <= arguments.hours <= 240:
        parser.error("--hours must lie between 1 and 240")
    if arguments.output.suffix not in ENDINGS:
        parser.error(f"--output must end in one of {', '.join(sorted(ENDINGS))}")
    check_key(arguments.demo)
    run(main(arguments.demo, arguments.hours, arguments.session, arguments.output))
