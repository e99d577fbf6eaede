"""A client as it is often written, to show that the matrix can fail."""

from __future__ import annotations

import asyncio
import json
from types import TracebackType
from typing import Any, Self

import aiohttp

from syllable_async import errors
from tests.fault_matrix.client_under_test import Settings
from tests.fault_matrix.expected_errors import class_of
from tests.fault_matrix.secrets import KEY, SESSION_ID, TOKEN


class NaiveClient:
    """The key as the session's default header, redirects followed, four attempts around `resp.json()`."""

    logs = False

    def __init__(self, url: str, settings: Settings) -> None:
        self._url = url
        self._key = settings.key if isinstance(settings.key, str) else KEY
        self._timeout = aiohttp.ClientTimeout(total=settings.timeout)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            self._url, headers={"Syllable-API-Key": self._key}, timeout=self._timeout, raise_for_status=True
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def ask(self, operation: str, deadline: float | None = None) -> Any:
        by_id = "/api/v1/sessions/{}" + SESSION_ID
        match operation:
            case "L" | "W":
                page = await self._json("GET", f"/api/v1/sessions/?search_field_values={SESSION_ID}")
                return [item["source"] for item in page["items"]]
            case "G-session":
                return (await self._json("GET", by_id.format("")))["source"]
            case "G-summary":
                return (await self._json("GET", by_id.format("full-summary/")))["summary"]
            case "G-transcript":
                reply = await self._json("GET", by_id.format("transcript/"))
                return [said["text"] for said in reply["transcription"]]
            case "G-latency":
                reply = await self._json("GET", by_id.format("latency/"))
                return [entry["label"] for entry in reply["timeline"]]
            case "G-timeline":
                reply = await self._json("GET", by_id.format("timeline/"))
                return [event["text"] for event in reply["events"]]
            case "U":
                return (await self._json("POST", by_id.format("recording/")))["recordings"]
            case "P":
                return (await self._json("POST", "/api/v1/session_labels/", json={"code": "good"}))["note"]
            case _:
                return await self._retried("GET", f"/api/v1/sessions/recording/stream?token={TOKEN}")

    async def _json(self, method: str, path: str, **options: Any) -> Any:
        return json.loads(await self._retried(method, path, **options))

    async def _retried(self, method: str, path: str, **options: Any) -> bytes:
        assert self._session is not None
        for attempt in range(4):
            try:
                async with self._session.request(method, path, **options) as response:
                    return await response.read()
            except (aiohttp.ClientError, TimeoutError) as error:
                given_up = isinstance(error, aiohttp.ClientResponseError) and error.status < 500
                if attempt == 3 or given_up:
                    raise
            await asyncio.sleep(0.5 * 2**attempt)
        raise AssertionError

    def judged(self, error: Exception) -> Exception:
        if isinstance(error, aiohttp.ClientResponseError):
            return class_of(error.status)(status=error.status)
        if isinstance(error, TimeoutError):
            return errors.SyllableTimeoutError("timeout", self._timeout.total or 0.0)
        if isinstance(error, aiohttp.ClientError):
            return errors.SyllableConnectionError("")
        return errors.ResponseValidationError("", "", "") if isinstance(error, ValueError | LookupError) else error
