"""A web service over the API: sessions as JSON, a page with player and timeline, recordings streamed through.

    python examples/service.py --port 8080        then open http://127.0.0.1:8080/

    GET /?page=0&agent=Front%20Desk      a page of links, newest first, with search and the next page
    GET /sessions?page=0&limit=25        the same as JSON
    GET /sessions/{id}                   a page with the player, the summary and the timeline
    GET /sessions/{id}/recordings/{n}    a recording, streamed through: at no time more than a piece of it is held

It knows no users: patients are talked about here, so put it behind something that does.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from html import escape
from http import HTTPStatus

from _connect import check_key, connect, make_parser, run
from aiohttp import web
from aiohttp.typedefs import Handler

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
    TimelineEvent,
    to_json,
)

log = logging.getLogger("service")
CLIENT = web.AppKey("client", AsyncSyllableClient)
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; media-src 'self'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
}
STATUSES: dict[type[SyllableError], HTTPStatus] = {
    NotFoundError: HTTPStatus.NOT_FOUND,
    BadRequestError: HTTPStatus.BAD_REQUEST,
    HTTPValidationError: HTTPStatus.BAD_REQUEST,
    RateLimitError: HTTPStatus.SERVICE_UNAVAILABLE,
    SyllableTimeoutError: HTTPStatus.GATEWAY_TIMEOUT,
    # All others, a refused key of ours among them, are no fault of the browser's.
    SyllableError: HTTPStatus.BAD_GATEWAY,
}
AUDIO = {
    b"RIFF": "audio/wav",
    b"OggS": "audio/ogg",
    b"fLaC": "audio/flac",
    b"ID3": "audio/mpeg",
    b"\xff\xfb": "audio/mpeg",
}
"""What recordings begin with. The API says `application/octet-stream`, and not every browser plays that."""
STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:54rem;margin:2rem auto;padding:0 1rem;color:#1f2933}
h1{font-size:1.5rem;margin-bottom:0} .muted{color:#66727f;font-size:.9rem} audio{width:100%;margin:.75rem 0}
ol{list-style:none;padding:0} li{display:flex;gap:1rem;padding:.3rem .75rem;border-left:4px solid #cbd2d9}
li{margin:.2rem 0} a{color:#2a6fdb} .who{min-width:6rem;font-weight:600}
time{color:#66727f;font-variant-numeric:tabular-nums;min-width:3rem}
.agent{border-color:#2a6fdb;background:#f2f6fd} .user{border-color:#d9822b;background:#fdf6ee}
.tool{border-color:#7b4fc9;background:#f7f3fd}
.latency{border-color:#e4e7eb;font-size:.85rem;padding-block:0;color:#66727f}
"""


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Our errors as statuses. What the browser is told is the kind; the log says the rest."""
    try:
        return await handler(request)
    except SyllableError as error:
        failed = error
    status = next(STATUSES[kind] for kind in type(failed).__mro__ if kind in STATUSES)
    log.warning("%s %s: %s", request.method, request.path, failed)
    headers = dict(HEADERS)
    if isinstance(failed, RateLimitError):
        headers["Retry-After"] = str(round(failed.retry_after or 1))
    return web.json_response({"error": type(failed).__name__}, status=status, headers=headers)


def number(text: str, low: int, high: int) -> int:
    """A number of the request's, or 400."""
    if not (text.isascii() and text.isdigit() and low <= int(text[:9]) <= high):
        raise web.HTTPBadRequest(text=f"a number from {low} to {high} is needed")
    return int(text)


async def newest(request: web.Request) -> ListResponseSession:
    page = number(request.query.get("page", "0"), 0, 1_000_000)
    limit = number(request.query.get("limit", "25"), 1, 100)
    agent = request.query.get("agent", "")
    return await request.app[CLIENT].sessions.list(
        page=page,
        limit=limit,
        search_fields=["agent_name"] if agent else None,
        search_field_values=[agent] if agent else None,
        order_by="timestamp",
        order_by_direction="desc",
    )


async def sessions(request: web.Request) -> web.Response:
    return web.Response(body=to_json(await newest(request)), content_type="application/json", headers=HEADERS)


def html(title: str, body: str) -> web.Response:
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    return web.Response(text=f"{head}<h1>{escape(title)}</h1>{body}</html>", content_type="text/html", headers=HEADERS)


async def index(request: web.Request) -> web.Response:
    where, found = request.app.router["session"], await newest(request)
    lines = [
        f"<li><time>{session.timestamp:%Y-%m-%d %H:%M}</time>"
        f'<a href="{where.url_for(id=session.session_id)}">{escape(session.session_id)}</a>'
        f"<span>{escape(session.agent_name or '')}</span></li>"
        for session in found.items
        if session.session_id
    ]
    agent = request.query.get("agent", "")
    search = (
        f'<form><input name="agent" value="{escape(agent)}" placeholder="agent\'s name"> <button>Search</button></form>'
    )
    steps = "".join(
        f'<a rel="{rel}" href="{escape(str(request.rel_url.update_query(page=page)))}">{rel}</a> '
        for rel, page, there in (("prev", found.page - 1, found.page > 0), ("next", found.page + 1, has_next(found)))
        if there
    )
    listed = f"<ol>{''.join(lines)}</ol>" if lines else "<p>No sessions.</p>"
    return html("The newest sessions", f"{search}{listed}<nav>{steps}</nav>")


def has_next(found: ListResponseSession) -> bool:
    """Where the API gives no totals, a full page may have a next one."""
    if found.total_pages is None:
        return len(found.items) >= found.page_size
    return found.page + 1 < found.total_pages


