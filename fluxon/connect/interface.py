"""``ConnectionInterface``: the client for programs that just want the answer.

Rules of this module:

- Every failure is a ``FluxonError`` whose text says what to do. A request that may have been carried out and one that
  was certainly not are told apart (``OutcomeUnknown``, ``DeadlineExceeded`` / ``Unavailable``).
- Any number of threads may use one object at the same time.
- It blocks, so it refuses the reactor's thread; it has threads, so it refuses to be used after a fork.
"""

from __future__ import annotations

import contextlib
import os
import random as _random
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic
from types import TracebackType
from typing import Any

from twisted.logger import Logger

from fluxon.arguments import check_function
from fluxon.commands import Call, CallOnce, Deliver
from fluxon.connect import living
from fluxon.connect.arguments import (
    DEFAULT_PORT,
    check_events,
    check_heartbeat,
    check_trust,
    checked_address,
    checked_patience,
    checked_timeout,
    checked_wait,
)
from fluxon.connect.functions import Function, Functions
from fluxon.connect.line import Line
from fluxon.connect.link import Link
from fluxon.connect.session import HasSession, SessionHolder, shared_session
from fluxon.connect.turns import Turns
from fluxon.errors import DeadlineExceeded, FluxonError, Internal, of_program
from fluxon.wire import Ask

_log = Logger(namespace="fluxon.connect")


