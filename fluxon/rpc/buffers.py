"""Memory for large buffers, which come and go a thousand times a second while a stream moves.

The C library gives free memory back to the system as soon as there is a little of it, and fetching it again, page by
page, costs as much as filling it. (Measured while a file came in: a tenth of all CPU time.)
"""

from __future__ import annotations

#: glibc keeps twice as much for the next buffers. It learns that from the largest buffer that it saw freed (mallopt(3),
#: M_MMAP_THRESHOLD); what does not learn it loses nothing.
_KEPT = 8 * 1024 * 1024

_kept = False


def keep_buffers() -> None:
    """Have the process keep some memory for buffers, if it was not told before."""
    global _kept
    if not _kept:
        _kept = True
        bytearray(_KEPT)  # of zeros that nobody touches: no memory is really fetched for it
