"""The Twisted protocol of both ends: a transport's bytes to a peer's messages, and how a connection ends.

Rules of this room:

- Everything that a read brought is worked on in one pass.
- A broken rule of the wire, silence, a stalled frame or unread output ends in ``abortConnection``: over TLS a polite
  close waits for the other side's consent, for ever (https://github.com/twisted/twisted/issues/7926).
- One timer a connection for all deadlines, none for a request that is answered at once; the heartbeats of all
  connections share one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from fluxon.commands import Leaving
from fluxon.errors import FluxonError, ProtocolError, Unavailable
from fluxon.rpc.busy import MUCH, Pause
from fluxon.rpc.heartbeat import Heartbeat
from fluxon.rpc.observing import Turn
from fluxon.rpc.output import Output
from fluxon.rpc.peer import Peer
from fluxon.wire import Conversation, Message

if TYPE_CHECKING:
    from fluxon.rpc.factory import PeerFactory

_log = Logger(namespace="fluxon.rpc")

#: A graceful close waits so long for the last bytes to leave.
_CLOSE_WITHIN = 5.0

#: A client acknowledges at once that a server leaves; one that does not is not waited for.
_LEAVE_WITHIN = 2.0


@implementer(IPushProducer)
class PeerProtocol(Output):
    """One connection. ``peer`` is what applications use; ``factory`` makes the pair."""

    __slots__ = (
        "_aborted",
        "_close_call",
        "_heartbeat",
        "_leaving",
        "_pause",
        "_wake_call",
        "address",
        "arrived",
        "heard",
    )

    def __init__(self, factory: PeerFactory, conversation: Conversation) -> None:
        super().__init__(factory, conversation)
        self.peer = Peer(self, conversation, factory.responders, factory.limits, factory.load, factory.turn)
        #: The other side's host, while there is one: what connections are counted by.
        self.address: str | None = None
        #: When what is being worked on was read, by the reactor's clock.
        self.arrived = 0.0
        #: Whether anything was read since the last beat.
        self.heard = False
        self._heartbeat = Heartbeat(self)
        self._pause: Pause | None = None
        # The other side was told that this one leaves, and has not said that it heard.
        self._leaving = False
        # The transport was told to end at once.
        self._aborted = False
        self._wake_call: IDelayedCall | None = None
        self._close_call: IDelayedCall | None = None

    # --- from the transport -------------------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        self.address = self.factory.host_of(self)
        refusal = self.factory.refusal(self.address)
        if refusal is not None:
            self.abort(refusal)
            return
        set_no_delay = getattr(self.transport, "setTcpNoDelay", None)
        if set_no_delay is not None:
            # Answers are small and awaited; Nagle would hold every second one for the other side's acknowledgement.
            try:
                set_no_delay(True)
            except (AttributeError, OSError):  # a Unix socket, or gone already
                pass
        self.transport.registerProducer(self, True)
        self._heartbeat.expect_hello()
        self.factory.connected(self.peer)

    def dataReceived(self, data: bytes) -> None:
        if self._ended:
            return
        turn = self.factory.turn
        if turn.open:
            self._work_on(data, turn)
        else:
            turn.begin()
            try:
                self._work_on(data, turn)
            finally:
                turn.end()

    def _work_on(self, data: bytes, turn: Turn) -> None:
        self.heard = True
        self._corked = True
        self.arrived = turn.began
        factory = self.factory
        factory.received += len(data)
        began = factory.busy.now() if len(data) >= MUCH else None
        conversation = self.conversation
        try:
            if began is None:
                received = conversation.receive(data)
            else:
                received = conversation.receive(data, in_portions=True, weigh=factory.heavy.weighs(began))
        except ProtocolError as error:
            self.violation(error.text)
            return
        self._act_on(received)
        if conversation.more:
            self._go_on_or_wait(began, turn)
        if began is not None and (pause := factory.busy.pause_after(began)):
            self.pause_reading(pause)

    def _act_on(self, received: list[Message]) -> None:
        conversation = self.conversation
        self.peer.receive(received)
        self._corked = False
        if conversation.output:
            self._write()

    def _go_on_or_wait(self, began: float | None, turn: Turn) -> None:
        heavy, busy = self.factory.heavy, self.factory.busy
        while not self._ended and self.conversation.more:
            if began is None or heavy.weighs(began) or busy.took_long(began):
                self._pause = self._pause or Pause(self)
                self._pause.hold()
                heavy.join(self)
                return
            self._go_on(turn, None)

    def go_on(self, refusal: FluxonError | None = None) -> bool:
        """Work on a portion of what was put off, or refuse it; whether there is more."""
        if self._ended:
            return False
        turn = self.factory.turn
        turn.begin()
        try:
            self._go_on(turn, refusal)
        finally:
            turn.end()
        more = self.conversation.more and not self._ended
        if not more and self._pause is not None:
            self._pause.release()
        return more

    def _go_on(self, turn: Turn, refusal: FluxonError | None) -> None:
        self.heard = True
        self._corked = True
        self.arrived = turn.began
        try:
            received = self.conversation.go_on(refusal)
        except ProtocolError as error:
            self.violation(error.text)
        else:
            self._act_on(received)

    def pause_reading(self, seconds: float) -> None:
        """Read no more for so many seconds: what the other side sends costs too much of everybody's time."""
        self._pause = self._pause or Pause(self)
        self._pause.begin(seconds)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._ended = self._aborted = True
        self._heartbeat.stop()
        self._stop_sending()
        if self._close_call is not None and self._close_call.active():
            self._close_call.cancel()
        self._close_call = None
        if self._pause is not None:
            self._pause.end()
        self.factory.heavy.leave(self)
        self.peer.connection_lost()
        if not self.conversation.answering:
            self._stop_waking()
        self.factory.disconnected(self.peer, reason)

    def resumeProducing(self) -> None:
        """The transport takes more."""
        if not self._resume():
            return
        if self._close_call is not None:
            self._lose()
            return
        turn = self.factory.turn
        if turn.open:
            self._drained(turn)
        else:
            turn.begin()
            try:
                self._drained(turn)
            finally:
                turn.end()
        self.peer.send_streams()

    def _drained(self, turn: Turn) -> None:
        corked, self._corked = self._corked, True
        self.arrived = turn.began
        self.peer.drained()
        self._corked = corked
        if self.conversation.output:
            self._write()

    # --- ending -------------------------------------------------------------------------------------------------------

    def violation(self, text: str) -> None:
        """The other side broke the protocol: what was to be said is said, and the connection aborted."""
        if self.conversation.output and not self._paused and not self._ended:
            self.transport.write(b"".join(self.conversation.output))
        self.abort(text)

    def abort(self, text: str) -> None:
        """End the connection at once; ``text`` goes to the log."""
        if self._aborted:
            return
        _log.info("connection of {peer} aborted: {text}", peer=self.describe(), text=text)
        self._aborted = True
        self._end()
        # Not every kind of transport can abort; those that cannot have no other side that could withhold its consent.
        getattr(self.transport, "abortConnection", self.transport.loseConnection)()

    def _end(self) -> None:
        self._ended = True
        self._discard()
        if self._backlog is not None:
            self._backlog.clear()
        self.peer.ended()

    def close(self) -> None:
        """End the connection when what was to be sent is sent, and within a few seconds at the latest.

        What is still being worked on is not waited for: see ``drain``.
        """
        if self._ended or self._close_call is not None:
            return
        self.peer.stopping = True
        self._close_call = self.call_later(_CLOSE_WITHIN, self._not_closed)
        for stream in self.peer.streams:
            stream.give_up(Unavailable("the other side closes the connection"))
        if self.conversation.output:
            self._write()
            if self._aborted:
                return
        if not self._backlog:
            self._lose()

    def _lose(self) -> None:
        # Over TLS much may still arrive before the other side consents: it is not read any more.
        self._end()
        # A registered producer would hold the transport open.
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def _not_closed(self) -> None:
        self._close_call = None
        self.abort("it did not close in time")

    def drain(self) -> None:
        """Take no more asks, let those under way end, and the streams, then close.

        The other side hears of it first, so that it asks nothing more here, and nothing of its is lost with the close.
        """
        if self.peer.stopping:
            return
        self.peer.stopping = True
        self._leaving = self.peer.greeted and self.factory.takes_leave
        if self._leaving:
            self.peer.ask(Leaving, {}, _LEAVE_WITHIN, urgent=True).addBoth(self._leave_taken)
        else:
            self.all_answered()

    def _leave_taken(self, _: Any) -> None:
        self._leaving = False
        if not self.conversation.answering:
            self.all_answered()

    def all_answered(self) -> None:
        """Nothing is being worked on any more, or no stream is left."""
        if self._ended:
            self._stop_waking()
        elif self.peer.stopping and not self._leaving and not self.conversation.answering and not self.peer.streams:
            self.close()

    # --- time ---------------------------------------------------------------------------------------------------------

    def wake_at(self, deadline: float) -> None:
        """See to it that ``peer.expire`` is called when ``deadline`` has passed."""
        call = self._wake_call
        if call is not None:
            if call.getTime() <= deadline:
                return
            call.cancel()
        self._wake_call = self.call_later(max(0.0, deadline - self.now()), self._wake)

    def _wake(self) -> None:
        self._wake_call = None
        self.peer.expire(self.now())
        self.flush_soon()
        following = self.conversation.next_deadline()
        if following is not None:
            self.wake_at(following)

    def _stop_waking(self) -> None:
        call, self._wake_call = self._wake_call, None
        # Work outlives its connection, and perhaps the reactor's run that would have waked it.
        if call is not None and call.active():
            call.cancel()

    def greeted(self) -> None:
        """Hello was answered."""
        if not self._ended:
            self._heartbeat.start()

    def describe(self) -> str:
        """The other side's address, for the log."""
        address = self.transport.getPeer() if self.transport is not None else None
        host, port = getattr(address, "host", None), getattr(address, "port", None)
        return f"{host}:{port}" if host is not None else str(address)
