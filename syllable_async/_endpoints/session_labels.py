"""The endpoints of the session labels API. Every path of it stands here, once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Literal, TypeAlias

from .._decoding import to_dict, to_json
from .._messages import Page, Request
from .._pagination import LabelQuery, ListQuery, OffsetPager
from .._retry import Retries
from ..models import (
    InvalidRow,
    ListResponseSessionLabel,
    OrderByDirection,
    SessionLabel,
    SessionLabelCreate,
    SessionLabelProperties,
)
from .endpoint import ROW_IDENTITY, Endpoint, InvalidRowHook, get_request, id_number

PropertyName: TypeAlias = Literal[
    "timestamp",
    "session_id",
    "type",
    "code",
    "user_email",
    "issue_categories",
    "session_id_list",
]
"""What type checkers and editors complete. Any other str is taken, too: a newer API may know more."""
DirectionName: TypeAlias = Literal["asc", "desc"]

_LIST = "/api/v1/session_labels/"
_BY_ID = "/api/v1/session_labels/{session_label_id}"


class SessionLabels(Endpoint):
    """Judgements on sessions; `client.session_labels`.

    ```python
    import asyncio

    from syllable_async import AsyncSyllableClient, SessionLabelCreate


    async def main() -> None:
        async with AsyncSyllableClient() as client:
            page = await client.sessions.list(limit=1)
            session_id = page.items[0].session_id or ""
            label = await client.session_labels.create(
                SessionLabelCreate(session_id=session_id, type="human-rating", code="GOOD", user_email="me@example.com")
            )
            print(label.id)
            async for label in client.session_labels.list():
                print(label.session_id, label.code)


    asyncio.run(main())
    ```

    Every call takes `retries=` and raises the errors that `Sessions` lists. A label can never be changed or removed.
    """

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        search_fields: Iterable[SessionLabelProperties | PropertyName | str] | None = None,
        search_field_values: Iterable[str] | None = None,
        order_by: SessionLabelProperties | PropertyName | str | None = None,
        order_by_direction: OrderByDirection | DirectionName | str | None = None,
        fields: Iterable[SessionLabelProperties | PropertyName | str] | None = None,
        start_datetime: datetime | str | None = None,
        end_datetime: datetime | str | None = None,
        on_invalid_row: Callable[[InvalidRow], object] | None = None,
        retries: Retries = None,
    ) -> OffsetPager[SessionLabel]:
        """Labels that match, page by page: `GET /api/v1/session_labels/`. Nothing is sent yet.

        `await` the result for the one page asked for (a `ListResponseSessionLabel`), `async for` over it for every
        label from that page on, or use its `items` and `pages`.

        The labels of several sessions: `search_fields=["session_id_list"], search_field_values=["824,825"]`.

        Args:
            page: 0-based; the API starts at 0.
            limit: labels a page; the API gives 25. A walk without it asks for 100.
            search_fields: properties to filter by, all of which must match.
            search_field_values: the value for each of `search_fields`, by index. Sessions' ids are numbers here.
            order_by: property to sort by. The API documents no default order.
            order_by_direction: `"asc"` or `"desc"`.
            fields: properties to return; of the others those that may be null are None then.
            start_datetime: earliest time, an aware `datetime`, or a string that is sent as it is.
            end_datetime: latest time, likewise. Whether a bound is inclusive the API does not say.
            on_invalid_row: called once with each row that does not fit its model; every other row comes. Without it
                such a row ends the walk with `ResponseValidationError`.
            retries: in place of the client's policy.
        """
        query = LabelQuery.from_arguments(
            page=page,
            limit=limit,
            search_fields=search_fields,
            search_field_values=search_field_values,
            order_by=order_by,
            order_by_direction=order_by_direction,
            fields=fields,
            start_datetime=start_datetime,
            end_datetime=end_datetime,
        )
        _check_session_ids(query)
        labels, tell = self._with_policy(retries), InvalidRowHook.from_argument(on_invalid_row)

        def fetch(query: LabelQuery) -> Awaitable[Page[SessionLabel, InvalidRow]]:
            request = Request(method="GET", path_template=_LIST, path=_LIST, query=query.to_query_items())
            return labels._fetch_rows(request, ListResponseSessionLabel, tell)

        return OffsetPager(fetch, query, ROW_IDENTITY, self._transport.clock, name="of labels")

    async def get_by_id(self, session_label_id: int | str, *, retries: Retries = None) -> SessionLabel:
        """One label: `GET /api/v1/session_labels/{session_label_id}`. `NotFoundError` where there is none.

        Args:
            session_label_id: an int, or its digits as `Session.session_label_id` holds them.
            retries: in place of the client's policy.
        """
        request = get_request(_BY_ID, session_label_id=id_number("session_label_id", session_label_id))
        return await self._with_policy(retries)._fetch(request, SessionLabel)

    async def create(self, label: SessionLabelCreate, *, retries: Retries = None) -> SessionLabel:
        """Make a label: `POST /api/v1/session_labels/`. It is never made twice by one call.

        The request is repeated only where the API certainly did not act on it: it never arrived, or a 429 refused it.
        Any other failure is raised at once. Where the error's `outcome_unknown` is true the label may have been made:
        look for it with `list` before you call `create` again.

        Args:
            label: what to make.
            retries: in place of the client's policy; it cannot make the call safe to repeat.
        """
        if not isinstance(label, SessionLabelCreate):
            raise TypeError(f"label must be a SessionLabelCreate, not {type(label).__name__}")
        body = to_json({name: value for name, value in to_dict(label).items() if value is not None})
        request = Request(method="POST", path_template=_LIST, path=_LIST, body=body, idempotent=False)
        return await self._with_policy(retries)._fetch(request, SessionLabel)


def _check_session_ids(query: ListQuery) -> None:
    """Refuse a filter that no label can match: a label's `session_id` is a number."""
    for name, value in zip(query.search_fields or (), query.search_field_values or (), strict=True):
        if name in {"session_id", "session_id_list"}:
            for part in value.split(",") if name == "session_id_list" else [value]:
                id_number(f"a value of {name}", part.strip())