class ConnectionInterface:
    """A connection to a Fluxon server, with a session of its own.

    It connects in the background, comes back by itself when the connection is lost, still logged in, and stays until
    ``close``. ``secure`` is TLS; ``trust`` the path of a PEM file with the server's certificate or its authority,
    where the platform does not know it. ``session`` is another ``ConnectionInterface`` to the same host whose session
    this one shares. ``timeout`` is the default for requests, in seconds.

    ``on_session_lost`` is called without arguments when the server no longer knows the session: whoever was logged in
    has to log in again. ``on_disconnect`` is called without arguments each time that the connection is lost, and
    ``on_reconnect`` each time that it has come back, with ``recovered``. All run like a function that the server calls.

    ``wait_for_server`` is for programs that may start before their server: for so many seconds from now on, requests
    wait for a server that is not there yet, within their own timeouts, instead of failing with the first attempt. A
    certificate that is not trusted, and a server of another kind, are told at once all the same.

    Raises ``ConfigurationError`` for arguments that cannot be right; that nobody listens is said by the first request,
    or by ``when_connected``.
    """

    def __init__(
        self,
        host: str = "localhost",
        port: int = DEFAULT_PORT,
        secure: bool = False,
        trust: str | os.PathLike[str] | None = None,
        session: HasSession | None = None,
        timeout: float = 30.0,
        *,
        wait_for_server: float = 0.0,
        heartbeat: float | None = None,
        on_session_lost: Callable[[], object] | None = None,
        on_reconnect: Callable[[bool], object] | None = None,
        on_disconnect: Callable[[], object] | None = None,
        random: Callable[[], float] = _random.random,
    ) -> None:
        where = checked_address(host, port)
        check_trust(trust, secure)
        self._timeout = checked_patience(timeout)
        self._wait_for_server = checked_wait(wait_for_server)
        check_heartbeat(heartbeat)
        check_events(False, on_session_lost=on_session_lost, on_reconnect=on_reconnect, on_disconnect=on_disconnect)
        check_function("random=", random, optional=False)
        self._session = shared_session(session, where.host, secure)
        self._functions = Functions(waiting_allowed=False)
        self._turns = Turns(f"fluxon-functions-{where}")
        self._on_session_lost = on_session_lost
        self._on_reconnect = on_reconnect
        self._on_disconnect = on_disconnect
        self._line = Line(
            where,
            secure=secure,
            trust=trust,
            session=self._session,
            heartbeat=heartbeat,
            wait_for_server=self._wait_for_server,
            random=random,
            user="ConnectionInterface",
            instead="fluxon.connect.connect",
            answering={Call: self._asked, Deliver: self._delivered},
            lost=self._session_lost,
            connected=self._connected,
            disconnected=self._disconnected,
            told=self._told,
        )
        living.opened(self, self._session)

    # --- what programs use --------------------------------------------------------------------------------------------

    def send_request(
        self,
        view_name: str,
        payload: Any = None,
        timeout: float | None = None,
        *,
        idempotent: bool = False,
        key: str | None = None,
    ) -> Any:
        """Have the server's view ``view_name`` answer ``payload``, within ``timeout`` seconds.

        Raises what the view raised (``InvalidPayload``, ``PermissionDenied``, … from ``fluxon.errors``), and:
        ``UnknownView``; ``Unserialisable`` or ``ResourceExhausted`` for a payload that cannot be sent;
        ``Unavailable`` when there is no connection, so that nothing was done; ``DeadlineExceeded`` and
        ``OutcomeUnknown`` when the request may have been carried out; ``UntrustedServer`` and ``ProtocolError`` when
        what answers is not the server. ``RuntimeError`` on the reactor's thread, which must not block, and after a
        fork.

        An ``idempotent`` one is made again when the connection is lost, and when the server refused it and said when to
        try again, within ``timeout``. The server carries it out once all the same; ``OutcomeUnknown`` then means that
        the server cannot tell any more. ``key`` is for a program that may
        itself make the same request again, and chooses a text for it, at most 128 bytes, that no other request of the
        session has: a repeat is answered what the first one was.
        """
        self._line.check_thread("send_request")
        arguments = {"view": view_name, "payload": payload}
        seconds = self._timeout if timeout is None else checked_timeout(timeout)
        if idempotent or key is not None:
            arguments["key"] = secrets.token_urlsafe(16) if key is None else key
            CallOnce.check_arguments(arguments)
            return self._line.ask_once(CallOnce.name, arguments, seconds, view_name)
        Call.check_arguments(arguments)
        return self._line.ask(Call.name, arguments, seconds, view_name)

    def when_connected(self, timeout: float | None = None) -> ConnectionInterface:
        """Return this object when the server has answered hello. Raises why it has not, as ``send_request`` does.

        It waits no longer than ``timeout`` seconds; without one, as long as a request, or as ``wait_for_server`` says
        if that is longer.
        """
        longest = max(self._timeout, self._wait_for_server) if timeout is None else checked_timeout(timeout)
        self._line.wait_until_connected(longest)
        return self

    def reverse_request_mapping(self, mapping: Mapping[str, Function]) -> None:
        """Let the server call these functions, by these names; earlier ones of other names stay.

        A dict payload becomes keyword arguments, any other the only argument, None none. Functions run one at a time,
        in the order of the server's calls, in a thread of their own; one that calls ``send_request`` yields its turn
        to the next until it is answered. What a function returns is its answer; what it raises is logged here, and
        an error there. Calls that the server keeps come again after a lost connection, and are carried out once for all
        clients that share a session: map the same functions on each.
        """
        self._functions.update(mapping)

    @property
    def recovered(self) -> bool:
        """Whether the connection goes on where the one before it ended, with all that the server kept for the session.

        False when the session is new, and when the server gave something up, or cannot know that it did not, as after
        a restart: whoever shows what was pushed to them should fetch it anew.
        """
        return self._line.recovered

    @property
    def session(self) -> SessionHolder:
        """What this client knows of its session; for ``session=`` of another client, and for cloud connectors."""
        return self._session

    def close(self) -> None:
        """End the connection. Requests under way fail; later ones raise ``Unavailable``. Closing twice is no error.

        The server is told, and keeps nothing for this client.
        """
        if not self._line.is_ours:
            return  # the connection, and every lock, is the parent's
        living.closed(self)
        try:
            self._line.say_goodbye()
        finally:
            self._turns.stop()
            self._line.close()

    def __enter__(self) -> ConnectionInterface:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return repr(self._line)

    # --- what the server says, on the receiving thread ----------------------------------------------------------------

    def _session_lost(self) -> None:
        if self._on_session_lost is not None:
            self._inform(self._on_session_lost)

    def _connected(self, line: Line) -> None:
        if self._on_reconnect is not None and line.connector.was_connected:
            self._inform(partial(self._on_reconnect, line.recovered))

    def _disconnected(self) -> None:
        if self._on_disconnect is not None:
            self._inform(self._on_disconnect)

    def _inform(self, function: Callable[[], object]) -> None:
        # The program is closing it, and wants to know nothing; or a thousand calls wait before this one.
        with contextlib.suppress(FluxonError):
            self._turns.submit(function)

    def _delivered(self, link: Link, ask: Ask) -> None:
        numbers, number = self._session.numbers, ask.arguments["number"]
        if not numbers.arrive(number, lambda: link.answer(ask, None)):
            return
        try:
            # What is dropped the server sends to another client of the session, if there is one.
            self._turns.submit(
                lambda: self._run_delivered(link, ask), kept=True, dropped=lambda: numbers.refused(number)
            )
        except FluxonError:
            numbers.refused(number)
            raise

    def _run_delivered(self, link: Link, ask: Ask) -> None:
        # Carried out though its connection may be gone: it would only come again.
        try:
            self._run_function(link, ask, None)
        finally:
            self._session.numbers.done(ask.arguments["number"])

    def _asked(self, link: Link, ask: Ask) -> None:
        deadline = None if ask.timeout is None else monotonic() + ask.timeout
        self._turns.submit(lambda: self._run_function(link, ask, deadline))

    def _told(self, arguments: dict[str, Any]) -> None:
        self._turns.submit(lambda: self._run_told(**arguments))

    def _run_told(self, view: str, payload: Any) -> None:
        try:
            self._functions.call(view, payload)
        except FluxonError as error:
            _log.warn("the function {name!r} failed: {code}: {text}", name=view, code=error.code, text=error.text)
        except BaseException:
            _log.failure("the function {name!r}, which nobody waits for, failed", name=view)

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
            link.fail(ask, of_program(error))
        except BaseException:
            incident = secrets.token_hex(8)
            _log.failure("incident {incident} in the function {name!r}", incident=incident, name=name)
            text = f"the client's function failed (incident {incident} in the client's log)"
            link.fail(ask, Internal(text, details={"incident": incident}))
