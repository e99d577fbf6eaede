"""A service on FastAPI: one client for its lifetime, pages and search, errors mapped, recordings with ranges.

    python examples/fastapi_service.py --port 8000        then open http://127.0.0.1:8000/docs

    GET /sessions?page=0&limit=25&agent=Front%20Desk      a page, newest first; `Link` names the next one
    GET /sessions/{id}/summary                            its summary and rating
    GET /sessions/{id}/recordings/{n}                     streamed through, also a range of it: a player can seek

It knows no users: patients are talked about here, so put it behind something that does.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from _connect import check_key, connect, make_parser
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from uvicorn import run

from syllable_async import (
    AsyncSyllableClient,
    BadRequestError,
    HTTPValidationError,
    ListResponseSession,
    NotFoundError,
    RateLimitError,
    RecordingStream,
    RetryPolicy,
    SyllableError,
    SyllableTimeoutError,
    to_json,
)

STATUSES: dict[type[SyllableError], int] = {
    NotFoundError: 404,
    BadRequestError: 400,
    HTTPValidationError: 400,
    RateLimitError: 503,
    SyllableTimeoutError: 504,
    SyllableError: 502,  # all others, a refused key of ours among them, are no fault of the caller's
}
AUDIO = {
    b"RIFF": "audio/wav",
    b"OggS": "audio/ogg",
    b"fLaC": "audio/flac",
    b"ID3": "audio/mpeg",
    b"\xff\xfb": "audio/mpeg",
}
"""What recordings begin with. The API says `application/octet-stream`, and not every browser plays that."""
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
router = APIRouter()


def opened_client(request: Request) -> AsyncSyllableClient:
    client: AsyncSyllableClient = request.state.client
    return client


Client = Annotated[AsyncSyllableClient, Depends(opened_client)]


@router.get("/sessions")
async def list_sessions(
    request: Request,
    client: Client,
    page: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=100)] = 25,
    agent: str | None = None,
) -> Response:
    """One page, newest first; of one agent, if a name is given."""
    found = await client.sessions.list(
        page=page,
        limit=limit,
        search_fields=["agent_name"] if agent else None,
        search_field_values=[agent] if agent else None,
        order_by="timestamp",
        order_by_direction="desc",
    )
    headers = dict(HEADERS)
    if has_next(found):
        headers["Link"] = f'<{request.url.include_query_params(page=page + 1)}>; rel="next"'
    return Response(to_json(found), media_type="application/json", headers=headers)


def has_next(found: ListResponseSession) -> bool:
    """Where the API gives no totals, a full page may have a next one."""
    if found.total_pages is None:
        return len(found.items) >= found.page_size
    return found.page + 1 < found.total_pages


@router.get("/sessions/{session_id}/summary")
async def show_summary(client: Client, session_id: str) -> Response:
    """Summary and rating; either may be missing."""
    found = await client.sessions.get_full_summary(session_id)
    return Response(to_json(found), media_type="application/json", headers=HEADERS)


async def opened_recording(client: Client, session_id: str, number: int) -> AsyncGenerator[RecordingStream]:
    """Open until the response has been sent, or whatever ends it."""
    recordings = await client.sessions.recordings(session_id)
    if not 0 <= number < len(recordings):
        raise HTTPException(404, "the session has no such recording")
    async with recordings[number] as recording:
        yield recording


@router.get("/sessions/{session_id}/recordings/{number}")
async def stream_recording(
    recording: Annotated[RecordingStream, Depends(opened_recording, scope="request")],
    range_: Annotated[str | None, Header(alias="Range")] = None,
    if_range: Annotated[str | None, Header()] = None,
) -> StreamingResponse:
    """The whole, or one range of bytes (RFC 9110, 14). A recording that breaks off breaks the connection."""
    total, etag, headers = recording.total_bytes, recording.etag or "", dict(HEADERS)
    status, span = 200, None
    if total is not None:  # no range can be told of a whole without a length
        headers["Accept-Ranges"] = "bytes"
        span = parse_range(range_, total) if if_range in {None, etag} else None
        status, span = (200, range(total)) if span is None else (206, span)
        if status == 206:
            headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{total}" if span else f"bytes */{total}"
            if not span:
                raise HTTPException(416, "the recording has no such bytes", headers)
        headers["Content-Length"] = str(len(span))
    if etag.startswith('"'):
        headers["ETag"] = etag
    chunks = aiter(recording)
    first = await anext(chunks, b"")
    kind = media_type(recording.content_type, first)
    return StreamingResponse(select(first, chunks, span, whole=status == 200), status, headers, kind)


def parse_range(header: str | None, total: int) -> range | None:
    """The bytes that a `Range` header selects, none of them where it asks beyond the end; None: it is to be ignored."""
    found = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", header or "")
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        return range(total)[max(total - int(last), 0) :]
    if last and int(last) < int(first):
        return None
    return range(total)[int(first) : int(last) + 1 if last else None]


def media_type(declared: str | None, first: bytes) -> str:
    """The type of a recording that begins so; never the API's word for a page on our origin."""
    if declared and declared.startswith("audio/"):
        return declared.partition(";")[0]
    return next((kind for begin, kind in AUDIO.items() if first.startswith(begin)), "application/octet-stream")


async def select(
    chunk: bytes, chunks: AsyncIterator[bytes], span: range | None, *, whole: bool
) -> AsyncIterator[bytes]:
    """These bytes. The recording is read from its beginning: what comes before them is left out."""
    position = 0
    while chunk:
        yield chunk if span is None else chunk[max(span.start - position, 0) : max(span.stop - position, 0)]
        position += len(chunk)
        if span is not None and position >= span.stop and not whole:
            return  # the whole is read on to its end, which may tell that something was wrong
        chunk = await anext(chunks, b"")


async def on_error(_: Request, error: Exception) -> JSONResponse:
    """Our errors as statuses. The caller is told the kind only."""
    status = next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
    headers = dict(HEADERS)
    if isinstance(error, RateLimitError):
        headers["Retry-After"] = str(round(error.retry_after or 1))
    return JSONResponse({"error": type(error).__name__}, status, headers)


def make_app(demo: bool = False, **settings: Any) -> FastAPI:
    """The service; its client lives as long, with these settings."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[dict[str, Any]]:
        async with connect(demo, **settings) as (client, _fake):
            yield {"client": client}

    app = FastAPI(title="Sessions", lifespan=lifespan)
    app.include_router(router)
    app.add_exception_handler(SyllableError, on_error)
    return app


if __name__ == "__main__":
    parser = make_parser(__doc__)
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (%(default)s)")
    arguments = parser.parse_args()
    check_key(arguments.demo)
    # Nobody waits half a minute for a web page.
    app = make_app(arguments.demo, retries=RetryPolicy(deadline=10), timeout=5)
    run(app, host="127.0.0.1", port=arguments.port)
