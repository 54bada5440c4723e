"""Session tokens: what a client holds, and what only this server could have written.

A token is ``v1.<key id>.<session id>.<mac>``: the id of the key that signed it, 16 random bytes and their
HMAC-SHA256 (RFC 2104), the latter two in unpadded base64url (RFC 4648, section 5).

Rules of this module:

- The MAC covers the text before it, and is compared as text: one token has one spelling, so no changed character can
  decode to the same bytes.
- ``verify`` compares in constant time before anything else is looked at, does the same work for a key that it does
  not know, and never raises, whatever a stranger sent.
- The newest key signs; the older ones verify until they are removed.
- A key that is not known may be another process's newest: ``is_of_unknown_key`` tells it by what anybody may read.
"""

from __future__ import annotations

import hmac
import os
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping

from fluxon.errors import ConfigurationError

VERSION = "v1"

#: 128 random bits: nobody guesses one of a billion live sessions.
SESSION_ID_BYTES = 16

#: As long as HMAC-SHA256's output; more adds nothing (RFC 2104, section 3).
KEY_BYTES = 32

#: "v1", the longest key id, 22 characters of id and 43 of MAC, with three dots, are 87; what is longer is no token.
MAX_TOKEN = 87

_KEY_ID = re.compile(r"[0-9A-Za-z_-]{1,17}", re.ASCII)
_SESSION_ID = re.compile(rb"[0-9A-Za-z_-]{22}")
_TOKEN = re.compile(r"v1\.([0-9A-Za-z_-]{1,17})\.[0-9A-Za-z_-]{22}\.[0-9A-Za-z_-]{43}", re.ASCII)


class TokenSigner:
    """Signs session ids, and tells which of the tokens it is shown it signed.

    ``keys`` maps key ids to keys of ``KEY_BYTES`` bytes, in the order they were made: the last one signs.
    ``use_keys`` may be called from any thread; tokens being made meanwhile get the old key or the new one.
    """

    __slots__ = ("_decoy", "_keys", "_newest")

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._decoy = os.urandom(KEY_BYTES)
        self.use_keys(keys)

    def use_keys(self, keys: Mapping[str, bytes]) -> None:
        """From now on sign with the last of ``keys`` and verify with all of them."""
        if not keys:
            raise ConfigurationError("a token signer needs at least one key; Secrets.open() makes one")
        for key_id, key in keys.items():
            if not _KEY_ID.fullmatch(key_id) or len(key) != KEY_BYTES:
                raise ConfigurationError(
                    f"a session key has {KEY_BYTES} bytes and an id of at most 17 letters, digits, - and _"
                )
        # Two assignments; in between the old key signs, and verifies under the new table too if it is still there.
        self._keys = {key_id.encode("ascii"): bytes(key) for key_id, key in keys.items()}
        self._newest = next(reversed(self._keys.items()))

    @property
    def key_id(self) -> str:
        """The id of the key that signs."""
        return self._newest[0].decode("ascii")

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of all keys that verify, oldest first."""
        return tuple(key_id.decode("ascii") for key_id in self._keys)

    def sign(self, session_id: bytes) -> str:
        """The token of a session id of ``SESSION_ID_BYTES`` bytes. ``ValueError`` for any other length."""
        if len(session_id) != SESSION_ID_BYTES:
            raise ValueError(f"a session id has {SESSION_ID_BYTES} bytes, not {len(session_id)}")
        key_id, key = self._newest
        signed = b"v1." + key_id + b"." + _encode(session_id)
        return (signed + b"." + _encode(hmac.digest(key, signed, "sha256"))).decode("ascii")

    def verify(self, token: object) -> bytes | None:
        """The session id that ``token`` was signed for, or None for anything this server did not sign."""
        if not isinstance(token, str) or len(token) > MAX_TOKEN or not token.isascii():
            return None
        signed, _, mac = token.encode("ascii").rpartition(b".")
        version, _, rest = signed.partition(b".")
        key_id, _, session_id = rest.partition(b".")
        key = self._keys.get(key_id)
        expected = _encode(hmac.digest(self._decoy if key is None else key, signed, "sha256"))
        if not hmac.compare_digest(expected, mac) or key is None:
            return None
        # Ours from here on. The checks are for a key shared with something else that signs.
        if version != b"v1" or not _SESSION_ID.fullmatch(session_id):
            return None
        return urlsafe_b64decode(session_id + b"==")

    def is_of_unknown_key(self, token: object) -> bool:
        """Whether ``token`` says that a key signed it which is none of these."""
        found = _TOKEN.fullmatch(token) if isinstance(token, str) else None
        return found is not None and found[1].encode("ascii") not in self._keys


def _encode(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")
