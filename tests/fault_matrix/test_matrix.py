"""Runs every cell, over http and https; under `AIOHTTP_NO_EXTENSIONS=1` with aiohttp's pure-Python parser."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from zlib import crc32

import pytest
from _pytest.mark import ParameterSet

from tests.fault_matrix import recording_cells
from tests.fault_matrix.cell import Cell, Certificates, run_cell
from tests.fault_matrix.operations import READS
from tests.fault_matrix.our_client import Ours
from tests.fault_matrix.rows import CELLS


def _runs() -> Iterator[ParameterSet]:
    """Each cell over each of its schemes.

    By default one operation of each variant stands for all over the second scheme, the session for the other reads of
    one session in the rows that do not look at the reply's schema, and a fixed third for rows of more than 100 cells.
    The long run leaves nothing out.
    """
    seen: set[tuple[int, str]] = set()
    sizes = Counter(cell.row for cell in CELLS)
    for cell in CELLS:
        alike = cell.operation in READS[1:] and cell.row not in {29, 30, 37}
        for scheme in cell.schemes:
            again = scheme != cell.schemes[0] and (cell.row, cell.variant) in seen
            name = f"{cell.id}-{scheme}"
            left_out = sizes[cell.row] > 100 and crc32(name.encode()) % 3 != 0
            marks = [pytest.mark.long] if cell.long or alike or again or left_out else []
            yield pytest.param(cell, scheme, id=name, marks=marks)
        seen.add((cell.row, cell.variant))


@pytest.mark.parametrize(("cell", "scheme"), [*_runs()])
def test_cell(
    cell: Cell, scheme: str, certificates: Certificates, record_property: Callable[[str, object], None]
) -> None:
    record_property("cell", cell.id)
    run_cell(cell, scheme, Ours, certificates)


def test_every_cell_has_its_own_name() -> None:
    assert len({cell.id for cell in CELLS}) == len(CELLS)


def test_every_row_stands_in_the_table_of_faults() -> None:
    table = Path(__file__).with_name("FAULTS.md").read_text("utf-8")
    rows = [int(number) for number in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)]
    assert rows == [*range(1, len(rows) + 1)]
    assert {cell.row for cell in CELLS} | {cell.row for cell in recording_cells.cells()} <= {*rows}


@pytest.mark.parametrize(
    ("rows", "least"),
    [
        (range(44), 2000),
        ({9, 10}, 200),  # Retry-After
        ({28, 29, 30, 31}, 200),  # bodies
        ({35}, 420),  # redirects
    ],
    ids=str,
)
def test_the_matrix_is_as_wide_as_promised(rows: Container[int], least: int) -> None:
    assert sum(cell.row in rows for cell in CELLS) >= least


def test_at_least_60_bad_inputs_open_no_connection() -> None:
    refused = [cell for cell in CELLS if cell.row == 38 or (cell.row == 37 and cell.variant.endswith("refused"))]
    assert len(refused) >= 60
