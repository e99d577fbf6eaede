"""The endpoints of the session labels API. Every path of it stands here, once."""

from __future__ import annotations

from .._decoding import to_dict, to_json
from .._messages import Request
from .._retry import Retries
from ..models import SessionLabel, SessionLabelCreate
from .endpoint import Endpoint, get_request, id_number

_LIST = "/api/v1/session_labels/"
_BY_ID = "/api/v1/session_labels/{session_label_id}"


class SessionLabels(Endpoint):
    """Judgements on sessions; `client.session_labels`.

    Every call takes `retries=` and raises the errors that `Sessions` lists. A label can never be changed or removed.
    """

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
