"""How the targets that take a conversation read their input: a list of steps.

A step is one byte that says what to do, two that say how long its body is, and the body; the last one may be cut short.
So a fuzzer changes bodies without having to keep a frame's length right, and seeds can be written down.
"""

from __future__ import annotations

from collections.abc import Iterator

#: No input needs more.
_MOST = 200


def read(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The steps of an input."""
    at = 0
    for _ in range(_MOST):
        if at + 3 > len(data):
            return
        size = int.from_bytes(data[at + 1 : at + 3], "big")
        yield data[at], data[at + 3 : at + 3 + size]
        at += 3 + size


def write(*steps: tuple[int, bytes]) -> bytes:
    """The input that is these steps."""
    return b"".join(bytes([what]) + len(body).to_bytes(2, "big") + body for what, body in steps)
