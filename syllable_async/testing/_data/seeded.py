"""Sessions as functions of (seed, index): a hundred thousand of them cost nothing until somebody looks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import blake2b
from typing import Any

from .._json import encode_text

Row = dict[str, Any]
"""A session as the API shows it, every field of the schema present."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = EPOCH.replace(tzinfo=None)
FIRST_SESSION = datetime(2026, 1, 5, 13, tzinfo=UTC)
SPACING = 97_000_000
"""Microseconds between two sessions, on average."""

_BASE = (FIRST_SESSION - EPOCH) // timedelta(microseconds=1)
_SPREAD = 0x9E3779B1
_UNSPREAD = pow(_SPREAD, -1, 2**32)
_MASK = 2**32 - 1
_MOST_NUMBERS = 2**30
_HEX = re.compile(r"[0-9a-f]{8}-")
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")
_DAY = 86_400_000_000

VOICE = ("voice_sip_v1", "voice_twilio_v1")
CHAT_SECONDS = 45.0
"""How long a chat takes: the API gives it no duration."""


# Phone numbers end in 555-01xx, mail and web names in example.com: reserved, they belong to nobody.
_AGENTS = (
    ("11", "Front Desk", "America/New_York", "voice_sip_v1", "+12125550100", "Reception"),
    ("12", "Appointment Line", "America/Chicago", "voice_sip_v1", "+13125550117", "Scheduling"),
    ("13", "Pharmacy Refills", "America/Denver", "voice_twilio_v1", "+13035550142", "Refills"),
    ("14", "Billing Questions", "America/Los_Angeles", "voice_twilio_v1", "+14155550163", "Billing"),
    ("15", "Reminder Calls", "America/New_York", "voice_sip_v1", "+16175550188", "Reminders"),
    ("16", "Website Helper", "America/Chicago", "web_chat_v1", "help.example.com", "Web chat"),
)
_REMINDERS = 4
_TESTS = 2**28
"""Of 2**32 sessions: a sixteenth."""
_PHONES = range(5)
_EXPERIMENT = ("experiment_id", "experiment_variant_id", "experiment_variant", "experiment_variant_is_control")
_VARIANTS = (("7", "71", "current greeting", True), ("7", "72", "short greeting", False), (None, None, None, None))
_AREA_CODES = (202, 212, 303, 312, 415, 512, 617, 804)


def timestamp_text(instant: int) -> str:
    """Microseconds since 1970 the way the API writes a moment."""
    return f"{(_NAIVE_EPOCH + timedelta(microseconds=instant)).isoformat()}Z"


