"""``run_in_background``: a server beside a program that blocks; and the reactor's thread, which it needs.

Rules of this module: it is Twisted's own reactor, so that views may use it; it runs from the first server that needs it
to the last one's end, and may then run again, here or in the main thread (trial). One that runs already is used.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.python import threadable

from fluxon.blocking import on_reactor_thread, wait_for
from fluxon.endpoint.service import ServerService
from fluxon.errors import ConfigurationError

S = TypeVar("S", bound=ServerService[Any])

_lock = threading.Lock()
_users = 0
_thread: threading.Thread | None = None


@contextmanager
def run_in_background(server: S) -> Iterator[S]:
    """Serve while a program does something else, and blocks: ``with run_in_background(AsyncServer(...)) as server:``

    Inside, the server listens, in a thread of its own; calls of it and of models block and give their results, as in a
    plain view. At the end, however it comes about (Ctrl+C is the program's), requests under way have
    ``Limits.drain`` seconds, and everything is closed. For scripts, notebooks and demonstrations; a program that is a
    server calls ``run_server``.

    Raises why the server cannot start, and ``RuntimeError`` on the reactor's thread, where nothing may block.
    """
    if not isinstance(server, ServerService):
        raise ConfigurationError("run_in_background takes a server: run_in_background(AsyncServer(setup=router.setup))")
    if on_reactor_thread():
        raise RuntimeError("this is the reactor's thread, which must not block: server.startService() does not")
    let_go = hold_reactor()
    try:
        from twisted.internet import reactor as global_reactor

        reactor: Any = global_reactor
        try:
            wait_for(reactor, lambda: _start_serving(server))
            yield server
        finally:
            wait_for(reactor, server.stopService)
    finally:
        let_go()


def _start_serving(server: S) -> Deferred[S]:
    server.startService()
    return server.when_ready()


def hold_reactor() -> Callable[[], None]:
    """Have the reactor run until what this returns is called. Blocks. ``RuntimeError`` if it cannot run any more."""
    from twisted.internet import reactor as global_reactor

    global _users, _thread
    reactor: Any = global_reactor
    with _lock:
        if _users == 0:
            if reactor.running:
                return _nothing
            _thread = _run(reactor)
        _users += 1
    return _release


def _nothing() -> None:
    """Whoever runs it ends it."""


def _run(reactor: Any) -> threading.Thread:
    running = threading.Event()
    failed: list[Exception] = []

    def run() -> None:
        try:
            reactor.run(installSignalHandlers=False)
        except error.ReactorNotRestartable as failure:
            failed.append(failure)
            running.set()

    reactor.callWhenRunning(running.set)
    thread = threading.Thread(target=run, name="fluxon-reactor", daemon=True)
    thread.start()
    running.wait()
    if failed:
        raise RuntimeError(
            "Twisted's reactor was stopped in this process, and cannot run again: use another process"
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
