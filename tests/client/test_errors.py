"""How a call ends that no status explains: a limit that passed, a body that is not the schema's."""

from __future__ import annotations

import pytest

from syllable_async import AsyncSyllableClient, ResponseValidationError, RetryPolicy, SyllableTimeoutError
from syllable_async.testing import FakeSyllable, faults

Client = AsyncSyllableClient


async def test_a_body_that_does_not_fit_the_schema(client: Client, server: FakeSyllable) -> None:
    server.faults.add("*", faults.broken_json(), faults.status(200, body=b"<html>"), faults.status(204, body=b""))
    for _ in range(3):
        with pytest.raises(ResponseValidationError):
            await client.sessions.list()
    server.faults.assert_all_met()


@pytest.mark.parametrize(("timeout", "deadline", "limit"), [(0.02, 9.0, "timeout"), (9.0, 0.02, "deadline")])
async def test_timeout_and_deadline_end_a_call_and_are_told_apart(
    server: FakeSyllable, timeout: float, deadline: float, limit: str
) -> None:
    server.faults.add("*", faults.delay(float("inf"), times=None))
    policy = RetryPolicy(max_attempts=1, deadline=deadline)
    async with Client(server.api_key, base_url=server.url, timeout=timeout, retries=policy) as client:
        with pytest.raises(SyllableTimeoutError, match=rf"the {limit} of 0.02 s") as caught:
            await client.sessions.list()
    assert (caught.value.limit, caught.value.seconds) == (limit, 0.02)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
