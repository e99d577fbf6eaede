"""Runs every cell, over http and https; under `AIOHTTP_NO_EXTENSIONS=1` with aiohttp's pure-Python parser."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from _pytest.mark import ParameterSet

from tests.matrix.ours import Ours
from tests.matrix.rows import CELLS
from tests.matrix.scene import Cell, Certificates, run_cell


def _runs() -> Iterator[ParameterSet]:
    """Each cell over its first scheme. Over the second by default only one operation of each variant."""
    seen: set[tuple[int, str]] = set()
    for cell in CELLS:
        first, *others = cell.schemes
        yield pytest.param(cell, first, id=f"{cell.id}-{first}")
        for scheme in others:
            marks = [pytest.mark.long] if (cell.row, cell.variant) in seen else []
            yield pytest.param(cell, scheme, id=f"{cell.id}-{scheme}", marks=marks)
        seen.add((cell.row, cell.variant))


@pytest.mark.parametrize(("cell", "scheme"), [*_runs()])
def test_cell(
    cell: Cell, scheme: str, certificates: Certificates, record_property: Callable[[str, object], None]
) -> None:
    record_property("cell", cell.id)
    run_cell(cell, scheme, Ours, certificates)


def test_every_cell_has_its_own_name() -> None:
    assert len({cell.id for cell in CELLS}) == len(CELLS)
