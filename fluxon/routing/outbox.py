"""What is kept for one session's client until the client has carried it out.

Rules of this module:

- In order, always: what was put in first is sent first. A few are on their way at once, so that a long way costs no
  more than a short one.
- One connection of the session at a time: the one that said hello last. What was on its way when a connection ended is
  sent again on the next, under its number; the client drops what it has carried out.
- What was promised is kept until its time is over: whoever finds the outbox full is refused.
- Whatever is given up before the client had it is counted in ``losses``, and the client is told when it comes back.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from fluxon.commands import Deliver
from fluxon.errors import FluxonError, OutcomeUnknown, ResourceExhausted, Unavailable, says_stopping
from fluxon.routing.delivery import FAILED, HANDLED, OFFLINE, QUEUED, TIMEOUT, Result, settled
from fluxon.routing.kept import Entry, Kept
from fluxon.rpc import Peer

if TYPE_CHECKING:
    from fluxon.routing.keeping import Keeping
    from fluxon.sessions import Session

#: On their way to the client at once: requests, and bytes (or one that has more).
_WINDOW = 32
_WINDOW_BYTES = 256 * 1024

#: A client that took no more is asked again after so many seconds.
_PAUSE = 1.0


class Outbox:
    """What is kept for ``session``, sent to ``peer`` while there is one."""

    __slots__ = ("_keeping", "_pause", "entries", "peer", "session", "size")

    def __init__(self, keeping: Keeping, session: Session) -> None:
        self._keeping = keeping
        self.session = session
        self.entries: OrderedDict[int, Entry] = OrderedDict()
        #: Bytes of them.
        self.size = 0
        #: The connection that they are sent on; None while the client is away.
        self.peer: Peer | None = None
        self._pause: IDelayedCall | None = None
        keeping.outboxes.add(self)

    def put(self, kept: Kept) -> Deferred[Result]:
        """Keep a request as long as it says; fires with its result, or with "queued" when nobody is there now."""
        entry = Entry(self._keeping.next_number(), kept, self)
        self.entries[entry.number] = entry
        self.size += entry.size
        self._keeping.room.take(kept, self.session.user_id)
        kept.add(entry, self._keeping.clock)
        waiter: Deferred[Result] = Deferred()
        if self.peer is None:
            waiter.callback(self._result(QUEUED))
        else:
            entry.waiter = waiter
            self.send()
        return waiter

    def _result(self, state: str, value: Any = None, error: FluxonError | None = None) -> Result:
        return Result(state, self.session.user_id, self.session.public_id, value, error)

    # --- to the client ------------------------------------------------------------------------------------------------

    def move(self, peer: Peer | None) -> None:
        """Send on ``peer`` from now on: whatever has no answer yet, from the beginning."""
        if peer is self.peer:
            return
        self.peer = peer
        entries = list(self.entries.values())
        for entry in entries:
            entry.peer = None
        if peer is None:
            for entry in entries:
                entry.tell(self._result(QUEUED))

    def seen(self, number: int) -> None:
        """The client has carried out what it got up to ``number``."""
        reached = [entry for entry in self.entries.values() if entry.number <= number]
        for entry in reached:
            if entry.sent:
                self._done(entry, self._result(HANDLED))
        if any(not entry.sent for entry in reached):
            self._renumber()  # it got its numbers from another process meanwhile: these would seem old to it

    def _renumber(self) -> None:
        # None of them was sent: those that were have smaller numbers than the ones that were not.
        entries = list(self.entries.values())
        self.entries.clear()
        for entry in entries:
            entry.number = self._keeping.next_number()
            self.entries[entry.number] = entry

    def send(self) -> None:
        """Send what may be sent now."""
        peer = self.peer
        if peer is None or peer.lost or self._pause is not None:
            return
        size = 0
        for entry in list(islice(self.entries.values(), _WINDOW)):
            if size and size + entry.size > _WINDOW_BYTES:
                return
            size += entry.size
            if entry.peer is None:
                self._ask(entry, peer)
                if self._pause is not None or self.peer is not peer:
                    return

    def _ask(self, entry: Entry, peer: Peer) -> None:
        entry.peer = peer
        entry.sent = True
        arguments = {"view": entry.kept.name, "payload": entry.kept.payload, "number": entry.number}
        # No deadline: it may wait for the client's other functions as long as it is kept.
        entry.asked = peer.ask(Deliver, arguments)
        entry.asked.addBoth(self._answered, entry, peer)

    def _answered(self, answer: Any, entry: Entry, peer: Peer) -> None:
        if self.entries.get(entry.number) is not entry:
            return  # given up, or answered on another connection
        failed = isinstance(answer, Failure)
        if failed and peer.lost:
            if entry.peer is peer:
                entry.peer = None
            return
        if failed and (isinstance(answer.value, (ResourceExhausted, OutcomeUnknown)) or says_stopping(answer.value)):
            # It did not begin, or nobody knows: asked again, here or on the next connection, it says.
            if entry.peer is peer:
                entry.peer = None
                self._wait()
            return
        self._done(entry, settled(answer, peer, self.session.user_id, self.session.public_id))
        self.send()

    def _wait(self) -> None:
        if self._pause is None:
            self._pause = self._keeping.clock.callLater(_PAUSE, self._go_on)

    def _go_on(self) -> None:
        self._pause = None
        self.send()

    # --- the end of one, and of all -----------------------------------------------------------------------------------

    def _done(self, entry: Entry, result: Result) -> None:
        del self.entries[entry.number]
        self.size -= entry.size
        self._keeping.room.give_back(entry.kept, self.session.user_id)
        entry.kept.remove(entry)
        entry.tell(result)

    def _give_up(self, entry: Entry, result: Result) -> None:
        self._done(entry, result)
        if entry.asked is not None and entry.peer is not None:
            entry.asked.cancel()  # it does not begin any more, if it has not

    def expire(self, entry: Entry) -> None:
        """It was kept as long as it was to be."""
        self.session.losses += 1
        self._give_up(entry, self._result(FAILED, error=ResourceExhausted("it was kept as long as it was to be")))
        self.send()

    def end(self) -> None:
        """Keep nothing any more."""
        self._keeping.outboxes.discard(self)
        if self._pause is not None and self._pause.active():
            self._pause.cancel()
        for entry in list(self.entries.values()):
            self._give_up(entry, self._unheard(entry))

    def _unheard(self, entry: Entry) -> Result:
        # As for a request that is not kept, and whose client goes.
        if entry.sent:
            return self._result(TIMEOUT, error=OutcomeUnknown("the client is gone, and did not say whether it ran"))
        return self._result(OFFLINE, error=Unavailable("the client is gone, and nothing is kept for it any more"))
