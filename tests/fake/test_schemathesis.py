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
from tests.fake.vendor_document import STREAM, document

SHARED = Path(__file__).parents[3] / "shared" / "wire" / "openapi-sessions.json"
schemathesis: Any = import_module("schemathesis")  # half of its types are unknown to type checkers
conformance: Any = import_module("schemathesis.specs.openapi.checks")
CHECKS = [
    import_module("schemathesis.checks").not_a_server_error,
    conformance.response_schema_conformance,
    conformance.content_type_conformance,
]


def published() -> Any:
    """The vendor's own document, without labels and debugging."""
    found = json.loads(SHARED.read_text())
    found["paths"] = {path: item for path, item in found["paths"].items() if path.startswith("/api/v1/sessions/")}
    return found


# One document is enough for every run: the published one where it lies beside the checkout.
DOCUMENTS = [
    pytest.param(document, id="package", marks=[pytest.mark.long] if SHARED.exists() else []),
    *([pytest.param(published, id="published")] if SHARED.exists() else []),
]


@pytest.fixture(scope="module")
def server() -> Iterator[FakeSyllable]:
    with FakeSyllable(sessions=40, seed=5) as running:
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
        if known and "session_id" in case.path_parameters:
            case.path_parameters["session_id"] = self._server.sessions[0]
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
    """`examples` for each of eight operations and two kinds: 192 requests in every run, 640 in the long one."""
    schema = schemathesis.openapi.from_dict(described())
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) == 8
    modes = schemathesis.GenerationMode
    total = 0
    for operation in operations:
        judge = Judge(server, token)
        drive(judge, operation.as_strategy(generation_mode=modes.POSITIVE), examples, known=True)
        # Whatever text stands in a path, it is a session id: nothing there can be wrong.
        mode = modes.POSITIVE if "{" in operation.path else modes.NEGATIVE
        drive(judge, operation.as_strategy(generation_mode=mode), examples, known=False)
        judge.close()
        assert 200 in judge.statuses
        total += len(judge.statuses)
    assert total == examples * 16


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
