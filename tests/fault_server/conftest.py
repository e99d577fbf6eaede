from tests.fault_server.tls import ca, client_tls, server_tls

__all__ = ["ca", "client_tls", "server_tls"]
