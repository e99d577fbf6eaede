"""Jobs that run every night: export sessions, download recordings, follow what is new.

Install them with `pip install "syllable-async[jobs]"`. The same three are a command line: `python -m syllable_async`.

```python
import asyncio
from datetime import date

from syllable_async import AsyncSyllableClient, jobs


async def main() -> None:
    async with AsyncSyllableClient() as client:
        span = {"since": date(2026, 1, 5), "until": date(2026, 1, 6)}  # without `until` up to now
        exported = await jobs.export(client, **span, to="sessions", with_=["summary"])
        print(exported.rows, "rows,", exported.problems, "problems")
        downloaded = await jobs.download(client, **span, to=".")
        print(downloaded.saved, "sessions with new recordings,", downloaded.failed, "failed")


asyncio.run(main())
```

## Export

`export` writes one Parquet file a UTC day, `sessions-2026-01-05.parquet`, replaced in one step: a reader sees the
file that stood there, or the whole new one. Columns are the fields of `Session`, and nested `summary`,
`transcript`, `latency` and `timeline`; all of them are always there, null where they were not asked for. So every file
reads together:

    duckdb.sql("SELECT count(*) FROM 'sessions/*.parquet'")
    pandas.read_parquet("sessions")
    polars.read_parquet("sessions/*.parquet")

There is no plan, no manifest and no lock. Any number of processes may run, and be killed, at any moment; the same call
goes on, and after a last one with `refresh=True` the files hold exactly the sessions that are listed.

## Rules of an export

- A file holds its whole day; the span is rounded outward to UTC days and cut at now.
- A file is *final* if its walk began `settle` seconds after the day's end (by the earlier of our clock and the API's),
  it holds a row, and nothing failed in it for a reason that may pass. Any other is written again by the next run, and
  `refresh` writes final ones again too. A call is listed when it ends: 6 h are enough for calls of less than 6 h.
- A walk that began earlier never replaces the file of a later one. A file with less than 90 % of the rows that stand
  there replaces nothing without `fewer`. A session that moved to another day is right once both days are refreshed.
- A folder holds one API's sessions under one set of filters; another one is refused with `TargetError`. More `with_`
  writes the span's files again; less does not, and a file that is written again keeps the columns that it had.
- What cannot be read (403, a row that does not fit) is listed in `_problems/2026-01-05.jsonl`, and stops nothing else.
- On an object store an object is finished on this machine (in its folder for temporary files) and put by one request.
  There is no lock there: of two runs that put the same day in the same moment the later PUT stays.
- The file's key-value metadata hold, as JSON under `syllable_async`, when the walk began, the span, filters, `with_`,
  the API's address, rows and problems.

## Download and follow

`download` saves recordings as `recordings/2026-01-05/<id>-<n>of<count>.wav`, skipping what is there. `follow`
writes lines of JSON, a file a poll, on the disk before its state is: each session at least once, and `session_id` tells
repeats.

## Patient data

Files are 0600 and folders 0700; on an object store that is the bucket's policy, and `storage_options`
asks for encryption there. Final files are not asked for again: *a session that is erased at the API stays in its file*
(and in its recordings and lines) until a run with `refresh` has written its day, and with `fewer` where a tenth of a
day goes. Recordings and lines are never removed by these jobs. Whoever must erase refreshes the day, and removes
`recordings/<day>/<id>-*` and what backups and versions of objects keep.
"""

import typing as _typing

import attrs as _attrs

from ._command import main as main
from ._download import download
from ._export import export
from ._follow import follow
from ._reports import DayReport, DownloadReport, ExportReport, FollowReport, JobProgress
from ._storage import TargetError

__all__ = [
    "DayReport",
    "DownloadReport",
    "ExportReport",
    "FollowReport",
    "JobProgress",
    "TargetError",
    "download",
    "export",
    "follow",
]

for _public in [globals()[_name] for _name in __all__]:
    # As in the package's root: pickles and `help` name the place to import from.
    if _attrs.has(_public):
        _public.__annotations__ = _typing.get_type_hints(_public)
        _attrs.resolve_types(_public)
    elif not isinstance(_public, type):
        _public.__annotations__ = _typing.get_type_hints(_public)
    _public.__module__ = __name__
