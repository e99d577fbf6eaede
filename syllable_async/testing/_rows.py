"""Sessions as functions of (seed, index): a hundred thousand of them cost nothing until somebody looks."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

Row = dict[str, Any]
"""A session as the API shows it, every field of the schema present."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_SESSION = datetime(2026, 1, 5, 13, tzinfo=UTC)
SPACING = 97_000_000
"""Microseconds between two sessions, on average."""

_BASE = (FIRST_SESSION - EPOCH) // timedelta(microseconds=1)
_SPREAD = 0x9E3779B1
_UNSPREAD = pow(_SPREAD, -1, 2**32)

VOICE = ("voice_sip_v1", "voice_twilio_v1")


# Phone numbers end in 555-01xx, mail and web names in example.com: reserved, they belong to nobody.
_AGENTS = (
    ("11", "Front Desk", "America/New_York", "voice_sip_v1", "+12125550100", "Reception"),
    ("12", "Appointment Line", "America/Chicago", "voice_sip_v1", "+13125550117", "Scheduling"),
    ("13", "Pharmacy Refills", "America/Denver", "voice_twilio_v1", "+13035550142", "Refills"),
    ("14", "Billing Questions", "America/Los_Angeles", "voice_twilio_v1", "+14155550163", "Billing"),
    ("15", "Reminder Calls", "America/New_York", "voice_sip_v1", "+16175550188", "Reminders"),
    ("16", "Website Helper", "America/Chicago", "web_chat_v1", "help.example.com", "Web chat"),
)
AGENTS: tuple[Row, ...] = tuple(
    {
        "channel_manager_service": "hedy",
        "channel_manager_type": channel,
        "agent_id": number,
        "agent_name": name,
        "agent_type": "ca_v1",
        "agent_timezone": timezone,
        "prompt_id": f"1{number}",
        "prompt_name": prompt,
        "prompt_version": None,
        "prompt_version_number": int(number) % 5 + 1,
        "target": target,
    }
    for number, name, timezone, channel, target, prompt in _AGENTS
)
_REMINDERS = 4
_AREA_CODES = (202, 212, 303, 312, 415, 512, 617, 804)


def timestamp_text(instant: int) -> str:
    """Microseconds since 1970 the way the API writes a moment."""
    return (EPOCH + timedelta(microseconds=instant)).isoformat().replace("+00:00", "Z")


def instant_of(moment: datetime) -> int:
    """Microseconds since 1970; a moment without an offset is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - EPOCH) // timedelta(microseconds=1)


class Rows:
    """The sessions that a seed describes. Indices follow time; a few neighbours share one timestamp."""

    def __init__(self, seed: int) -> None:
        self._key = blake2b(repr(seed).encode(), digest_size=32).digest()
        self._shift = int.from_bytes(self._key[:4], "little")

    def _digest(self, index: int) -> bytes:
        return blake2b(index.to_bytes(8, "little"), key=self._key, digest_size=32).digest()

    def instant(self, index: int) -> int:
        """When the session took place, in microseconds since 1970."""
        digest = self._digest(index)
        while digest[0] < 12 and index:
            index -= 1
            digest = self._digest(index)
        return _BASE + index * SPACING + int.from_bytes(digest[1:5], "little") % SPACING

    def session_id(self, index: int) -> str:
        """An id whose order says nothing about time, and from which the index can be had back."""
        spread = (index * _SPREAD + self._shift) % 2**32
        tail = self._digest(index)[24:32].hex()
        return f"{spread:08x}-{tail[:4]}-4{tail[4:7]}-8{tail[7:10]}-{tail[10:]}{spread ^ 0xABCDEF:06x}"[:36]

    def index(self, session_id: str) -> int | None:
        """The index behind an id of this seed's, None if it cannot be one."""
        try:
            spread = int(session_id[:8], 16)
        except ValueError:
            return None
        index = (spread - self._shift) * _UNSPREAD % 2**32
        return index if self.session_id(index) == session_id else None

    def __getitem__(self, index: int) -> Row:
        digest = self._digest(index)
        agent = AGENTS[digest[5] % len(AGENTS)]
        voice = agent["channel_manager_type"] in VOICE
        outbound = agent is AGENTS[_REMINDERS]
        test = digest[6] < 16
        legacy = digest[7] < 8
        tail = digest[16:32].hex()
        instant = self.instant(index)
        row: Row = {
            "timestamp": timestamp_text(instant),
            "session_id": self.session_id(index),
            "conversation_id": self.session_id(max(0, index - digest[8] % 4)),
            "channel_manager_sid": f"CA{tail}" if voice else None,
            "duration": _duration(digest) if voice else None,
            "session_label_id": str(index + 1) if digest[9] < 24 else None,
            "source": _caller(digest, voice=voice),
            "is_legacy": legacy,
            "is_test": test,
            "is_outbound": outbound,
            "user_terminated": digest[10] < 160 if voice else None,
            "transfer_voicemail_detected": digest[11] < 128 if voice and digest[12] < 32 else None,
            "override_timestamp": timestamp_text(instant + 86_400_000_000) if test and digest[13] < 64 else None,
            **agent,
            **_experiment(digest),
        }
        if test:
            row["channel_manager_service"] = "console"
        if legacy:
            row["prompt_version"], row["prompt_version_number"] = "2025-06-01T00:00:00Z", None
        return row


def _duration(digest: bytes) -> float | None:
    """Tenths of seconds from 6 s to about 5 min, short calls more often; None for a call that still runs."""
    if digest[12] == 255:
        return None
    share = int.from_bytes(digest[14:16], "little") / 65_536
    return math.floor(60 + 2_900 * share * share) / 10


def _caller(digest: bytes, *, voice: bool) -> str | None:
    if digest[13] < 6:
        return None  # a withheld number
    if voice:
        return f"+1{_AREA_CODES[digest[17] % 8]}55501{digest[18] % 100:02d}"
    return f"visitor{digest[18]}@example.com"


def _experiment(digest: bytes) -> Row:
    if digest[19] >= 40:
        return {
            "experiment_id": None,
            "experiment_variant_id": None,
            "experiment_variant": None,
            "experiment_variant_is_control": None,
        }
    control = digest[19] % 2 == 0
    return {
        "experiment_id": "7",
        "experiment_variant_id": "71" if control else "72",
        "experiment_variant": "current greeting" if control else "short greeting",
        "experiment_variant_is_control": control,
    }
