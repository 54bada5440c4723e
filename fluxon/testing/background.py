"""The reactor in a thread of its own, for tests that do not know of it.

Rules of this module: it is Twisted's own reactor, so that views may use it; it runs from the first server that needs it
to the last one's end, and may then run again, here or in the main thread (trial). One that runs already is used.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from twisted.internet import error
from twisted.python import threadable

_lock = threading.Lock()
_users = 0
_thread: threading.Thread | None = None


def hold_reactor() -> Callable[[], None]:
    """Have the reactor run until what this returns is called. Blocks. ``RuntimeError`` if it cannot run any more."""
    from twisted.internet import reactor as global_reactor

    global _users, _thread
    reactor: Any = global_reactor
    with _lock:
        if _users == 0:
            if reactor.running:
                return _nothing
            _thread = _start(reactor)
        _users += 1
    return _release


def _nothing() -> None:
    """Whoever runs it ends it."""


def _start(reactor: Any) -> threading.Thread:
    running = threading.Event()
    failed: list[Exception] = []

    def run() -> None:
        try:
            reactor.run(installSignalHandlers=False)
        except error.ReactorNotRestartable as failure:
            failed.append(failure)
            running.set()

    reactor.callWhenRunning(running.set)
    thread = threading.Thread(target=run, name="fluxon-testing-reactor", daemon=True)
    thread.start()
    running.wait()
    if failed:
        raise RuntimeError(
            "Twisted's reactor was stopped in this process, and cannot run again: run these tests in another process"
        ) from failed[0]
    return thread


def _release() -> None:
    from twisted.internet import reactor as global_reactor

    global _users, _thread
    reactor: Any = global_reactor
    with _lock:
        _users -= 1
        if _users or _thread is None:
            return
        reactor.callFromThread(_end, reactor)
        _thread.join()
        _thread = None
        # As before: a thread that is not there any more is nobody's.
        threadable.ioThread = None


def _end(reactor: Any) -> None:
    # Its threads would keep the process from ending; trial does the same.
    if reactor.threadpool is not None:
        reactor._stopThreadPool()
    # Not that of the object, which trial replaces within its tests.
    type(reactor).crash(reactor)
