"""Certificates for the fault server, made on the spot; the fixtures stand in `tests/conftest.py`."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime

import trustme

BAD_CERTIFICATES = ("unknown CA", "wrong host", "expired", "self-signed")
"""The variants of `bad_server_context`."""

HOSTS = ("127.0.0.1", "localhost", "elsewhere.example")
"""What the good certificates are for."""

_LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)


def _server_context() -> ssl.SSLContext:
    return ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)


def server_context(ca: trustme.CA, hosts: Sequence[str] = HOSTS, not_after: datetime | None = None) -> ssl.SSLContext:
    """A server's side, with a certificate of `ca`."""
    context = _server_context()
    leaf = ca.issue_cert(*hosts, not_after=not_after)
    leaf.configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    return context


def bad_server_context(ca: trustme.CA, variant: str) -> ssl.SSLContext:
    """A server's side that a client which trusts `ca` must refuse, one of `BAD_CERTIFICATES`."""
    if variant == "unknown CA":
        return server_context(trustme.CA())
    if variant == "wrong host":
        return server_context(ca, ["another.example"])
    if variant == "expired":
        return server_context(ca, not_after=_LONG_AGO)
    assert variant == "self-signed"
    own = trustme.CA()
    context = _server_context()
    with own.private_key_pem.tempfile() as key, own.cert_pem.tempfile() as certificate:
        context.load_cert_chain(certificate, key)
    return context
