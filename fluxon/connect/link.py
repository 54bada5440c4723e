"""One connection of the blocking client, from connected to lost: who asked what, over a ``Stream``.

Rules of this module:

- One thread at a time receives: whoever holds ``_receiving``. It is the connection's own thread (``greet``, then
  ``run``), or, for a moment, one that has just asked: where requests come one by one, each thread reads its own answer
  and no other thread has to wake (measured: half the time of a call).
- A thread that reads for itself only hands out answers. Whatever else comes it leaves to the connection's thread, and
  lets that read: what belongs to the owner is never changed by a thread that can be interrupted.
- Whoever lets go of ``_receiving`` calls the connection's thread back if anything is left to do. That one would come
  anyhow, ``_STAY_AWAY`` later.
- Any number of threads ask and answer. ``_lock`` guards the conversation and is never held during a system call.
- Whatever ends the connection, every ask gets its outcome, once.
- A thread that is interrupted (Ctrl+C) gives up its ask, and no more; only in the middle of changing what all threads
  share it ends the connection, since nobody knows how far it came.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Any, TypeVar

from fluxon.commands import Hello
from fluxon.connect.claim import claim
from fluxon.connect.greeting import Greeting, hello_arguments, new_conversation
from fluxon.connect.owner import Owner
from fluxon.connect.quick import QUICK
from fluxon.connect.session import Session
from fluxon.connect.stream import Stream, StreamLost
from fluxon.connect.waiter import Lost, NeverSent, Overdue, Waiter, result
from fluxon.errors import FluxonError, ProtocolError, Unavailable
from fluxon.wire import Answer, Ask, Cancel, Chunk, Credit, End, Failed, Message, Streams, Tell

T = TypeVar("T")

#: The connection's thread stays away from the socket so long after the last request that was answered, for the next one
#: to read for itself; what the server calls meanwhile waits as long at most.
_STAY_AWAY = 0.003

_INTERRUPTED = "a thread was interrupted in the middle of using it"

#: How much of what came first is kept, to tell what kind of server speaks.
_BEGINNING = 8


class Link:
    """A conversation over ``stream``, which belongs to this object from here on."""

    def __init__(self, stream: Stream, owner: Owner, *, compress: bool) -> None:
        self._stream = stream
        self._owner = owner
        self._lock = threading.Lock()
        self._receiving = threading.Lock()
        self._called_back = threading.Event()
        self._asked_at = 0.0
        self._taking = False
        self._trouble: Exception | None = None
        # What came and is no answer, for the connection's thread, and the answers behind it: whoever logged in and has
        # the answer finds the session as the server left it.
        self._said: deque[Message] = deque()
        # Whoever asks, until it has given up: one that was interrupted may have lost the answers of others.
        self._waiters: set[Waiter] = set()
        self._over = False
        # The server leaves: it answers what was asked, and nothing more may be.
        self._left = False
        self._heard = monotonic()
        self.conversation = new_conversation()
        #: Whether compressed frames are offered.
        self.compress = compress
        #: The first bytes that came.
        self.beginning = b""
        #: The token that the server knows this connection by.
        self.token: str | None = None
        #: What the server last answered to a hello.
        self.greeting: Greeting | None = None
        #: Held by the thread that says hello again.
        self.greeting_lock = threading.Lock()

    # --- asking, from any thread --------------------------------------------------------------------------------------

    def ask(
        self, command: str, arguments: dict[str, Any], deadline: float, *, urgent: bool = False, opens: bool = False
    ) -> Any:
        """The answer to an ask. ``opens``: it may open a stream, which is then to be taken or given up.

        Raises the error that the server answered; ``Overdue``; ``NeverSent`` or ``OutcomeUnknown`` when the
        connection was lost; ``Unserialisable`` or ``ResourceExhausted`` before anything is sent.
        """
        waiter = Waiter()
        try:
            self._waiters.add(waiter)
            self._begin(waiter, command, arguments, deadline, urgent, opens)
            self._read_if_nobody_does(waiter, deadline)
            if waiter.outcome is None and not waiter.wait(deadline):
                sent = self._abandon(waiter)
                if not waiter.wait(0):
                    raise Overdue(sent)
        except BaseException:  # Ctrl+C: the server need not bother
            self._abandon(waiter)
            if opens and type(waiter.outcome) is Answer:
                self._refuse(waiter.outcome.value)
            raise
        finally:
            self._waiters.discard(waiter)
        return result(waiter.outcome)

    def _begin(
        self,
        waiter: Waiter,
        command: str,
        arguments: dict[str, Any],
        deadline: float,
        urgent: bool,
        opens: bool = False,
    ) -> None:
        timeout = deadline - monotonic()
        if timeout <= 0:
            raise Overdue(False)
        with self._lock:
            if self._over or self._left:
                raise NeverSent
            try:
                waiter.tag = self.conversation.ask(
                    command, arguments, waiter=waiter, timeout=timeout, urgent=urgent, opens=opens
                )
            except FluxonError:
                raise
            except BaseException:
                self.stop(_INTERRUPTED)
                raise
        self._stream.flush(self.conversation.output)

    def _abandon(self, waiter: Waiter) -> bool:
        """Whether the ask may have reached the server."""
        with self._lock:
            self._waiters.discard(waiter)
            if waiter.tag is None:
                return False
            try:
                known = waiter.tag in self.conversation.asked
                sent = self.conversation.abandon(waiter.tag) or not known
            except BaseException:
                self.stop(_INTERRUPTED)
                raise
        self._stream.flush(self.conversation.output)
        return sent

    def _read_if_nobody_does(self, waiter: Waiter, deadline: float) -> None:
        held: list[bool] = []
        try:
            if claim(self._receiving, held):
                self._read_for(waiter, deadline)
        finally:
            if True in held:
                self._receiving.release()
                # Whoever asked meanwhile waits for somebody who reads: they asked before they looked for the lock.
                if self.conversation.asked or self._said or self._trouble is not None:
                    self._called_back.set()

    def _read_for(self, waiter: Waiter, deadline: float) -> None:
        """Receive until ``waiter`` is settled, nothing has come for a while, or there is more to do than that."""
        stream, asked = self._stream, self.conversation.asked
        try:
            while (
                waiter.outcome is None
                and not self._said
                and self._trouble is None
                and monotonic() < deadline - QUICK
                and stream.wait_quickly(alone=len(asked) == 1)
            ):
                self._taking = True
                data = stream.take()
                if data:
                    self._take(data)
                self._taking = False
            self._asked_at = monotonic()
        except (StreamLost, ProtocolError) as error:
            self._trouble = error  # for the connection's thread, which ends it and settles everybody
            self._taking = False
        finally:
            if self._taking:
                self.stop(_INTERRUPTED)

    # --- streams, from any thread -------------------------------------------------------------------------------------

    def speak(self, say: Callable[[Streams], T]) -> T:
        """What ``say`` does with the connection's streams, in one step for all threads. Not called once it is over.

        Raises ``Unavailable`` then, and whatever ``say`` raises.
        """
        with self._lock:
            if self._over:
                raise Unavailable("the connection was lost")
            try:
                said = say(self.conversation.streams)
            except FluxonError:
                raise
            except BaseException:
                self.stop(_INTERRUPTED)
                raise
        self._stream.flush(self.conversation.output)
        return said

    def _refuse(self, answer: Any) -> None:
        try:
            self.speak(lambda streams: streams.refuse(answer))
        except Unavailable:
            pass

    def call_back(self) -> None:
        """Something will come that is no answer: have the connection's thread read it."""
        self._called_back.set()

    @property
    def room(self) -> threading.Event:
        """Set while what is sent does not pile up."""
        return self._stream.room

    def leave(self) -> None:
        """Ask nothing more here: the server stops, and ends this connection when what is under way has ended."""
        with self._lock:
            self._left = True

    @property
    def left(self) -> bool:
        """Whether the server leaves."""
        return self._left

    def stop(self, reason: str) -> None:
        """Have the receiving thread end the connection for ``reason``."""
        self._stream.stop(reason)

    # --- answering, from any thread -----------------------------------------------------------------------------------

    def expects(self, ask: Ask) -> bool:
        """Whether the server still waits for the answer to ``ask``."""
        return self.conversation.answering.get(ask.tag) is ask

    def answer(self, ask: Ask, value: Any) -> None:
        """Answer ``ask``. Raises for a value that cannot cross; the server has then got an error."""
        try:
            with self._lock:
                if self.expects(ask) and not self._over:
                    self.conversation.answer(ask.tag, value)
        finally:
            self._stream.flush(self.conversation.output)

    def fail(self, ask: Ask, error: FluxonError) -> None:
        """Answer ``ask`` with an error."""
        with self._lock:
            if self.expects(ask) and not self._over:
                self.conversation.fail(ask.tag, error)
        self._stream.flush(self.conversation.output)

    def apply(self, greeting: Greeting, token: str | None, session: Session) -> None:
        """The server answered a hello with ``greeting``: from now on speak as it takes it, under ``token``."""
        with self._lock:
            self.greeting = greeting
            self.token = token
            greeting.apply(self.conversation, session)
        self._stream.flush(self.conversation.output)  # what waited for a place, if there are more of them now

    def session_changed(self, token: str | None, session: Session) -> None:
        """The server said that the session goes on under ``token``; a login allows larger frames."""
        with self._lock:
            self.token = token
            if self.greeting is not None:
                self.greeting.apply(self.conversation, session)
        self._stream.flush(self.conversation.output)

    # --- on the connection's thread -----------------------------------------------------------------------------------

    def greet(self, token: str | None, seen: int, deadline: float) -> Greeting:
        """Say the first hello; what comes behind its answer is left for ``run``.

        Raises what the server answered, ``Overdue``, ``StreamLost`` or ``ProtocolError``.
        """
        waiter = Waiter()
        arguments = hello_arguments(token, compress=self.compress, seen=seen)
        self._begin(waiter, Hello.name, arguments, deadline, urgent=True)
        while not waiter.wait(0):
            left = deadline - monotonic()
            if left <= 0:
                raise Overdue(True)
            with self._receiving:
                self._receive(left, waiter)
        return Greeting.read(result(waiter.outcome), compress=self.compress)

    def run(self, heartbeat: float) -> None:
        """Serve until ``StreamLost`` or ``ProtocolError``, which it raises.

        After ``heartbeat`` seconds of silence the server is pinged, after twice that it is given up; 0 for never.
        """
        heartbeat = heartbeat or inf
        pinged = False
        while True:
            self._stay_away()
            with self._receiving:
                self._act()
                if self._trouble is not None:
                    raise self._trouble
                pinged = self._attend(heartbeat, pinged)

    def _stay_away(self) -> None:
        """While requests come one by one, let those who make them read."""
        while (left := self._asked_at + _STAY_AWAY - monotonic()) > 0:
            if self.conversation.asked and not self._receiving.locked():
                break  # asked while this thread still held the lock: nobody else reads
            if self._called_back.wait(left):
                break
        self._called_back.clear()

    def _attend(self, heartbeat: float, pinged: bool) -> bool:
        """One wait for the server; whether a ping is out."""
        silence = monotonic() - self._heard
        if silence < heartbeat:
            pinged = False
        elif silence >= 2 * heartbeat:
            raise StreamLost(f"nothing was heard of the server for {silence:.0f} s")
        elif not pinged:
            pinged = True
            with self._lock:
                self.conversation.ping()
            self._stream.flush(self.conversation.output)
        wait = (2 if pinged else 1) * heartbeat - silence
        if self._receive(None if wait == inf else wait) and not self.conversation.asked:
            self._asked_at = monotonic()
        return pinged

    def _receive(self, timeout: float | None, until: Waiter | None = None) -> bool:
        """Act on what comes within ``timeout``; whether an ask of ours was settled. Under ``_receiving``.

        When that settles ``until``, the rest is left.
        """
        self._stream.wait(timeout)
        data = self._stream.receive()
        settled = self._take(data) if data else False
        if until is None or until.outcome is None:
            settled = self._act() or settled
        self._stream.flush(self.conversation.output)
        return settled

    def _take(self, data: bytes) -> bool:
        self._heard = monotonic()
        if len(self.beginning) < _BEGINNING:
            self.beginning += data[:_BEGINNING]
        settled = False
        with self._lock:
            # Settled under the lock, so that whoever gives up finds either its ask or its outcome.
            for message in self.conversation.receive(data):
                if isinstance(message, (Answer, Failed)) and not self._said:
                    message.waiter.settle(message)
                    settled = True
                else:
                    self._said.append(message)
        if self.conversation.output:
            self._stream.flush(self.conversation.output)
        return settled

    def _act(self) -> bool:
        """Act on what callers left to this thread; whether an ask of ours was settled."""
        settled = False
        while self._said:
            message = self._said.popleft()
            if isinstance(message, (Answer, Failed)):
                message.waiter.settle(message)
                settled = True
            elif isinstance(message, Ask):
                self._owner.asked(self, message)
            elif isinstance(message, Tell):
                self._owner.told(message)
            elif isinstance(message, Cancel):
                self._owner.cancelled(self, message.tag)
            else:
                assert isinstance(message, (Chunk, Credit, End))
                message.owner.heard(message)
        return settled

    def close(self, reason: str) -> None:
        """Free the socket and settle every ask: the connection is over, for ``reason``. Called once."""
        self._stream.stop(reason)  # whoever reads for itself now lets go
        with self._receiving:
            with self._lock:
                self._over = True
                for waiter, sent in self.conversation.close():
                    waiter.settle(Lost(reason, sent))
                for message in self._said:
                    if isinstance(message, (Answer, Failed)):
                        message.waiter.settle(message)
                    elif isinstance(message, (Chunk, Credit, End)):
                        message.owner.heard(message)
                for each in self.conversation.streams.close() if self.conversation.has_streams else ():
                    each.lost(reason)
                for waiter in list(self._waiters):
                    if waiter.outcome is None:  # an interrupted thread had its answer in hand
                        waiter.settle(Lost(reason, True))
            self._stream.close()
