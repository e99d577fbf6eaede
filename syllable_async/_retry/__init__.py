"""When a call is tried again: the policy, what all calls of a client share, and the loop."""
