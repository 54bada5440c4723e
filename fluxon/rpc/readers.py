"""The connections of a port as one reader of the reactor.

Twisted calls each readable connection through its logging context: seven calls that cost more than reading. Here they
are in an epoll of their own, which is readable when one of them is, and is asked which. (Measured with 100 connections:
a tenth of the CPU time of a request.)

Rules of this module:

- What a connection hears, and when it ends, is what the reactor would have told it.
- Answers to several connections leave when all of them are read. Sending wakes whoever waits for it, which is half of
  the time of a small answer; one that is awake already need not be woken. (Measured with 100 connections.)
- While there is no connection there is no epoll, no descriptor, and nothing in the reactor.
- It calls a private method of Twisted's reactors. Where one lacks it, or the platform epoll, ``readers_for`` gives
  None, and the reactor reads.
"""

from __future__ import annotations

import select
from typing import Any, Protocol

from twisted.internet import main
from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from fluxon.rpc.observing import Turn

_log = Logger(namespace="fluxon.rpc")

#: Of one turn: then the reactor sees to what else there is.
_AT_ONCE = 1_024

#: What answers to so many connections wait for each other is less than a turn of a busy reactor.
_TOGETHER = 64


class Connection(Protocol):
    """What is read."""

    def fileno(self) -> int:
        """Its descriptor; -1 once it is closed."""

    def doRead(self) -> Any:
        """Read what there is; an exception that ends the connection, or None."""

    def connectionLost(self, reason: Failure) -> None:
        """It has ended."""

    def send_held(self) -> None:
        """Send what was held while others were read."""


@implementer(IReadDescriptor)
class Readers:
    """See the module."""

    def __init__(self, reactor: Any, turn: Turn | None) -> None:
        #: Whether several connections are read one after the other just now: what each has to send waits for the end.
        self.busy = False
        #: Those that have something to send then.
        self.sending: list[Connection] = []
        self._reactor = reactor
        self._turn = turn
        self._poll: select.epoll | None = None
        self._connections: dict[int, Connection] = {}
        self._descriptors: dict[Connection, int] = {}

    def add(self, connection: Connection) -> None:
        """Read ``connection`` from now on. Again changes nothing."""
        if connection in self._descriptors:
            return
        if self._poll is None:
            self._poll = select.epoll()
            self._reactor.addReader(self)
        descriptor = connection.fileno()
        self._poll.register(descriptor, select.EPOLLIN)
        self._connections[descriptor] = connection
        self._descriptors[connection] = descriptor

    def remove(self, connection: Connection) -> None:
        """Read ``connection`` no more."""
        descriptor = self._descriptors.pop(connection, None)
        if descriptor is None or self._poll is None:
            return
        del self._connections[descriptor]
        self._poll.unregister(descriptor)
        if not self._connections:
            self._reactor.removeReader(self)
            self._poll.close()
            self._poll = None

    # --- for the reactor ----------------------------------------------------------------------------------------------

    def fileno(self) -> int:
        return -1 if self._poll is None else self._poll.fileno()

    def logPrefix(self) -> str:
        return "connections"

    def doRead(self) -> None:
        assert self._poll is not None
        events = self._poll.poll(0, _AT_ONCE)
        self.busy = len(events) > 1
        turn = self._turn if self.busy else None
        if turn is not None:
            turn.begin()
        try:
            self._read(events)
        finally:
            self.busy = False
            self._send_held()
            if turn is not None:
                turn.end()

    def _send_held(self) -> None:
        sending, self.sending = self.sending, []
        for each in sending:
            each.send_held()

    def _read(self, events: list[tuple[int, int]]) -> None:
        find = self._connections.get
        for descriptor, event in events:
            connection = find(descriptor)
            if connection is None:  # one before it has ended it
                continue
            if event & select.EPOLLIN:
                try:
                    why = connection.doRead()
                except Exception as error:
                    _log.failure("a connection is ended, as reading it failed")
                    why = error
            else:  # nothing to read any more, and the other side is gone
                why = main.CONNECTION_DONE
            if len(self.sending) >= _TOGETHER:
                self._send_held()
            if why:
                self._reactor._disconnectSelectable(connection, why, True)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor ends."""
        for connection in tuple(self._descriptors):
            connection.connectionLost(reason)


def readers_for(reactor: Any, turn: Turn | None = None) -> Readers | None:
    """For the connections of a port of ``reactor``; None where that is not possible.

    Several that are read in one go are read in a ``turn``.
    """
    if not hasattr(select, "epoll") or not hasattr(reactor, "_disconnectSelectable"):
        return None
    return Readers(reactor, turn)
