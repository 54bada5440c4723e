"""Keeps one connection up: connects, says hello, serves, and comes back when it is lost, until closed.

Rules of this module:

- One daemon thread per client does all of it, and is the receiving thread of the link.
- A client that was never connected fails its requests with the reason at once: the address is probably wrong. One that
  was connected lets them wait, within their own deadlines: the server is probably coming back. So does one that is told
  to wait for its server, for so long; what waiting does not mend fails all the same.
- No thread waits longer than its deadline, whatever the network does.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from time import monotonic

from twisted.logger import Logger

from fluxon.addresses import is_local
from fluxon.connect import reasons
from fluxon.connect.arguments import Address
from fluxon.connect.backoff import Backoff
from fluxon.connect.dial import dial, shake_hands
from fluxon.connect.greeting import Greeting
from fluxon.connect.link import Link
from fluxon.connect.owner import Owner
from fluxon.connect.session import Session
from fluxon.connect.stream import Stream, StreamLost
from fluxon.connect.waiter import SLICE, Overdue
from fluxon.errors import FluxonError, ProtocolError, Unavailable
from fluxon.security.tls import ClientTLS, client_tls

_log = Logger(namespace="fluxon.connect")

#: From the first packet to an answered hello. The server itself gives a handshake 10 s.
ATTEMPT = 10.0

#: ``close`` waits so long for the thread, which needs a millisecond if it is not connecting.
_LEAVE = 1.0


class Connector:
    """The connection of one client to ``where``."""

    def __init__(
        self,
        where: Address,
        *,
        secure: bool,
        trust: str | os.PathLike[str] | None,
        session: Session,
        backoff: Backoff,
        heartbeat: float | None,
        owner: Owner,
        wait_for_server: float,
        greeted: Callable[[str | None, Greeting], str | None],
        connected: Callable[[], None] = lambda: None,
        disconnected: Callable[[], None] = lambda: None,
    ) -> None:
        self.where = where
        self.secure = secure
        self._trust = trust
        self._session = session
        self._backoff = backoff
        self._heartbeat = heartbeat
        self._owner = owner
        self._wait_for_server = wait_for_server
        # A first connection is waited for until then.
        self._patient_until = 0.0
        self._greeted = greeted
        self._connected = connected
        self._disconnected = disconnected
        self._tls: ClientTLS | None = None
        self._changed = threading.Condition()
        #: The connection, while there is one that was greeted and may be asked.
        self.link: Link | None = None
        # The same, and after its server has said that it leaves.
        self._served: Link | None = None
        self.closed = False
        #: Whether there ever was one.
        self.was_connected = False
        self._wanted = False
        self._failures = 0
        self._trouble: FluxonError | None = None
        self._thread = threading.Thread(target=self._run, name=f"fluxon-{where}", daemon=True)

    def start(self) -> None:
        self._patient_until = monotonic() + self._wait_for_server
        self._thread.start()

    # --- from any thread ----------------------------------------------------------------------------------------------

    def wait_for_link(self, deadline: float) -> Link:
        """The connection, as soon as there is one. Raises why there is none."""
        with self._changed:
            failures = self._failures
            if self.link is None:
                self._wanted = True
                self._changed.notify_all()
            while (link := self.link) is None:
                if self.closed:
                    raise reasons.closed()
                trouble = self._trouble
                if (
                    trouble is not None
                    and self._failures != failures
                    and reasons.gives_up(trouble, patient=self._is_patient())
                ):
                    raise type(trouble)(trouble.text, details=trouble.details) from trouble
                left = deadline - monotonic()
                if left <= 0:
                    raise reasons.still_waiting(self.where, trouble)
                self._changed.wait(min(left, SLICE))
            return link

    def _is_patient(self) -> bool:
        return self.was_connected or monotonic() < self._patient_until

    def pause(self, seconds: float) -> None:
        """Return after ``seconds``. Raises when it is closed meanwhile."""
        until = monotonic() + seconds
        with self._changed:
            while not self.closed and (left := until - monotonic()) > 0:
                self._changed.wait(min(left, SLICE))
            if self.closed:
                raise reasons.closed()

    def close(self) -> None:
        """End the connection and the thread. Returns soon, though connecting itself cannot be interrupted."""
        with self._changed:
            self.closed = True
            link = self._served
            self._changed.notify_all()
        if link is not None:
            link.stop("this program closed it")
            if threading.current_thread() is not self._thread:
                self._thread.join(_LEAVE)

    def leave(self, link: Link) -> None:
        """The server of ``link`` stops: what is asked from now on waits for the next connection."""
        with self._changed:
            if self.link is link:
                self.link = None
                self._trouble = reasons.leaving(self.where)
        link.leave()

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self.closed:
            try:
                link, heartbeat = self._connect()
            except FluxonError as error:
                self._failed(error)
            except Exception:
                _log.failure("connecting failed in a way that it should not")
                self._failed(Unavailable("connecting failed; the log says why"))
            else:
                self._serve(link, heartbeat)
            self._pause()

    def _connect(self) -> tuple[Link, float]:
        deadline = monotonic() + ATTEMPT
        if self.secure and self._tls is None:
            self._tls = client_tls(self.where.host, self._trust)
        connected = dial(self.where, deadline)
        try:
            compress = not is_local(connected.getpeername()[0])
            channel = shake_hands(connected, self._tls, self.where, deadline) if self._tls is not None else None
            link = Link(Stream(connected, channel), self._owner, compress=compress)
        except OSError as error:
            connected.close()
            raise reasons.not_connected(self.where, error) from error
        except BaseException:
            connected.close()
            raise
        try:
            presented = self._session.token
            greeting = link.greet(presented, self._session.seen, deadline)
        except (FluxonError, Overdue, StreamLost) as error:
            link.close("it was never greeted")
            raise self._explain(link, error) from error
        link.apply(greeting, self._greeted(presented, greeting), self._session)
        return link, greeting.heartbeat if self._heartbeat is None else self._heartbeat

    def _explain(self, link: Link, error: Exception) -> FluxonError:
        if isinstance(error, ProtocolError):
            return reasons.not_fluxon(self.where, link.beginning, error.text, secure=self.secure)
        if isinstance(error, FluxonError):
            return error
        if isinstance(error, Overdue):
            return reasons.silent(self.where)
        if self.was_connected:
            return reasons.lost(self.where, str(error))  # a server that is known, cut off once more
        if link.beginning:
            return reasons.broke_off(self.where, link.beginning, secure=self.secure)
        return reasons.closed_before_hello(self.where, secure=self.secure)

    def _serve(self, link: Link, heartbeat: float) -> None:
        since = monotonic()
        self._connected()
        with self._changed:
            self.link = self._served = link
            self.was_connected = True
            self._trouble = None
            stopped = self.closed
            self._changed.notify_all()
        where = self.where
        _log.info("connected to {where}", where=where)
        reason = "this program closed it"
        try:
            if not stopped:
                link.run(heartbeat)
        except StreamLost as error:
            reason = str(error)
        except ProtocolError as error:
            reason = f"the server broke the protocol: {error.text}"
        except Exception:
            _log.failure("receiving from {where} failed in a way that it should not", where=where)
            reason = "this client failed; its log says why"
        with self._changed:
            self.link = self._served = None
            self._trouble = reasons.lost(where, reason)
        link.close(reason)
        self._backoff.connected_for(monotonic() - since)
        _log.info("the connection to {where} was lost: {reason}", where=where, reason=reason)
        if not self.closed:
            self._disconnected()

    def _failed(self, error: FluxonError) -> None:
        with self._changed:
            self._failures += 1
            self._trouble = error
            self._wanted = False
            self._changed.notify_all()

    def _pause(self) -> None:
        now = monotonic()
        end = now + self._backoff.next()
        if now < self._patient_until < end and not self.was_connected:
            end = self._patient_until  # for a last attempt
        with self._changed:
            while not self.closed and (left := end - monotonic()) > 0:
                if self._wanted and not self.was_connected:
                    self._wanted = False
                    return
                self._changed.wait(left)
