"""The ways to read a list: offset and keyset pagination. This room sees no network."""
