"""All cells."""

from __future__ import annotations

from tests.faults.tls import BAD_CERTIFICATES
from tests.matrix import arguments, bodies, lives, redirects, statuses, wires
from tests.matrix.scene import Cell

CELLS: tuple[Cell, ...] = (
    *statuses.cells(),
    *wires.cells(BAD_CERTIFICATES),
    *bodies.cells(),
    *redirects.cells(),
    *arguments.cells(),
    *lives.cells(),
)
