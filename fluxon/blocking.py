"""The one rule about threads, stated once.

Every call that can block is ONE function with ONE meaning. Called on the reactor thread it returns a Deferred, to be
awaited; called on any other thread it blocks and returns the result. So synchronous and asynchronous programs use the
same API, and nothing blocks the reactor by accident.

This module is the only place that asks which thread it is on, by the question of ``threadable.isInIOThread()`` in a
fifth of its time: every call on a model asks it. No thread is the reactor's until a reactor runs; tests that call
facades without one register their thread (``threadable.registerAsIOThread``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from threading import get_ident
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python import threadable
from twisted.python.failure import Failure

from fluxon.errors import DeadlineExceeded, Unavailable

T = TypeVar("T")

#: Longest single wait on a lock: short enough that Ctrl+C in a main thread is answered at once.
_SLICE = 0.5

_FORGOTTEN = "this is the promise of a result, not the result: you forgot to await it"


def on_reactor_thread() -> bool:
    """Whether the caller is on the reactor's thread, and so must not block."""
    return bool(threadable.ioThread == get_ident())


class Pending(Deferred[T]):
    """A Deferred that refuses to be mistaken for its result.

    ``if User.Check(...)`` without ``await`` would always be true, and ``for row in User.Check(...)`` would spin; both
    raise ``TypeError`` instead, as do arithmetic and putting it into a text. ``await``, ``yield`` in
    ``inlineCallbacks`` and callbacks work as with any Deferred.
    """

    _source: Deferred[Any] | None = None

    def cancel(self) -> None:
        """End what it is the promise of. It fails when that has ended, which may have files to close first."""
        if self._source is None or self.called:
            super().cancel()
        else:
            self._source.cancel()

    def _forgotten(self, *_: object) -> NoReturn:
        raise TypeError(_FORGOTTEN)

    __bool__ = __len__ = __getitem__ = __contains__ = _forgotten
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _forgotten
    __int__ = __float__ = __index__ = _forgotten
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _forgotten
    __str__ = __format__ = _forgotten

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        self._forgotten()

    if not TYPE_CHECKING:  # which would believe that everything is there

        def __getattr__(self, name: str) -> NoReturn:
            raise AttributeError(f"there is no {name!r} here: {_FORGOTTEN}")

    __hash__ = Deferred.__hash__


def pending(deferred: Deferred[T]) -> Pending[T]:
    """``deferred``'s result as a ``Pending``; cancelling it cancels ``deferred``."""
    if isinstance(deferred, Pending):
        return deferred
    outer: Pending[T] = Pending()
    outer._source = deferred
    deferred.addBoth(_pass_on, outer)
    return outer


def _pass_on(result: Any, outer: Deferred[Any]) -> None:
    if not outer.called:
        outer.callback(result)


def either(deferred: Callable[[], Deferred[T]], direct: Callable[[], T]) -> T | Pending[T]:
    """One call under the rule: ``deferred()`` as a ``Pending`` on the reactor thread, ``direct()`` on any other."""
    if on_reactor_thread():
        return pending(deferred())
    return direct()


def wait_for(reactor: IReactorFromThreads, start: Callable[[], Deferred[T]], timeout: float | None = None) -> T:
    """From a thread that is not the reactor's: run ``start()`` there and block until its Deferred has fired.

    Raises what the Deferred failed with, ``DeadlineExceeded`` after ``timeout`` seconds (the Deferred is then
    cancelled), and ``Unavailable`` when the reactor does not run. Unlike ``blockingCallFromThread`` it answers
    Ctrl+C in a main thread and cannot wait for ever on a reactor that has stopped.
    """
    if on_reactor_thread():
        raise RuntimeError("wait_for would block the reactor's own thread for ever; await the call instead")
    done = threading.Event()
    box: list[Any] = []
    started: list[Deferred[T]] = []

    def finish(result: Any) -> None:
        box.append(result)
        done.set()

    def begin() -> None:
        try:
            answer = start()
        except BaseException:
            finish(Failure())
            return
        started.append(answer)
        answer.addBoth(finish)

    reactor.callFromThread(begin)
    waited = 0.0
    try:
        while not done.wait(_SLICE if timeout is None else min(_SLICE, max(timeout - waited, 0.0))):
            waited += _SLICE
            if timeout is not None and waited >= timeout:
                raise DeadlineExceeded()
            if not getattr(reactor, "running", True):
                raise Unavailable("the reactor is not running, so this call cannot be made from a thread")
    except BaseException:
        reactor.callFromThread(_cancel, started)
        raise
    result = box[0]
    if isinstance(result, Failure):
        result.raiseException()
    return result  # type: ignore[no-any-return]


def _cancel(started: list[Deferred[T]]) -> None:
    for each in started:
        each.cancel()
