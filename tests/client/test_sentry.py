"""Sentry's SDK on its defaults, in the process of a client: no token and no number of a patient is recorded."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import asyncio, json
import sentry_sdk
from sentry_sdk.transport import Transport

recorded = []


class Memory(Transport):
    def capture_envelope(self, envelope):
        recorded.extend(item.get_bytes().decode(errors="replace") for item in envelope.items)


sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", transport=Memory, traces_sample_rate=1.0, default_integrations=True)

import aiohttp
from syllable_async import AsyncSyllableClient
from syllable_async.testing import FakeSyllable


async def main():
    with sentry_sdk.start_transaction(name="job"):
        async with FakeSyllable(sessions=0) as server:
            session_id = server.add_session(recordings=[b"RIFF" + bytes(1000)])
            async with AsyncSyllableClient(server.api_key, base_url=server.url) as client:
                for recording in await client.sessions.recordings(session_id):
                    async for _ in recording:
                        pass
                await client.sessions.list(search_fields=["source"], search_field_values=["+1555" "0100"])
                try:
                    await client.sessions.stream_recording("a-secret" "-token").save("never.wav")
                except Exception as error:
                    sentry_sdk.capture_exception(error)
            tokens = [request.param("token") for request in server.requests.to("sessions.stream_recording")]
            async with aiohttp.ClientSession() as bare:
                await bare.get(server.url + "/api/v1/sessions/?bare=seen-when-bare")
    sentry_sdk.flush()
    print(json.dumps({"recorded": recorded, "tokens": tokens, "key": server.api_key}))


asyncio.run(main())
"""


def test_sentry_on_its_defaults_records_no_token() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    seen = json.loads(done.stdout.splitlines()[-1])
    text = "\n".join(seen["recorded"])
    assert "seen-when-bare" in text  # so a session that is not ours would have been recorded
    assert len(seen["tokens"]) == 2
    # The program's own lines are recorded with an error, so no secret stands in one of them.
    for secret in (*seen["tokens"], seen["key"], "5550100"):
        assert secret not in text
