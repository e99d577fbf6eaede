"""When a call is tried again: the policy, what all calls of a client share, and the loop."""

from .policy import RetryPolicy, check_policy
from .quota import RetryQuota
from .retrier import CallState, Retrier, Retries

__all__ = ["CallState", "Retrier", "Retries", "RetryPolicy", "RetryQuota", "check_policy"]
