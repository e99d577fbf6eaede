"""The four operations of the API in one go: walk the sessions, read one and its summary, download its recording.

    python examples/quickstart.py

Recordings are saved into ./recordings. Without a key in the environment it starts a server of its own, full of invented
sessions, says so, and saves into ./demo-recordings.
"""

from __future__ import annotations

import os
import wave
from itertools import islice
from pathlib import Path

from _connect import KEY, connect, make_parser, run
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from syllable_async import RecordingStream, Session

console = Console(markup=False)  # brackets in what the API sends are no style


def print_table(sessions: list[Session]) -> None:
    table = Table(title=f"The first of {len(sessions)} sessions")
    for column in ("when", "session", "agent", "seconds", "direction"):
        table.add_column(column, justify="right" if column == "seconds" else "left")
    for session in islice(sessions, 10):
        table.add_row(
            f"{session.timestamp:%Y-%m-%d %H:%M:%S}",
            session.session_id or "?",
            session.agent_name or "?",
            "?" if session.duration is None else f"{session.duration:.1f}",
            {True: "outbound", False: "inbound", None: "?"}[session.is_outbound],
        )
    console.print(table)


async def download(recording: RecordingStream, folder: Path) -> None:
    columns = TextColumn("recording"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=console) as bars:
        bar = bars.add_task("recording", total=None)
        saved = await recording.save(
            directory=folder,
            if_exists="replace",
            progress=lambda done, total: bars.update(bar, completed=done, total=total),
        )
    console.print(f"Saved {saved.path} ({saved.size} bytes, sha256 {saved.sha256[:16]}…), verified by {saved.verified}")
    if saved.path.suffix == ".wav":
        with wave.open(str(saved.path)) as audio:
            console.print(f"It plays for {audio.getnframes() / audio.getframerate():.1f} s")


async def main(demo: bool) -> None:
    async with connect(demo) as (client, fake):
        if fake is not None:
            why = "Demo" if os.environ.get(KEY) else f"No {KEY} in the environment"
            print(f"{why}: these sessions are invented, from a fake API at {fake.url}")
        sessions = [session async for session in client.sessions.list().items(max_items=1_000)]
        print_table(sessions)
        for listed in sessions:
            if listed.session_id is None or not listed.duration:
                continue
            recordings = await client.sessions.recordings(listed.session_id)
            if not recordings:
                continue
            session = await client.sessions.get_by_id(listed.session_id)
            summary = await client.sessions.get_full_summary(listed.session_id)
            console.print(f"\n{session}\nSummary: {summary.summary or '-'}\nRating: {summary.rating or '-'}\n")
            await download(recordings[0], Path("recordings" if fake is None else "demo-recordings"))
            return
        console.print("No session has a recording.")


if __name__ == "__main__":
    arguments = make_parser(__doc__).parse_args()
    run(main(arguments.demo or not os.environ.get(KEY)))
