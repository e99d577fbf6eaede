"""Every error that the library raises on purpose: one tree under `SyllableError`.

You want to handle a failure. Catch the narrowest class that you can act on, and `SyllableError` for the rest:

```python
import asyncio

from syllable_async import AsyncSyllableClient, NotFoundError, RateLimitError, SyllableError


async def rating(client: AsyncSyllableClient, session_id: str) -> str | None:
    try:
        return (await client.sessions.get_full_summary(session_id)).rating
    except NotFoundError:
        return None  # there is no such session
    except RateLimitError as error:
        print("the API asks to wait, in seconds:", error.retry_after)
    except SyllableError as error:
        print("no rating:", error)  # the text holds no key, no id and no word of a patient
    return None


async def main() -> None:
    async with AsyncSyllableClient() as client:
        print(await rating(client, "1"))


asyncio.run(main())
```

## The tree

Each line names the class, when it is raised, and what it carries.

- `SyllableError`: the root. `except SyllableError` catches all of the following.
    - `APIError`: the API answered, and the answer is not a success. It carries `status`, `method`, `path` (the
      template, without ids), `headers`, `body`, `request_id`, `attempts`, `retry_after` and `hint`.
        - `BadRequestError`: 400. Also `detail`: the server's text or dict.
        - `AuthenticationError`: 401. The key is missing, wrong or withdrawn.
        - `PermissionDeniedError`: 403. The key may not do this.
        - `NotFoundError`: 404. There is no such session, recording or endpoint.
        - `HTTPValidationError`: 422. The API refused an argument. Also `detail`: a tuple of `ValidationError`.
        - `RateLimitError`: 429, and the deadline ends before the API would take the call.
        - `InternalServerError`: 500 to 599, after the retries.
    - `SyllableConnectionError`: no whole response came, after the retries. It carries `reason`, `method`, `path`,
      `attempts`, `outcome_unknown` and `transient`.
        - `SyllableTimeoutError`: a time limit ended the call. Also `limit` and `seconds`.
    - `ClientClosedError`: the client, the walk or the recording was closed while you used it, or before.
    - `ResponseValidationError`: the response is a success and does not fit its model. It carries `model`, `path` and
      `problem`.
    - `PaginationError`: a walk cannot go on without the risk of a lost or doubled session. It carries `page`.
    - `RecordingError`: a recording cannot be delivered as the server has it.
        - `IncompleteRecordingError`: it ended too early. It carries `received` and `total`, in bytes.
        - `RecordingChangedError`: the server has another recording now.
        - `UntrustedRecordingURLError`: its URL is not safe to open. Nothing was sent there.

Two warnings tell you what was repaired: `ResponseDriftWarning` and `PaginationDriftWarning`.

## Rules

- Wrong arguments raise `ValueError` or `TypeError` before anything is sent. They are not in the tree, because waiting
  does not mend them.
- The disk's `OSError` leaves `RecordingStream.save` as it is. What your own function raised passes through, too.
- The attributes are plain values: you can log, copy and pickle an error. A pickle leaves `headers`, `body` and `detail`
  behind, and `str` and `repr` never show them, because they may quote a patient.
- Where `outcome_unknown` is true the server may have acted. Look before you repeat a call that changes something.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Self

__all__ = [
    "APIError",
    "AuthenticationError",
    "BadRequestError",
    "ClientClosedError",
    "HTTPValidationError",
    "IncompleteRecordingError",
    "InternalServerError",
    "NotFoundError",
    "PaginationDriftWarning",
    "PaginationError",
    "PermissionDeniedError",
    "RateLimitError",
    "RecordingChangedError",
    "RecordingError",
    "ResponseDriftWarning",
    "ResponseValidationError",
    "SyllableConnectionError",
    "SyllableError",
    "SyllableTimeoutError",
    "UntrustedRecordingURLError",
    "ValidationError",
]


def _rebuild(cls: type[SyllableError], args: tuple[Any, ...], state: dict[str, Any]) -> SyllableError:
    """Undo `SyllableError.__reduce__` without calling an `__init__` whose arguments are gone."""
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class SyllableError(Exception):
    """Root of everything that this library raises, wrong arguments (`ValueError`, `TypeError`) aside."""

    _unpickled: ClassVar[Mapping[str, Any]] = {}

    def __copy__(self) -> Self:
        """All of it, with what the server wrote, unlike a pickle."""
        twin = type(self).__new__(type(self), *self.args)
        twin.args = self.args
        twin.__dict__.update(self.__dict__)
        twin.__cause__, twin.__context__ = self.__cause__, self.__context__
        twin.__suppress_context__ = self.__suppress_context__
        return twin.with_traceback(self.__traceback__)

    def __deepcopy__(self, _: dict[int, Any]) -> Self:
        return self.__copy__()  # nothing in it is changed by anybody

    def __reduce__(self) -> tuple[Any, ...]:
        state = {name: self._unpickled.get(name, value) for name, value in self.__dict__.items()}
        state.pop("__notes__", None)
        return _rebuild, (type(self), self.args, state)


class ValidationError(NamedTuple):
    """One entry of a 422's `detail`, as FastAPI writes it.

    Attributes:
        loc: where in the request, for example `("query", "limit")`.
        msg: what is wrong, in the server's words.
        type: the server's name for the kind of error.
    """

    loc: tuple[str | int, ...]
    msg: str
    type: str


class APIError(SyllableError):
    """The API's response is not a success.

    Attributes:
        status: the HTTP status.
        method: the HTTP method.
        path: the path's template, for example `/api/v1/sessions/{session_id}`, without ids or query.
        headers: the response's headers, names in lower case; a repeated one has its values joined by commas.
        body: at most the first 64 KiB of the response's body, decompressed; empty where it cannot be read.
        request_id: the server's id of the request, if a header gave one.
        attempts: how many requests this call sent, the last one included.
        retry_after: seconds that the server asked to wait, if it said so in a form that can be understood. Of a call
            that was not sent because an earlier 429 had asked for a pause: what is left of the pause.
        hint: what the caller can do, where the response shows it: the arguments that were refused, a missing slash.
    """

    _unpickled: ClassVar[Mapping[str, Any]] = {"headers": {}, "body": b"", "detail": None}

    def __init__(
        self,
        *,
        status: int,
        method: str = "",
        path: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        request_id: str | None = None,
        attempts: int = 1,
        retry_after: float | None = None,
        hint: str = "",
    ) -> None:
        super().__init__()
        self.status = status
        self.method = method
        self.path = path
        self.headers: Mapping[str, str] = dict(headers or {})
        self.body = body
        self.request_id = request_id
        self.attempts = attempts
        self.retry_after = retry_after
        self.hint = hint

    def __str__(self) -> str:
        parts = [f"HTTP {self.status} from {self.method} {self.path}", f"attempt {self.attempts}"]
        if self.retry_after is not None:
            parts.append(f"retry after {self.retry_after:g} s")
        if self.request_id is not None:
            parts.append(f"request id {self.request_id}")
        if self.hint:
            parts.append(self.hint)
        return ", ".join(parts)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self}>"


class BadRequestError(APIError):
    """HTTP 400. `detail` is the server's `detail`: a string, a dict (a legacy session's new place), or None."""

    detail: str | dict[str, Any] | None = None


class AuthenticationError(APIError):
    """HTTP 401: the API key is missing, wrong or withdrawn."""


class PermissionDeniedError(APIError):
    """HTTP 403: the key is known and may not do this."""


class NotFoundError(APIError):
    """HTTP 404: no such session, recording or endpoint."""


class HTTPValidationError(APIError):
    """HTTP 422: the API refused the arguments. `detail` says which, empty when the body was not FastAPI's.

    The error's text names the places that were refused, and the nearest property where one was misspelt.
    """

    _unpickled: ClassVar[Mapping[str, Any]] = {**APIError._unpickled, "detail": ()}

    detail: tuple[ValidationError, ...] = ()


class RateLimitError(APIError):
    """HTTP 429: too many requests. `retry_after` says how long to wait, where the server said so.

    Also raised for a call that was not sent, because an earlier 429 has asked for a pause beyond the call's deadline.
    """


class InternalServerError(APIError):
    """Any HTTP 5xx."""


class SyllableConnectionError(SyllableError):
    """No whole response came: refused, reset, cut off, TLS failure, or bytes that are not HTTP.

    Attributes:
        reason: what happened, in words that hold no address, query or key.
        method: the HTTP method.
        path: the path's template.
        attempts: how many requests this call sent.
        outcome_unknown: True when the request may have reached the server. A call that changes something may
            then have happened; it was not repeated.
        transient: False where trying again cannot help, as with a certificate that is not trusted.
    """

    def __init__(
        self,
        reason: str,
        *,
        method: str = "",
        path: str = "",
        attempts: int = 1,
        outcome_unknown: bool = True,
        transient: bool = True,
    ) -> None:
        super().__init__()
        self.reason = reason
        self.method = method
        self.path = path
        self.attempts = attempts
        self.outcome_unknown = outcome_unknown
        self.transient = transient

    def __str__(self) -> str:
        where = f" ({self.method} {self.path}, attempt {self.attempts})" if self.method else ""
        return f"{self.reason}{where}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self}>"


class SyllableTimeoutError(SyllableConnectionError):
    """A time limit ended the call.

    Attributes:
        limit: which one: `"timeout"` (one attempt, or a stalled recording), `"deadline"` (all attempts together).
        seconds: its length.
    """

    def __init__(
        self,
        limit: str,
        seconds: float,
        *,
        method: str = "",
        path: str = "",
        attempts: int = 1,
        outcome_unknown: bool = True,
        doing: str = "",
    ) -> None:
        super().__init__(
            f"the {limit} of {seconds:g} s passed{' while ' if doing else ''}{doing}",
            method=method,
            path=path,
            attempts=attempts,
            outcome_unknown=outcome_unknown,
        )
        self.limit = limit
        self.seconds = seconds


class ClientClosedError(SyllableError):
    """The client, or the walk or recording that is read, was closed: nothing that it gave so far is whole."""


class ResponseValidationError(SyllableError):
    """A successful response is not what the API's schema promises.

    Attributes:
        model: name of the class that was expected; `"response"` where the body cannot be read at all.
        path: where in the body, for example `$.items[0].timestamp`.
        problem: what is wrong there, in types and never in values.
    """

    def __init__(self, model: str, path: str, problem: str) -> None:
        super().__init__(model, path, problem)
        self.model = model
        self.path = path
        self.problem = problem

    def __str__(self) -> str:
        if self.model == "response":
            return f"the response cannot be read: {self.problem}"
        return f"response is not a {self.model}: {self.problem} at {self.path}"


class ResponseDriftWarning(UserWarning):
    """A response had another form than the API's document says, and was read all the same; once per type and path."""


