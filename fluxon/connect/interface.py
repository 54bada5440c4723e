"""``ConnectionInterface``: the client for programs that just want the answer.

Rules of this module:

- Every failure is a ``FluxonError`` whose text says what to do. A request that may have been carried out and one that
  was certainly not are told apart (``OutcomeUnknown``, ``DeadlineExceeded`` / ``Unavailable``).
- Any number of threads may use one object at the same time.
- It blocks, so it refuses the reactor's thread; it has threads, so it refuses to be used after a fork.
"""

from __future__ import annotations

import os
import random as _random
import secrets
from collections.abc import Callable, Mapping
from time import monotonic
from types import TracebackType
from typing import Any

from twisted.logger import Logger

from fluxon.blocking import on_reactor_thread
from fluxon.commands import Call, Hello, SessionChanged
from fluxon.connect.arguments import DEFAULT_PORT, check_trust, checked_address, checked_timeout
from fluxon.connect.backoff import Backoff
from fluxon.connect.claim import claim
from fluxon.connect.connector import Connector
from fluxon.connect.functions import Function, Functions
from fluxon.connect.greeting import Greeting, hello_arguments
from fluxon.connect.link import Link
from fluxon.connect.session import SessionHolder
from fluxon.connect.turns import Turns, current
from fluxon.connect.waiter import NeverSent, Overdue
from fluxon.errors import (
    Cancelled,
    DeadlineExceeded,
    FluxonError,
    Internal,
    NotFound,
    OutcomeUnknown,
)
from fluxon.wire import Ask

_log = Logger(namespace="fluxon.connect")


