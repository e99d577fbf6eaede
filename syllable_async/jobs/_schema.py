"""Columns of an export: the fields of a session, and nested what was asked for of each session besides."""

# pyarrow comes without types.
# mypy: disable-error-code="import-untyped"
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from enum import Enum
from functools import cache
from operator import attrgetter
from types import TracebackType, UnionType
from typing import Any, BinaryIO, Self, get_args, get_origin, get_type_hints

import attrs
import pyarrow as pa
import pyarrow.parquet as pq

from syllable_async import (
    InspectLatencyResponse,
    Session,
    SessionSummaryResponse,
    SessionTimelineResponse,
    SessionTranscriptionResponse,
)

PARTS: dict[str, type] = {
    "summary": SessionSummaryResponse,
    "transcript": SessionTranscriptionResponse,
    "latency": InspectLatencyResponse,
    "timeline": SessionTimelineResponse,
}
"""What `with_` may name, each a column of its own."""
GROUP_BYTES = 16 * 2**20
"""A row group is written as soon as its rows take so much memory: some 50,000 sessions without anything besides."""
DICTIONARY_BYTES = 2**16
"""Columns whose values hardly repeat, such as ids, soon go on without a dictionary: a file is a sixth smaller so."""
_PLAIN = {
    str: pa.string(),
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    datetime: pa.timestamp("us", "UTC"),
}
Parts = Mapping[str, object]
"""What belongs to a session, each as a dict, by the names of its columns."""


@cache
def schema() -> Any:
    """All columns, always: a file of last month and one of today read together."""
    fields = [(name, _arrow_type(hint)) for name, hint in get_type_hints(Session).items()]
    return pa.schema([*fields, *((name, _arrow_type(model)) for name, model in PARTS.items())])


def _arrow_type(hint: Any) -> Any:
    if isinstance(hint, UnionType):  # every union of the models is one with None
        hint = get_args(hint)[0]
    if get_origin(hint) is tuple:
        return pa.list_(_arrow_type(get_args(hint)[0]))
    if attrs.has(hint):
        return pa.struct([(name, _arrow_type(inner)) for name, inner in get_type_hints(hint).items()])
    if issubclass(hint, Enum):
        return pa.string()
    return _PLAIN[hint]


def to_batches(sessions: Sequence[Session], parts: Sequence[Parts]) -> tuple[list[Any], list[tuple[Session, str]]]:
    """The sessions as record batches, and those that no column can hold (an integer of 70 bits) with the reason.

    Args:
        sessions: one a row.
        parts: of each session; empty where nothing was asked for.
    """
    try:
        return [_columns(sessions, parts)], []
    except (pa.ArrowException, OverflowError, UnicodeError, TypeError) as error:
        if len(sessions) == 1:
            return [], [(sessions[0], f"{type(error).__name__} in a column")]
    half = len(sessions) // 2
    halves = [to_batches(sessions[:half], parts[:half]), to_batches(sessions[half:], parts[half:])]
    return [batch for good, _ in halves for batch in good], [bad for _, refused in halves for bad in refused]


def _columns(sessions: Sequence[Session], parts: Sequence[Parts]) -> Any:
    def column(name: str, type_: Any) -> Any:
        if name not in PARTS:
            return pa.array(list(map(attrgetter(name), sessions)), type_)
        return pa.array([one.get(name) for one in parts], type_) if parts else pa.nulls(len(sessions), type_)

    return pa.RecordBatch.from_arrays(list(map(column, schema().names, schema().types)), schema=schema())


class DayWriter:
    """A Parquet file that is being written, a row group at a time."""

    def __init__(self, file: BinaryIO) -> None:
        self._writer = pq.ParquetWriter(file, schema(), compression="zstd", dictionary_pagesize_limit=DICTIONARY_BYTES)
        self._batches: list[Any] = []
        self._bytes = 0
        self.rows = 0

    def add(self, sessions: Sequence[Session], parts: Sequence[Parts] = ()) -> list[tuple[Session, str]]:
        """Take rows in; those that no column can hold are given back, with the reason."""
        batches, refused = to_batches(sessions, parts)
        self._batches += batches
        self.rows += len(sessions) - len(refused)
        self._bytes += sum(batch.get_total_buffer_size() for batch in batches)
        return refused

    @property
    def has_group(self) -> bool:
        """Whether the rows at hand are a row group."""
        return self._bytes >= GROUP_BYTES

    def write_group(self) -> None:
        """Write the rows at hand, if there are any."""
        if self._batches:
            table = pa.Table.from_batches(self._batches, schema())
            self._writer.write_table(table, row_group_size=table.num_rows)
        self._batches, self._bytes = [], 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the writer before its file is closed, whatever becomes of what it writes then."""
        try:
            with suppress(OSError, ValueError):
                self._writer.close()
        finally:
            self._writer.is_open = False

    def close(self, metadata: Mapping[bytes, bytes]) -> None:
        """Write what is left, and the footer."""
        self.write_group()
        self._writer.add_key_value_metadata(metadata)
        self._writer.close()


def read_metadata(tail: bytes) -> Mapping[bytes, bytes]:
    """The key-value metadata of a file of which only the end is at hand, the footer whole.

    Raises:
        ValueError: this is no Parquet file.
    """
    try:
        return pq.read_metadata(pa.BufferReader(tail)).metadata or {}
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"no Parquet file: {error}") from None
