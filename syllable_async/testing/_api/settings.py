"""How one fake behaves: what was seen of the live API, and what is only feared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from .._arguments import flag, function, integer, items, one_of, seconds, text, wrong_type
from .._data import Bounds, Listing, Replica, Resolution

RecordingUrls = Literal["own", "token", "public", "http", "relative", "signed"]
"""What stands in a list of recordings."""
RecordingList = Literal["stable", "growing", "reordered"]
"""What becomes of the list of recordings when it is asked for again."""
Totals = Literal["exact", "null"] | int
Echo = Literal["served", "asked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`FakeSyllable`'s docstring says what each of them means."""

    numeric_ids: bool
    refuse_sids: bool
    hide_tests: bool
    refuse_is_outbound: bool
    redirect_slashes: bool
    bounds: Bounds
    token_lifetime: float
    listing: Listing
    replica_lag: float
    replica: Replica
    totals: Totals
    bounds_resolution: Resolution
    timestamp_resolution: Resolution
    max_limit: int | Sequence[int] | None
    page_size: Echo
    recording_urls: RecordingUrls
    public_url: str
    recording_list: RecordingList

    def __post_init__(self) -> None:
        for name in ("numeric_ids", "refuse_sids", "hide_tests", "refuse_is_outbound", "redirect_slashes"):
            flag(getattr(self, name), name)
        for name, choices in _CHOICES.items():
            one_of(getattr(self, name), name, get_args(choices))
        seconds(self.token_lifetime, "token_lifetime")
        seconds(self.replica_lag, "replica_lag")
        if isinstance(self.totals, str) or integer(self.totals, "totals", least=0) < 0:
            one_of(self.totals, "totals", ("exact", "null"))
        _check_listing(self.listing)
        _check_url(self.public_url)
        for number in limits(self.max_limit):
            integer(number, "max_limit", least=1)


_CHOICES: dict[str, Any] = {
    "bounds": Bounds,
    "replica": Replica,
    "bounds_resolution": Resolution,
    "timestamp_resolution": Resolution,
    "page_size": Echo,
    "recording_urls": RecordingUrls,
    "recording_list": RecordingList,
}


def limits(value: int | Sequence[int] | None) -> list[int]:
    """The largest limits that are served, a call each and over again; none: any limit."""
    if value is None:
        return []
    if isinstance(value, int):
        return [value]
    if isinstance(value, str | bytes) or not isinstance(value, Sequence) or not value:
        raise wrong_type(value, "max_limit", "an int or some of them")
    return list(value)


def _check_listing(value: Any) -> None:
    if isinstance(value, str):
        one_of(value, "listing", ("at once", "begin", "end"))
    elif isinstance(value, tuple):
        bounds = [seconds(bound, "listing", least=None) for bound in items(value, "listing")]
        if len(bounds) != 2:
            raise ValueError("listing must be two numbers of seconds, the least and the most")
        least, most = bounds
        if not float("-inf") < least <= most < float("inf"):
            raise ValueError("listing must be two finite numbers of seconds, the least and the most")
    else:
        function(value, "listing, where it is neither a name nor two numbers,")


def _check_url(value: str) -> None:
    parts = urlsplit(text(value, "public_url"))
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path or parts.query:
        raise ValueError("public_url must be a scheme and a host, such as https://api.example.com")


def check_key(value: object) -> None:
    """A key travels in a header; `TypeError` or `ValueError` where it could not."""
    key = text(value, "api_key")
    if not key or key != key.strip() or not (key.isascii() and key.isprintable()):
        raise ValueError("api_key must be printable ASCII, with no space at its ends")


def check_now(now: Callable[[], datetime]) -> None:
    """The wall clock must be a function that gives aware datetimes."""
    function(now, "now")
    moment = now()
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise ValueError("now must give an aware datetime")