class ConnectionInterface:
    """A connection to a Fluxon server, with a session of its own.

    It connects in the background, comes back by itself when the connection is lost, still logged in, and stays until
    ``close``. ``secure`` is TLS; ``trust`` the path of a PEM file with the server's certificate or its authority,
    where the platform does not know it. ``session`` is another ``ConnectionInterface`` to the same host whose session
    this one shares. ``timeout`` is the default for requests, in seconds.

    ``on_session_lost`` is called without arguments when the server no longer knows the session: whoever was logged in
    has to log in again. It runs like a reverse function.

    Raises ``ConfigurationError`` for arguments that cannot be right; that nobody listens is said by the first request.
    """

    def __init__(
        self,
        host: str = "localhost",
        port: int = DEFAULT_PORT,
        secure: bool = False,
        trust: str | os.PathLike[str] | None = None,
        session: ConnectionInterface | None = None,
        timeout: float = 30.0,
        *,
        heartbeat: float | None = None,
        on_session_lost: Callable[[], object] | None = None,
        random: Callable[[], float] = _random.random,
    ) -> None:
        where = checked_address(host, port)
        check_trust(trust, secure)
        self._timeout = checked_timeout(timeout)
        self._pid = os.getpid()
        if session is None:
            self._session = SessionHolder(where.host, secure)
        else:
            self._session = session.session
            self._session.check_shared_with(where.host, secure)
        self._functions = Functions(waiting_allowed=False)
        self._turns = Turns(f"fluxon-functions-{where}")
        self._on_session_lost = on_session_lost
        self._connector = Connector(
            where,
            secure=secure,
            trust=trust,
            session=self._session,
            backoff=Backoff(random),
            heartbeat=heartbeat,
            owner=self,
            greeted=self._greeted,
        )
        self._connector.start()

    # --- what programs use --------------------------------------------------------------------------------------------

    def send_request(self, view_name: str, payload: Any = None, timeout: float | None = None) -> Any:
        """Have the server's view ``view_name`` answer ``payload``, within ``timeout`` seconds.

        Raises what the view raised (``InvalidPayload``, ``PermissionDenied``, … from ``fluxon.errors``), and:
        ``UnknownView``; ``Unserialisable`` or ``ResourceExhausted`` for a payload that cannot be sent;
        ``Unavailable`` when there is no connection, so that nothing was done; ``DeadlineExceeded`` and
        ``OutcomeUnknown`` when the request may have been carried out; ``UntrustedServer`` and ``ProtocolError`` when
        what answers is not the server. ``RuntimeError`` on the reactor's thread, which must not block, and after a
        fork.
        """
        self._check_thread()
        arguments = {"view": view_name, "payload": payload}
        Call.check_arguments(arguments)
        seconds = self._timeout if timeout is None else checked_timeout(timeout)
        holder = current.turns
        if holder is None:
            return self._ask(Call.name, arguments, seconds, view_name)
        with holder.yielded():
            return self._ask(Call.name, arguments, seconds, view_name)

    def reverse_request_mapping(self, mapping: Mapping[str, Function]) -> None:
        """Let the server call these functions, by these names; earlier ones of other names stay.

        A dict payload becomes keyword arguments, any other the only argument, None none. Functions run one at a time,
        in the order of the server's calls, in a thread of their own; one that calls ``send_request`` yields its turn
        to the next until it is answered. What a function returns is its answer; what it raises is logged here, and
        an error there.
        """
        self._functions.update(mapping)

    @property
    def session(self) -> SessionHolder:
        """What this client knows of its session; for ``session=`` of another client, and for cloud connectors."""
        return self._session

    def close(self) -> None:
        """End the connection. Requests under way fail; later ones raise ``Unavailable``. Closing twice is no error."""
        if os.getpid() != self._pid:
            return  # the connection, and every lock, is the parent's
        self._turns.stop()
        self._connector.close()

    def __enter__(self) -> ConnectionInterface:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        connector = self._connector
        state = "closed" if connector.closed else "connected" if connector.link is not None else "connecting"
        scheme = "TLS" if connector.secure else "TCP"
        return f"<ConnectionInterface {connector.where} {scheme}, {state}, {self._session!r}>"

    # --- asking -------------------------------------------------------------------------------------------------------

    def _check_thread(self) -> None:
        if on_reactor_thread():
            raise RuntimeError(
                "send_request would block the reactor's thread: use fluxon.connect.connect, which gives Deferreds, "
                "or call it in a thread (twisted.internet.threads.deferToThread)"
            )
        if os.getpid() != self._pid:
            raise RuntimeError(
                "this ConnectionInterface was made before the process forked, and its connection belongs to the "
                "parent: make a new one in the child"
            )

    def _ask(self, command: str, arguments: dict[str, Any], seconds: float, what: str) -> Any:
        deadline = monotonic() + seconds
        connector, session = self._connector, self._session
        while True:
            link = connector.link or connector.wait_for_link(deadline)
            try:
                if link.token != session.token:
                    self._greet_again(link, deadline)
                return link.ask(command, arguments, deadline)
            except NeverSent:
                continue  # lost before it was sent: on to the next connection
            except Overdue as overdue:
                raise _overdue(what, seconds, overdue.sent) from None

    def _greet_again(self, link: Link, deadline: float) -> None:
        """Another connection of this session has a newer token: present it here, too."""
        held: list[bool] = []
        try:
            if not claim(link.greeting_lock, held, deadline - monotonic()):
                raise Overdue(False)
            presented = self._session.token
            if link.token == presented:
                return  # another thread was here first
            arguments = hello_arguments(presented, compress=link.compress)
            try:
                answer = link.ask(Hello.name, arguments, deadline, urgent=True)
            except Overdue:
                raise Overdue(False) from None
            except OutcomeUnknown as error:  # of the hello; the request itself was not sent
                raise NeverSent from error
            greeting = Greeting.read(answer, compress=link.compress)
            self._greeted(presented, greeting)
            link.apply(greeting, self._session)
        finally:
            if True in held:
                link.greeting_lock.release()

    # --- what the server says, on the receiving thread ----------------------------------------------------------------

    def _greeted(self, presented: str | None, greeting: Greeting) -> None:
        lost = self._session.greeted(
            presented, greeting.token, greeting.public_id, authenticated=greeting.authenticated, fresh=greeting.fresh
        )
        if lost:
            _log.info("the server no longer knows this client's session; log in again")
            if self._on_session_lost is not None:
                self._turns.submit(self._on_session_lost)

    def asked(self, link: Link, ask: Ask) -> None:
        """Part of ``link.Owner``; not for programs."""
        try:
            if ask.command == Call.name:
                Call.check_arguments(ask.arguments)
                deadline = None if ask.timeout is None else monotonic() + ask.timeout
                self._turns.submit(lambda: self._run_function(link, ask, deadline))
            elif ask.command == SessionChanged.name:
                SessionChanged.check_arguments(ask.arguments)
                self._session_changed(link, **ask.arguments)
                link.answer(ask, {})
            else:
                raise NotFound(f"this client knows no command {ask.command[:64]!r}")
        except FluxonError as error:
            link.fail(ask, error)

    def cancelled(self, link: Link, tag: int) -> None:
        """Part of ``link.Owner``; not for programs."""
        ask = link.conversation.answering.get(tag)
        if ask is not None:
            link.fail(ask, Cancelled())

    def _session_changed(self, link: Link, session: str, token: str, authenticated: bool) -> None:
        self._session.changed(token, session, authenticated)
        link.session_changed(token, self._session)

    def _run_function(self, link: Link, ask: Ask, deadline: float | None) -> None:
        if not link.expects(ask):
            return  # cancelled, or its connection is gone: the server counts it as not delivered
        if deadline is not None and monotonic() >= deadline:
            link.fail(ask, DeadlineExceeded("the client's functions before this one took too long; it was not called"))
            return
        name = ask.arguments["view"]
        try:
            link.answer(ask, self._functions.call(name, ask.arguments["payload"]))
        except FluxonError as error:
            _log.warn("the function {name!r} failed: {code}: {text}", name=name, code=error.code, text=error.text)
            link.fail(ask, error)
        except BaseException:
            incident = secrets.token_hex(8)
            _log.failure("incident {incident} in the function {name!r}", incident=incident, name=name)
            text = f"the client's function failed (incident {incident} in the client's log)"
            link.fail(ask, Internal(text, details={"incident": incident}))


def _overdue(what: str, seconds: float, sent: bool) -> FluxonError:
    if sent:
        return DeadlineExceeded(
            f"no answer to {what[:64]!r} within {seconds:g} s; the work may or may not have been done"
        )
    return DeadlineExceeded(
        f"{what[:64]!r} was not sent within {seconds:g} s, and nothing was done: other requests of this connection "
        "wait for their answers"
    )
