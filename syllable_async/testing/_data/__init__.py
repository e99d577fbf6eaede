"""The data of one fake: sessions, what was said in them, and their recordings."""

from . import conversations, debug
from .audio import wav
from .conversations import Conversation
from .labels import Labels
from .query import MICROSECONDS, Bounds, ListQuery, Resolution
from .replica import Replica, ReplicatedStore
from .seeded import VOICE, Row, instant_of, timestamp_text
from .store import Listing, Store

__all__ = [
    "MICROSECONDS",
    "VOICE",
    "Bounds",
    "Conversation",
    "Labels",
    "ListQuery",
    "Listing",
    "Replica",
    "ReplicatedStore",
    "Resolution",
    "Row",
    "Store",
    "conversations",
    "debug",
    "instant_of",
    "timestamp_text",
    "wav",
]
