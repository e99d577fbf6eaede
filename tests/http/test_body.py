"""A response's body: its end in each framing, and its limits. The matrix has more of it (`FAULTS.md`, 12 to 14, 28)."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from syllable_async import APIError, AsyncSyllableClient, ResponseValidationError, RetryPolicy, SyllableConnectionError
from syllable_async._messages import Framing
from tests.fault_server import Exchange, FaultServer, Fin, Instruction, Rst, reply

SESSION = {"timestamp": "2026-01-01T00:00:00Z", "session_id": "s1"}
BODY = json.dumps(SESSION).encode()
ONCE = RetryPolicy(max_attempts=1)
FRAMINGS: list[Framing] = ["length", "chunked", "close"]


async def get(exchange: Exchange) -> Any:
    async with FaultServer([exchange]) as server, AsyncSyllableClient("k", base_url=server.url, retries=ONCE) as client:
        return await client.sessions.get_by_id("s1")


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_a_whole_body(framing: Framing) -> None:
    assert (await get(reply(200, BODY, framing=framing))).session_id == "s1"


CUT: dict[str, list[Instruction]] = {
    "length": reply(200, BODY[:9], announced=len(BODY)),
    "chunked": reply(200, BODY, framing="chunked", last_chunk=False),
    "close": reply(200, BODY, framing="close")[:-1],
}


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_a_body_cut_by_a_reset(framing: Framing) -> None:
    with pytest.raises(SyllableConnectionError) as caught:
        await get([*CUT[framing], Rst()])
    assert caught.value.outcome_unknown


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_body_that_is_framed_and_cut_by_a_clean_close(framing: Framing) -> None:
    with pytest.raises(SyllableConnectionError):
        await get([*CUT[framing], Fin()])


async def test_half_a_body_that_a_clean_close_ends_is_no_json() -> None:
    with pytest.raises(ResponseValidationError):
        await get(reply(200, BODY[:9], framing="close"))


async def test_an_error_keeps_the_first_64_kib_of_its_body() -> None:
    with pytest.raises(APIError) as caught:
        await get(reply(418, b"x" * (2**16 + 1)))
    assert caught.value.body == b"x" * 2**16


async def test_a_decompression_bomb_is_refused() -> None:
    """Without the limit it would be a session: JSON may end in blanks."""
    bomb = gzip.compress(BODY + b" " * 9 * 2**20)
    with pytest.raises(ResponseValidationError):
        await get(reply(200, bomb, {"Content-Encoding": "gzip"}))
