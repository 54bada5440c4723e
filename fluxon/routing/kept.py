"""A request that is kept until clients have carried it out, and the room that all such requests have.

Rules of this module:

- However many clients it is kept for, it is encoded once, its payload is held once, and one timer is its end.
- The room is bounded three times: for all together, of users and of strangers each, for strangers are free to make;
  for one user, with however many sessions; and for one client, which is its outbox's business.
- Of all together a payload counts once; of a user's share and of a client's, each time that it waits there.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from fluxon.commands import Call
from fluxon.errors import InvalidPayload, ResourceExhausted
from fluxon.limits import Limits
from fluxon.wire import Encoded, encode

if TYPE_CHECKING:
    from fluxon.routing.delivery import Result
    from fluxon.routing.outbox import Outbox
    from fluxon.rpc import Peer

#: What an entry costs beside its payload.
OVERHEAD = 600

#: Clients for which one is given up in one turn of the reactor: about a millisecond.
_AT_ONCE = 64


class Kept:
    """One request. ``payload`` is encoded: its caller may change the original."""

    __slots__ = ("_timer", "_until", "entries", "name", "payload", "seconds", "size")

    def __init__(self, name: str, payload: bytes, seconds: float) -> None:
        self.name = name
        self.payload = Encoded(payload)
        self.size = len(payload)
        #: How long it is kept, from when it first is.
        self.seconds = seconds
        #: Of those who have not carried it out.
        self.entries: dict[Entry, None] = {}
        self._until: float | None = None
        self._timer: IDelayedCall | None = None

    def add(self, entry: Entry, clock: Any) -> None:
        """It waits for one more client."""
        self.entries[entry] = None
        if self._timer is None:
            now = clock.seconds()
            if self._until is None:
                self._until = now + self.seconds
            self._timer = clock.callLater(max(0.0, self._until - now), self._expire, clock)

    def remove(self, entry: Entry) -> None:
        """It does not any more."""
        self.entries.pop(entry, None)
        if not self.entries and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self, clock: Any) -> None:
        self._timer = None
        for entry in list(islice(self.entries, _AT_ONCE)):
            entry.outbox.expire(entry)
        if self.entries:
            self._timer = clock.callLater(0, self._expire, clock)


class Entry:
    """One client's part of it."""

    __slots__ = ("asked", "kept", "number", "outbox", "peer", "sent", "size", "waiter")

    def __init__(self, number: int, kept: Kept, outbox: Outbox) -> None:
        self.number = number
        self.kept = kept
        self.outbox = outbox
        self.size = kept.size + OVERHEAD
        #: The connection that it is on its way on.
        self.peer: Peer | None = None
        self.asked: Deferred[Any] | None = None
        #: Whether it ever left.
        self.sent = False
        #: Of whoever waits for the result; fired once.
        self.waiter: Deferred[Result] | None = None

    def tell(self, result: Result) -> None:
        """Whoever waits hears of ``result``."""
        waiter, self.waiter = self.waiter, None
        if waiter is not None and not waiter.called:
            waiter.callback(result)


class Room:
    """What all outboxes have in them."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # Bytes, of users and of strangers.
        self._size = {False: 0, True: 0}
        self._holders: dict[bool, Counter[Kept]] = {False: Counter(), True: Counter()}
        self._of_user: Counter[int] = Counter()

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        return sum(self._size.values())

    def used(self) -> dict[str, float]:
        """What is used of the limits, by their names."""
        return {
            "outbox_per_user": max(self._of_user.values(), default=0),
            "outbox_total": max(self._size.values()),
        }

    def refusal(self, kept: Kept, user_id: int | None) -> str | None:
        """Why there is none for one more client's part of ``kept``, if there is none."""
        if user_id is not None and self._of_user[user_id] + kept.size + OVERHEAD > self._limits.outbox_per_user:
            return "too much waits for this user's clients already"
        stranger = user_id is None
        if self._size[stranger] + self._cost(kept, stranger) > self._limits.outbox_total:
            return "too much waits for all clients already"
        return None

    def _cost(self, kept: Kept, stranger: bool) -> int:
        return OVERHEAD if self._holders[stranger][kept] else OVERHEAD + kept.size

    def take(self, kept: Kept, user_id: int | None) -> None:
        """One more client's part."""
        stranger = user_id is None
        self._size[stranger] += self._cost(kept, stranger)
        self._holders[stranger][kept] += 1
        if user_id is not None:
            self._of_user[user_id] += kept.size + OVERHEAD

    def give_back(self, kept: Kept, user_id: int | None) -> None:
        """One client's part is over."""
        stranger = user_id is None
        _less(self._holders[stranger], kept, 1)
        self._size[stranger] -= self._cost(kept, stranger)
        if user_id is not None:
            _less(self._of_user, user_id, kept.size + OVERHEAD)


def _less(counter: Counter[Any], of: Any, amount: int) -> None:
    counter[of] -= amount
    if not counter[of]:
        del counter[of]


def keep(name: str, payload: Any, seconds: Any, limits: Limits) -> Kept:
    """What is to be kept for ``seconds``. Raises for what no client could be sent, and what no outbox takes."""
    Call.check_arguments({"view": name, "payload": payload})
    if type(seconds) not in (int, float) or not 0 < seconds <= limits.outbox_time:
        raise InvalidPayload(f"keep is a number of seconds up to {limits.outbox_time:g} (Limits.outbox_time)")
    kept = Kept(name, encode(payload), seconds)
    if kept.size + OVERHEAD > limits.outbox_bytes:
        raise ResourceExhausted(f"a payload of {kept.size:,} bytes; {limits.outbox_bytes:,} are kept for a client")
    return kept
