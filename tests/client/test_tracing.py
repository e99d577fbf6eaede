"""A borrowed session that is traced: aiohttp's own hooks, and OpenTelemetry's, with the token kept out."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from opentelemetry.instrumentation.aiohttp_client import create_trace_config
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from yarl import URL

from syllable_async import AsyncSyllableClient
from syllable_async.testing import FakeSyllable


def voiced(server: FakeSyllable) -> str:
    return next(name for name in server.sessions if server.recordings(name))


async def use(server: FakeSyllable, trace: aiohttp.TraceConfig) -> str:
    """A session and its recording through a traced session; the token that was used."""
    async with (
        aiohttp.ClientSession(trace_configs=[trace]) as session,
        AsyncSyllableClient(server.api_key, base_url=server.url, session=session) as client,
    ):
        await client.sessions.get_by_id(voiced(server))
        urls = (await client.sessions.generate_recording_urls(voiced(server))).recordings
        assert urls is not None
        token = urls[0].partition("token=")[2]
        async for _ in client.sessions.stream_recording(token):
            pass
        return token


async def test_trace_configs_of_a_borrowed_session_are_called(server: FakeSyllable) -> None:
    seen: list[str] = []
    trace = aiohttp.TraceConfig()

    async def note(_: Any, __: Any, parameters: aiohttp.TraceRequestEndParams) -> None:
        seen.append(f"{parameters.method} {parameters.response.status}")

    trace.on_request_end.append(note)
    await use(server, trace)
    assert seen == ["GET 200", "POST 200", "GET 200"]


@pytest.mark.parametrize("filtered", [True, False])
async def test_opentelemetry_spans_without_the_token(server: FakeSyllable, filtered: bool) -> None:
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))

    def without_query(url: URL) -> str:
        return str(url.with_query(None))

    trace = create_trace_config(url_filter=without_query if filtered else None, tracer_provider=provider)
    token = await use(server, trace)
    finished = spans.get_finished_spans()
    assert [span.name for span in finished] == ["GET", "POST", "GET"]
    text = " ".join(str(span.attributes) for span in finished)
    assert "/api/v1/sessions/recording/stream" in text
    assert server.api_key not in text
    assert (token in text) is not filtered  # without the filter it is there: so the test would see it