def instant_of(moment: datetime) -> int:
    """Microseconds since 1970; a moment without an offset is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - EPOCH) // timedelta(microseconds=1)


class SeededSessions:
    """The sessions that a seed describes. Indices follow time; a few neighbours share one timestamp.

    Ids are numbers written as strings (seen of the live API), or UUIDs.
    """

    def __init__(self, seed: int, *, numeric_ids: bool = True) -> None:
        self._numeric = numeric_ids
        self._key = blake2b(repr(seed).encode(), digest_size=32).digest()
        self._shift = int.from_bytes(self._key[:4], "little")

    def _digest(self, index: int) -> bytes:
        return blake2b(index.to_bytes(8, "little"), key=self._key, digest_size=32).digest()

    def instant(self, index: int) -> int:
        """When the session took place, in microseconds since 1970."""
        return self._instant(index, self._digest(index))

    def _instant(self, index: int, digest: bytes) -> int:
        while digest[0] < 12 and index:
            index -= 1
            digest = self._digest(index)
        return _BASE + index * SPACING + int.from_bytes(digest[1:5], "little") % SPACING

    def session_id(self, index: int) -> str:
        """An id whose order says nothing about time, and from which the index can be had back."""
        return self._identity(index, self._digest(index).hex())

    def is_test(self, index: int) -> bool:
        """Whether it is a test session: cheap, for the list asks it of every session."""
        return (index * _SPREAD ^ self._shift) & _MASK < _TESTS

    def _identity(self, index: int, tail: str) -> str:
        if self._numeric:
            return str((index * _SPREAD + self._shift) % _MOST_NUMBERS + 1)
        spread = (index * _SPREAD + self._shift) & _MASK
        return f"{spread:08x}-{tail[:4]}-4{tail[4:7]}-8{tail[7:10]}-{tail[10:22]}"

    def index(self, session_id: str) -> int | None:
        """The index behind an id of this seed's, None if it cannot be one."""
        if self._numeric:
            known = _NUMBER.fullmatch(session_id)
            index = (int(session_id) - 1 - self._shift) * _UNSPREAD % _MOST_NUMBERS if known else 0
        else:
            known = _HEX.match(session_id)
            index = (int(session_id[:8], 16) - self._shift) * _UNSPREAD & _MASK if known else 0
        return index if known and self.session_id(index) == session_id else None

    def __getitem__(self, index: int) -> Row:
        return self._row(index, test=self.is_test(index))

    def real(self, index: int) -> Row:
        """The session at an index, were it no test session."""
        return self._row(index, test=False)

    def _row(self, index: int, *, test: bool) -> Row:
        own, shared = self._parts(index, test=test)
        return {**own, **shared.row}

    def text(self, index: int) -> str:
        """`self[index]` as JSON."""
        own, shared = self._parts(index, test=self.is_test(index))
        return encode_text(own)[:-1] + shared.text

    def _parts(self, index: int, *, test: bool) -> tuple[Row, _Shared]:
        """What only this session has, and what it shares with others of its kind."""
        digest = self._digest(index)
        text = digest.hex()
        kind = digest[5] % len(_AGENTS)
        instant = self._instant(index, digest)
        own: Row = {
            "timestamp": timestamp_text(instant),
            "session_id": self._identity(index, text),
            "conversation_id": f"{(index - digest[8] % 4) * _SPREAD & _MASK:08x}",
            "session_label_id": str(index + 1) if digest[9] < 24 else None,
            "override_timestamp": timestamp_text(instant + _DAY) if test and digest[10] < 64 else None,
            **(_of_call(digest, text) if kind in _PHONES else _of_chat(digest)),
        }
        return own, _shared(kind, min(digest[11] // 20, 2), test=test, legacy=digest[7] < 8)


@dataclass(frozen=True, slots=True)
class _Shared:
    row: Row
    text: str
    """The row as the end of a JSON object."""


@cache
def _shared(kind: int, variant: int, *, test: bool, legacy: bool) -> _Shared:
    number, name, timezone, channel, target, prompt = _AGENTS[kind]
    row: Row = {
        "channel_manager_service": "console" if test else "hedy",
        "channel_manager_type": channel,
        "agent_id": number,
        "agent_name": name,
        "agent_type": "ca_v1",
        "agent_timezone": timezone,
        "prompt_id": f"1{number}",
        "prompt_name": prompt,
        "prompt_version": "2025-06-01T00:00:00Z" if legacy else None,
        "prompt_version_number": None if legacy else int(number) % 5 + 1,
        "target": target,
        "is_legacy": legacy,
        "is_test": test,
        "is_outbound": kind == _REMINDERS,
        **dict(zip(_EXPERIMENT, _VARIANTS[variant], strict=True)),
    }
    return _Shared(row, f",{encode_text(row)[1:]}")


def _of_call(digest: bytes, text: str) -> Row:
    return {
        "channel_manager_sid": f"CA{text[32:]}",
        "duration": _duration(digest),
        "source": f"+1{_AREA_CODES[digest[17] % 8]}55501{digest[18] % 100:02d}" if digest[13] > 6 else None,
        "user_terminated": digest[12] < 160,
        "transfer_voicemail_detected": digest[19] < 16 if digest[19] < 32 else None,
    }


def _of_chat(digest: bytes) -> Row:
    return {
        "channel_manager_sid": None,
        "duration": None,
        "source": f"visitor{digest[18]}@example.com" if digest[13] > 6 else None,
        "user_terminated": None,
        "transfer_voicemail_detected": None,
    }


def _duration(digest: bytes) -> float | None:
    """Tenths of seconds from 6 s to about 5 min, short calls more often; None for a call that still runs."""
    if digest[20] == 255:
        return None
    share = (digest[14] << 8 | digest[15]) / 65_536
    return int(60 + 2_900 * share * share) / 10
