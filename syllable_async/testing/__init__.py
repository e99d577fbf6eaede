"""A server that behaves like the sessions part of the Syllable API, for tests.

`FakeSyllable` runs inside a test, `python -m syllable_async.testing` beside any client, and
`syllable_async.testing.pytest_plugin` gives pytest a fixture. Nothing here uses the client or its models.
"""

from . import faults
from ._request_log import LoggedRequest, RequestLog
from ._server import FakeSyllable
from .faults import Fault

__all__ = ["FakeSyllable", "Fault", "LoggedRequest", "RequestLog", "faults"]
