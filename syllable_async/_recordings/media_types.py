"""What a media type and a body's first bytes say about a recording."""

from __future__ import annotations

import re

HEAD_SIZE = 12
"""Bytes at the beginning of a recording that tell its format."""

_EXTENSIONS = {
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
EXTENSIONS = tuple(sorted({*_EXTENSIONS.values(), ".bin"}))
"""All that a recording's name can end with."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_TEXT = re.compile(r"\btext/|json|xml|script")


def extension_of_type(content_type: str | None) -> str | None:
    """The usual extension of a type of audio, None for any other type."""
    return _EXTENSIONS.get(_essence(content_type))


def extension_of_head(head: bytes) -> str | None:
    """The extension of a known format of audio, by the first `HEAD_SIZE` bytes."""
    return next((name for magic, name in _MAGIC.items() if re.match(magic, head, re.DOTALL)), None)


def is_page(content_type: str | None, head: bytes) -> bool:
    """Whether a body that calls itself text is no audio all the same, by its first `HEAD_SIZE` bytes.

    nginx and others call `text/plain` whatever they do not know, so what is not text at all is taken there.
    """
    if extension_of_head(head) is not None:
        return False
    return _essence(content_type) != "text/plain" or _reads_as_text(head)


def _reads_as_text(head: bytes) -> bool:
    """As browsers tell it (WHATWG MIME Sniffing §7.2): UTF-8 without control bytes, a letter cut at the end aside."""
    text = head.decode("utf-8", "replace").rstrip("\ufffd")
    return "\ufffd" not in text and _CONTROL.search(text) is None


def is_text(content_type: str | None) -> bool:
    """Whether a type says text, HTML, JSON, XML or a script: a page or an error in place of a recording."""
    return _TEXT.search(_essence(content_type)) is not None


def _essence(content_type: str | None) -> str:
    """The type without its parameters (RFC 9110 §8.3.1)."""
    return (content_type or "").partition(";")[0].strip().lower()
