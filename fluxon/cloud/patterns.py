"""Patterns of names: ``*`` stands for any characters, ``?`` for one, case does not matter.

Rules kept here: nothing else is special (a name may hold brackets), and a match takes at most the product of the two
lengths, whatever the pattern.
"""

from __future__ import annotations

from fluxon.cloud.paths import key


def matches(pattern: str, name: str) -> bool:
    """Whether the whole of ``name`` fits ``pattern``."""
    wanted, given = key(pattern), key(name)
    at = place = 0
    star, resumed = -1, 0
    while place < len(given):
        if at < len(wanted) and wanted[at] == "*":
            star, resumed = at, place
            at += 1
        elif at < len(wanted) and wanted[at] in ("?", given[place]):
            at += 1
            place += 1
        elif star >= 0:
            # What the last star stands for grows by one character; earlier stars need no second try.
            resumed += 1
            at, place = star + 1, resumed
        else:
            return False
    return all(character == "*" for character in wanted[at:])
