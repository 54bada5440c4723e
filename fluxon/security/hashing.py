"""``Hash``: digests by name, the comparison that leaks no time, and the way to the slow hash that passwords need.

Rules of this module:

- ``Hash.hash`` is deterministic and fast, for checksums and look-ups. It is no protection for a stored password;
  ``Hash.password`` (or a ``PasswordField``, which does the same by itself) is.
- Only algorithms without known collisions are offered.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from fluxon.errors import ConfigurationError
from fluxon.security import passwords


class Hash:
    """Static functions only; ``Hash.SHA512`` and its siblings name the algorithms."""

    SHA256: Final = "sha256"
    SHA384: Final = "sha384"
    SHA512: Final = "sha512"
    SHA3_256: Final = "sha3_256"
    SHA3_512: Final = "sha3_512"
    BLAKE2B: Final = "blake2b"
    BLAKE2S: Final = "blake2s"

    ALGORITHMS: Final = frozenset({SHA256, SHA384, SHA512, SHA3_256, SHA3_512, BLAKE2B, BLAKE2S})

    @staticmethod
    def hash(password: str | bytes, algorithm: str = SHA512, salt: str | bytes | None = None) -> str:
        """The digest of ``password`` in lower-case hex: the same text gives the same digest, always and everywhere.

        With ``salt`` it is the HMAC (RFC 2104) keyed with the salt, so that no salt and text can be shifted into
        another pair with the same digest. Text is taken as UTF-8. ``ConfigurationError`` for an unknown algorithm.
        """
        if algorithm not in Hash.ALGORITHMS:
            raise ConfigurationError(
                f"unknown hash algorithm {algorithm!r}; one of {', '.join(sorted(Hash.ALGORITHMS))}"
            )
        if salt is None:
            return hashlib.new(algorithm, _octets(password)).hexdigest()
        return hmac.new(_octets(salt), _octets(password), algorithm).hexdigest()

    @staticmethod
    def compare(a: str | bytes, b: str | bytes) -> bool:
        """Whether both are equal, in a time that depends on their lengths alone."""
        return hmac.compare_digest(_octets(a), _octets(b))

    @staticmethod
    def password(text: str) -> str:
        """An argon2id PHC string with its own salt, to store. Blocking; ``passwords.hash_password``."""
        return passwords.hash_password(text)

    @staticmethod
    def verify(text: str, stored: str | None) -> bool:
        """Whether ``stored`` came from ``Hash.password(text)``; False for None, in the same time. Blocking."""
        return passwords.verify_password(text, stored)

    @staticmethod
    def needs_rehash(stored: str | None) -> bool:
        """Whether ``stored`` was made with weaker (or other) parameters than ``Hash.password`` uses today."""
        return passwords.needs_rehash(stored)


def _octets(value: str | bytes) -> bytes:
    # surrogatepass: a digest is wanted of any str, and equal strs must give equal bytes; nothing decodes them again.
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else bytes(value)
