"""schemathesis drives the fake from a document: no crash, and no reply that the document does not describe."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from syllable_async.testing import FakeSyllable
from tests.fake.vendor_document import LABELS, STREAM, document

SHARED = Path(__file__).parents[3] / "shared" / "wire" / "openapi-sessions.json"
schemathesis: Any = import_module("schemathesis")  # half of its types are unknown to type checkers
conformance: Any = import_module("schemathesis.specs.openapi.checks")
NOON = "2026-02-03T12:00:00Z"
SEEDED: dict[str, Any] = {
    "session_id": 7, "session_label_id": 70, "channel_manager_service": "hedy", "channel_manager_sid": "CA7"
}  # fmt: skip
"""What stands in the place of path parameters, so that there is something to be found."""
CHECKS = [
    import_module("schemathesis.checks").not_a_server_error,
    conformance.response_schema_conformance,
    conformance.content_type_conformance,
]


def published() -> Any:
    """The vendor's own document."""
    return json.loads(SHARED.read_text())


# One document is enough for every run: the published one where it lies beside the checkout.
DOCUMENTS = [
    pytest.param(document, id="package", marks=[pytest.mark.long] if SHARED.exists() else []),
    *([pytest.param(published, id="published")] if SHARED.exists() else []),
]


@pytest.fixture(scope="module")
def server() -> Iterator[FakeSyllable]:
    with FakeSyllable(sessions=40, seed=5) as running:
        sid = {name: SEEDED[name] for name in ("channel_manager_service", "channel_manager_sid")}
        action = {"timestamp": NOON, "tool_name": "lookup", "tool_result": "{}"}
        said = {"timestamp": NOON, "source": "agent", "text": "Hello"}
        transcript = {"transcription": [said], "actions": [action]}
        session_id = str(SEEDED["session_id"])
        label = {"id": SEEDED["session_label_id"]}
        running.add_session(session_id=session_id, timestamp=NOON, labels=[label], transcript=transcript, **sid)
        key, root = {"Syllable-API-Key": running.api_key}, f"{running.url}/api/v1/session_debug/session_id"
        data = httpx.get(f"{root}/{session_id}", headers=key).json()
        SEEDED["tool_call_id"] = data["messages"][0]["tool_calls"][0]["tool_call_id"]
        yield running


@pytest.fixture(scope="module")
def token(server: FakeSyllable) -> str:
    session_id = server.add_session(recordings=[b"RIFF and so on"])
    url = f"{server.url}/api/v1/sessions/recording/{session_id}"
    minted: str = httpx.post(url, headers={"Syllable-API-Key": server.api_key}).json()["recordings"][0]
    return parse_qs(urlsplit(minted).query)["token"][0]


class Judge:
    """Sends generated cases and holds every reply against the document."""

    def __init__(self, server: FakeSyllable, token: str) -> None:
        self._server = server
        self._token = token
        self._session = requests.Session()
        self.statuses: list[int] = []

    def send(self, case: Any, *, known: bool) -> None:
        if known:
            case.path_parameters.update({name: SEEDED[name] for name in case.path_parameters})
            if case.path == f"{LABELS}/" and case.method == "POST":
                case.body["session_id"] = SEEDED["session_id"]
        if known and case.path == STREAM:
            case.query["token"] = self._token
        headers = {"Syllable-API-Key": self._server.api_key}
        reply = case.call_and_validate(self._server.url, session=self._session, headers=headers, checks=CHECKS)
        self.statuses.append(reply.status_code)

    def close(self) -> None:
        self._session.close()


@pytest.mark.parametrize("described", DOCUMENTS)
@pytest.mark.parametrize("examples", [32, pytest.param(40, marks=pytest.mark.long)])
def test_generated_requests_get_described_replies(
    described: Callable[[], Any], examples: int, server: FakeSyllable, token: str
) -> None:
    """`examples` for each of fourteen operations and two kinds: 896 requests in every run, 1,120 in the long one."""
    schema = schemathesis.openapi.from_dict(described())
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) == 14
    modes = schemathesis.GenerationMode
    total = 0
    for operation in operations:
        judge = Judge(server, token)
        drive(judge, operation.as_strategy(generation_mode=modes.POSITIVE), examples, known=True)
        # Whatever text stands in these paths, it is an id: nothing there can be wrong.
        any_text = "{" in operation.path and ("/sessions/" in operation.path or "/sid/" in operation.path)
        mode = modes.POSITIVE if any_text else modes.NEGATIVE
        drive(judge, operation.as_strategy(generation_mode=mode), examples, known=False)
        judge.close()
        assert 200 in judge.statuses
        total += len(judge.statuses)
    assert total == examples * 28


def drive(judge: Judge, strategy: st.SearchStrategy[Any], examples: int, *, known: bool) -> None:
    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
    )
    @given(case=strategy)
    def run(case: Any) -> None:
        judge.send(case, known=known)

    run()
