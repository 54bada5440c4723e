"""Where the next page of a list begins, as a text that callers give back.

Rules kept here: it is sealed, and good for the directory that was listed alone. A page may end at something hidden, and
must not tell what that is; and where a list goes on is for nobody to choose: how far a page comes, which looks at a
bounded number of items, would tell of each name whether something hidden has it.
"""

from __future__ import annotations

import base64
import binascii
import os
import zlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fluxon.errors import InvalidPayload

#: Bytes of a cursor: a path of keys, which may be half as long again as their names, but then repeat themselves.
MAX_CURSOR = 8_192

_NONCE = 12


class Cursors:
    """Makes and reads cursors. Those of one ``key`` (32 bytes) are good for all who have it."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, directory: int, keys: tuple[str, ...]) -> str:
        """Where a page of what is in a directory, and below, has ended."""
        nonce = os.urandom(_NONCE)
        plain = zlib.compress("/".join((str(directory), *keys)).encode())
        return base64.urlsafe_b64encode(nonce + self._cipher.encrypt(nonce, plain, None)).decode()

    def read(self, cursor: str | None) -> tuple[str, ...]:
        """The directory that it is for and the keys on the way to where the page ended; nothing for the first page."""
        if cursor is None:
            return ()
        if isinstance(cursor, str) and len(cursor) <= MAX_CURSOR and cursor.isascii():
            try:
                raw = base64.b64decode(cursor, altchars=b"-_", validate=True)
                plain = self._cipher.decrypt(raw[:_NONCE], raw[_NONCE:], None)
                return tuple(zlib.decompress(plain).decode().split("/"))
            except (ValueError, binascii.Error, InvalidTag):
                pass
        raise no_cursor()


def number(cursor: str | None) -> int | None:
    """A cursor that is the key of a row."""
    if cursor is None:
        return None
    if isinstance(cursor, str) and cursor.isascii() and cursor.isdigit() and len(cursor) <= 19:
        return int(cursor)
    raise no_cursor()


def no_cursor() -> InvalidPayload:
    """What is none, or another list's."""
    return InvalidPayload("this is not where a page ended; begin again without after")
