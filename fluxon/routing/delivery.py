"""What became of a reverse request, client by client.

Rules of this module:

- One result for each client that was meant, in the order in which they connected; those who are away come last.
- The whole is true if it reached somebody: a client's function ran, or the request waits for one that will be back. It
  crosses the wire, as what a view returns, as that boolean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from fluxon.errors import DeadlineExceeded, FluxonError, OutcomeUnknown, Unavailable, says_stopping
from fluxon.rpc import Peer
from fluxon.wire import CrossesAs

#: The client's function ran, and the client acknowledged it.
HANDLED = "handled"
#: The client answered with an error: its function raised, or it has none of that name. Or it could not be kept.
FAILED = "failed"
#: No acknowledgement came in time, or the connection was lost before it: the function may have run, or run yet.
TIMEOUT = "timeout"
#: It is kept for the client, and is carried out when that is back.
QUEUED = "queued"
#: The client is away, and nothing was kept for it.
OFFLINE = "offline"
#: It was sent, and what becomes of it nobody wanted to know.
SENT = "sent"

#: What makes a delivery true.
REACHED = (HANDLED, QUEUED, SENT)


@attrs.frozen(slots=True)
class Result:
    """What became of it at one client."""

    #: One of "handled", "failed", "timeout", "queued", "offline", "sent".
    state: str
    #: Whose client it is; None for a stranger's.
    user_id: int | None
    #: The client's session, as ``request.sessionid`` names it.
    session: str
    #: What the client's function returned, if it was handled.
    value: Any = None
    #: Why it is neither handled nor queued.
    error: FluxonError | None = None


class Delivery(CrossesAs):
    """The results of one call to clients. True if any is "handled", "queued" or "sent"."""

    __slots__ = ("_all",)

    def __init__(self, results: Sequence[Result]) -> None:
        self._all = tuple(results)

    @property
    def results(self) -> tuple[Result, ...]:
        """One for each client."""
        return self._all

    def __bool__(self) -> bool:
        return any(each.state in REACHED for each in self.results)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, bool):
            return bool(self) is other
        return self.results == other.results if isinstance(other, Delivery) else NotImplemented

    def __hash__(self) -> int:
        return hash(bool(self))

    @property
    def crosses_as(self) -> bool:
        """What a view's client gets for it."""
        return bool(self)

    def __iter__(self) -> Iterator[Result]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def count(self, state: str) -> int:
        """How many results are ``state``."""
        return sum(each.state == state for each in self.results)

    def __repr__(self) -> str:
        states = ", ".join(f"{each.session} {each.state}" for each in self.results)
        return f"<Delivery: {states or 'nobody is there'}>"


def settled(answer: Any, peer: Peer, user_id: int | None, session: str) -> Result:
    """The result of what ``peer`` was asked: ``answer`` is its value, or a Failure."""
    if not isinstance(answer, Failure):
        return Result(HANDLED, user_id, session, answer)
    error = answer.value
    if not isinstance(error, FluxonError):
        answer.raiseException()
    if (peer.lost and isinstance(error, Unavailable)) or says_stopping(error):
        state = OFFLINE
    elif isinstance(error, (DeadlineExceeded, OutcomeUnknown)):
        state = TIMEOUT
    else:
        state = FAILED
    return Result(state, user_id, session, error=error)


class Gathering:
    """Waits for ``pending``: until all are there, ``rest`` seconds after the first that was handled, or ``within``.

    Each comes with the result that stands for it until it is there. Those that come later are dropped, and what was
    asked goes on.
    """

    def __init__(
        self,
        clock: IReactorTime,
        pending: Sequence[tuple[Result, Deferred[Result]]],
        rest: float | None,
        within: float | None = None,
    ) -> None:
        self._clock = clock
        self._rest = rest
        self._results = [standing for standing, _ in pending]
        self._left = len(pending)
        self._asked = [each for _, each in pending]
        self._resting = False
        self._timers: list[IDelayedCall] = []
        #: Fires with the results. Cancelling it gives up on all that are not there.
        self.done: Deferred[list[Result]] = Deferred(self._give_up)
        for index, each in enumerate(self._asked):
            each.addBoth(self._settle, index)
        if not pending:
            self._finish()
        elif within is not None and not self.done.called:
            self._timers.append(clock.callLater(max(0.0, within), self._finish))

    def _settle(self, result: Result | Failure, index: int) -> None:
        if self.done.called:
            return
        if isinstance(result, Failure):
            self._stop()
            self.done.errback(result)
            return
        self._left -= 1
        self._results[index] = result
        if not self._left:
            self._finish()
        elif self._rest is not None and not self._resting and result.state == HANDLED:
            self._resting = True
            self._timers.append(self._clock.callLater(self._rest, self._finish))

    def _finish(self) -> None:
        self._stop()
        self.done.callback(self._results)

    def _stop(self) -> None:
        for each in self._timers:
            if each.active():
                each.cancel()

    def _give_up(self, done: Deferred[list[Result]]) -> None:
        self._stop()
        done.errback(CancelledError())
        for each in self._asked:
            each.cancel()
