"""Requests that one thread does together, because many cost hardly more than one.

Rules of this module:

- What a session has waiting when a thread comes to it is one call, of ``MOST`` requests at most. Nobody is waited for:
  the first request asks for a thread at once, and has for company what comes before that thread begins.
- A call is one of those that a session may have in the pool; requests that wait are bounded as others are.
- Each request has an outcome of its own. What is given up before its call begins is not done.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from fluxon.errors import ResourceExhausted
from fluxon.fairness import FairResult, FairThreads
from fluxon.outcomes import Outcome

#: Requests in one call: enough that what they share costs each of them little, few enough that the first does not
#: wait long for the last.
MOST = 16
#: Calls of one session at a time: while one waits for the disk, another is at work.
CALLS = 2


class _Request(NamedTuple):
    """One that waits. ``place`` is what it holds in the queue of the threads; None: its call has one."""

    result: FairResult
    request: Any
    place: Any


class _Waiting:
    """What one session has waiting, and where its client is."""

    def __init__(self, address: str | None) -> None:
        self.address = address
        self.requests: deque[_Request] = deque()
        #: Calls that were asked for and have not ended, and those of them that have not begun.
        self.calls = self.due = 0


class Gathering:
    """Requests of one kind. ``function`` does several, in a thread of ``threads``, and tells what became of each.

    Used on the reactor thread.
    """

    def __init__(self, threads: FairThreads, function: Callable[[list[Any]], list[Outcome]]) -> None:
        self._threads = threads
        self._function = function
        self._sessions: dict[Hashable, _Waiting] = {}
        #: Guards what is in ``_sessions``: the threads take from there.
        self._mutex = threading.Lock()

    def run(self, session: Hashable, request: Any, address: str | None = None) -> Deferred[Any]:
        """What becomes of ``request``, in a call of ``session``'s, whose client is at ``address``.

        ``ResourceExhausted`` when it would have to wait and too much does; with ``Unavailable`` when ``threads`` stop.
        """
        waiting = self._sessions.get(session)
        if waiting is None:
            waiting = self._sessions[session] = _Waiting(address)
        result = FairResult(lambda result: self._given_up(waiting, result))
        place = None
        if waiting.requests:
            place = self._threads.place(waiting.address, len(waiting.requests))
            if place is None:
                result.errback(ResourceExhausted("too many requests wait for a thread; wait for their answers"))
                return result
        with self._mutex:
            waiting.requests.append(_Request(result, request, place))
        self._call(session, waiting)
        return result

    def _call(self, session: Hashable, waiting: _Waiting) -> None:
        """Ask for as many threads as what waits is worth."""
        while True:
            with self._mutex:
                if len(waiting.requests) <= waiting.due * MOST or waiting.calls >= CALLS:
                    return
                waiting.calls += 1
                waiting.due += 1
            called = self._threads.run(session, self._carry_out, waiting, waiting.address)
            called.addBoth(self._ended, session, waiting)

    def _carry_out(self, waiting: _Waiting) -> list[tuple[_Request, Outcome]]:
        """In a thread: take what waits, and do it."""
        with self._mutex:
            waiting.due -= 1
            taken = [waiting.requests.popleft() for _ in range(min(MOST, len(waiting.requests)))]
            for each in taken:
                each.result.begun = True
        wanted = [each for each in taken if not each.result.called]
        outcomes: list[Outcome] = []
        try:
            if wanted:
                outcomes = self._function([each.request for each in wanted])
        except BaseException as error:
            outcomes = [(None, error)] * len(wanted)
        given_up = [each for each in taken if each not in wanted]
        return [*zip(wanted, outcomes, strict=True), *((each, (None, None)) for each in given_up)]

    def _ended(self, ended: Any, session: Hashable, waiting: _Waiting) -> None:
        waiting.calls -= 1
        if isinstance(ended, Failure):
            # No thread for this session, so its other requests would find none either.
            with self._mutex:
                waiting.due -= 1
                ended = [(each, (None, ended.value)) for each in waiting.requests]
                waiting.requests.clear()
        for request, _ in ended:
            self._leave(request)
        self._call(session, waiting)
        if not waiting.calls and self._sessions.get(session) is waiting:
            del self._sessions[session]
        for request, (value, error) in ended:
            if request.result.called:
                continue
            if error is None:
                request.result.callback(value)
            else:
                request.result.errback(Failure(error))

    def _leave(self, request: _Request) -> None:
        if request.place is not None:
            self._threads.give_back(request.place)

    def _given_up(self, waiting: _Waiting, given_up: Deferred[Any]) -> None:
        with self._mutex:
            found = next((each for each in waiting.requests if each.result is given_up), None)
            if found is None:
                return
            waiting.requests.remove(found)
        self._leave(found)