def line(event: TimelineEvent) -> str:
    """One event, whatever it holds: every text of the API's is escaped."""
    kind = event.source if event.kind == "transcript" and event.source in {"agent", "user"} else event.kind
    who = event.source if event.kind == "transcript" else event.category
    what = event.text if event.kind == "transcript" else event.label
    took = "" if event.duration_ms is None else f" · {event.duration_ms:,.0f} ms"
    failed = " · failed" if event.tool_error else ""
    return (
        f'<li class="{escape(kind)}"><time>{escape(event.offset)}</time><span class="who">{escape(who or "")}</span>'
        f"<span>{escape(what or '')}{took}{failed}</span></li>"
    )


async def session_page(request: web.Request) -> web.Response:
    reads, session_id = request.app[CLIENT].sessions, request.match_info["id"]
    session, summary, found, recordings = await asyncio.gather(
        reads.get_by_id(session_id),
        reads.get_full_summary(session_id),
        reads.get_timeline(session_id),
        reads.generate_recording_urls(session_id),
    )
    where = request.app.router["recording"]
    urls = [where.url_for(id=session_id, number=str(index)) for index in range(len(recordings.recordings or ()))]
    players = "".join(f'<audio controls preload="none" src="{url}"></audio>' for url in urls)
    about = f"{session.timestamp:%A, %d %B %Y, %H:%M:%S %Z} · rating: {escape(summary.rating or '-')}"
    text = f'<p class="muted">{about}</p><p>{escape(summary.summary or "No summary.")}</p>'
    events = "".join(line(event) for event in found.events)
    return html(session.agent_name or "Session", f"{text}{players}<ol>{events}</ol>")


async def recording(request: web.Request) -> web.StreamResponse:
    """A recording, piece by piece: a slow browser slows the API down, and one that leaves ends the download."""
    streams = await request.app[CLIENT].sessions.recordings(request.match_info["id"])
    index = number(request.match_info["number"], 0, 1_000)
    if index >= len(streams):
        raise web.HTTPNotFound(text="the session has no such recording")
    async with streams[index] as upstream:  # left by cancellation too, see `handler_cancellation` below
        chunks = aiter(upstream)
        first = await anext(chunks, b"")
        response = web.StreamResponse(headers=HEADERS)
        response.content_type = media_type(upstream.content_type, first)
        span = select_range(request, response, upstream)
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        try:
            await copy(first, chunks, response, span)
        except SyllableError as error:  # the head is out: only a broken connection can say that this is not the whole
            log.warning("%s broke off: %s", request.path, error)
            if request.transport is not None:
                request.transport.abort()
        return response


def select_range(request: web.Request, response: web.StreamResponse, upstream: RecordingStream) -> range:
    """The bytes that are asked for, with the head that tells of them (RFC 9110, 14): a player seeks by ranges."""
    total, etag = upstream.total_bytes, upstream.etag or ""
    if total is None:  # no range can be told of a whole without a length
        return range(sys.maxsize)
    response.headers["Accept-Ranges"] = "bytes"
    if etag.startswith('"'):
        response.headers["ETag"] = etag
    whole = asked = range(total)
    if request.headers.get("If-Range", etag) == etag and "Range" in request.headers:
        with suppress(ValueError):  # several ranges, or words that are none: all of it, as the RFC allows
            asked = whole[request.http_range]
            response.set_status(206)
            response.headers["Content-Range"] = f"bytes {asked.start}-{asked.stop - 1}/{total}"
    if not asked and total:
        raise web.HTTPRequestRangeNotSatisfiable(headers={**HEADERS, "Content-Range": f"bytes */{total}"})
    response.content_length = len(asked)
    return asked


async def copy(chunk: bytes, chunks: AsyncIterator[bytes], response: web.StreamResponse, span: range) -> None:
    """Write these bytes of the recording. It is read from its beginning: what comes before them is left out."""
    position = 0
    while chunk:
        await response.write(chunk[max(span.start - position, 0) : max(span.stop - position, 0)])
        position += len(chunk)
        if position >= span.stop and response.status == 206:
            return  # the whole is read on to its end, which may tell that something was wrong
        chunk = await anext(chunks, b"")


def media_type(declared: str | None, first: bytes) -> str:
    """The type of a recording that begins so; never the API's word for a page on our origin."""
    if declared and declared.startswith("audio/"):
        return declared.partition(";")[0]
    return next((kind for begin, kind in AUDIO.items() if first.startswith(begin)), "application/octet-stream")


def make_app(client: AsyncSyllableClient) -> web.Application:
    app = web.Application(middlewares=[errors])
    app[CLIENT] = client
    session_id = r"{id:\w[\w.~-]*}"
    app.router.add_get("/", index)
    app.router.add_get("/sessions", sessions)
    app.router.add_get(f"/sessions/{session_id}", session_page, name="session")
    app.router.add_get(f"/sessions/{session_id}/recordings/{{number}}", recording, name="recording")
    return app


async def serve(demo: bool, port: int) -> None:
    # Nobody waits half a minute for a web page.
    async with connect(demo, retries=RetryPolicy(deadline=10), timeout=5) as (client, _):
        # Without handler_cancellation a browser that leaves would be noticed at the next write only: late, or never.
        runner = web.AppRunner(make_app(client), handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", port)
            await site.start()
            log.info("http://127.0.0.1:%d/", runner.addresses[0][1])
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()


def port(text: str) -> int:
    """A port of TCP; argparse says what is wrong with another."""
    if int(text) not in range(2**16):
        raise ValueError(text)
    return int(text)


if __name__ == "__main__":
    parser = make_parser(__doc__)
    parser.add_argument("--port", type=port, default=8080, help="0 takes a free one (%(default)s)")
    arguments = parser.parse_args()
    check_key(arguments.demo)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run(serve(arguments.demo, arguments.port))
