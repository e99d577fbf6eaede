"""The endpoints of the API, and every path of it, once."""

from .lists import Lists
from .session_debug import SessionDebug
from .session_labels import SessionLabels
from .sessions import Sessions

__all__ = ["Lists", "SessionDebug", "SessionLabels", "Sessions"]
