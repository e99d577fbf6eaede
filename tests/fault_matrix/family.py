"""The rest of the family: labels and debug data go through every row that one page, a read and a POST go through.

The rows name their operations by the tuples of `operations`. Here each module makes its cells once more, with labels
and debug data standing in these tuples' place: what a row says of a read it says of a label too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any
from unittest import mock
from urllib.parse import quote

import attrs
import pytest

from syllable_async import AsyncSyllableClient, RetryPolicy, SessionLabel, SessionLabelCreate, errors
from tests.fault_matrix import bodies, connections, lifecycle, redirects, statuses
from tests.fault_matrix.arguments import ENCODED, NOT_TEXT, REFUSED
from tests.fault_matrix.cell import Cell, Scene
from tests.fault_matrix.client_under_test import Settings
from tests.fault_matrix.operations import NOON, Operation
from tests.fault_matrix.our_client import Ours
from tests.fault_matrix.secrets import PATIENT, SESSION_ID, SESSION_NUMBER
from tests.fault_server import Status
from tests.fault_server.tls import BAD_CERTIFICATES

_NUMBER = int(SESSION_NUMBER)
_LABEL = {
    "id": _NUMBER, "session_id": _NUMBER, "type": "human-rating", "code": "BAD", "user_email": "a@example.com",
    "timestamp": NOON, "comments": PATIENT,
}  # fmt: skip
_PAGE = {"items": [_LABEL], "page": 0, "page_size": 25, "total_pages": 1, "total_count": 1}
_CALL: dict[str, Any] = {
    "tool_call_id": "c",
    "tool_name": "t",
    "tool_arguments": {},
    "tool_result": None,
    "timestamp": NOON,
}
_SAID = {"role": "user", "dialog": {"text": PATIENT}, "tool_calls": [_CALL], "timestamp": NOON}
_DATA = {"session_id": _NUMBER, "source": "s", "target": "t", "is_test": False, "messages": [_SAID]}
_ROOT = "/api/v1/session_labels/"
_DEBUG = "/api/v1/session_debug"

LABELS = Operation("labels", "GET", _ROOT, _PAGE, [PATIENT])
LABEL = Operation("label", "GET", f"{_ROOT}{_NUMBER}", _LABEL, PATIENT)
BY_SID = Operation("debug-sid", "GET", f"{_DEBUG}/sid/hedy/{SESSION_ID}", _DATA, [PATIENT])
BY_ID = Operation("debug-id", "GET", f"{_DEBUG}/session_id/{_NUMBER}", _DATA, [PATIENT])
TOOL = Operation(
    "tool", "GET", f"{_DEBUG}/tool_result/{_NUMBER}/{SESSION_ID}", {"tool_name": PATIENT, "tool_result": [1]}, PATIENT
)
ANY = Operation("any-list", "GET", "/api/v1/agents/", _PAGE, [PATIENT])
CREATE = Operation("create", "POST", _ROOT, _LABEL, PATIENT)
READS = (LABELS, LABEL, BY_SID, BY_ID, TOOL, ANY)
FAMILY = (*READS, CREATE)
NEW = SessionLabelCreate(session_id=_NUMBER, type="human-rating", code="BAD", user_email="a@example.com")


class FamilyClient(Ours):
    """Asks `AsyncSyllableClient` for labels and debug data."""

    async def ask(self, operation: str, deadline: float | None = None) -> Any:
        client = self.client
        if deadline is not None:
            client = client.with_options(retries=RetryPolicy(deadline=deadline))
        return await _CALLS[operation](client)


async def _labels(client: AsyncSyllableClient) -> list[str | None]:
    page = await client.session_labels.list(search_fields=["session_id"], search_field_values=[SESSION_NUMBER])
    return [label.comments for label in page.items]


async def _any_list(client: AsyncSyllableClient) -> list[str | None]:
    return [label.comments async for label in client.list("/api/v1/agents/", SessionLabel, query={"type": "x"})]


async def _label(client: AsyncSyllableClient) -> str | None:
    return (await client.session_labels.get_by_id(_NUMBER)).comments


async def _create(client: AsyncSyllableClient) -> str | None:
    return (await client.session_labels.create(NEW)).comments


async def _by_sid(client: AsyncSyllableClient) -> list[str]:
    data = await client.session_debug.get_by_sid("hedy", SESSION_ID)
    return [message.dialog.text for message in data.messages]


async def _by_id(client: AsyncSyllableClient) -> list[str]:
    return [it.dialog.text for it in (await client.session_debug.get_by_session_id(SESSION_NUMBER)).messages]


async def _tool(client: AsyncSyllableClient) -> str:
    return (await client.session_debug.get_tool_result(_NUMBER, SESSION_ID)).tool_name


_CALLS: dict[str, Callable[[AsyncSyllableClient], Awaitable[Any]]] = {
    "labels": _labels, "label": _label, "create": _create, "debug-sid": _by_sid, "debug-id": _by_id, "tool": _tool,
    "any-list": _any_list,
}  # fmt: skip

STAND_INS: dict[str, Any] = {
    "ALL": FAMILY, "JSON": READS, "REPEATABLE": READS, "PAGE": LABELS, "SESSION": LABEL, "URLS": BY_SID, "POST": CREATE,
    "_REQUIRED": {
        LABELS: ("items", 0, "timestamp"), LABEL: ("code",), BY_SID: ("messages", 0, "dialog", "text"),
        BY_ID: ("messages", 0, "tool_calls", 0, "tool_result"), TOOL: ("tool_result",), ANY: ("items", 0, "id"),
    },
    "_WRONG": {
        LABELS: (("items", 0, "session_id"), [PATIENT]), LABEL: (("issue_categories",), {"a": PATIENT}),
        BY_SID: (("messages", 0, "timestamp"), "noon"), BY_ID: (("messages", 0, "tool_calls"), {}),
        TOOL: (("tool_name",), {}), ANY: (("items", 0, "id"), [PATIENT]),
    },
    "_UNKNOWN": {BY_SID: ("messages", 0, "role"), BY_ID: ("messages", 0, "role")},
    "_NULL_LISTS": {LABELS: ("items",), ANY: ("items",), BY_SID: ("messages",), BY_ID: ("messages", 0, "tool_calls")},
}  # fmt: skip
"""What stands for what in the modules of the rows."""
_MODULES: Mapping[Any, Callable[[], Iterator[Cell]]] = {
    statuses: statuses.cells,
    connections: partial(connections.cells, BAD_CERTIFICATES),
    bodies: bodies.cells,
    redirects: redirects.cells,
    lifecycle: lifecycle.cells,
}


def _made_again() -> Iterator[Cell]:
    for module, make in _MODULES.items():
        with ExitStack() as stack:
            for name, value in STAND_INS.items():
                if hasattr(module, name):
                    stack.enter_context(mock.patch.object(module, name, value))
            made = list(make())
        yield from (cell for cell in made if cell.operation in FAMILY)


@attrs.frozen
class _Asks:
    """One argument: refused before anything is opened, or one encoded segment of the path."""

    call: Callable[[AsyncSyllableClient, Any], Awaitable[object]]
    value: Any
    kind: type[Exception] | None
    prefix: str = ""

    async def __call__(self, scene: Scene, operation: Operation) -> None:
        async with scene.server([] if self.kind else [[Status(404)]]) as server:
            async with Ours(server.url, Settings()) as ours:
                with pytest.raises(self.kind or errors.NotFoundError) as caught:
                    await self.call(ours.client, self.value)
            scene.errors.append(caught.value)
            scene.not_in_locals = ()
            if self.kind:
                assert server.connections == []
            else:
                assert server.requests[0].target == self.prefix + quote(self.value, safe="")


_NUMBERED: dict[Operation, Callable[[AsyncSyllableClient, Any], Awaitable[object]]] = {
    LABEL: lambda client, value: client.session_labels.get_by_id(value),
    BY_ID: lambda client, value: client.session_debug.get_by_session_id(value),
    TOOL: lambda client, value: client.session_debug.get_tool_result(value, "c"),
}
_NAMED: dict[Operation, tuple[Callable[[AsyncSyllableClient, Any], Awaitable[object]], str]] = {
    BY_SID: (lambda client, value: client.session_debug.get_by_sid("hedy", value), f"{_DEBUG}/sid/hedy/"),
    TOOL: (lambda client, value: client.session_debug.get_tool_result(5, value), f"{_DEBUG}/tool_result/5/"),
}
_NO_NUMBERS: dict[str, Any] = {
    "x": "x", "minus": "-1", "plus": "+1", "fraction": "1.0", "minus int": -1, "2 ** 63": 2**63, "superscript": "²",
    "digits of another script": "\N{ARABIC-INDIC DIGIT FIVE}", "30 digits": "1" * 30, "underscore": "1_0",
}  # fmt: skip
_NO_LABELS: dict[str, tuple[Any, type[Exception]]] = {
    "a dict": ({"session_id": 1}, TypeError), "None": (None, TypeError), "the class": (SessionLabelCreate, TypeError)
}  # fmt: skip


def row_37() -> Iterator[Cell]:
    """Ids that are numbers are checked; others are one encoded segment, or refused."""
    for operation, call in _NUMBERED.items():
        for variant, value in {**REFUSED, **_NO_NUMBERS}.items():
            play = _Asks(call, value, ValueError)
            yield Cell(37, f"{variant} as a number refused", operation, play, schemes=("http",))
        for variant, value in {"None": None, "bytes": b"5", "True": True, "float": 5.0}.items():
            play = _Asks(call, value, TypeError)
            yield Cell(37, f"{variant} as a number refused", operation, play, schemes=("http",))
    for operation, (call, prefix) in _NAMED.items():
        for variant, value in REFUSED.items():
            yield Cell(37, f"{variant} refused", operation, _Asks(call, value, ValueError), schemes=("http",))
        for variant, value in NOT_TEXT.items():
            if variant != "int":
                yield Cell(37, f"{variant} refused", operation, _Asks(call, value, TypeError), schemes=("http",))
        for variant, value in ENCODED.items():
            yield Cell(37, variant, operation, _Asks(call, value, None, prefix), schemes=("http",))
    for variant, (value, kind) in _NO_LABELS.items():
        play = _Asks(lambda client, label: client.session_labels.create(label), value, kind)
        yield Cell(37, f"{variant} refused", CREATE, play, schemes=("http",))


def filters(client: AsyncSyllableClient, pair: tuple[str, str]) -> Awaitable[object]:
    return client.session_labels.list(search_fields=[pair[0]], search_field_values=[pair[1]])


def row_37_filters() -> Iterator[Cell]:
    for name, value in (
        ("session_id", "x"),
        ("session_id_list", "5,x"),
        ("session_id_list", ""),
        ("session_id", "5,6"),
    ):
        play = _Asks(filters, (name, value), ValueError)
        yield Cell(37, f"{name}={value} refused", LABELS, play, schemes=("http",))


@attrs.frozen
class _Ambiguous:
    """No reader can know which of the two is meant."""

    one: SessionLabel | SessionLabelCreate


_NO_LISTS: dict[str, tuple[tuple[Any, ...], dict[str, Any], type[Exception]]] = {
    "a path with a query": (("/api/v1/agents/?a=b",), {}, ValueError),
    "a path without its first slash": (("api/v1/agents/",), {}, ValueError),
    "a URL": (("https://api.syllable.cloud/api/v1/agents/",), {}, ValueError),
    "a path that goes up": (("/api/v1/../agents/",), {}, ValueError),
    "an empty path": (("",), {}, ValueError),
    "a path of bytes": ((b"/api/v1/agents/",), {}, TypeError),
    "a query with page": (("/api/v1/agents/",), {"query": {"page": 1}}, ValueError),
    "a query with limit": (("/api/v1/agents/",), {"query": [("limit", 1)]}, ValueError),
    "a query with an object": (("/api/v1/agents/",), {"query": {"a": object()}}, TypeError),
    "page -1": (("/api/v1/agents/",), {"page": -1}, ValueError),
    "limit as text": (("/api/v1/agents/",), {"limit": "5"}, TypeError),
    "int as a model": (("/api/v1/agents/", int), {}, TypeError),
    "None as a model": (("/api/v1/agents/", None), {}, TypeError),
    "an instance as a model": (("/api/v1/agents/", {}), {}, TypeError),
    "a plain class as a model": (("/api/v1/agents/", Operation.__mro__[-1]), {}, TypeError),
    "a model that JSON cannot say": (("/api/v1/agents/", _Ambiguous), {}, TypeError),
    "on_invalid_row that cannot be called": (("/api/v1/agents/",), {"on_invalid_row": 5}, TypeError),
}


def row_37_lists() -> Iterator[Cell]:
    """Wrong arguments of `client.list` are refused before anything is opened."""

    async def call(client: AsyncSyllableClient, arguments: tuple[tuple[Any, ...], dict[str, Any]]) -> object:
        return await client.list(*arguments[0], **arguments[1])

    for variant, (args, options, kind) in _NO_LISTS.items():
        yield Cell(37, f"{variant} refused", ANY, _Asks(call, (args, options), kind), schemes=("http",))


CELLS: tuple[Cell, ...] = (*_made_again(), *row_37(), *row_37_filters(), *row_37_lists())
