"""The application: a request in, a response out. No socket."""

from __future__ import annotations

from aiohttp import web

from .._request_log import KEY_HEADER, LoggedRequest
from .handlers import API
from .response import Answer, error
from .routes import Call, parse_request, parse_storage_request, slash_redirect
from .settings import Settings


class FakeApp:
    """What a FastAPI application does around its handlers: routes, the key, redirects for a slash."""

    def __init__(self, api: API, api_key: str, settings: Settings) -> None:
        self._api = api
        self._api_key = api_key
        self._redirect_slashes = settings.redirect_slashes

    def parse(self, request: web.BaseRequest, own_origin: str, *, storage: bool) -> Call:
        """The call that a request means; `own_origin` is used where the client names no host."""
        host = request.headers.get("Host")
        scheme, _, _ = own_origin.partition("://")
        parse = parse_storage_request if storage else parse_request
        call = parse(request.method, request.raw_path, f"{scheme}://{host}" if host else own_origin)
        call.range, call.if_range = request.headers.get("Range"), request.headers.get("If-Range")
        call.content_type = request.headers.get("Content-Type")
        call.key = request.headers.get(KEY_HEADER)
        call.expire_tokens = self._api.tokens.expire
        return call

    def respond(self, call: Call) -> Answer:
        """The answer to a call."""
        if call.operation is None:
            return self._unrouted(call)
        if call.operation != "storage.download" and call.key != self._api_key:
            return error(401, "Not authenticated" if call.key is None else "Invalid API key")
        return self._api.answer(call)

    def _unrouted(self, call: Call) -> Answer:
        """405, a redirect to the path with or without the slash at its end, or 404: Starlette's order."""
        if call.allowed:
            return error(405, "Method Not Allowed").with_headers({"Allow": call.allowed})
        other = slash_redirect(call.path) if self._redirect_slashes else None
        if other is None:
            return error(404, "Not Found")
        _, mark, query = call.target.partition("?")
        return Answer(307, {"Location": f"{call.origin}{other}{mark}{query}"}, b"")


def log_entry(request: web.BaseRequest, call: Call, time: float) -> LoggedRequest:
    """What the log keeps of a request: never the key."""
    headers = request.headers.copy()
    if call.key is not None:
        headers[KEY_HEADER] = "***"
    return LoggedRequest(
        method=call.method,
        path=call.path,
        query=call.params,
        headers=headers,
        time=time,
        operation=call.operation,
        key_sent=call.key is not None,
    )
