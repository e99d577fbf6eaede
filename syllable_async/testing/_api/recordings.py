"""Where recordings are, and what opens them: tokens of the API's stream, and signed URLs of a storage host."""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import blake2b
from typing import TypeVar
from urllib.parse import quote

from .response import Answer
from .routes import ROOT, STREAM
from .settings import RecordingList, RecordingUrls

_SIGNATURE = re.compile(r"&X-Amz-Signature=([0-9a-f]+)$")
_T = TypeVar("_T")


class Tokens:
    """Tokens of the recording stream: opaque, and good for a while."""

    def __init__(self, seed: int, lifetime: float, clock: Callable[[], float]) -> None:
        self._seed = seed
        self._clock = clock
        self._minted = 0
        self._live: dict[str, tuple[str, int, float]] = {}
        self.lifetime = lifetime
        self.refusal = 403
        """The status that answers an unknown or expired token."""

    def mint(self, session_id: str, number: int) -> str:
        """A new token for one of a session's recordings."""
        self._minted += 1
        token = blake2b(f"{self._seed}/{self._minted}".encode(), digest_size=24).hexdigest()
        self._live[token] = (session_id, number, self._clock() + self.lifetime)
        return token

    def redeem(self, token: str) -> tuple[str, int] | None:
        """The session and the number of the recording; None for an unknown or expired token."""
        session_id, number, end = self._live.get(token, ("", 0, float("-inf")))
        return (session_id, number) if self._clock() < end else None

    def expire(self, refusal: int = 403) -> None:
        """Let every token minted so far be expired, and answer them by this status."""
        self._live.clear()
        self.refusal = refusal


def recording_url(kind: RecordingUrls, token: str, own: str, public: str) -> str:
    """What a list of recordings holds for a token of the API's stream; `own` and `public` are origins."""
    address = f"{ROOT}{STREAM}?token={token}"
    if kind == "token":
        return token
    if kind == "public":
        return f"{public}{address}"
    if kind == "http":
        return f"http://{public.partition('://')[2]}{address}"
    return address if kind == "relative" else f"{own}{address}"


def storage_target(token: str, session_id: str, number: int) -> str:
    """Path and query of a recording on the storage host, spelt as nobody would normalise them: the signature counts."""
    return (
        f"/call%20recordings/{quote(session_id, safe='')}/leg~{number}%28mono%29%2Ewav"
        "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=FAKE%2F20260105%2Fus-east-1%2Fs3%2Faws4_request"
        "&response-content-disposition=attachment%3b+filename%3D%22call%22&empty"
        f"&X-Amz-Signature={token}"
    )


def redeem_target(tokens: Tokens, target: str) -> tuple[str, int] | None:
    """The session and the number of the recording; None where a byte is another or the time is over."""
    signature = _SIGNATURE.search(target)
    granted = tokens.redeem(signature[1]) if signature else None
    if signature is None or granted is None or storage_target(signature[1], *granted) != target:
        return None
    return granted


def storage_refusal(status: int) -> Answer:
    """What a storage host says to a signature that does not fit."""
    body = b"<Error><Code>AccessDenied</Code><Message>Request has expired or was not signed so</Message></Error>"
    return Answer(status, {"Content-Type": "application/xml"}, body)


def arrange(found: list[_T], kind: RecordingList, asked: int) -> list[_T]:
    """The list of recordings as the call number `asked` (from 1) shows it.

    Growing: one at first, one more at each call, the newest first. Reordered: back to front at every second call.
    """
    if kind == "growing":
        return found[:asked][::-1]
    return found[::-1] if kind == "reordered" and asked % 2 == 0 else found
