"""The same scripted origin on a real socket: what it would say in the process, byte by byte."""

from __future__ import annotations

import json
from typing import cast

from syllable_async.errors import APIError, SyllableConnectionError, SyllableTimeoutError
from tests.fault_server import Chunk, FaultServer, Fin, Head, Instruction, LastChunk, Ragged, Raw, Rst, Stall, Status
from tests.fault_server.instructions import Stage
from tests.fault_server.wire import Connection
from tests.recordings.scripted_origin import Origin, ScriptedReply

ENDS: dict[str, Instruction] = {
    "cut": Fin(),
    "fin": Fin(),
    "rst": Rst(),
    "ragged": Ragged(),
    "stall": Stall(),
}


class Play(Instruction):
    """For `FaultServer(always=[Play(origin)])`: recordings by the origin's script, and the POST that mints URLs."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin

    async def run(self, line: Connection, stage: Stage) -> None:
        server = cast("FaultServer", stage)
        request = server.requests[-1]
        if request.method == "POST":
            steps = self._urls(server)
        else:
            asked = {name: value for name in ("Range", "If-Range") if (value := request.header(name)) is not None}
            steps = self._recording(asked)
        for step in steps:
            await step.run(line, stage)

    def _urls(self, server: FaultServer) -> list[Instruction]:
        self.origin.mints += 1
        self.origin.token = self.origin.valid
        url = f"{server.url}/api/v1/sessions/recording/stream?token=token{self.origin.token}"
        body = json.dumps({"session_id": "s1", "recordings": [url]}).encode()
        return [Head(200, {"Content-Type": "application/json", "Content-Length": str(len(body))}), Raw(body)]

    def _recording(self, asked: dict[str, str]) -> list[Instruction]:
        try:
            reply = self.origin.answer(asked)
        except APIError as error:
            return [Status(error.status, error.headers)]
        except SyllableTimeoutError:
            return [Stall()]
        except SyllableConnectionError:
            return [Rst()]
        return [*_head(reply), *_body(reply), *_end(reply)]


def _head(reply: ScriptedReply) -> list[Instruction]:
    framing = {"length": {}, "chunked": {}, "close": {"Connection": "close"}}
    return [Head(reply.status, {**reply.headers, **framing[reply.framing]})]


def _body(reply: ScriptedReply) -> list[Instruction]:
    if reply.framing != "chunked":
        return [Raw(reply.body + reply.extra)] if reply.body + reply.extra else []
    size = max(1, len(reply.body) // 3)
    return [Chunk(reply.body[at : at + size]) for at in range(0, len(reply.body), size)]


def _end(reply: ScriptedReply) -> list[Instruction]:
    if reply.end != "whole":
        return [ENDS[reply.end]]
    endings: dict[str, list[Instruction]] = {"length": [], "chunked": [LastChunk()], "close": [Fin()]}
    return endings[reply.framing]
