"""What a server keeps for the sessions of clients that come back: outboxes, and the sessions themselves.

Rules of this module:

- A session whose connection was lost is held for ``Limits.outbox_time``. One that said goodbye is not expected back.
- Nothing was lost of a session that was here all the time, and of which nothing was given up.
- Numbers grow over all sessions of the process, and beyond those that clients bring: a client remembers one.
- Everything is bounded: what one session may have, what all may have, and how many are waited for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed

from fluxon.errors import ResourceExhausted
from fluxon.limits import Limits
from fluxon.routing.away import Away
from fluxon.routing.clients import clients_of, has_functions
from fluxon.routing.delivery import FAILED, Result
from fluxon.routing.kept import OVERHEAD, Kept, Room
from fluxon.routing.outbox import Outbox
from fluxon.rpc import Peer
from fluxon.sessions import Ending, Session

#: A client may bring a number so far ahead of this process's clock, in microseconds: no server gave a later one.
_AHEAD = 86_400_000_000


class Keeping:
    """The outboxes of a server, and the sessions that are expected back. On the reactor's thread."""

    def __init__(self, clock: Any, limits: Limits) -> None:
        self.clock = clock
        self._limits = limits
        self.outboxes: set[Outbox] = set()
        self.room = Room(limits)
        #: Whether a stranger's client, that has just left, is to be sent what is kept when it is back.
        self.has_a_place: Callable[[Session], bool] = lambda _: False
        self._number = 0
        self._users = Away(clock, limits.outbox_time, limits.away_sessions, self._forgotten)
        self._strangers = Away(clock, limits.outbox_time, limits.away_sessions, self._forgotten)
        # Connections whose client said goodbye.
        self._leaving: set[Peer] = set()

    @property
    def kept(self) -> int:
        """Bytes in all outboxes."""
        return self.room.size

    @property
    def away(self) -> int:
        """Sessions that are expected back."""
        return len(self._users) + len(self._strangers)

    def used(self) -> dict[str, float]:
        """What is used of the limits, by their names; the most of any client, where they are each one's."""
        return {
            "outbox_requests": max((len(each.entries) for each in self.outboxes), default=0),
            "outbox_bytes": max((each.size for each in self.outboxes), default=0),
            **self.room.used(),
            "away_sessions": max(len(self._users), len(self._strangers)),
        }

    def stop(self) -> None:
        """Keep nothing any more: the process ends."""
        for outbox in tuple(self.outboxes):
            outbox.end()
        self._users.stop()
        self._strangers.stop()

    # --- connections --------------------------------------------------------------------------------------------------

    def resumed(self, peer: Peer, session: Session, seen: int) -> None:
        """A client said hello on ``peer`` for a session that it had before. What is kept follows the answer."""
        self._away(session).discard(session)
        if self._number < seen <= self._now() + _AHEAD:
            self._number = seen
        outbox: Outbox | None = session.outbox
        if outbox is not None:
            outbox.seen(seen)
            outbox.move(peer)
            self.clock.callLater(0, outbox.send)

    def goodbye(self, peer: Peer, _: dict[str, Any]) -> dict[str, Any]:
        """The responder of ``goodbye``."""
        self._leaving.add(peer)
        return {}

    def left(self, peer: Peer, session: Session) -> None:
        """``peer`` is no connection of ``session`` any more."""
        said_goodbye = peer in self._leaving
        self._leaving.discard(peer)
        if session.ended or not has_functions(peer):
            return
        others = clients_of(session)
        outbox: Outbox | None = session.outbox
        if others:
            if outbox is not None and outbox.peer is peer:
                outbox.move(others[-1])
                outbox.send()
        elif said_goodbye:
            _end_outbox(session)
            _forget_answers(session)
        else:
            if session.user_id is not None or session.answers is not None or self.has_a_place(session):
                self._away(session).add(session)
            if outbox is not None:
                outbox.move(None)  # whoever waited hears so, and may ask for more at once

    def follows(self, peer: Peer, former: Session, session: Session) -> None:
        """``peer`` goes on with ``session``, by a login or logout."""
        outbox: Outbox | None = former.outbox
        if outbox is not None and session.user_id == former.user_id:
            # The same person at the same client: what is on its way goes on.
            outbox.session, session.outbox, former.outbox = session, outbox, None
            outbox.move(peer)
            self.clock.callLater(0, outbox.send)
        else:
            _end_outbox(former)
        if former.answers is not None:
            session.answers = former.answers.carried(peer)
            _forget_answers(former)

    def dropped(self, former: Session) -> None:
        """The connection that was to go on with another session is gone."""
        _end_outbox(former)
        _forget_answers(former)

    def ended(self, session: Session) -> None:
        """A session is over."""
        self._away(session).discard(session)
        # Whoever logs in or out is followed, see ``follows``.
        if session.ending is not Ending.ROTATED:
            _end_outbox(session)
        if session.ending not in (Ending.ROTATED, Ending.LOGGED_OUT):
            _forget_answers(session)

    # --- requests -----------------------------------------------------------------------------------------------------

    def expects(self, session: Session) -> bool:
        """Whether the client is away, and may be back."""
        return session in self._away(session)

    def expected(self) -> list[Session]:
        """Those whose clients are away, and may be back."""
        return [*self._users, *self._strangers]

    def put(self, session: Session, kept: Kept) -> Deferred[Result]:
        """Keep a request for a session that is connected or expected; fires with what became of it."""
        outbox: Outbox | None = session.outbox
        limits = self._limits
        size = kept.size + OVERHEAD
        if outbox is not None and (
            len(outbox.entries) >= limits.outbox_requests or outbox.size + size > limits.outbox_bytes
        ):
            return self._refuse(session, "too much waits for this client already")
        refusal = self.room.refusal(kept, session.user_id)
        if refusal is not None:
            return self._refuse(session, refusal)
        if outbox is None:
            outbox = session.outbox = Outbox(self, session)
        if outbox.peer is None and (found := clients_of(session)):
            outbox.peer = found[-1]
        return outbox.put(kept)

    def _refuse(self, session: Session, why: str) -> Deferred[Result]:
        session.losses += 1
        return succeed(Result(FAILED, session.user_id, session.public_id, error=ResourceExhausted(why)))

    def next_number(self) -> int:
        """Larger than all before, also those of the process before this one: clients compare."""
        self._number = max(self._number + 1, self._now())
        return self._number

    def _now(self) -> int:
        return int(self.clock.seconds() * 1_000_000)

    def _away(self, session: Session) -> Away:
        return self._strangers if session.user_id is None else self._users

    def _forgotten(self, session: Session) -> None:
        session.losses += 1
        _end_outbox(session)
        _forget_answers(session)


def _end_outbox(session: Session) -> None:
    outbox, session.outbox = session.outbox, None
    if outbox is not None:
        if outbox.entries:
            session.losses += 1
        outbox.end()


def _forget_answers(session: Session) -> None:
    answers, session.answers = session.answers, None
    if answers is not None:
        session.losses += 1
        answers.forget_all()
