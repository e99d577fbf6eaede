"""All cells."""

from __future__ import annotations

from tests.fault_matrix import arguments, bodies, connections, lifecycle, redirects, statuses, walks
from tests.fault_matrix.cell import Cell
from tests.fault_server.tls import BAD_CERTIFICATES

CELLS: tuple[Cell, ...] = (
    *statuses.cells(),
    *connections.cells(BAD_CERTIFICATES),
    *bodies.cells(),
    *redirects.cells(),
    *arguments.cells(),
    *lifecycle.cells(),
    *walks.cells(),
)
