"""Who is to be sent something: the members of a group, or everybody.

Rules of this module: whoever was thrown out of this process's sessions hears nothing more, at once; whom another
process threw out, within ``Limits.group_freshness``. What goes to everybody goes to strangers, too, so nobody is looked
at again for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import DeferredList

from fluxon.limits import Limits
from fluxon.routing.clients import Clients, clients_of
from fluxon.routing.keeping import Keeping
from fluxon.routing.membership import Key, Seat
from fluxon.routing.sending import Who, is_reachable
from fluxon.rpc import Peer
from fluxon.sessions import Session, Sessions
from fluxon.sessions.session import public_id


class Everybody:
    """Every client that is connected, but for those whose session or user is ``excluded``."""

    def __init__(self, clients: Clients, excluded: frozenset[Key]) -> None:
        self.members: Sequence[Peer] = [each for each in clients.everybody() if not is_any(each.session, excluded)]

    async def clients(self, part: Sequence[Peer], away: list[Who]) -> Sequence[Peer]:
        return part

    def who(self, member: Peer) -> Who:
        return member.session.user_id, member.session.public_id


class EverybodyExpected:
    """The same, and those whose clients are away and expected back, by their sessions."""

    def __init__(self, clients: Clients, keeping: Keeping, excluded: frozenset[Key]) -> None:
        found = [*clients.connected(), *keeping.expected()]
        self.members: Sequence[Session] = [each for each in found if not is_any(each, excluded)]
        self._keeping = keeping

    async def sessions(self, part: Sequence[Session], away: list[Who]) -> Sequence[Session]:
        return [each for each in part if is_reachable(each, self._keeping)]

    def who(self, member: Session) -> Who:
        return member.user_id, member.public_id


class Members:
    """Those who are in ``group`` now, and still are when their turn comes."""

    def __init__(
        self,
        group: str,
        seats: Sequence[Seat],
        excluded: frozenset[Key],
        sessions: Sessions,
        keeping: Keeping,
        reactor: Any,
        limits: Limits,
    ) -> None:
        self.members = seats
        self._group = group
        self._excluded = excluded
        self._sessions = sessions
        self._keeping = keeping
        self._reactor = reactor
        self._limits = limits

    async def clients(self, part: Sequence[Seat], away: list[Who]) -> Sequence[Peer]:
        peers: list[Peer] = []
        for seat, found in await self._holding(part):
            clients = [peer for each in found for peer in clients_of(each)]
            if not clients:
                away.append(self.who(seat))
            peers += [each for each in clients if not is_any(each.session, self._excluded)]
        return peers

    async def sessions(self, part: Sequence[Seat], away: list[Who]) -> Sequence[Session]:
        sessions: list[Session] = []
        for seat, found in await self._holding(part):
            reachable = [each for each in found if is_reachable(each, self._keeping)]
            if not reachable:
                away.append(self.who(seat))
            sessions += [each for each in reachable if not is_any(each, self._excluded)]
        return sessions

    async def _holding(self, part: Sequence[Seat]) -> list[tuple[Seat, list[Session]]]:
        """Those who still are members, with those of their sessions that hold."""
        there = [each for each in part if self._group in each.groups and each.key not in self._excluded]
        sessions = [sessions_of(self._sessions, each.key) for each in there]
        doubtful = await self._look_again([each for found in sessions for each in found])
        # Only now, that nothing waits any more: one may have ended while another was looked at.
        return [
            (seat, [each for each in found if not each.ended and each not in doubtful])
            for seat, found in zip(there, sessions, strict=True)
        ]

    def who(self, member: Seat) -> Who:
        key = member.key
        return (key, "") if isinstance(key, int) else (None, public_id(key))

    async def _look_again(self, sessions: Sequence[Session]) -> set[Session]:
        """Read again what was read too long ago: those of which it cannot be said that they hold."""
        now = self._reactor.seconds()
        oldest = now - self._limits.group_freshness
        stale = [each for each in sessions if each.user_id is not None and not oldest <= each.verified_at <= now]
        if not stale:
            return set()
        looks = await DeferredList([self._sessions.verify(each) for each in stale], consumeErrors=True)
        return {each for each, (read, holds) in zip(stale, looks, strict=True) if not (read and holds)}


def sessions_of(sessions: Sessions, key: Key) -> list[Session]:
    """The live sessions of a member."""
    if isinstance(key, int):
        return sessions.of_user(key)
    session = sessions.find(key)
    return [] if session is None else [session]


def is_any(session: Session, keys: frozenset[Key]) -> bool:
    """Whether the session, or its user, is one of these."""
    return bool(keys) and (session.key in keys or session.user_id in keys)
