"""The client that the matrix is about."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

import aiohttp

from syllable_async import AsyncSyllableClient, RetryPolicy, make_converter
from syllable_async._timing import Clock
from tests.fault_matrix.client_under_test import Settings
from tests.fault_matrix.secrets import SESSION_ID, TOKEN

_CONVERTER = make_converter()  # one for all cells: making it takes longer than most of them


class _Client(AsyncSyllableClient):
    """Reads the loop's clock instead of the machine's."""

    _clock = Clock(lambda: asyncio.get_running_loop().time(), asyncio.sleep)


class Ours:
    """Asks `AsyncSyllableClient`."""

    logs = True

    def __init__(self, url: str, settings: Settings) -> None:
        self._session = None
        if settings.pool is not None:
            connector = aiohttp.TCPConnector(limit=settings.pool)
            self._session = aiohttp.ClientSession(connector=connector, **settings.session)
        policy = RetryPolicy(deadline=settings.deadline, on_retry=self._on_retry)
        self._settings = settings
        self.client = _Client(
            settings.key,
            base_url=url,
            session=self._session,
            retries=policy,
            timeout=settings.timeout,
            headers=settings.headers,
            converter=_CONVERTER,
            allow_insecure_http=True,
        )

    def _on_retry(self, attempt: int, error: Exception, delay: float) -> None:
        if self._settings.on_retry is not None:
            self._settings.on_retry()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pool = self.client._transport.pool
        await self.client.aclose()
        for _ in range(5):  # what was ended has its turn to give its connection back
            await asyncio.sleep(0)
        free = all(slots.free == slots.size for slots in (pool.calls, pool.streams, pool.calls.shared) if slots)
        assert kind or free, "a connection was not given back"
        if self._session is not None:
            await self._session.close()

    def judged(self, error: Exception) -> Exception:
        return error

    async def ask(self, operation: str, deadline: float | None = None) -> Any:
        client = self.client
        if deadline is not None:
            client = client.with_options(retries=RetryPolicy(deadline=deadline))
        sessions = client.sessions
        match operation:
            case "L":
                page = await sessions.list(search_fields=["session_id"], search_field_values=[SESSION_ID])
                return [session.source for session in page.items]
            case "W":
                walk = sessions.list(search_fields=["session_id"], search_field_values=[SESSION_ID])
                return [session.source async for session in walk]
            case "G-session":
                return (await sessions.get_by_id(SESSION_ID)).source
            case "G-summary":
                return (await sessions.get_full_summary(SESSION_ID)).summary
            case "G-transcript":
                return [said.text for said in (await sessions.get_transcript(SESSION_ID)).transcription]
            case "G-latency":
                return [entry.label for entry in (await sessions.get_latency(SESSION_ID)).timeline]
            case "G-timeline":
                return [event.text for event in (await sessions.get_timeline(SESSION_ID)).events]
            case "U":
                return list((await sessions.generate_recording_urls(SESSION_ID)).recordings or ())
            case "P":
                reply = await client.request("POST", "/api/v1/session_labels/", json={"code": "good"})
                return reply.json()["note"]
            case _:
                async with sessions.stream_recording(TOKEN) as recording:
                    return b"".join([chunk async for chunk in recording])
