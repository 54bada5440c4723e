"""``Line``: what every blocking client is made of: a connection that is kept up, and its session.

Rules of this module:

- A request that may have been carried out and one that was certainly not are told apart (``OutcomeUnknown``,
  ``DeadlineExceeded`` / ``Unavailable``); what was certainly not sent goes out on the next connection.
- Nothing is asked under an older token than the session's newest: it is presented first.
- Any number of threads may use one object at the same time. It blocks, so it refuses the reactor's thread; it has
  threads, so it refuses to be used after a fork.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

from twisted.logger import Logger

from fluxon.blocking import on_reactor_thread
from fluxon.commands import Call, Command, Goodbye, Hello, Leaving, SessionChanged
from fluxon.connect import reasons
from fluxon.connect.arguments import Address
from fluxon.connect.attempts import Attempts
from fluxon.connect.backoff import Backoff
from fluxon.connect.claim import claim
from fluxon.connect.connector import Connector
from fluxon.connect.greeting import Greeting, hello_arguments
from fluxon.connect.link import Link
from fluxon.connect.session import Session
from fluxon.connect.turns import current
from fluxon.connect.waiter import LostInFlight, NeverSent, Overdue
from fluxon.errors import (
    Cancelled,
    DeadlineExceeded,
    FluxonError,
    NotFound,
    OutcomeUnknown,
    ResourceExhausted,
    Unavailable,
    says_stopping,
)
from fluxon.wire import Ask, Tell

_log = Logger(namespace="fluxon.connect")

#: A server acknowledges a goodbye at once; one that does not holds up no program that ends.
_GOODBYE_WITHIN = 0.2

#: Answers an ask of the server, on the receiving thread: now or later, with ``link.answer`` or ``link.fail``.
Answering = Callable[[Link, Ask], None]


class Line:
    """The connection to ``where`` of a client of the class ``user``; ``instead`` is what a reactor's thread can use.

    ``answering`` says what the server may ask, besides changes of the session. ``lost`` is called on the receiving
    thread when the server no longer knows the session, ``connected`` there before a new connection is first used,
    ``disconnected`` there when one was lost that this program did not close. ``connected`` is given the line: it may be
    called before whoever makes the line has it. ``told`` is given the arguments of a call that nobody answers.
    """

    def __init__(
        self,
        where: Address,
        *,
        secure: bool,
        trust: str | os.PathLike[str] | None,
        session: Session,
        heartbeat: float | None,
        wait_for_server: float,
        random: Callable[[], float],
        user: str,
        instead: str,
        answering: Mapping[type[Command], Answering],
        lost: Callable[[], None],
        connected: Callable[[Line], None] = lambda _: None,
        disconnected: Callable[[], None] = lambda: None,
        told: Callable[[dict[str, Any]], None] = lambda arguments: None,
    ) -> None:
        self.session = session
        self._pid = os.getpid()
        self._random = random
        self._user = user
        self._instead = instead
        self._answering = {command.name: (command, answer) for command, answer in answering.items()}
        self._lost = lost
        self._told = told
        #: Whether the server, when it last answered a hello, still had all that it kept for the session.
        self.recovered = False
        self.connector = Connector(
            where,
            secure=secure,
            trust=trust,
            session=session,
            backoff=Backoff(random),
            heartbeat=heartbeat,
            owner=self,
            wait_for_server=wait_for_server,
            greeted=self._greeted,
            connected=lambda: connected(self),
            disconnected=disconnected,
        )
        self.connector.start()

    def __repr__(self) -> str:
        connector = self.connector
        state = "closed" if connector.closed else "connected" if connector.link is not None else "connecting"
        scheme = "TLS" if connector.secure else "TCP"
        return f"<{self._user} {connector.where} {scheme}, {state}, {self.session!r}>"

    @property
    def is_ours(self) -> bool:
        """Whether this is the process that made it: after a fork the connection, and every lock, is the parent's."""
        return os.getpid() == self._pid

    def close(self) -> None:
        """End the connection; closing twice is no error."""
        self.connector.close()

    def say_goodbye(self) -> None:
        """Tell the server, if it can be told, that nothing needs to be kept for this client."""
        link = self.connector.link
        if link is not None:
            with contextlib.suppress(FluxonError, NeverSent, Overdue):
                link.ask(Goodbye.name, {}, monotonic() + _GOODBYE_WITHIN, urgent=True)

    # --- asking, from any thread --------------------------------------------------------------------------------------

    def check_thread(self, what: str) -> None:
        """Raise ``RuntimeError`` where ``what`` must not be called."""
        if on_reactor_thread():
            raise RuntimeError(
                f"{what} would block the reactor's thread: use {self._instead}, which gives Deferreds, "
                "or call it in a thread (twisted.internet.threads.deferToThread)"
            )
        if not self.is_ours:
            raise RuntimeError(
                f"this {self._user} was made before the process forked, and its connection belongs to the "
                "parent: make a new one in the child"
            )

    def ask(self, command: str, arguments: dict[str, Any], seconds: float, what: str) -> Any:
        """The answer to a command; ``what`` names it in errors. A function of the server's turn gives it away."""
        holder = current.turns
        if holder is None:
            return self._ask(command, arguments, seconds, what)
        with holder.yielded():
            return self._ask(command, arguments, seconds, what)

    def _ask(self, command: str, arguments: dict[str, Any], seconds: float, what: str) -> Any:
        deadline = monotonic() + seconds
        connector, session = self.connector, self.session
        while True:
            link = connector.link or connector.wait_for_link(deadline)
            try:
                if link.token != session.token:
                    self._catch_up(link, deadline)
                return link.ask(command, arguments, deadline)
            except NeverSent:
                continue  # lost before it was sent: on to the next connection
            except Unavailable as error:
                if not (link.left and says_stopping(error)):
                    raise  # or the server was leaving when it came: it did nothing, and the next one may
            except Overdue as overdue:
                raise overdue_error(what, seconds, overdue.sent) from None

    def ask_once(self, command: str, arguments: dict[str, Any], seconds: float, what: str) -> Any:
        """As ``ask``, for what the server carries out once however often it is asked: through lost connections."""
        holder = current.turns
        if holder is None:
            return self._ask_once(command, arguments, seconds, what)
        with holder.yielded():
            return self._ask_once(command, arguments, seconds, what)

    def _ask_once(self, command: str, arguments: dict[str, Any], seconds: float, what: str) -> Any:
        session, deadline = self.session, monotonic() + seconds
        attempts = Attempts(session, self._random)
        while True:
            try:
                link = self.greeted_link(deadline)
            except (FluxonError, Overdue) as error:
                attempts.check_nothing_sent(error)
                if isinstance(error, Overdue):
                    raise overdue_error(what, seconds, False) from None
                raise
            attempts.check_remembered()
            try:
                return link.ask(command, arguments, deadline)
            except NeverSent:
                continue
            except LostInFlight as error:
                attempts.lost(error, link.token)
            except (ResourceExhausted, Unavailable) as error:
                if not (link.left and says_stopping(error)):
                    self.connector.pause(attempts.refused(error, deadline - monotonic()))
            except Overdue as overdue:
                raise overdue_error(what, seconds, overdue.sent or attempts.unanswered is not None) from None

    def open(self, command: str, arguments: dict[str, Any], seconds: float, what: str) -> tuple[Link, Any]:
        """As ``ask``, for a command whose answer may open a stream: its connection, and the answer."""
        holder = current.turns
        if holder is None:
            return self._open(command, arguments, seconds, what)
        with holder.yielded():
            return self._open(command, arguments, seconds, what)

    def _open(self, command: str, arguments: dict[str, Any], seconds: float, what: str) -> tuple[Link, Any]:
        deadline = monotonic() + seconds
        while True:
            link = self.greeted_link(deadline)
            try:
                return link, link.ask(command, arguments, deadline, opens=True)
            except NeverSent:
                continue
            except Unavailable as error:
                if not (link.left and says_stopping(error)):
                    raise
            except Overdue as overdue:
                raise overdue_error(what, seconds, overdue.sent) from None

    def wait_until_connected(self, seconds: float) -> None:
        """Return when the server has answered hello. Raises why it has not."""
        self.check_thread("when_connected")
        try:
            self.greeted_link(monotonic() + seconds)
        except Overdue:
            raise reasons.silent(self.connector.where) from None

    def greeted_link(self, deadline: float) -> Link:
        """The connection, with the session's newest token. Raises why there is none by ``deadline``."""
        connector, session = self.connector, self.session
        while True:
            link = connector.link or connector.wait_for_link(deadline)
            try:
                if link.token != session.token:
                    self._catch_up(link, deadline)
                return link
            except NeverSent:
                continue
            except Unavailable as error:
                if not (link.left and says_stopping(error)):
                    raise

    def _catch_up(self, link: Link, deadline: float) -> None:
        """The session has, or seems to have, a newer token: present it here, too."""
        if not self.session.is_behind(link.token):
            return
        held: list[bool] = []
        try:
            if not claim(link.greeting_lock, held, deadline - monotonic()):
                raise Overdue(False)
            if not self.session.is_behind(link.token):
                return  # another thread was here first
            presented = self.session.token
            arguments = hello_arguments(presented, compress=link.compress, seen=self.session.seen)
            try:
                answer = link.ask(Hello.name, arguments, deadline, urgent=True)
            except Overdue:
                raise Overdue(False) from None
            except OutcomeUnknown as error:  # of the hello; the request itself was not sent
                raise NeverSent from error
            greeting = Greeting.read(answer, compress=link.compress)
            link.apply(greeting, self._greeted(presented, greeting), self.session)
            if self.session.is_behind(link.token) and self.session.token == presented:
                raise reasons.not_followed(self.connector.where)
        finally:
            if True in held:
                link.greeting_lock.release()

    # --- what the server says, on the receiving thread ----------------------------------------------------------------

    def _greeted(self, presented: str | None, greeting: Greeting) -> str | None:
        """The token that the connection has from now on."""
        session = self.session
        self.recovered = greeting.recovered
        lost = session.greeted(
            presented,
            greeting.token,
            greeting.public_id,
            authenticated=greeting.authenticated,
            fresh=greeting.fresh,
            recovered=greeting.recovered,
        )
        if lost:
            _log.info("the server no longer knows this client's session; log in again")
            self._lost()
        return session.known_as(presented, greeting.token, fresh=greeting.fresh)

    def asked(self, link: Link, ask: Ask) -> None:
        """Part of ``link.Owner``."""
        try:
            if ask.command == SessionChanged.name:
                SessionChanged.check_arguments(ask.arguments)
                self._session_changed(link, **ask.arguments)
                link.answer(ask, {})
                return
            if ask.command == Leaving.name:
                self.connector.leave(link)
                link.answer(ask, {})
                return
            found = self._answering.get(ask.command)
            if found is None:
                raise NotFound(f"this client knows no command {ask.command[:64]!r}")
            command, answer = found
            command.check_arguments(ask.arguments)
            answer(link, ask)
        except FluxonError as error:
            link.fail(ask, error)

    def told(self, tell: Tell) -> None:
        """Part of ``link.Owner``."""
        if tell.command == Call.name:
            try:
                Call.check_arguments(tell.arguments)
                self._told(tell.arguments)
            except FluxonError as error:
                _log.warn("what the server told is dropped: {code}: {text}", code=error.code, text=error.text)

    def cancelled(self, link: Link, tag: int) -> None:
        """Part of ``link.Owner``."""
        ask = link.conversation.answering.get(tag)
        if ask is not None:
            link.fail(ask, Cancelled())

    def _session_changed(self, link: Link, session: str, token: str, authenticated: bool) -> None:
        self.session.changed(token, session, authenticated)
        link.session_changed(self.session.known_as(None, token, fresh=True), self.session)


def overdue_error(what: str, seconds: float, sent: bool) -> FluxonError:
    """What a request raises that had no answer in time."""
    if sent:
        return DeadlineExceeded(
            f"no answer to {what[:64]!r} within {seconds:g} s; the work may or may not have been done"
        )
    return DeadlineExceeded(
        f"{what[:64]!r} was not sent within {seconds:g} s, and nothing was done: other requests of this connection "
        "wait for their answers"
    )
