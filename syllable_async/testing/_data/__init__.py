"""The data of one fake: sessions, what was said in them, and their recordings."""

from . import conversations
from .audio import wav
from .query import Bounds, ListQuery
from .seeded import VOICE, instant_of
from .store import Store

__all__ = ["VOICE", "Bounds", "ListQuery", "Store", "conversations", "instant_of", "wav"]
