"""How to test a service that uses the client: run it with `pytest examples/testing/test_my_service.py`."""

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from syllable_async import AsyncSyllableClient, SyllableError
from syllable_async.testing import FakeSyllable, faults

pytest_plugins = ["syllable_async.testing.pytest_plugin"]


def my_service(syllable: AsyncSyllableClient) -> web.Application:
    """What you would like to test: `GET /summary/{id}` shows the summary of a session."""

    async def show(request: web.Request) -> web.Response:
        try:
            found = await syllable.sessions.get_full_summary(request.match_info["id"])
        except SyllableError:
            return web.json_response({"error": "try again later"}, status=503)
        return web.json_response({"summary": found.summary})

    service = web.Application()
    service.router.add_get("/summary/{id}", show)
    return service


async def test_a_hiccup_is_not_seen_and_an_outage_is_answered(syllable_server: FakeSyllable) -> None:
    session_id = syllable_server.add_session(summary="All is well.")
    script = faults.status(503, retry_after=0), faults.pass_through(), faults.status(403)
    syllable_server.faults.add("sessions.get_full_summary", *script)
    async with (
        AsyncSyllableClient(syllable_server.api_key, base_url=syllable_server.url) as syllable,
        TestClient(TestServer(my_service(syllable))) as client,
    ):
        first, second = [await client.get(f"/summary/{session_id}") for _ in range(2)]
        assert await first.json() == {"summary": "All is well."}
        assert second.status == 503
    syllable_server.faults.assert_all_met()
    assert len(syllable_server.requests) == 3
