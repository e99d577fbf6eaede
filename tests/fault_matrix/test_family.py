"""Runs the cells of labels, debug data and any list: a fixed quarter by default, the long run leaves nothing out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock
from zlib import crc32

import pytest
from _pytest.mark import ParameterSet

from syllable_async import SyllableConnectionError
from tests.fault_matrix import lifecycle
from tests.fault_matrix.cell import Cell, Certificates, run_cell
from tests.fault_matrix.family import ANY, BY_ID, BY_SID, CELLS, CREATE, FAMILY, LABEL, FamilyClient
from tests.fault_matrix.rows import CELLS as OTHERS


def _runs() -> Iterator[ParameterSet]:
    """As in `test_matrix`: one read stands for its likes, one operation for all over the second scheme."""
    seen: set[tuple[int, str]] = set()
    for cell in CELLS:
        alike = cell.operation in {LABEL, BY_SID, BY_ID, ANY} and cell.row not in {29, 30, 37}
        for scheme in cell.schemes:
            again = scheme != cell.schemes[0] and (cell.row, cell.variant) in seen
            name = f"{cell.id}-{scheme}"
            left_out = crc32(name.encode()) % 4 != 0
            marks = [pytest.mark.long] if cell.long or alike or again or left_out else []
            yield pytest.param(cell, scheme, id=name, marks=marks)
        seen.add((cell.row, cell.variant))


@pytest.mark.parametrize(("cell", "scheme"), [*_runs()])
def test_cell(cell: Cell, scheme: str, certificates: Certificates) -> None:
    with mock.patch.object(lifecycle, "Ours", FamilyClient):
        run_cell(cell, scheme, FamilyClient, certificates)


class _Twice(FamilyClient):
    """Makes the label again where the first answer was lost."""

    async def ask(self, operation: str, deadline: float | None = None) -> Any:
        try:
            return await super().ask(operation, deadline)
        except SyllableConnectionError:
            return await super().ask(operation, deadline)


def test_a_client_that_makes_labels_twice_is_caught(certificates: Certificates) -> None:
    lost = [cell for cell in CELLS if cell.operation is CREATE and cell.row == 6 and "Retry-After" not in cell.variant]
    assert len(lost) >= 6
    for cell in lost:
        with pytest.raises(AssertionError):
            run_cell(cell, "http", _Twice, certificates)


def test_every_cell_has_its_own_name() -> None:
    assert len({cell.id for cell in CELLS}) == len(CELLS)


def test_each_operation_goes_through_the_rows_of_its_like() -> None:
    """The reads through the rows of a read, the creation through those of a POST."""
    rows = {name: {cell.row for cell in OTHERS if cell.operation.name == name} for name in ("G-session", "P")}
    for operation in FAMILY:
        gone = {cell.row for cell in CELLS if cell.operation is operation}
        assert gone >= (rows["P"] if operation is CREATE else rows["G-session"] - {8, 37}), operation
