"""Debug data of a session, by its channel's id and by its own; and the result of one tool call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._data import Conversation, Row, Store, debug
from .query_params import read_id
from .response import Answer, error, json_answer
from .routes import Call

Show = Callable[[int], Any]


class DebugHandlers:
    """Answers the calls of `session_debug`.

    Args:
        store: of the sessions.
        seed: of the ids of tool calls.
        find: the index of a session that has begun; None where there is none.
        row: a session as it is now.
        conversation: what was said and done in it.
    """

    def __init__(
        self,
        store: Store,
        seed: int,
        *,
        find: Callable[[str], int | None],
        row: Callable[[int], Row],
        conversation: Callable[[int], Conversation],
    ) -> None:
        self._store = store
        self._seed = seed
        self._find = find
        self._row = row
        self._conversation = conversation
        self.operations: dict[str, Callable[[Call], Answer]] = {
            "session_debug.get_by_sid": self._by_sid,
            "session_debug.get_by_session_id": self._by_session_id,
            "session_debug.get_tool_result": self._tool_result,
        }

    def _by_sid(self, call: Call) -> Answer:
        service, sid = call.segments
        with self._store.lock:
            found = self._store.find_by_sid(service, sid)
            return self._data(None if found is None else self._find(found))

    def _by_session_id(self, call: Call) -> Answer:
        session_id = str(read_id(call.segments[0], "session_id"))
        with self._store.lock:
            return self._data(self._find(session_id))

    def _data(self, index: int | None) -> Answer:
        if index is None or not self._row(index)["session_id"].isdecimal():
            return error(404, "Session not found")
        return json_answer(debug.session_data(self._conversation(index), self._row(index), self._key(index)))

    def _tool_result(self, call: Call) -> Answer:
        session_id = str(read_id(call.segments[0], "session_id"))
        with self._store.lock:
            index = self._find(session_id)
            found = None
            if index is not None:
                found = debug.tool_result(self._conversation(index), self._key(index), call.segments[1])
        return error(404, "Tool call not found") if found is None else json_answer(found)

    def _key(self, index: int) -> str:
        return f"{self._seed}/tool/{index}"
