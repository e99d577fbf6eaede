"""The data of one fake: sessions, what was said in them, and their recordings."""

from . import conversations
from .audio import wav
from .conversations import Conversation
from .query import MICROSECONDS, Bounds, ListQuery, Resolution
from .replica import Replica, ReplicatedStore
from .seeded import VOICE, Row, instant_of
from .store import Listing, Store

__all__ = [
    "MICROSECONDS",
    "VOICE",
    "Bounds",
    "Conversation",
    "ListQuery",
    "Listing",
    "Replica",
    "ReplicatedStore",
    "Resolution",
    "Row",
    "Store",
    "conversations",
    "instant_of",
    "wav",
]
