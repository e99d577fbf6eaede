"""Async-first client for the sessions part of the Syllable platform's API."""

__version__ = "0.1.0"
