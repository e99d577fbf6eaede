"""Spans, read by OpenTelemetry's own SDK: one a call, by the conventions, and no id, number or token in them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, Tracer

from syllable_async import AsyncSyllableClient, InternalServerError, NotFoundError, RetryPolicy, SyllableConnectionError
from syllable_async.testing import FakeSyllable, faults

NUMBER = "+15550100"


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    memory = InMemorySpanExporter()
    yield memory
    memory.shutdown()


@pytest.fixture
def tracer(exporter: InMemorySpanExporter) -> Tracer:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider.get_tracer("tests")


@pytest_asyncio.fixture
async def traced(server: FakeSyllable, tracer: Tracer) -> AsyncIterator[AsyncSyllableClient]:
    policy = RetryPolicy(initial=0, maximum=0)
    async with AsyncSyllableClient(server.api_key, base_url=server.url, tracer=tracer, retries=policy) as client:
        yield client


def only(exporter: InMemorySpanExporter) -> ReadableSpan:
    (span,) = exporter.get_finished_spans()
    return span


async def test_a_call_is_one_span_by_the_conventions(
    traced: AsyncSyllableClient, server: FakeSyllable, exporter: InMemorySpanExporter
) -> None:
    session_id = next(iter(server.sessions))
    await traced.sessions.get_by_id(session_id)
    span = only(exporter)
    assert (span.name, span.kind) == ("GET /api/v1/sessions/{session_id}", SpanKind.CLIENT)
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "url.template": "/api/v1/sessions/{session_id}",
        "server.address": "127.0.0.1",
        "server.port": int(server.url.rpartition(":")[2]),
        "http.response.status_code": 200,
    }
    assert span.status.status_code is StatusCode.UNSET
    assert session_id not in span.to_json()


async def test_retries_are_counted_in_the_one_span(
    traced: AsyncSyllableClient, server: FakeSyllable, exporter: InMemorySpanExporter
) -> None:
    server.faults.add("sessions.list", faults.status(503, times=2))
    await traced.sessions.list(search_fields=["source"], search_field_values=[NUMBER])
    span = only(exporter)
    assert span.attributes is not None
    assert span.attributes["http.request.resend_count"] == 2
    assert NUMBER[1:] not in span.to_json()


@pytest.mark.parametrize(("status", "error"), [(404, NotFoundError), (500, InternalServerError)])
async def test_a_refusal_is_an_error_of_its_status_without_its_text(
    traced: AsyncSyllableClient,
    server: FakeSyllable,
    exporter: InMemorySpanExporter,
    status: int,
    error: type[Exception],
) -> None:
    server.faults.add("sessions.get_full_summary", faults.status(status, body={"detail": "a patient's name"}, times=9))
    with pytest.raises(error):
        await traced.sessions.get_full_summary("1")
    span = only(exporter)
    assert span.attributes is not None
    assert span.attributes["error.type"] == str(status)
    assert span.attributes["http.response.status_code"] == status
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    assert "patient" not in span.to_json()
    assert span.events == ()


async def test_a_connection_that_fails_is_an_error_of_its_class(tracer: Tracer, exporter: InMemorySpanExporter) -> None:
    policy = RetryPolicy(max_attempts=1)
    async with AsyncSyllableClient("key", base_url="http://127.0.0.1:1", tracer=tracer, retries=policy) as client:
        with pytest.raises(SyllableConnectionError):
            await client.sessions.list()
    span = only(exporter)
    assert span.attributes is not None
    assert span.attributes["error.type"] == "SyllableConnectionError"


async def test_a_walk_makes_no_span_of_its_own(
    traced: AsyncSyllableClient, server: FakeSyllable, exporter: InMemorySpanExporter
) -> None:
    rows = [row async for row in traced.sessions.list(limit=20)]
    assert rows
    assert {span.name for span in exporter.get_finished_spans()} == {"GET /api/v1/sessions/"}
    assert len(exporter.get_finished_spans()) == len(server.requests)


async def test_a_recording_is_one_span_and_its_resumes_are_events(
    traced: AsyncSyllableClient, server: FakeSyllable, exporter: InMemorySpanExporter
) -> None:
    session_id = server.add_session(recordings=[b"RIFF" + bytes(40_000)])
    (recording,) = await traced.sessions.recordings(session_id)
    exporter.clear()
    server.faults.add("sessions.stream_recording", faults.cut(10_000))
    assert len(b"".join([chunk async for chunk in recording])) == 40_004
    span = only(exporter)
    assert span.name == "GET /api/v1/sessions/recording/stream"
    assert [event.name for event in span.events] == ["recording.resumed"]
    assert "token" not in span.to_json()


async def test_a_recording_that_fails_or_is_left_ends_its_span(
    traced: AsyncSyllableClient, server: FakeSyllable, exporter: InMemorySpanExporter
) -> None:
    session_id = server.add_session(recordings=[b"RIFF" + bytes(40_000)])
    (left,) = await traced.sessions.recordings(session_id)
    (never_opened,) = await traced.sessions.recordings(session_id)
    exporter.clear()
    async with left:
        pass
    await never_opened.aclose()
    span = only(exporter)
    assert span.status.status_code is StatusCode.UNSET
    exporter.clear()
    with pytest.raises(Exception, match="HTTP 403"):
        await traced.sessions.stream_recording("expired").save("never.wav")
    span = only(exporter)
    assert span.attributes is not None
    assert span.attributes["error.type"] == "403"
