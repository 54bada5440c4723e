"""``Secrets``: everything that a server must keep to itself, in one folder.

===================== =====================================================================
``session_NNNNN.key`` 32 random bytes each: sign session tokens. The highest number signs.
``password.key``      32 random bytes: keys the digests of ``Secrets.digest``.
``private_key.pem``   the TLS key, and
``certificate.pem``   its certificate: made for localhost, or the operator's own pair.
===================== =====================================================================

Rules of this module:

- Constructing opens nothing. ``open`` blocks: it runs before the reactor does, or in a thread.
- What is missing is made; what is there is used or refused (``folder.py``), never overwritten. The one exception is
  the certificate that this module made itself, once it has expired and no client accepts it any more.
- Nothing of it goes to the log, the environment, or a ``repr``.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from twisted.logger import Logger

from fluxon.arguments import check_path
from fluxon.errors import ConfigurationError
from fluxon.security import certificate
from fluxon.security.folder import SecretsFolder, open_folder
from fluxon.security.tokens import KEY_BYTES, TokenSigner

CERTIFICATE = "certificate.pem"
PRIVATE_KEY = "private_key.pem"
PASSWORD_KEY = "password.key"
_SESSION_KEY = re.compile(r"session_([0-9]{5})\.key", re.ASCII)

T = TypeVar("T")

_log = Logger()


class Secrets:
    """The secrets folder at ``path``; made at the first ``open`` if it is not there."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        check_path("secrets", path, "secrets=Secrets(BASE_DIR / 'secrets')", "the path of the secrets folder")
        self.path = Path(path)
        self._signer: TokenSigner | None = None
        self._password_key: bytes | None = None

    def __repr__(self) -> str:
        return f"Secrets({str(self.path)!r})"

    @property
    def certificate_path(self) -> Path:
        """The server's certificate (PEM, a chain may follow). Clients get a copy of this file, and only of this."""
        return self.path / CERTIFICATE

    @property
    def key_path(self) -> Path:
        """The certificate's private key (PEM)."""
        return self.path / PRIVATE_KEY

    def open(self, log: Logger | None = None) -> None:
        """Make what is missing, check and read the rest. Blocking; a second call reads again.

        Several processes may do so at once: all of them end up with the same keys. Raises ``InsecureSecrets`` for
        a folder or file that others can read, that is a link, another user's or damaged, and ``ConfigurationError``
        for a certificate and key that do not belong together.
        """
        log = _log if log is None else log
        with open_folder(self.path) as folder:
            keys = _session_keys(folder)
            if not keys:
                folder.create(_session_key_name(1), os.urandom(KEY_BYTES))
                keys = _session_keys(folder)
            password_key = folder.read(PASSWORD_KEY, KEY_BYTES)
            if password_key is None:
                password_key = folder.create(PASSWORD_KEY, os.urandom(KEY_BYTES))
            _prepare_certificate(folder, log)
        self._password_key = password_key
        if self._signer is None:
            self._signer = TokenSigner(keys)
        else:
            self._signer.use_keys(keys)

    def signer(self) -> TokenSigner:
        """The signer of session tokens. The same object for the life of this one; it follows rotations."""
        return _opened(self._signer)

    @property
    def session_keys(self) -> tuple[str, ...]:
        """The ids of the session keys, oldest first; the last one signs."""
        return _opened(self._signer).key_ids

    def digest(self, purpose: str, data: bytes) -> bytes:
        """32 bytes that only a holder of this folder can compute from ``data`` (keyed BLAKE2b, RFC 7693).

        ``purpose`` keeps uses apart: the same data digested for two purposes gives unrelated results.
        """
        label = purpose.encode("utf-8")
        state = hashlib.blake2b(key=_opened(self._password_key), digest_size=32)
        state.update(len(label).to_bytes(4, "big") + label + data)
        return state.digest()

    def read_session_keys(self) -> bool:
        """Take up the session keys that are in the folder now; whether they are others than before. Blocking.

        Where none is left the present ones go on, until the next start. Raises ``InsecureSecrets``.
        """
        signer = _opened(self._signer)
        with open_folder(self.path) as folder:
            keys = _session_keys(folder)
        if not keys or tuple(keys) == signer.key_ids:
            return False
        signer.use_keys(keys)
        return True

    def rotate_session_key(self, retire_after: float | None = None) -> str:
        """Make a new session key, sign with it from now on, and return its id. Blocking.

        Older keys go on verifying. With ``retire_after`` (seconds; the longest life of a session), keys that were
        superseded longer ago than that are removed: no token of theirs can still be alive. Other processes that use
        the folder take the new key with ``read_session_keys``, as a server does when it is reloaded, or shown a token
        that the new key signed.
        """
        signer = _opened(self._signer)
        with open_folder(self.path) as folder:
            number = 1 + max((int(key_id) for key_id in _session_keys(folder)), default=0)
            ours = os.urandom(KEY_BYTES)
            while folder.create(_session_key_name(number), ours) != ours:
                number += 1  # another process took that number
            if retire_after is not None:
                _retire(folder, time.time() - retire_after)
            signer.use_keys(_session_keys(folder))
        return signer.key_id


def _opened(secret: T | None) -> T:
    if secret is None:
        raise ConfigurationError("the secrets folder was not opened yet; call Secrets.open() at the server's start")
    return secret


def _session_key_name(number: int) -> str:
    return f"session_{number:05d}.key"


def _session_keys(folder: SecretsFolder) -> dict[str, bytes]:
    """Key ids and keys, oldest first."""
    keys: dict[str, bytes] = {}
    for name in folder.names():
        if (match := _SESSION_KEY.fullmatch(name)) and (key := folder.read(name, KEY_BYTES)) is not None:
            keys[str(int(match[1]))] = key
    return keys


def _retire(folder: SecretsFolder, before: float) -> None:
    names = [name for name in folder.names() if _SESSION_KEY.fullmatch(name)]
    for name, successor in pairwise(names):
        if folder.modified(successor) < before:
            folder.remove(name)


def _prepare_certificate(folder: SecretsFolder, log: Logger) -> None:
    key_pem, certificate_pem = folder.read(PRIVATE_KEY), folder.read(CERTIFICATE)
    if key_pem is None:
        # Another process that is starting now writes the key before the certificate: look at the key once more
        # before taking the certificate for an orphan.
        if certificate_pem is not None and (key_pem := folder.read(PRIVATE_KEY)) is None:
            raise ConfigurationError(
                f"{CERTIFICATE} has no {PRIVATE_KEY} beside it; put its key there, or remove it to have both made"
            )
        if key_pem is None:
            key_pem = folder.create(PRIVATE_KEY, certificate.make_key())
    if certificate_pem is None:
        certificate_pem = folder.create(CERTIFICATE, certificate.make_certificate(key_pem))
        log.info("The secrets folder {folder} has the certificate of this server.", folder=folder.name)
    pair = certificate.load_pair(certificate_pem, key_pem)
    now = datetime.now(UTC)
    left = pair.expires_in(now)
    if left.total_seconds() <= 0 and pair.made_here:
        folder.replace(CERTIFICATE, certificate.make_certificate(key_pem, now))
        log.warn("{name} had expired and was made anew; give the clients a copy of it.", name=CERTIFICATE)
    elif left < certificate.EXPIRY_NOTICE:
        log.warn(
            "{name} expires on {when}: put a new one there{made_here}; the running server takes it up by itself.",
            name=CERTIFICATE,
            when=pair.certificate.not_valid_after_utc.date().isoformat(),
            made_here=f", or remove it and {PRIVATE_KEY} and start again" if pair.made_here else "",
        )
