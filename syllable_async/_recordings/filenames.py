"""Names of saved recordings: ours, never the server's."""

from __future__ import annotations

import hashlib
import re

from .media_types import extension_of_head, extension_of_type


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
    return extension_of_type(content_type) or extension_of_head(head) or ".bin"
