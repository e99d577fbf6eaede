"""The endpoints of the sessions API. Every path of it stands here, once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Literal, Self, TypeAlias

import attrs

from .._decoding import Converter, decode, decode_page
from .._http import RecordingRequest, Transport, encode_path_segment
from .._messages import Page, Request
from .._pagination import ListQuery, Pager
from .._recordings import (
    BulkProgress,
    DiskThreads,
    DownloadIterator,
    IfExists,
    Opener,
    RecordingStream,
    SessionSource,
    download_recordings,
    recording_stem,
)
from .._retry import CallState, Retries
from .._validators import check_strings, non_negative_seconds
from ..errors import NotFoundError, RecordingChangedError, ResponseValidationError
from ..models import (
    InspectLatencyResponse,
    InvalidRow,
    ListResponseSession,
    OrderByDirection,
    Session,
    SessionProperties,
    SessionRecordingResponse,
    SessionSummaryResponse,
    SessionTimelineResponse,
    SessionTranscriptionResponse,
)
from .endpoint import Endpoint, InvalidRowHook

PropertyName: TypeAlias = Literal[
    "timestamp",
    "session_id",
    "conversation_id",
    "channel_manager_service",
    "channel_manager_type",
    "channel_manager_sid",
    "agent_type",
    "agent_id",
    "agent_name",
    "prompt_id",
    "prompt_name",
    "experiment_id",
    "experiment_variant_id",
    "source",
    "target",
    "duration",
    "is_outbound",
    "is_legacy",
    "is_test",
]
"""What type checkers and editors complete. Any other str is taken, too: a newer API may know more."""
DirectionName: TypeAlias = Literal["asc", "desc"]

_LIST = "/api/v1/sessions/"
_BY_ID = "/api/v1/sessions/{session_id}"
_FULL_SUMMARY = "/api/v1/sessions/full-summary/{session_id}"
_TRANSCRIPT = "/api/v1/sessions/transcript/{session_id}"
_LATENCY = "/api/v1/sessions/latency/{session_id}"
_TIMELINE = "/api/v1/sessions/timeline/{session_id}"
_RECORDING_URLS = "/api/v1/sessions/recording/{session_id}"
_RECORDING_STREAM = "/api/v1/sessions/recording/stream"


class Sessions(Endpoint):
    """The sessions of one organisation; `client.sessions`.

    Every call takes `retries=`, a `RetryPolicy` or tenacity `AsyncRetrying` in place of the client's, and raises the
    errors under `SyllableError`: `APIError` for what the API refused, `SyllableConnectionError` where no whole answer
    came, `ResponseValidationError` where it does not fit. Wrong arguments are refused before anything is sent.
    """

    def __init__(self, transport: Transport, converter: Converter, disk_threads: DiskThreads) -> None:
        super().__init__(transport, converter)
        self._disk_threads = disk_threads

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        search_fields: Iterable[SessionProperties | PropertyName | str] | None = None,
        search_field_values: Iterable[str] | None = None,
        order_by: SessionProperties | PropertyName | str | None = None,
        order_by_direction: OrderByDirection | DirectionName | str | None = None,
        fields: Iterable[SessionProperties | PropertyName | str] | None = None,
        start_datetime: datetime | str | None = None,
        end_datetime: datetime | str | None = None,
        on_invalid_row: Callable[[InvalidRow], object] | None = None,
        retries: Retries = None,
    ) -> Pager:
        """Sessions that match, page by page: `GET /api/v1/sessions/`. Nothing is sent yet.

        `await` the result for the one page asked for, `async for` over it for every session from that page on, or use
        its `items`, `pages`, `snapshot` and `follow`.

        The live API was seen to leave test sessions (`Session.is_test`) out of this list, without a word. To have them
        too, in every kind of walk: `search_fields=["is_test"], search_field_values=["true"]`, which adds them and
        does not restrict to them. `get_by_id` finds them in any case.

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
            on_invalid_row: called once with each row that does not fit its model; every other row comes. Without it
                such a row ends the walk with `ResponseValidationError`. `snapshot` and `follow` go by the row's
                timestamp; a page on which no row has one raises `PaginationError`.
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
        sessions, tell = self._with_policy(retries), InvalidRowHook.from_argument(on_invalid_row)
        return Pager(
            partial(sessions._fetch_page, keep_invalid=tell is not None),
            query,
            self._transport.clock,
            sessions._session_exists,
            fetch_rows=lambda query: sessions._fetch_rows(_list_request(query), ListResponseSession, tell),
            fetch_response=sessions._fetch_list if tell is None else None,
            tell_invalid=tell.page if tell is not None else lambda _: None,
        )

    def _fetch_list(self, query: ListQuery) -> Awaitable[ListResponseSession]:
        return self._fetch(_list_request(query), ListResponseSession)

    async def _fetch_page(self, query: ListQuery, *, keep_invalid: bool) -> Page[Session, InvalidRow]:
        """A page with its rows' instants. A walk by key tells of invalid rows itself: it knows which it told before."""
        response = await self._transport.send(_list_request(query))
        return decode_page(response.body, ListResponseSession, self._converter, keep_invalid=keep_invalid)

    async def _session_exists(self, session_id: str) -> bool:
        """Whether a session was not deleted; also one that does not fit its model is there."""
        with suppress(ResponseValidationError):
            try:
                await self.get_by_id(session_id)
            except NotFoundError:
                return False
        return True

    async def get_by_id(self, session_id: str | int, *, retries: Retries = None) -> Session:
        """One session: `GET /api/v1/sessions/{session_id}`. `NotFoundError` where there is none."""
        return await self._with_policy(retries)._fetch(_session_request(_BY_ID, session_id), Session)

    async def get_full_summary(self, session_id: str | int, *, retries: Retries = None) -> SessionSummaryResponse:
        """A session's summary and rating: `GET /api/v1/sessions/full-summary/{session_id}`."""
        return await self._with_policy(retries)._fetch(
            _session_request(_FULL_SUMMARY, session_id), SessionSummaryResponse
        )

    async def get_transcript(
        self, session_id: str | int, *, wait_complete: float | None = None, retries: Retries = None
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
        patience = 0.0 if wait_complete is None else non_negative_seconds("wait_complete", wait_complete)
        sessions, request = self._with_policy(retries), _session_request(_TRANSCRIPT, session_id)
        clock, pause = self._transport.clock, 1.0
        until = clock.monotonic() + patience
        while True:
            transcript = await sessions._fetch(request, SessionTranscriptionResponse)
            left = until - clock.monotonic()
            if transcript.transcript_complete or not patience or left <= 0:
                return transcript
            await clock.sleep(min(pause, left))
            pause = min(2 * pause, 15.0)

    async def get_latency(self, session_id: str | int, *, retries: Retries = None) -> InspectLatencyResponse:
        """Where a session's time went: `GET /api/v1/sessions/latency/{session_id}`."""
        return await self._with_policy(retries)._fetch(_session_request(_LATENCY, session_id), InspectLatencyResponse)

    async def get_timeline(self, session_id: str | int, *, retries: Retries = None) -> SessionTimelineResponse:
        """A session's events in order: `GET /api/v1/sessions/timeline/{session_id}`."""
        return await self._with_policy(retries)._fetch(_session_request(_TIMELINE, session_id), SessionTimelineResponse)

    async def generate_recording_urls(
        self, session_id: str | int, *, retries: Retries = None
    ) -> SessionRecordingResponse:
        """Fresh URLs of a session's recordings: `POST /api/v1/sessions/recording/{session_id}`.

        The URLs hold tokens: do not log them. Minting them again does no harm, so the call is retried like a GET.
        """
        request = _session_request(_RECORDING_URLS, session_id, method="POST")
        return await self._with_policy(retries)._fetch(request, SessionRecordingResponse)

    def stream_recording(self, token: str, *, retries: Retries = None) -> RecordingStream:
        """The recording behind a token: `GET /api/v1/sessions/recording/stream`. Nothing is sent before it is opened.

        Args:
            token: the `token` of a URL from `generate_recording_urls`. `recordings` does that part by itself, and can
                also mint again when the token expires midway.
            retries: in place of the client's policy.
        """
        sessions, call = self._with_policy(retries), CallState()
        request = RecordingRequest.from_token(sessions._transport, _RECORDING_STREAM, token, call).traced()
        return sessions._stream(request, f"recording-{hashlib.sha256(token.encode()).hexdigest()[:12]}")

    async def recordings(
        self, session_id: str | int, *, allow_hosts: Collection[str] = (), retries: Retries = None
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
        hosts = check_strings("allow_hosts", allow_hosts) or ()
        return await self._with_policy(retries)._open_recordings(session_id, hosts, counted=False)

    def download_recordings(
        self,
        sessions: SessionSource,
        directory: str | os.PathLike[str],
        *,
        parallel: int = 8,
        if_exists: IfExists = "skip",
        settle: float = 21600.0,
        progress: BulkProgress | None = None,
        allow_hosts: Collection[str] = (),
        retries: Retries = None,
    ) -> DownloadIterator:
        """Save the recordings of many sessions, and iterate over one `DownloadOutcome` for each. Nothing is sent yet.

        A session that fails is an outcome and not an exception, so the others go on; the outcomes come as sessions are
        done. The files are `<id>-<n>of<count>.<extension>`: a run that was ended anyhow is finished by the same call.
        Break off with `aclose`, or use `async with`: then only whole files are left.

        ```python
        import asyncio

        from syllable_async import AsyncSyllableClient


        async def main() -> None:
            async with AsyncSyllableClient() as client:
                sessions = client.sessions.list(limit=100).items(max_items=200)
                async with client.sessions.download_recordings(sessions, "recordings", parallel=8) as outcomes:
                    async for outcome in outcomes:
                        print(outcome.session_id, outcome.status, outcome.error or "")


        asyncio.run(main())
        ```

        Args:
            sessions: sessions or ids, also from an async iterator such as `list(...).snapshot()`, which is read only as
                far as outcomes are taken.
            directory: made where it is missing.
            parallel: sessions at a time.
            if_exists: as for `RecordingStream.save`; what is skipped costs the minting of its URLs and no stream.
            settle: seconds after its beginning in which a session without recordings is `"pending"`; later it is
                `"none"`. Of an id the session is asked for then. 0: always `"none"`.
            progress: a plain function, called with all bytes and all recordings so far.
            allow_hosts: as for `recordings`.
            retries: in place of the client's policy.

        Raises:
            OSError: the directory cannot be made; from the first step.
            ClientClosedError: the client, or the download, was closed.
        """
        policy, hosts = self._with_policy(retries), check_strings("allow_hosts", allow_hosts) or ()
        return download_recordings(
            sessions,
            directory,
            parallel=parallel,
            if_exists=if_exists,
            settle=settle,
            progress=progress,
            open_recordings=partial(policy._open_recordings, allow_hosts=hosts, counted=True),
            started_at=policy._started_at,
            now=self._transport.clock.now,
            threads=self._disk_threads,
        )

    async def _started_at(self, session_id: str) -> datetime:
        return (await self.get_by_id(session_id)).timestamp

    async def _open_recordings(
        self, session_id: str | int, allow_hosts: Collection[str], *, counted: bool
    ) -> tuple[RecordingStream, ...]:
        """A session's recordings; `counted`: whether how many there are stands in their names."""
        urls = (await self.generate_recording_urls(session_id)).recordings or ()
        streams = list[RecordingStream]()
        for index, url in enumerate(urls):
            name = recording_stem(str(session_id), index, len(urls) if counted else None)
            request = RecordingRequest.from_url(self._transport, _RECORDING_STREAM, url, CallState(), allow_hosts)
            request = request.traced()
            renew = partial(self._renew_recording, session_id, index, len(urls), request)
            streams.append(self._stream(request, name, renew))
        return tuple(streams)

    def _with_policy(self, retries: Retries) -> Self:
        """The same with another policy; None: this one."""
        return (
            self
            if retries is None
            else type(self)(self._transport.with_policy(retries), self._converter, self._disk_threads)
        )

    def _stream(
        self, request: RecordingRequest, name: str, renew: Callable[[], Awaitable[Opener]] | None = None
    ) -> RecordingStream:
        transport = self._transport
        return RecordingStream(
            request.open,
            retry=partial(transport.retrier.run, request=request.request, call=request.call),
            clock=transport.clock,
            timeout=transport.timeout,
            renew=renew,
            name=name,
            on_end=None if request.span is None else request.span.end,
            threads=self._disk_threads,
        )

    async def _renew_recording(
        self, session_id: str | int, index: int, count: int, request: RecordingRequest
    ) -> Opener:
        """A newer URL of a recording, within the attempt that found the old one expired.

        Raises:
            RecordingChangedError: nothing says that the URL in its place is of the same recording.
        """
        mint = _session_request(_RECORDING_URLS, session_id, method="POST")
        response = await self._transport.send_once(mint, request.call)
        urls = decode(response.body, SessionRecordingResponse, self._converter).recordings or ()
        if len(urls) != count:
            raise RecordingChangedError(f"the session has {len(urls)} recordings now, it had {count}")
        renewed = RecordingRequest.from_url(
            self._transport, _RECORDING_STREAM, urls[index], request.call, request.allow_hosts
        )
        if not renewed.is_same_recording(request):
            raise RecordingChangedError("the session's list of recordings has changed: this may be another one")
        return attrs.evolve(renewed, span=request.span).open


def _list_request(query: ListQuery) -> Request:
    return Request(method="GET", path_template=_LIST, path=_LIST, query=query.to_query_items())


def _session_request(template: str, session_id: str | int, *, method: str = "GET") -> Request:
    path = template.replace("{session_id}", encode_path_segment(session_id, "session_id"))
    return Request(method=method, path_template=template, path=path)
