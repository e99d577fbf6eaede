"""The fault matrix: every fault that a connection, a server or a caller can make, against every operation.

A cell is a (row, variant, operation); rows stand in `FAULTS.md`. It runs over http and https in `TimelessLoop`, where
waiting costs nothing, so that the client's real limits are used. What every cell asserts stands in `cell.py`.
"""

import pytest

_ROWS = ("arguments", "bodies", "cell", "checks", "connections", "lifecycle", "redirects", "statuses")
pytest.register_assert_rewrite(*(f"{__name__}.{module}" for module in _ROWS))
