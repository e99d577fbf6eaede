"""Models as responses of a real FastAPI application, as `syllable_async.models` says."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI, Response
from fastapi.exceptions import FastAPIError

from syllable_async import (
    AsyncSyllableClient,
    ClientClosedError,
    InspectLatencyResponse,
    ListResponseSession,
    Session,
    SessionData,
    SessionSummaryResponse,
    SessionTimelineResponse,
    SessionTranscriptionResponse,
    decode,
    models,
    to_dict,
    to_json,
)
from syllable_async.testing import FakeSyllable

Read = Callable[[AsyncSyllableClient, str], Awaitable[Any]]
READS: dict[type[Any], Read] = {
    Session: lambda client, found: client.sessions.get_by_id(found),
    SessionSummaryResponse: lambda client, found: client.sessions.get_full_summary(found),
    SessionTranscriptionResponse: lambda client, found: client.sessions.get_transcript(found),
    InspectLatencyResponse: lambda client, found: client.sessions.get_latency(found),
    SessionTimelineResponse: lambda client, found: client.sessions.get_timeline(found),
    SessionData: lambda client, found: client.session_debug.get_by_session_id(found),
    ListResponseSession: lambda client, _: client.sessions.list(limit=5),
}


class Service:
    """An application with one client in its lifespan, and a browser."""

    def __init__(self, server: FakeSyllable) -> None:
        self.client: AsyncSyllableClient

        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncGenerator[None, None]:
            async with AsyncSyllableClient(server.api_key, base_url=server.url) as self.client:
                yield

        self.app = FastAPI(lifespan=lifespan)
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.browser = httpx.AsyncClient(transport=transport, base_url="http://service")


@pytest_asyncio.fixture
async def service(server: FakeSyllable) -> AsyncIterator[Service]:
    running = Service(server)
    async with running.app.router.lifespan_context(running.app), running.browser:
        yield running


@pytest.mark.parametrize("cls", READS, ids=lambda cls: cls.__name__)
async def test_a_model_comes_out_as_it_went_in(cls: type[Any], service: Service, server: FakeSyllable) -> None:
    async def as_dict(session_id: str) -> dict[str, Any]:
        return to_dict(await READS[cls](service.client, session_id))

    async def as_json(session_id: str) -> Response:
        return Response(to_json(await READS[cls](service.client, session_id)), media_type="application/json")

    service.app.get("/dict/{session_id}")(as_dict)
    service.app.get("/json/{session_id}")(as_json)
    session_id = next(iter(server.listed))
    expected = await READS[cls](service.client, session_id)
    for route in ("dict", "json"):
        shown = await service.browser.get(f"/{route}/{session_id}")
        assert shown.status_code == 200
        assert shown.headers["content-type"] == "application/json"
        assert decode(shown.content, cls) == expected


async def test_a_model_itself_is_what_the_guide_says(
    service: Service, server: FakeSyllable, capture_errors: list[str]
) -> None:
    async def show(session_id: str):  # type: ignore[no-untyped-def]
        return await service.client.sessions.get_by_id(session_id)

    service.app.get("/sessions/{session_id}")(show)
    assert (await service.browser.get(f"/sessions/{next(iter(server.listed))}")).status_code == 500
    quoted = "vars() argument must have __dict__ attribute"
    assert quoted in (models.__doc__ or "")
    assert any(quoted in text for text in capture_errors)


@pytest.fixture
def capture_errors(service: Service) -> list[str]:
    """The texts of what the application's handlers raised."""
    texts: list[str] = []

    @service.app.middleware("http")
    async def note(request: Any, call_next: Any) -> Any:
        try:
            return await call_next(request)
        except Exception as error:
            texts.append(str(error))
            raise

    assert note is not None
    return texts


def test_a_handler_annotated_with_a_model_is_refused() -> None:
    async def show() -> Session:
        raise AssertionError

    with pytest.raises(FastAPIError, match="Session"):
        FastAPI().get("/")(show)


async def test_the_client_is_closed_with_the_application(server: FakeSyllable) -> None:
    service = Service(server)
    async with service.app.router.lifespan_context(service.app):
        await service.client.sessions.list(limit=1)
    with pytest.raises(ClientClosedError):
        await service.client.sessions.list(limit=1)
