"""How a thread that asked waits for the thread that receives, and what it gets."""

from __future__ import annotations

import threading
from time import monotonic
from typing import Any

from fluxon.errors import OutcomeUnknown, from_wire
from fluxon.wire import Answer, Failed

#: Longest single wait. On POSIX a lock answers Ctrl+C at once; on Windows only between two waits.
SLICE = 0.5


class NeverSent(Exception):
    """The connection was lost before any of the request was sent: it may be made again on the next one."""


class Overdue(Exception):
    """There was no answer by the deadline."""

    def __init__(self, sent: bool) -> None:
        super().__init__()
        self.sent = sent


class LostInFlight(OutcomeUnknown):
    """The connection was lost after the request was sent: what one's own side knows, and no server says."""


class Lost:
    """What an ask gets instead of an answer when its connection is gone."""

    __slots__ = ("reason", "sent")

    def __init__(self, reason: str, sent: bool) -> None:
        self.reason = reason
        #: Whether any of it may have reached the server.
        self.sent = sent


class Waiter:
    """One ask's place to wait. A bare lock: an Event or a Queue costs four times as much, on every request."""

    __slots__ = ("_lock", "outcome", "tag")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self.outcome: Any = None
        #: The ask's, once it is made.
        self.tag: int | None = None

    def settle(self, outcome: Any) -> None:
        """Wake the thread that waits. Called once."""
        self.outcome = outcome
        self._lock.release()

    def wait(self, deadline: float) -> bool:
        """Whether there is an outcome, by ``deadline`` at the latest."""
        acquire = self._lock.acquire
        while True:
            left = deadline - monotonic()
            if left <= 0:
                return acquire(False)
            if acquire(True, left if left < SLICE else SLICE):
                return True


def result(outcome: Any) -> Any:
    """The answer, or the error, that ``outcome`` is."""
    if type(outcome) is Answer:
        return outcome.value
    if type(outcome) is Failed:
        raise from_wire(outcome.code, outcome.text, outcome.details)
    if not outcome.sent:
        raise NeverSent
    raise LostInFlight(
        f"the connection was lost before the answer ({outcome.reason}); "
        "the request may or may not have been carried out"
    )
