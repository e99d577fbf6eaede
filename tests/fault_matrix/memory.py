"""How much memory something took at its height."""

from __future__ import annotations

import gc
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import attrs

_PROCESS = Path("/proc/self")


@attrs.define
class Peak:
    bytes: int = 0


@contextmanager
def peak_memory() -> Generator[Peak]:
    """The growth of this process's resident memory at its height."""
    peak = Peak()
    gc.collect()
    (_PROCESS / "clear_refs").write_text("5")  # the high-water mark starts anew: proc(5)
    before = _kilobytes("VmRSS")
    yield peak
    peak.bytes = (_kilobytes("VmHWM") - before) * 1024


def _kilobytes(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", (_PROCESS / "status").read_text())
    assert found is not None
    return int(found[1])
