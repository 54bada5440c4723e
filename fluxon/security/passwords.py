"""Passwords at rest: argon2id (RFC 9106) in its PHC string form, ``$argon2id$v=19$m=…,t=…,p=…$salt$hash``.

Rules of this module:

- Hashing and verifying block for tens of milliseconds, without Python's lock: they belong in a worker pool, never on
  the reactor thread.
- Verifying takes the same work whether the user exists or not: without a stored hash, or with one that is no hash,
  a decoy is verified, so the time of an answer does not tell which names are taken.
- What is stored names its own parameters, so they may be raised here: old hashes verify, and ``needs_rehash`` finds
  them. Parameters out of a damaged or planted row are bounded before any memory is taken.
- The same text typed on two systems is the same password: Unicode is normalised to NFC first (RFC 8265, section 4.2).
"""

from __future__ import annotations

import os
import re
import unicodedata
from base64 import b64decode, b64encode

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from fluxon.errors import InvalidPayload

# OWASP's Password Storage Cheat Sheet (2024): 19 MiB, two passes, one lane is the smallest setting that it recommends.
# A login costs about 35 ms and 19 MiB while it lasts, so a pool of two threads stays under 40 MiB.
MEMORY_KIB = 19 * 1024
PASSES = 2
LANES = 1

#: RFC 9106, section 3.1: 16 bytes of salt are enough for all applications; 32 of output exceed any attack on them.
SALT_BYTES = 16
HASH_BYTES = 32

#: Nobody types more; without a bound the first, linear pass over the text would be the stranger's to size.
MAX_PASSWORD_BYTES = 1024

# What a stored hash may ask of this process: eight times what any current recommendation does.
_MAX_MEMORY_KIB = 512 * 1024
_MAX_PASSES = 16
_MAX_LANES = 16

_PHC = re.compile(
    r"\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,3})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})", re.ASCII
)


def hash_password(text: str) -> str:
    """The PHC string to store for ``text``; a new salt each time. Blocking.

    Raises ``InvalidPayload`` for what is no text, has lone surrogates, or is over ``MAX_PASSWORD_BYTES`` in UTF-8.
    """
    deriver = Argon2id(
        salt=os.urandom(SALT_BYTES), length=HASH_BYTES, iterations=PASSES, lanes=LANES, memory_cost=MEMORY_KIB
    )
    return deriver.derive_phc_encoded(_prepared(text))


def rehash_password(text: str, stored: str) -> str:
    """A hash of ``text`` with today's parameters and the salt of ``stored``, which was made from it. Blocking.

    The salt is what ``password_identity`` goes by, so the password stays the same one. A salt that is shorter than
    today's is not kept.
    """
    salt = _salt(stored)
    if salt is None or len(salt) < SALT_BYTES:
        return hash_password(text)
    deriver = Argon2id(salt=salt, length=HASH_BYTES, iterations=PASSES, lanes=LANES, memory_cost=MEMORY_KIB)
    return deriver.derive_phc_encoded(_prepared(text))


def password_identity(stored: object) -> str:
    """What tells one stored password from another: the salt of a hash, or all of what is none.

    Each password that is set has a salt of its own, and ``rehash_password`` keeps it.
    """
    match = _PHC.fullmatch(stored) if isinstance(stored, str) else None
    return repr(stored) if match is None else match[4]


def verify_password(text: str, stored: str | None) -> bool:
    """Whether ``stored`` was made from ``text``. Blocking.

    ``stored`` is None for a user that does not exist: the answer is False and takes as long as any other. Raises
    ``InvalidPayload`` for a ``text`` that no password can be, before ``stored`` is looked at.
    """
    secret = _prepared(text)
    known = stored if _parameters(stored) is not None else None
    try:
        Argon2id.verify_phc_encoded(secret, _decoy() if known is None else known)
    except (InvalidKey, ValueError):
        return False
    return known is not None


def needs_rehash(stored: str | None) -> bool:
    """Whether ``stored`` was made with other parameters than today's (or is no hash): store a new one at login."""
    return _parameters(stored) != (MEMORY_KIB, PASSES, LANES)


def _prepared(text: str) -> bytes:
    if not isinstance(text, str):
        raise InvalidPayload("a password is text")
    if len(text) <= MAX_PASSWORD_BYTES:
        try:
            secret = unicodedata.normalize("NFC", text).encode("utf-8")
        except UnicodeEncodeError:
            raise InvalidPayload("the password has characters that are no Unicode text") from None
        if len(secret) <= MAX_PASSWORD_BYTES:
            return secret
    raise InvalidPayload(f"a password has at most {MAX_PASSWORD_BYTES} bytes; choose a shorter one")


def _parameters(stored: str | None) -> tuple[int, int, int] | None:
    """Memory, passes and lanes of a PHC string that is safe to verify, else None."""
    match = _PHC.fullmatch(stored) if isinstance(stored, str) else None
    if match is None:
        return None
    memory, passes, lanes = (int(each) for each in match.groups()[:3])
    if not (1 <= lanes <= _MAX_LANES and 1 <= passes <= _MAX_PASSES and 8 * lanes <= memory <= _MAX_MEMORY_KIB):
        return None
    return memory, passes, lanes


def _salt(stored: str) -> bytes | None:
    match = _PHC.fullmatch(stored)
    if match is None:
        return None
    try:
        return b64decode(match[4] + "=" * (-len(match[4]) % 4), validate=True)
    except ValueError:
        return None


def _decoy() -> str:
    """A hash of today's cost that nobody knows a password for: its output is random, not derived."""
    salt, output = (b64encode(os.urandom(size)).rstrip(b"=").decode("ascii") for size in (SALT_BYTES, HASH_BYTES))
    return f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${output}"
