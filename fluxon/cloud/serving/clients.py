"""The clients of a cloud's port: who each of them is, and their work in threads.

Rules of this module:

- A session that was not looked at for a while is confirmed before anything is done in its name, and once more when the
  work has got its thread: a revoked one never acts.
- Whoever works is who the connection belongs to at that moment.
- Nothing that blocks runs on the reactor's thread; no session keeps the threads from the others.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from fluxon.blocking import wait_for
from fluxon.cloud.acting import name_of
from fluxon.cloud.agent import Agent, stranger
from fluxon.errors import Unavailable, stopping
from fluxon.fairness import FairThreads
from fluxon.rpc import Peer
from fluxon.sessions import Session

T = TypeVar("T")


class Clients:
    """Runs what clients ask. ``confirm(peer)`` sees to it that a connection's session holds (``Greeting.confirm``)."""

    def __init__(
        self, threads: FairThreads, confirm: Callable[[Peer], Coroutine[Any, Any, None]], reactor: Any
    ) -> None:
        self._threads = threads
        self._confirm = confirm
        self._reactor = reactor
        #: Whether the server stops, so that only what was begun may be finished.
        self.closing = False

    async def run(self, peer: Peer, work: Callable[[Agent], T], *, to_finish: bool = False) -> T:
        """``work(agent)`` in a thread, ``agent`` being whoever the connection belongs to."""
        if not to_finish:
            self.must_be_open()
        await self.confirm(peer)
        result: T = await self._threads.run(peer.session, self._run, (peer, work), peer.protocol.address)
        return result

    def _run(self, asked: tuple[Peer, Callable[[Agent], T]]) -> T:
        peer, work = asked
        if not peer.session.fresh(self._reactor.seconds()):
            wait_for(self._reactor, lambda: Deferred.fromCoroutine(self.confirm(peer)))
        return work(agent_of(peer))

    def must_be_open(self) -> None:
        """Raise ``Unavailable`` when nothing new may be begun."""
        if self.closing:
            raise stopping()

    async def confirm(self, peer: Peer) -> None:
        """Afterwards ``agent_of(peer)`` and ``owner_of(peer)`` say who may act now."""
        if not peer.session.fresh(self._reactor.seconds()):
            await self._confirm(peer)
        if peer.lost:
            raise Unavailable("the connection was lost")

    def from_thread(self, function: Callable[..., Any], *args: Any) -> None:
        """From any thread: call ``function`` on the reactor's."""
        self._reactor.callFromThread(function, *args)

    def now(self) -> float:
        """POSIX seconds."""
        seconds: float = self._reactor.seconds()
        return seconds


def agent_of(peer: Peer) -> Agent:
    """Who a connection acts as."""
    session, address = peer.session, peer.protocol.address
    if session.ending is not None or session.user is None:
        return stranger(address)
    return Agent(session.user_id, name_of(session.user), address)


def owner_of(peer: Peer) -> Hashable:
    """Whose transfers and watches those of a connection are: a user's, over all their sessions, or one stranger's."""
    session: Session = peer.session
    return session.key if session.user_id is None else session.user_id
