"""The server's own key, and the keys of those who may log in.

Rules of this module:

- Everything here blocks, and is called in a thread.
- The host key is Ed25519, made at the first start (``SecretsFolder.create``: ``O_EXCL``, 0600, whole or not at all).
- ``authorized_keys`` is read again at each login: whoever is taken out of it is out. It holds nothing secret, so others
  may read it, but nobody else may write it.
- A line that cannot be honoured in full (options, unknown kinds, RSA below 2048 bits) is refused and reported, never
  half honoured: ``from="10.0.0.1"`` must not become "from anywhere".
"""

from __future__ import annotations

from pathlib import Path

import attrs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from twisted.conch.ssh.keys import FingerprintFormats, Key
from twisted.logger import Logger

from fluxon.errors import InsecureSecrets
from fluxon.security.folder import open_folder

_log = Logger(namespace="fluxon.console")

HOST_KEY = "ssh_host_ed25519_key"
AUTHORIZED_KEYS = "authorized_keys"

_LEAST_RSA_BITS = 2048


@attrs.frozen
class Operator:
    """Somebody with a key."""

    fingerprint: str
    comment: str

    def __str__(self) -> str:
        return f"{self.comment} ({self.fingerprint})" if self.comment else self.fingerprint


def host_key(secrets: Path) -> Key:
    """The server's own key; made if there is none. Raises ``InsecureSecrets``."""
    with open_folder(secrets) as folder:
        pem = folder.read(HOST_KEY)
        if pem is None:
            made = Ed25519PrivateKey.generate()
            pem = folder.create(HOST_KEY, made.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    try:
        key: Key = Key.fromString(pem)
    except Exception as error:  # Conch raises whatever the parts of a damaged file make it
        raise InsecureSecrets(
            f"{HOST_KEY} in the secrets folder is no key; restore it, or remove it to have a new one made"
        ) from error
    if key.isPublic() or key.type() != "Ed25519":
        raise InsecureSecrets(f"{HOST_KEY} in the secrets folder is not a private Ed25519 key; remove it")
    return key


def fingerprint(key: Key) -> str:
    """As OpenSSH shows it: ``SHA256:…``."""
    return f"SHA256:{key.fingerprint(FingerprintFormats.SHA256_BASE64).rstrip('=')}"


def authorized(secrets: Path, log: Logger = _log) -> dict[bytes, Operator]:
    """Who may log in, by their public key's bytes. Raises ``InsecureSecrets`` when others could write the file."""
    with open_folder(secrets) as folder:
        content = folder.read(AUTHORIZED_KEYS, private=False)
    found: dict[bytes, Operator] = {}
    for number, line in enumerate((content or b"").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith(b"#"):
            continue
        try:
            key = _key(text)
        except ValueError as error:
            log.warn("{name}, line {number} is not used: {reason}", name=AUTHORIZED_KEYS, number=number, reason=error)
            continue
        comment = b" ".join(text.split()[2:]).decode("utf-8", "replace")[:100]
        found[key.blob()] = Operator(fingerprint(key), "".join(each for each in comment if each.isprintable()))
    return found


def _key(text: bytes) -> Key:
    kind = text.split()[0]
    if not kind.startswith((b"ssh-", b"ecdsa-", b"sk-")) or b"=" in kind or b"," in kind:
        raise ValueError("it begins with options or with no kind of key, and options are not supported")
    try:
        key: Key = Key.fromString(b" ".join(text.split()[:2]))
    except Exception:
        raise ValueError("it is no public key that can be used here") from None
    if key.type() == "RSA" and key.size() < _LEAST_RSA_BITS:
        raise ValueError(f"RSA keys have at least {_LEAST_RSA_BITS} bits")
    if key.type() == "DSA":
        raise ValueError("DSA keys are not safe")
    return key
