"""Recordings: WAV files that a seed describes, as long as their session."""

from __future__ import annotations

import struct
from functools import lru_cache
from hashlib import shake_128

FRAME_RATE = 8_000
_QUIET = bytes(120 + value % 16 for value in range(256))


@lru_cache(maxsize=16)
def wav(key: str, duration: float) -> bytes:
    """8 kHz, 8 bit, mono. Soft noise that never repeats, so that a byte from a wrong offset shows."""
    frames = round(duration * FRAME_RATE)
    samples = shake_128(key.encode()).digest(frames).translate(_QUIET)
    padding = b"\0" * (frames % 2)
    return _header(frames, len(padding)) + samples + padding


def _header(frames: int, padding: int) -> bytes:
    form = struct.pack("<HHIIHH", 1, 1, FRAME_RATE, FRAME_RATE, 1, 8)
    size = 4 + 8 + len(form) + 8 + frames + padding
    return (
        struct.pack("<4sI4s4sI", b"RIFF", size, b"WAVE", b"fmt ", len(form))
        + form
        + struct.pack("<4sI", b"data", frames)
    )
