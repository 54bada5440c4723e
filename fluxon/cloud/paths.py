"""Paths of the cloud storage: texts like ``/a/b``, taken apart into components.

Rules of this room:

- Pure: no file, no database, no clock. Nothing here ever becomes a path of the operating system.
- A component is NFC, so that what looks the same is the same; no two items of a directory differ in case alone.
- What cannot be shown, typed or understood everywhere is refused with its reason, never mended: ``.`` and ``..``,
  nothing between two slashes, control and format characters that hide or turn text around, backslashes, lone halves of
  surrogate pairs.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePath
from typing import Any

from fluxon.errors import InvalidPayload

#: Bytes of UTF-8: what file systems allow a name, and Linux a path.
MAX_COMPONENT = 255
MAX_PATH = 4_096

#: Directories within each other. Real trees stay under 20; each costs a statement.
MAX_DEPTH = 64

#: Characters of a key: no name of so many bytes has a longer one, whatever folding its case makes of it. Databases
#: index so many.
MAX_KEY = 400

#: Other than control characters: marks that turn the direction of what follows ("exe.txt" for "txt.exe"), and the
#: separators of lines and paragraphs.
_HIDING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029\ufeff")

#: Paths whose components are of printable ASCII and begin with neither a dot nor a blank: nothing of them is refused
#: but their length and depth. Most are of these, and each of them is taken apart at least once.
_PLAIN = re.compile(r"(?:/[!-\-0-\[\]-~][ -.0-\[\]-~]{0,254})+")


def parse(path: Any) -> tuple[str, ...]:
    """The components of ``path``, a text or a pure path; none for ``/``.

    The slash at its beginning may be missing, and one may be at its end. Raises ``InvalidPayload`` with the reason.
    """
    if isinstance(path, PurePath):
        path = path.as_posix()
        path = "/" if path == "." else path
    if not isinstance(path, str):
        raise InvalidPayload(f"a path is a text, such as /documents/plan.txt, not {type(path).__name__}")
    if len(path) > MAX_PATH:  # before anything that takes time
        raise InvalidPayload(f"a path has at most {MAX_PATH} bytes")
    if not path:
        raise InvalidPayload("the path is empty; the top is /")
    if path == "/":
        return ()
    if _PLAIN.fullmatch(path) and path.count("/") <= MAX_DEPTH:
        return tuple(path[1:].split("/"))
    inner = path[1:] if path.startswith("/") else path
    inner = inner[:-1] if inner.endswith("/") else inner
    parts = tuple(component(each) for each in inner.split("/"))
    if len(parts) > MAX_DEPTH:
        raise InvalidPayload(f"a path has at most {MAX_DEPTH} components")
    if size(parts) > MAX_PATH:
        raise InvalidPayload(f"a path has at most {MAX_PATH} bytes")
    return parts


def component(name: Any) -> str:
    """``name`` in NFC, if it may be the name of an item. Raises ``InvalidPayload`` with the reason."""
    if not isinstance(name, str):
        raise InvalidPayload(f"a name is a text, not {type(name).__name__}")
    if not name:
        raise InvalidPayload("a name is empty (two slashes in a row?)")
    if len(name) > MAX_COMPONENT:
        raise InvalidPayload(f"a name has at most {MAX_COMPONENT} bytes")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InvalidPayload("a name holds half of a character (a lone surrogate)") from None
    made = unicodedata.normalize("NFC", name)
    if made in (".", ".."):
        raise InvalidPayload("a path has no . and .. in it; name the item itself")
    # What is printable in ASCII needs a closer look only for these two.
    plain = made.isascii() and made.isprintable() and "/" not in made and "\\" not in made
    for character in "" if plain else made:
        if character in "/\\":
            raise InvalidPayload("a name holds no slash and no backslash")
        if unicodedata.category(character) == "Cc":
            raise InvalidPayload("a name holds no NUL and no other control character")
        if character in _HIDING:
            raise InvalidPayload("a name holds no characters that hide or turn around others")
    if made.isspace():
        raise InvalidPayload("a name is not blanks alone")
    if len(made.encode()) > MAX_COMPONENT:
        raise InvalidPayload(f"a name has at most {MAX_COMPONENT} bytes")
    return made


def key(name: str) -> str:
    """What two names of one directory must not have in common: the name without its case."""
    if name.isascii():
        return name.lower()  # which is what follows, for a tenth of the time
    folded = unicodedata.normalize("NFC", name).casefold()
    return unicodedata.normalize("NFC", folded)


def join(parts: tuple[str, ...]) -> str:
    """The path of these components, as everything here answers it."""
    return "/" + "/".join(parts)


def size(parts: tuple[str, ...]) -> int:
    """Bytes of ``join(parts)``."""
    return sum(1 + len(each.encode()) for each in parts) or 1


def fits(parts: tuple[str, ...]) -> bool:
    """Whether ``join(parts)`` is no longer than a path may be."""
    return len(parts) * (1 + MAX_COMPONENT) <= MAX_PATH or size(parts) <= MAX_PATH
