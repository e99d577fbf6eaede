"""`FakeTime` by its old address, until `retry/test_retrier.py` uses the new one."""

from tests.time_control import FakeTime

__all__ = ["FakeTime"]
