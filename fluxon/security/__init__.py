"""What a server keeps secret and what it proves with it: keys, session tokens, passwords, certificates."""

from fluxon.security.hashing import Hash
from fluxon.security.secrets import Secrets
from fluxon.security.tokens import TokenSigner

__all__ = ["Hash", "Secrets", "TokenSigner"]
