"""The endpoints of the API, and every path of it, once."""

from .sessions import Sessions

__all__ = ["Sessions"]
