"""Taking a lock so that a thread which is interrupted knows whether it has it.

What a signal's handler raises (Ctrl+C) comes between two steps of Python, never within one call of C. In
``if lock.acquire(False): try: …`` it may come between the two, and then nobody ever gives the lock back. Here taking it
and noting that is one call.
"""

from __future__ import annotations

from threading import Lock

_WAITING = (True,)
_AT_ONCE = (0.0,)


def claim(lock: Lock, held: list[bool], seconds: float | None = None) -> bool:
    """Whether ``lock`` was taken, within ``seconds`` or at once; ``held``, an empty list, then holds ``True``.

    To be called in a ``try`` whose ``finally`` begins with ``if True in held: lock.release()``.
    """
    held.extend(map(lock.acquire, _WAITING, _AT_ONCE if seconds is None else (max(seconds, 0.0),)))
    return held[0]
