"""Hello, login and logout: how a connection gets its session, and changes it.

Rules of this module:

- A connection has a session from its first hello on, always: an anonymous one if it offered none that holds.
- Login and logout move the calling connection alone. Every other connection of the old session becomes anonymous at
  once; its client presents the new token in another hello if it shares it.
- The new token leaves before the answer of the request that made it.
- One change at a time on a connection, in the order they were asked for, each until the client has acknowledged it: one
  that never does must not pile up what it owes.
- What a connection may send follows who is logged in on it, as far as its client was told: the bound falls with the
  message that says so, never behind a client's back, or a large request under way would end the connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from twisted.internet.defer import Deferred, DeferredLock, succeed
from twisted.logger import Logger

from fluxon import __version__
from fluxon.addresses import is_local
from fluxon.commands import PROTOCOL_VERSION, SessionChanged
from fluxon.errors import Conflict, InvalidPayload, Unavailable
from fluxon.limits import Limits
from fluxon.routing.keeping import Keeping
from fluxon.rpc import Peer, ServerFactory
from fluxon.sessions.shared import unstoppable

if TYPE_CHECKING:
    from fluxon.sessions import Resumed, Session, Sessions

_log = Logger(namespace="fluxon.sessions")

_Outcome: TypeAlias = "tuple[Session, str]"

#: A client acknowledges its new token at once; one that does not is none of ours.
_ACKNOWLEDGE_WITHIN = 10.0

_LZ4 = "lz4"
_TELL = "tell"


class Observer(Protocol):
    """Hears of it when a connection's session changes. Called on the reactor's thread."""

    def changed(self, peer: Peer, former: Session | None) -> None:
        """The connection has another session than ``former``: its first one if that is None."""

    def followed(self, peer: Peer, former: Session) -> None:
        """The same for a login or logout on this connection, whatever came of it."""

    def ended(self, session: Session) -> None:
        """A session is over."""

    def left(self, peer: Peer) -> None:
        """A connection that had a session is lost."""


class Greeting:
    """The responder of hello, and the sessions of connections."""

    def __init__(self, sessions: Sessions, limits: Limits, keeping: Keeping | None = None) -> None:
        self._sessions = sessions
        self._limits = limits
        #: What is kept for clients that come back; None where they have no functions.
        self.keeping = keeping
        # Of connections whose session is being changed.
        self._turns: dict[Peer, DeferredLock] = {}
        # Those on which a login or logout is under way: what they are in between is nobody's business.
        self._changing: set[Peer] = set()
        self.observer: Observer | None = None

    async def hello(self, peer: Peer, arguments: dict[str, Any]) -> dict[str, Any]:
        """Give a connection the session of its token, or a new one."""
        if arguments["version"] != PROTOCOL_VERSION:
            raise InvalidPayload(
                f"this server speaks version {PROTOCOL_VERSION} of the protocol (fluxon {__version__}), "
                f"the client version {arguments['version']}: update the older of them"
            )
        token = arguments.get("token")
        resumed = await self._sessions.resume(token)
        self._adopt(peer, resumed.session, told=True)
        recovered = token is not None and not resumed.fresh
        if recovered and self.keeping is not None:
            recovered = self._recover(peer, resumed, arguments["seen"], self.keeping)
        features = [each for each in (_LZ4, _TELL) if each in arguments["features"]]
        peer.conversation.may_tell = _TELL in features
        if not peer.greeted:
            peer.greeted = True
            peer.protocol.greeted()
            # On the machine itself compressing costs more than the bytes that it saves.
            if _LZ4 in features and not is_local(peer.protocol.address):
                peer.conversation.compress_from = self._limits.compress_from
        return {
            "version": PROTOCOL_VERSION,
            "session": resumed.session.public_id,
            "token": resumed.token,
            "authenticated": resumed.session.user_id is not None,
            "fresh": resumed.fresh,
            "recovered": recovered,
            "heartbeat": self._limits.heartbeat,
            "limits": {
                "frame": self._limits.frame_anonymous,
                "frame_authenticated": self._limits.frame_authenticated,
                "frame_to_client": self._limits.frame_to_client,
                "in_flight": self._limits.in_flight,
            },
            "features": features,
        }

    def _recover(self, peer: Peer, resumed: Resumed, seen: int, keeping: Keeping) -> bool:
        """Whether nothing was lost of the session that goes on."""
        session = resumed.session
        keeping.resumed(peer, session, seen)
        losses = session.losses
        if losses == session.losses_told:
            return True
        # Behind the answer, the same once more: when this is acknowledged, the answer was heard.
        keeping.clock.callLater(0, self._confirm_losses, peer, session, resumed.token, losses)
        return False

    def _confirm_losses(self, peer: Peer, session: Session, token: str, losses: int) -> None:
        if peer.lost or peer.session is not session:
            return

        def heard(_: Any) -> None:
            session.losses_told = max(session.losses_told, losses)

        self._tell(peer, session, token).addCallbacks(heard, _ignore)

    def login(self, peer: Peer, user_id: int) -> Deferred[None]:
        """Log a user in on this connection."""
        return self._change(peer, lambda: self._sessions.login(peer.session, user_id))

    def logout(self, peer: Peer) -> Deferred[None]:
        """Log whoever it is out on this connection."""
        return self._change(peer, lambda: self._sessions.logout(peer.session))

    def _change(self, peer: Peer, begin: Callable[[], Deferred[_Outcome]]) -> Deferred[None]:
        # Once begun it is carried to its end, whoever gives up on it: a new session that nobody follows is worse.
        return unstoppable(Deferred.fromCoroutine(self._changed(peer, begin)))

    async def _changed(self, peer: Peer, begin: Callable[[], Deferred[_Outcome]]) -> None:
        turn = self._turns.setdefault(peer, DeferredLock())
        await turn.acquire()
        told: Deferred[Any] = succeed(None)
        # Before it ends, for then the connection is a stranger's until it follows.
        former = peer.session
        self._changing.add(peer)
        try:
            told = self._follow(peer, former, *await begin())
        finally:
            self._changing.discard(peer)
            if self.observer is not None:
                self.observer.followed(peer, former)
            told.addBoth(self._end_turn, peer, turn)

    def _end_turn(self, _: Any, peer: Peer, turn: DeferredLock) -> None:
        # Whoever is next may be done before this returns, and have cleared the place away.
        turn.release()
        if not turn.locked and self._turns.get(peer) is turn:
            del self._turns[peer]

    def _follow(self, peer: Peer, former: Session, session: Session, token: str) -> Deferred[Any]:
        """Fires when the client has acknowledged its new session, or it is clear that it does not."""
        if peer.lost:
            if self.keeping is not None:
                self.keeping.dropped(former)
            # Nobody will ever present a token that was never sent.
            self._sessions.revoke(session).addErrback(_ignore)
            if session.user_id is not None:
                raise Unavailable("the connection was lost during the login, which was undone")
            return succeed(None)
        self._adopt(peer, session, told=True)
        if self.keeping is not None:
            self.keeping.follows(peer, former, session)
        return self._tell(peer, session, token)

    def _tell(self, peer: Peer, session: Session, token: str) -> Deferred[Any]:
        arguments = {"session": session.public_id, "token": token, "authenticated": session.user_id is not None}
        return peer.ask(SessionChanged, arguments, _ACKNOWLEDGE_WITHIN, urgent=True)

    async def confirm(self, peer: Peer) -> None:
        """See to it that a connection's session holds now; one that does not is taken away.

        Afterwards ``peer.session`` is who may act: a revoked one never does.
        """
        session = peer.session
        if await self._sessions.verify(session) or peer.session is not session:
            return  # it holds; or it ended, and its connection is a stranger's now, or somebody else's
        self.become_anonymous(peer)
        if peer.session is session:
            raise Unavailable("the connection was lost")

    def ended(self, session: Session) -> None:
        """A session is over: its connections go on as strangers."""
        if self.keeping is not None:
            self.keeping.ended(session)
        for peer in session.connections:
            if isinstance(peer, Peer) and peer.session is session:
                self.become_anonymous(peer)
        if self.observer is not None:
            self.observer.ended(session)

    def become_anonymous(self, peer: Peer) -> None:
        """Take a connection's session away."""
        if peer.lost:
            return
        self._sessions.resume(None).addCallback(lambda resumed: self._adopt(peer, resumed.session, told=False))

    def leave(self, peer: Peer) -> None:
        """The connection is lost."""
        if peer.session is not None:
            self._detach(peer, peer.session)
            if self.observer is not None:
                self.observer.left(peer)

    def _detach(self, peer: Peer, session: Session) -> None:
        session.detach(peer)
        if self.keeping is not None:
            self.keeping.left(peer, session)

    def _adopt(self, peer: Peer, session: Session, *, told: bool) -> None:
        if peer.lost:
            raise Conflict("the connection was lost meanwhile")
        former = peer.session
        if former is session:
            return
        session.attach(peer)
        peer.session = session
        if former is not None:
            self._detach(peer, former)
        factory = peer.protocol.factory
        assert isinstance(factory, ServerFactory)
        factory.allow(peer, session)
        if told:
            limits = self._limits
            if session.user_id is None:
                peer.conversation.take(limits.frame_anonymous, limits.items_anonymous)
            else:
                peer.conversation.take(limits.frame_authenticated, limits.items_authenticated)
        if self.observer is not None and peer not in self._changing:
            self.observer.changed(peer, former)


def _ignore(_: Any) -> None:
    """The session is over here all the same; its row is found out when somebody looks."""
