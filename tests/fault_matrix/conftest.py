from __future__ import annotations

import functools
import gc
import ssl
from collections.abc import Iterator

import aiohttp.connector
import pytest
import trustme

from tests.fault_matrix.cell import Certificates
from tests.fault_server.tls import bad_server_context, server_context


@pytest.fixture(scope="session")
def certificates(ca: trustme.CA) -> Iterator[Certificates]:
    """Servers' certificates by name; every aiohttp session trusts the private CA meanwhile."""

    @functools.cache
    def named(name: str) -> ssl.SSLContext:
        return server_context(ca) if name == "good" else bad_server_context(ca, name)

    trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ca.configure_trust(trusted)  # pyright: ignore[reportUnknownMemberType]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", trusted)
        yield named
    gc.unfreeze()
