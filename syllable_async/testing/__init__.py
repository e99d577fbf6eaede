"""A server that behaves like the sessions part of the Syllable API, for tests."""
