"""The ways to read a list: offset and keyset pagination. This room sees no network."""

from .cursor import Cursor
from .pager import Pager
from .query import ListQuery
from .windows import TimeWindow, WindowIterator, windows

__all__ = ["Cursor", "ListQuery", "Pager", "TimeWindow", "WindowIterator", "windows"]
