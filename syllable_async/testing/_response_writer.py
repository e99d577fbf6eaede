"""How an answer leaves: whole and at once, or late, in parts, and not to its end."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

from aiohttp import web

from ._api import Answer
from ._fault_queue import Delivery
from ._request_log import LoggedRequest

Sleep = Callable[[float], Awaitable[None]]


def write_plain(answer: Answer, entry: LoggedRequest) -> web.Response:
    """The answer as it should be."""
    _note(answer, entry)
    entry.bytes_sent = len(answer.body)
    return web.Response(status=answer.status, headers=answer.headers, body=answer.body)


async def write_response(
    request: web.BaseRequest, answer: Answer, delivery: Delivery, entry: LoggedRequest, sleep: Sleep
) -> web.StreamResponse:
    """Send the answer the way a fault wants it."""
    await _wait(delivery.delay, sleep)
    if delivery.drop:
        _end(request, delivery)
        return web.Response()
    if delivery == Delivery(delay=delivery.delay):
        return write_plain(answer, entry)
    _note(answer, entry)
    response = _head(answer, delivery)
    await response.prepare(request)
    await _body(response, answer, delivery, entry, sleep)
    if delivery.cut_at is None:
        await response.write_eof()
    if delivery.cut_at is not None or delivery.hang_up:
        _end(request, delivery)
    return response


def _head(answer: Answer, delivery: Delivery) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    if delivery.chunked:
        response.enable_chunked_encoding()
    else:
        response.content_length = len(answer.body)
    return response


async def _body(
    response: web.StreamResponse, answer: Answer, delivery: Delivery, entry: LoggedRequest, sleep: Sleep
) -> None:
    body = answer.body[: delivery.cut_at]
    middle = len(body) if delivery.pause_at is None else delivery.pause_at
    for part, wait in ((body[:middle], delivery.pause), (body[middle:], 0.0)):
        if part:
            await response.write(part)
        entry.bytes_sent += len(part)
        await _wait(wait, sleep)


async def _wait(seconds: float, sleep: Sleep) -> None:
    if seconds == math.inf:
        await asyncio.Event().wait()
    elif seconds:
        await sleep(seconds)


def _note(answer: Answer, entry: LoggedRequest) -> None:
    entry.status = answer.status
    entry.answer_headers = answer.headers


def _end(request: web.BaseRequest, delivery: Delivery) -> None:
    transport = request.transport
    if transport is None:  # pragma: no cover - the client was faster
        return
    if delivery.reset:
        transport.abort()
    else:
        transport.close()
