"""The endpoints of the sessions API. Every path of it stands here, once."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Collection, Iterable
from datetime import datetime
from functools import partial
from typing import TypeVar

from .._decoding import Converter, decode
from .._http import (
    RecordingRequest,
    Transport,
    check_recording_token,
    check_recording_url,
    encode_path_segment,
    token_of_api_url,
)
from .._messages import Request
from .._pagination import ListQuery, Pager, WindowIterator, windows
from .._recordings import RecordingStream, recording_stem
from .._retry import Retries, StreamRetrier
from ..errors import RecordingError
from ..models import (
    InspectLatencyResponse,
    ListResponseSession,
    OrderByDirection,
    Session,
    SessionProperties,
    SessionRecordingResponse,
    SessionSummaryResponse,
    SessionTimelineResponse,
    SessionTranscriptionResponse,
)

T = TypeVar("T")

_LIST = "/api/v1/sessions/"
_BY_ID = "/api/v1/sessions/{session_id}"
_FULL_SUMMARY = "/api/v1/sessions/full-summary/{session_id}"
_TRANSCRIPT = "/api/v1/sessions/transcript/{session_id}"
_LATENCY = "/api/v1/sessions/latency/{session_id}"
_TIMELINE = "/api/v1/sessions/timeline/{session_id}"
_RECORDING_URLS = "/api/v1/sessions/recording/{session_id}"
_RECORDING_STREAM = "/api/v1/sessions/recording/stream"


class Sessions:
    """The sessions of one organisation; `client.sessions`.

    Every call takes `retries=`, a `RetryPolicy` or tenacity `AsyncRetrying` in place of the client's, and raises the
    errors under `SyllableError`: `APIError` for what the API refused, `SyllableConnectionError` where no whole answer
    came, `ResponseValidationError` where it does not fit. Wrong arguments are refused before anything is sent.
    """

    def __init__(self, transport: Transport, converter: Converter) -> None:
        self._transport = transport
        self._converter = converter

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        search_fields: Iterable[SessionProperties | str] | None = None,
        search_field_values: Iterable[str] | None = None,
        order_by: SessionProperties | str | None = None,
        order_by_direction: OrderByDirection | str | None = None,
        fields: Iterable[SessionProperties | str] | None = None,
        start_datetime: datetime | str | None = None,
        end_datetime: datetime | str | None = None,
        retries: Retries = None,
    ) -> Pager:
        """Sessions that match, page by page: `GET /api/v1/sessions/`. Nothing is sent yet.

        `await` the result for the one page asked for, `async for` over it for every session from that page on, or use
        its `items`, `pages`, `snapshot` and `follow`.

        Args:
            page: 0-based; the API starts at 0.
            limit: sessions a page; the API gives 25. A walk without it asks for 100.
            search_fields: properties to filter by, all of which must match.
            search_field_values: the value for each of `search_fields`, by index.
            order_by: property to sort by. The API documents no default order.
            order_by_direction: `"asc"` or `"desc"`.
            fields: properties to return; the others are None then. Without it all are returned.
            start_datetime: earliest time, an aware `datetime`, or a string that is sent as it is.
            end_datetime: latest time, likewise. Whether a bound is inclusive the API does not say.
            retries: in place of the client's policy.
        """
        query = ListQuery.from_arguments(
            page=page,
            limit=limit,
            search_fields=search_fields,
            search_field_values=search_field_values,
            order_by=order_by,
            order_by_direction=order_by_direction,
            fields=fields,
            start_datetime=start_datetime,
            end_datetime=end_datetime,
        )
        return Pager(partial(self._fetch_page, retries), query, sleep=self._transport.retrier.sleep)

    def windows(
        self, start_datetime: datetime, end_datetime: datetime, max_sessions: int = 5000, *, retries: Retries = None
    ) -> WindowIterator:
        """Cut a span of time into consecutive windows, to walk them side by side. Nothing is sent yet.

        Each window is half-open and holds at most `max_sessions` sessions, found by asking for totals and halving; an
        instant with more is a window by itself, and its `count` says so. Walk each with
        `list(start_datetime=window.start, end_datetime=window.end).snapshot()`: then every session of the span comes
        once, whether the server's bounds are inclusive or not.

        Args:
            start_datetime: aware, inclusive.
            end_datetime: aware, exclusive.
            max_sessions: at most so many in a window.
            retries: in place of the client's policy.
        """
        return windows(partial(self._fetch_page, retries), start_datetime, end_datetime, max_sessions)

    async def _fetch_page(self, retries: Retries, query: ListQuery) -> ListResponseSession:
        request = Request(method="GET", path_template=_LIST, path=_LIST, query=query.to_query_items())
        return await self._fetch(request, ListResponseSession, retries)

    async def get_by_id(self, session_id: str, *, retries: Retries = None) -> Session:
        """One session: `GET /api/v1/sessions/{session_id}`. `NotFoundError` where there is none."""
        return await self._fetch(_session_request(_BY_ID, session_id), Session, retries)

    async def get_full_summary(self, session_id: str, *, retries: Retries = None) -> SessionSummaryResponse:
        """A session's summary and rating: `GET /api/v1/sessions/full-summary/{session_id}`."""
        return await self._fetch(_session_request(_FULL_SUMMARY, session_id), SessionSummaryResponse, retries)

    async def get_transcript(
        self, session_id: str, *, wait_complete: float | None = None, retries: Retries = None
    ) -> SessionTranscriptionResponse:
        """What was said and which tools were used: `GET /api/v1/sessions/transcript/{session_id}`.

        Transcripts reach the API some time after the call, and for a running session, for channels other than voice
        and for old sessions `transcript_complete` never turns true: hence the limit.

        Args:
            session_id: the session.
            wait_complete: seconds to ask again (after 1 s, 2 s and so on up to 15 s) until `transcript_complete` is
                true; the last reply is returned either way. None or 0: ask once.
            retries: in place of the client's policy.
        """
        if wait_complete is not None and not 0 <= wait_complete < float("inf"):
            raise ValueError("wait_complete must be a number of seconds from 0 on, or None")
        request = _session_request(_TRANSCRIPT, session_id)
        retrier = self._transport.retrier
        until = retrier.throttle.clock() + (wait_complete or 0.0)
        pause = 1.0
        while True:
            transcript = await self._fetch(request, SessionTranscriptionResponse, retries)
            left = until - retrier.throttle.clock()
            if transcript.transcript_complete or not wait_complete or left <= 0:
                return transcript
            await retrier.sleep(min(pause, left))
            pause = min(2 * pause, 15.0)

    async def get_latency(self, session_id: str, *, retries: Retries = None) -> InspectLatencyResponse:
        """Where a session's time went: `GET /api/v1/sessions/latency/{session_id}`."""
        return await self._fetch(_session_request(_LATENCY, session_id), InspectLatencyResponse, retries)

    async def get_timeline(self, session_id: str, *, retries: Retries = None) -> SessionTimelineResponse:
        """A session's events in order: `GET /api/v1/sessions/timeline/{session_id}`."""
        return await self._fetch(_session_request(_TIMELINE, session_id), SessionTimelineResponse, retries)

    async def generate_recording_urls(self, session_id: str, *, retries: Retries = None) -> SessionRecordingResponse:
        """Fresh URLs of a session's recordings: `POST /api/v1/sessions/recording/{session_id}`.

        The URLs hold tokens: do not log them. Minting them again does no harm, so the call is retried like a GET.
        """
        return await self._fetch(
            _session_request(_RECORDING_URLS, session_id, method="POST"), SessionRecordingResponse, retries
        )

    def stream_recording(self, token: str, *, retries: Retries = None) -> RecordingStream:
        """The recording behind a token: `GET /api/v1/sessions/recording/stream`. Nothing is sent before it is opened.

        Args:
            token: the `token` of a URL from `generate_recording_urls`. `recordings` does that part by itself, and can
                also mint again when the token expires midway.
            retries: in place of the client's policy.
        """
        sessions = self._with_policy(retries)
        opening = sessions._api_recording(token)
        return sessions._stream(opening, f"recording-{hashlib.sha256(token.encode()).hexdigest()[:12]}")

    async def recordings(
        self, session_id: str, *, allow_hosts: Collection[str] = (), retries: Retries = None
    ) -> tuple[RecordingStream, ...]:
        """A session's recordings, unopened; empty where there are none. Each can mint its URL again.

        Args:
            session_id: the session.
            allow_hosts: `host` or `host:port` that recordings may lie on although it is not https or a literal
                address. Foreign hosts never see the key.
            retries: in place of the client's policy.

        Raises:
            UntrustedRecordingURLError: a URL that is neither the API's own nor https, or that carries a user name.
        """
        sessions = self._with_policy(retries)
        urls = (await sessions.generate_recording_urls(session_id)).recordings or ()
        openings = [sessions._recording_request(url, allow_hosts) for url in urls]
        return tuple(
            sessions._stream(
                opening,
                recording_stem(session_id, index),
                partial(sessions._renew_recording, session_id, index, allow_hosts),
            )
            for index, opening in enumerate(openings)
        )

    def _with_policy(self, retries: Retries) -> Sessions:
        """The same with another policy for all that a stream does: waiting for a connection, opening, minting."""
        return self if retries is None else Sessions(self._transport.with_policy(retries), self._converter)

    def _stream(
        self, opening: RecordingRequest, name: str, mint: Callable[[], Awaitable[RecordingRequest]] | None = None
    ) -> RecordingStream:
        retrier = StreamRetrier(self._transport.retrier, opening.request)
        timeout, clock = self._transport.timeout, self._transport.retrier.throttle.clock
        return RecordingStream(opening, retrier=retrier, timeout=timeout, mint=mint, name=name, clock=clock)

    async def _renew_recording(self, session_id: str, index: int, allow_hosts: Collection[str]) -> RecordingRequest:
        urls = (await self.generate_recording_urls(session_id)).recordings or ()
        if index >= len(urls):
            raise RecordingError("the session no longer has this recording")
        return self._recording_request(urls[index], allow_hosts)

    def _recording_request(self, url: str, allow_hosts: Collection[str]) -> RecordingRequest:
        """How to open a URL that the API gave: its own through the endpoint with the key, a foreign one without."""
        token = token_of_api_url(url, f"{self._transport.base}{_RECORDING_STREAM}")
        if token is not None:
            return self._api_recording(token, allow_hosts)
        request = Request(method="GET", path_template="(recording on another host)", path="")
        at = check_recording_url(url, allow_hosts)
        return RecordingRequest(transport=self._transport, request=request, foreign_url=at, allow_hosts=allow_hosts)

    def _api_recording(self, token: str, allow_hosts: Collection[str] = ()) -> RecordingRequest:
        check_recording_token(token)
        query = (("token", token),)
        request = Request(method="GET", path_template=_RECORDING_STREAM, path=_RECORDING_STREAM, query=query)
        return RecordingRequest(transport=self._transport, request=request, allow_hosts=allow_hosts)

    async def _fetch(self, request: Request, cls: type[T], retries: Retries) -> T:
        """The road, there and back."""
        reply = await self._transport.send(request, retries)
        return decode(reply.body, cls, self._converter)


def _session_request(template: str, session_id: str, *, method: str = "GET") -> Request:
    path = template.replace("{session_id}", encode_path_segment(session_id, "session_id"))
    return Request(method=method, path_template=template, path=path)
