"""From what happens to connections to those who want to know: groups, and the project's functions.

Rules of this module: only the main port's connections count. A login carries an anonymous session's places in groups
over to the session that follows it; a logout, or a login as somebody else, ends them.
"""

from __future__ import annotations

from fluxon.routing.clients import has_functions
from fluxon.routing.events import Events
from fluxon.routing.groups import Groups
from fluxon.rpc import Peer
from fluxon.sessions import Ending, Session


class Presence:
    """What ``Greeting`` tells what it does to sessions."""

    def __init__(self, groups: Groups, events: Events) -> None:
        self._groups = groups
        self._events = events

    def changed(self, peer: Peer, former: Session | None) -> None:
        if not has_functions(peer):
            return
        self._groups.came(peer.session)
        if former is None:
            self._events.tell("connect", peer, peer.session)
            return
        self._groups.went(former)
        self._tell_change(peer, former)

    def followed(self, peer: Peer, former: Session) -> None:
        session: Session = peer.session
        if former.ending is Ending.ROTATED:
            follows = session is not former and former.user_id in (None, session.user_id)
            self._groups.moved(former, session if follows else None)
        if session is not former and has_functions(peer) and not peer.lost:
            self._groups.came(session)
            self._tell_change(peer, former)

    def _tell_change(self, peer: Peer, former: Session) -> None:
        session: Session = peer.session
        if former.user_id == session.user_id:
            return
        if former.user_id is not None:
            self._events.tell("logout", peer, former, former.ending.value if former.ending else None)
        if session.user_id is not None:
            self._events.tell("login", peer, session)

    def ended(self, session: Session) -> None:
        # The one that follows it takes its places in a moment.
        if session.ending is not Ending.ROTATED:
            self._groups.moved(session, None)

    def left(self, peer: Peer) -> None:
        if has_functions(peer):
            self._groups.went(peer.session)
            self._events.tell("disconnect", peer, peer.session)
