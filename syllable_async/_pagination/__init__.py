"""The ways to read a list: offset and keyset pagination. This room sees no network."""

from .cursor import Cursor
from .offset_pager import FetchRows, OffsetPager
from .offset_state import Identity
from .pager import Pager
from .query import FilteredQuery, LabelQuery, ListQuery, PageQuery

__all__ = [
    "Cursor",
    "FetchRows",
    "FilteredQuery",
    "Identity",
    "LabelQuery",
    "ListQuery",
    "OffsetPager",
    "PageQuery",
    "Pager",
]
