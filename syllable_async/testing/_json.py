"""JSON the way FastAPI writes it."""

from __future__ import annotations

import json
from typing import Any

encode_text = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False).encode


def to_bytes(text: str) -> bytes:
    """UTF-8. Lone surrogates cannot be sent and become question marks."""
    return text.encode("utf-8", "replace")


def encode(document: Any) -> bytes:
    """JSON the way FastAPI writes it."""
    return to_bytes(encode_text(document))