class PaginationError(SyllableError):
    """A walk cannot go on without risking a lost or doubled session.

    Attributes:
        page: the 0-based page, or the number of the request of a walk by key.
    """

    def __init__(self, message: str, *, page: int) -> None:
        super().__init__(message)
        self.page = page

    def __str__(self) -> str:
        return f"page {self.page}: {self.args[0]}"


class PaginationDriftWarning(UserWarning):
    """The data moved under a plain walk: it may have missed sessions. `Pager.snapshot` is exact."""


class RecordingError(SyllableError):
    """A recording could not be delivered as the server has it."""


class IncompleteRecordingError(RecordingError):
    """The recording ended too early and could not be resumed; nothing short was delivered as whole.

    Attributes:
        received: bytes that are certain, from the start.
        total: bytes of the whole, None if the server never said.
    """

    def __init__(self, message: str, *, received: int, total: int | None) -> None:
        super().__init__(message)
        self.received = received
        self.total = total

    def __str__(self) -> str:
        whole = "an unknown total" if self.total is None else str(self.total)
        return f"{self.args[0]} ({self.received} of {whole} bytes)"


class RecordingChangedError(RecordingError):
    """The server's recording is no longer the one whose first bytes were delivered."""


class UntrustedRecordingURLError(RecordingError):
    """A recording's URL, or a redirect from it, is not https, carries userinfo or names a literal address."""
