"""The clients of a cloud's port: who each of them is, and their work in threads.

Rules of this module:

- A session that was not looked at for a while is confirmed before anything is done in its name, and once more when the
  work has got its thread: a revoked one never acts.
- Whoever works is who the connection belongs to at that moment.
- Nothing that blocks runs on the reactor's thread; no session keeps the threads from the others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Hashable
from functools import partial
from typing import Any, TypeAlias, TypeVar

from twisted.internet.defer import Deferred

from fluxon.blocking import wait_for
from fluxon.cloud.acting import name_of
from fluxon.cloud.agent import Agent, stranger
from fluxon.errors import Unavailable, stopping
from fluxon.fairness import FairThreads
from fluxon.gathering import Gathering
from fluxon.outcomes import Outcome
from fluxon.rpc import Peer
from fluxon.sessions import Session

T = TypeVar("T")

#: From a peer and what it asks to the answer, as ``Clients.gathering`` makes it.
Gathered: TypeAlias = Callable[["Peer", Any], Awaitable[Any]]


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
        self._confirm_here(peer)
        return work(agent_of(peer))

    def gathering(self, work: Callable[[list[tuple[Agent, Any]]], list[Outcome]]) -> Gathered:
        """A function like ``run`` for requests of one kind: ``work`` does those that wait together in one thread.

        It gets each with its agent, and tells what became of each.
        """
        gathering = Gathering(self._threads, partial(self._run_all, work))

        async def run(peer: Peer, request: Any) -> Any:
            self.must_be_open()
            await self.confirm(peer)
            return await gathering.run(peer.session, (peer, request), peer.protocol.address)

        return run

    def _run_all(
        self, work: Callable[[list[tuple[Agent, Any]]], list[Outcome]], asked: list[tuple[Peer, Any]]
    ) -> list[Outcome]:
        unconfirmed = {
            peer: error for peer in {peer for peer, _ in asked} if (error := self._confirmed(peer)) is not None
        }
        done = iter(work([(agent_of(peer), request) for peer, request in asked if peer not in unconfirmed]))
        return [(None, unconfirmed[peer]) if peer in unconfirmed else next(done) for peer, _ in asked]

    def _confirmed(self, peer: Peer) -> Exception | None:
        """In a thread: why nobody may act on this connection now, or None."""
        try:
            self._confirm_here(peer)
        except Exception as error:
            return error
        return None

    def _confirm_here(self, peer: Peer) -> None:
        """In a thread: the same as ``confirm``."""
        if not peer.session.fresh(self._reactor.seconds()):
            wait_for(self._reactor, lambda: Deferred.fromCoroutine(self.confirm(peer)))

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
