"""Recordings: read once, resumed after a cut, saved whole. This room sees no network."""
