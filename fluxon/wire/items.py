"""Counting the items of a body (RFC 8949, 1.2) before any of them is decoded.

An item costs its sender one byte, and its receiver 0.3 microseconds and 60 bytes of memory: a bound for bytes alone
does not bound what a frame costs.

Rules of this module: one pass, no recursion, nothing is decoded. Only bodies of more bytes than they may have items are
looked at, so the usual one is not. What is no CBOR is left to the decoder, which meets it at the same byte.
"""

from __future__ import annotations

import re


def _text(sizes: range) -> bytes:
    """The size of a string in one byte, if it is among ``sizes``, and so many bytes after it."""
    first, last = sizes[0], sizes[-1]
    return rb"(?=[\x%02x-\x%02x])(?:%s)" % (first, last, b"|".join(rb"\x%02x.{%d}" % (size, size) for size in sizes))


# Every alternative begins with bytes of its own, and none is tried again once it has matched (``++``): the time grows
# with what is matched, and with nothing else.
_ITEM = b"|".join(
    (
        rb"[\x00-\x17\x20-\x37\x40\x60\x80-\x97\xa0-\xb7\xc0-\xd7\xe0-\xf7]",
        rb"[\x18\x38\x98\xb8\xd8\xf8].",
        rb"[\x19\x39\x99\xb9\xd9\xf9].{2}",
        rb"[\x1a\x3a\x9a\xba\xda\xfa].{4}",
        rb"[\x1b\x3b\x9b\xbb\xdb\xfb].{8}",
        *(rb"[\x%02x\x%02x].{%d}" % (0x40 + size, 0x60 + size, size) for size in range(1, 24)),
        rb"(?:[\x58\x78]|[\x59\x79]\x00|[\x5a\x7a]\x00{3}|[\x5b\x7b]\x00{7})(?:%s)"
        % b"|".join(_text(range(start, start + 16)) for start in range(0, 256, 16)),
    )
)

#: Items that are stepped over at once.
_STEP = 1_024
_step = re.compile(rb"(?:%s){%d}+" % (_ITEM, _STEP), re.DOTALL).match
_run = re.compile(rb"(?:%s){1,%d}+" % (_ITEM, _STEP), re.DOTALL).match
_each = re.compile(_ITEM, re.DOTALL).findall
# Longer ones have so many bytes that they cannot be many.
_long = re.compile(rb"[\x59\x79].{2}|[\x5a\x7a].{4}|[\x5b\x7b].{8}", re.DOTALL).match


def count(body: bytes, most: int) -> int:
    """How many items ``body`` has: each scalar, key, tag, list and map counts one. More than ``most`` for more."""
    position = found = 0
    while found <= most:
        if position >= len(body):
            return found
        if run := _step(body, position):
            found += _STEP
        elif run := _run(body, position):
            found += len(_each(body, position, run.end()))
        elif run := _long(body, position):
            found += 1
            position = run.end() + int.from_bytes(body[position + 1 : run.end()], "big")
            continue
        else:
            return found
        position = run.end()
    return found


def exceeds(body: bytes, limit: int) -> bool:
    """Whether ``body`` begins with more than ``limit`` items."""
    return count(body, limit) > limit


def heads(body: bytes, count: int) -> list[tuple[int, int]]:
    """The first ``count`` heads of ``body``, if no strings are among them: major type and argument of each."""
    found: list[tuple[int, int]] = []
    position = 0
    while len(found) < count and position < len(body):
        major, argument = body[position] >> 5, body[position] & 0x1F
        position += 1
        if argument >= 24:
            size = 1 << (argument - 24)
            if argument > 27 or position + size > len(body):
                break
            argument = int.from_bytes(body[position : position + size], "big")
            position += size
        found.append((major, argument))
    return found
