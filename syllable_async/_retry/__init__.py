"""When a call is tried again: the policy, what all calls of a client share, and the loop."""

from .policy import RetryPolicy, check_policy
from .quota import Throttle
from .retrier import Call, Retrier, Retries, StreamRetrier

__all__ = ["Call", "Retrier", "Retries", "RetryPolicy", "StreamRetrier", "Throttle", "check_policy"]
