"""TLS at both ends: the server's contexts, clients that know whom they talk to, and TLS over a blocking socket."""

from fluxon.security.tls.blocking import BlockingTLS
from fluxon.security.tls.client import ClientTLS, client_tls
from fluxon.security.tls.refusal import explain_tls_failure
from fluxon.security.tls.server import ServerTLS

__all__ = ["BlockingTLS", "ClientTLS", "ServerTLS", "client_tls", "explain_tls_failure"]
