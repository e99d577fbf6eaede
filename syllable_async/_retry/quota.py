"""What all calls of a client share: a quota of retries, and the pause that a 429 asks for."""

from __future__ import annotations

from .._timing import Clock


class RetryQuota:
    """A quota of retries that ends retry storms, as botocore's does.

    Each retry takes 5 of 500, a success gives back what its call took, at least 1. So 1,000 calls to a dead server make
    at most 1,100 requests.
    """

    CAPACITY = 500
    COST = 5

    def __init__(self) -> None:
        self.available: int = self.CAPACITY

    def acquire(self) -> bool:
        """Pay for one retry, if there is enough left."""
        if self.available < self.COST:
            return False
        self.available -= self.COST
        return True

    def release(self, amount: int = 1) -> None:
        """Give back what a call took that has succeeded."""
        if self.available < self.CAPACITY:
            self.available = min(self.CAPACITY, self.available + amount)


class RateLimitPause:
    """The pause that a 429 asks of all calls of a client."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.until: float = 0.0
        """When it ends, on the monotonic clock."""

    def extend(self, seconds: float) -> None:
        """No call of the client sends for so long; a longer pause that runs already stays."""
        self.until = max(self.until, self._clock.monotonic() + seconds)
