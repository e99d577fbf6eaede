"""Names of saved recordings: ours, never the server's."""

from __future__ import annotations

import hashlib
import re

_TYPES = {
    "audio/wav": ".wav",
    "audio/wave": ".wav",
    "audio/x-wav": ".wav",
    "audio/vnd.wave": ".wav",
    "audio/mpeg": ".mp3",
    "audio/mp3": ".mp3",
    "audio/ogg": ".ogg",
    "audio/opus": ".opus",
    "audio/flac": ".flac",
    "audio/mp4": ".m4a",
    "audio/webm": ".webm",
}
_MAGIC = {
    rb"RIFF....WAVE": ".wav",
    rb"ID3|\xff[\xfb\xf3\xf2]": ".mp3",
    rb"OggS": ".ogg",
    rb"fLaC": ".flac",
    rb"....ftyp": ".m4a",
    rb"\x1a\x45\xdf\xa3": ".webm",
}


def recording_stem(session_id: str, index: int, count: int | None = None) -> str:
    """A file name without extension for the n-th recording of a session; different ids never share one.

    `index` counts from 0, and stands in the name as it is. With `count` the name is `<id>-<n>of<count>`, n from 1.
    """
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", session_id)[:100]
    if safe != session_id:
        safe += "-" + hashlib.sha256(session_id.encode(errors="surrogatepass")).hexdigest()[:12]
    return f"{safe}-{index}" if count is None else f"{safe}-{index + 1}of{count}"


def recording_extension(content_type: str | None, head: bytes) -> str:
    """By the content type; where that says nothing about audio, by the first bytes."""
    known = _TYPES.get((content_type or "").partition(";")[0].strip().lower())
    if known is not None:
        return known
    return next((name for magic, name in _MAGIC.items() if re.match(magic, head, re.DOTALL)), ".bin")
