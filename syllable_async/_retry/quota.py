"""The quota of retries that all calls of a client share."""

from __future__ import annotations

from .._timing import Clock


class RetryQuota:
    """A quota of retries that ends retry storms, as botocore's does.

    Each retry takes 5 of 500. A success gives back what its call took, and every response whose status the policy would
    not retry gives back 1. So 1,000 calls to a dead server make at most 1,100 requests. Time in which no call wants a
    retry fills it again: it is full after ten minutes.
    """

    CAPACITY = 500
    COST = 5
    CALM = 60.0
    """Seconds without a wanted retry after which the quota begins to fill by itself."""
    FULL_AFTER = 600.0

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.available: float = self.CAPACITY
        self._wanted_at = clock.monotonic()

    def acquire(self) -> bool:
        """Pay for one retry, if there is enough left."""
        now = self._clock.monotonic()
        calm = now - self._wanted_at - self.CALM
        self._wanted_at = now
        if calm > 0:
            self.release(self.CAPACITY * calm / (self.FULL_AFTER - self.CALM))
        if self.available < self.COST:
            return False
        self.available -= self.COST
        return True

    def release(self, amount: float = 1) -> None:
        """Give back what a call took that has succeeded, or 1 for another healthy response."""
        if self.available < self.CAPACITY:
            self.available = min(self.CAPACITY, self.available + amount)
