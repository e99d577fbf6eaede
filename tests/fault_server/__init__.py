"""A byte-exact server for what goes wrong on a connection: scripted, over http and https, on 127.0.0.1 alone.

    async with FaultServer([[Status(503)], [Rst()], json_reply({"ok": True})]) as server:
        ...  # three requests to server.url

One exchange (a list of instructions) answers one request, in order of arrival. Leaving the `async with` asserts that
every instruction was reached and that no request came which the script does not know.
"""

from tests.fault_server.instructions import (
    Bare,
    Chunk,
    Dribble,
    Endless,
    Exchange,
    Fin,
    Head,
    Instruction,
    LastChunk,
    OnAccept,
    Ragged,
    Raw,
    Refuse,
    Rst,
    Stall,
    Status,
    Unread,
    json_reply,
    reply,
)
from tests.fault_server.server import Chooser, FaultServer
from tests.fault_server.wire import Connection, ReceivedRequest

__all__ = [
    "Bare",
    "Chooser",
    "Chunk",
    "Connection",
    "Dribble",
    "Endless",
    "Exchange",
    "FaultServer",
    "Fin",
    "Head",
    "Instruction",
    "LastChunk",
    "OnAccept",
    "Ragged",
    "Raw",
    "ReceivedRequest",
    "Refuse",
    "Rst",
    "Stall",
    "Status",
    "Unread",
    "json_reply",
    "reply",
]
