"""TLS at both ends: the server's contexts, and clients that know whom they talk to."""

from fluxon.security.tls.client import ClientTLS, client_tls
from fluxon.security.tls.refusal import explain_tls_failure
from fluxon.security.tls.server import ServerTLS

__all__ = ["ClientTLS", "ServerTLS", "client_tls", "explain_tls_failure"]
