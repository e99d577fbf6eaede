from __future__ import annotations

import ssl

import aiohttp
import pytest

from tests.fault_server.tls import ca, client_tls, server_tls

__all__ = ["ca", "client_tls", "server_tls"]


@pytest.fixture
def trusted(client_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions that a client makes for itself trust the private CA."""
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", client_tls)
