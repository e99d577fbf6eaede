"""The matrix can fail: the naive client does, in these cells among others, for these reasons."""

from __future__ import annotations

import pytest

from tests.fault_matrix.cell import Certificates, run_cell
from tests.fault_matrix.naive_client import NaiveClient
from tests.fault_matrix.rows import CELLS

REASONS = {
    "3-closed after use-L": "attempts is 1",
    "5-429-G-session": "failed with <RateLimitError",
    "5-408-U": "failed with <APIError: HTTP 408",
    "5-501 is final-G-session": "the server saw 4 requests",
    "5-418 is final-L": "can't pickle",
    "6-RST-P": "failed with <InternalServerError: HTTP 501",  # sent again: the script knew of one request
    "6-FIN-P": "failed with <InternalServerError: HTTP 501",
    "6-silence-P": "failed with <InternalServerError: HTTP 501",
    "6-500 without Retry-After-P": "the server saw 4 requests",
    "7-503 with Retry-After-U": r"took 0\.5 s",
    "7-401, key changed-W": "failed with <AuthenticationError",
    "9-503 59-G-session": r"waited 0\.5 s",
    "9-503 date-G-session": r"waited 0\.5 s",
    "9-429 milliseconds-D": "failed with <RateLimitError",
    "11-one 429 among 50 tasks-L": "failed with <RateLimitError",
    "13-close-delimited, RST-G-session": "failed with ResponseValidationError",
    "13-close-delimited, ragged TLS, whole-G-session": "the server saw 1 requests",
    "22-never answers-L": "limit is 'timeout'",
    "22-endless error body-G-session": "attempts is 1",
    "24-cancelled while waiting for a connection-L": "DID NOT RAISE",
    "26-bad status line-L": "failed with <BadRequestError: HTTP 400",
    "26-NUL in a header-D": "failed with <BadRequestError: HTTP 400",
    "26-bad chunk size-U": "failed with <BadRequestError: HTTP 400",
    "27-5000 headers-P": "failed with <BadRequestError: HTTP 400",
    "29-BOM-G-session": "succeeded",
    "29-NaN-G-summary": "succeeded",
    "29-1e999-U": "succeeded",
    "29-lone surrogate-L": "succeeded",
    "29-UTF-16-W": "succeeded",
    "30-missing field-G-session": "succeeded",
    "30-wrong type-G-summary": "succeeded",
    "35-301 other port-L": "canary-key",
    "35-302 other host-G-session": "canary-key",
    "35-307 no scheme-U": "canary-key",
    "35-308 userinfo-P": "canary-key",
    "35-303 other host-D": "canary-key",
    "35-301 loop-W": "succeeded",
    "35-302 no Location-L": "succeeded",
    "40-Set-Cookie-L": "track=me",
    "42-a whole answer while idle-P": "failed with ResponseValidationError",
    "42-half an answer while idle-L": r"\[0, 0\] == \[0, 1\]",
}
assert len(REASONS) >= 30
BY_ID = {cell.id: cell for cell in CELLS}


@pytest.mark.parametrize(("name", "reason"), REASONS.items())
def test_the_naive_client_fails(name: str, reason: str, certificates: Certificates) -> None:
    cell = BY_ID[name]
    with pytest.raises((Exception, pytest.fail.Exception), match=reason):
        run_cell(cell, cell.schemes[0], NaiveClient, certificates)
