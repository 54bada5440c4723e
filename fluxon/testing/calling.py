"""The rule about threads (``fluxon.blocking``), as a test meets it, and an end to its patience.

Rules of this module:

- One call, one meaning: in a test that awaits, whatever takes time gives something to await; in any other it blocks.
- A server that was awaited is used from its reactor's thread also while no reactor runs, as between trial's ``setUp``
  and the test.
- The clock of a test stands still, so an answer that waits for time never comes. Whoever waits for it is told so, after
  ``PATIENCE`` seconds of the real clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from fluxon.blocking import on_reactor_thread, pending, wait_for

T = TypeVar("T")

#: Real seconds. What a test asks of a server in memory takes milliseconds, on a busy machine tenths.
PATIENCE = 20.0


class NoAnswer(AssertionError):
    """Nothing came of a call, long after it should have."""


class Calls:
    """How the parts of one server in memory are called. ``blocks`` says whether it was started without ``await``."""

    def __init__(self, reactor: Any, blocks: bool) -> None:
        self.reactor = reactor
        self._blocks = blocks

    def may_block(self) -> bool:
        """Whether the caller is to wait, and not to be given something to await."""
        return not on_reactor_thread() and (self._blocks or bool(self.reactor.running))

    def run(self, what: str, start: Callable[[], Deferred[T]], patience: float = PATIENCE) -> Any:
        """What comes of ``start()``, called on the reactor's thread. ``NoAnswer`` names ``what``."""

        def begin() -> Deferred[T]:
            return _patiently(self.reactor, what, start(), patience)

        return wait_for(self.reactor, begin) if self.may_block() else pending(begin())

    def do(self, function: Callable[[], None]) -> None:
        """Call ``function()``, which does not wait, on the reactor's thread; it is done when this returns."""
        if not self.may_block():
            function()
            return

        async def there() -> None:
            function()

        wait_for(self.reactor, lambda: Deferred.fromCoroutine(there()))


def _patiently(reactor: Any, what: str, work: Deferred[T], patience: float) -> Deferred[T]:
    answer: Deferred[T] = Deferred(lambda _: work.cancel())

    def give_up() -> None:
        answer.errback(
            NoAnswer(
                f"nothing came of {what} in {patience:g} s. The clock of a test stands still: if something waits for "
                "time to pass, let it, with clock.advance(seconds); if a link is held, release it"
            )
        )
        work.cancel()

    timer = reactor.callLater(patience, give_up)

    def over(result: Any) -> None:
        if timer.active():
            timer.cancel()
        if not answer.called:
            answer.callback(result)

    work.addBoth(over)
    return answer
