"""Where the next page begins, as a text that callers give back.

Rules kept here: a cursor names what its owner has seen, in plain text, or it is sealed: a page that ends at something
hidden must not tell what that is. A sealed one is of no use to another process, or after a restart.
"""

from __future__ import annotations

import base64
import binascii
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fluxon.errors import InvalidPayload

#: Bytes of a cursor: a path of keys.
MAX_CURSOR = 8_192

_SEALED = "~"
_NONCE = 12


class Cursors:
    """Makes and reads cursors."""

    def __init__(self) -> None:
        self._cipher = AESGCM(AESGCM.generate_key(128))

    def of_seen(self, keys: tuple[str, ...]) -> str:
        """For what the caller was shown."""
        return "/" + "/".join(keys)

    def of_hidden(self, keys: tuple[str, ...]) -> str:
        """For what was not."""
        nonce = os.urandom(_NONCE)
        sealed = self._cipher.encrypt(nonce, "/".join(keys).encode(), None)
        return _SEALED + base64.urlsafe_b64encode(nonce + sealed).decode()

    def read(self, cursor: str | None) -> tuple[str, ...]:
        """The keys on the way to where the page before ended; none for the first page."""
        if cursor is None:
            return ()
        if isinstance(cursor, str) and len(cursor) <= 2 * MAX_CURSOR:
            # No database has a key with one of these, and not every one takes the question.
            if cursor.startswith("/") and "\0" not in cursor and cursor == cursor.encode("utf-8", "replace").decode():
                return tuple(cursor[1:].split("/"))
            if cursor.startswith(_SEALED):
                try:
                    raw = base64.urlsafe_b64decode(cursor[1:].encode())
                    return tuple(self._cipher.decrypt(raw[:_NONCE], raw[_NONCE:], None).decode().split("/"))
                except (ValueError, binascii.Error, InvalidTag):
                    pass
        raise InvalidPayload("this is not where a page ended; begin again without after")


def number(cursor: str | None) -> int | None:
    """A cursor that is the key of a row."""
    if cursor is None:
        return None
    if isinstance(cursor, str) and cursor.isascii() and cursor.isdigit() and len(cursor) <= 19:
        return int(cursor)
    raise InvalidPayload("this is not where a page ended; begin again without after")
