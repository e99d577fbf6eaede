"""The endpoints of the session debug API. Every path of it stands here, once."""

from __future__ import annotations

from .._retry import Retries
from ..models import SessionData, ToolResultData
from .endpoint import Endpoint, get_request, id_number

_BY_SID = "/api/v1/session_debug/sid/{channel_manager_service}/{channel_manager_sid}"
_BY_SESSION_ID = "/api/v1/session_debug/session_id/{session_id}"
_TOOL_RESULT = "/api/v1/session_debug/tool_result/{session_id}/{tool_call_id}"


class SessionDebug(Endpoint):
    """What a session's agent said, heard and called; `client.session_debug`. All of it quotes patients.

    ```python
    import asyncio

    from syllable_async import AsyncSyllableClient


    async def main() -> None:
        async with AsyncSyllableClient() as client:
            page = await client.sessions.list(limit=1)
            data = await client.session_debug.get_by_session_id(page.items[0].session_id or "")
            print(sum(len(message.tool_calls) for message in data.messages), "tool calls")


    asyncio.run(main())
    ```

    Every call takes `retries=` and raises the errors that `Sessions` lists. A session's id may be given as an int or as
    the digits that `Session.session_id` holds.
    """

    async def get_by_sid(
        self, channel_manager_service: str, channel_manager_sid: str, *, retries: Retries = None
    ) -> SessionData:
        """A session's debug data by its channel's own id: `GET /api/v1/session_debug/sid/{service}/{sid}`.

        Args:
            channel_manager_service: as `Session.channel_manager_service`.
            channel_manager_sid: as `Session.channel_manager_sid`.
            retries: in place of the client's policy.
        """
        request = get_request(
            _BY_SID, channel_manager_service=channel_manager_service, channel_manager_sid=channel_manager_sid
        )
        return await self._with_policy(retries)._fetch(request, SessionData)

    async def get_by_session_id(self, session_id: int | str, *, retries: Retries = None) -> SessionData:
        """A session's debug data: `GET /api/v1/session_debug/session_id/{session_id}`."""
        request = get_request(_BY_SESSION_ID, session_id=id_number("session_id", session_id))
        return await self._with_policy(retries)._fetch(request, SessionData)

    async def get_tool_result(
        self, session_id: int | str, tool_call_id: str, *, retries: Retries = None
    ) -> ToolResultData:
        """The result of one tool call: `GET /api/v1/session_debug/tool_result/{session_id}/{tool_call_id}`.

        Args:
            session_id: of the session.
            tool_call_id: as `DialogToolCall.tool_call_id`.
            retries: in place of the client's policy.
        """
        number = id_number("session_id", session_id)
        request = get_request(_TOOL_RESULT, session_id=number, tool_call_id=tool_call_id)
        return await self._with_policy(retries)._fetch(request, ToolResultData)
