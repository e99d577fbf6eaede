"""What all calls of a client share: a quota of retries, and the pause that a 429 asks for."""

from __future__ import annotations

from .._timing import Clock


class RetryQuota:
    """The brakes that all calls of a client share: a quota of retries, and the pause that a 429 asks for.

    The quota ends retry storms: each retry takes 5 of 500, a success gives back what its call took, at least 1. So
    1,000 calls to a dead server make at most 1,100 requests.
    """

    CAPACITY = 500
    COST = 5

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.quota: int = self.CAPACITY
        self.paused_until: float = 0.0

    def acquire(self) -> bool:
        """Pay for one retry, if there is enough left."""
        if self.quota < self.COST:
            return False
        self.quota -= self.COST
        return True

    def release(self, amount: int = 1) -> None:
        """A call succeeded."""
        if self.quota < self.CAPACITY:
            self.quota = min(self.CAPACITY, self.quota + amount)

    def pause(self, seconds: float) -> None:
        """No call of the client sends for so long."""
        self.paused_until = max(self.paused_until, self.clock() + seconds)
