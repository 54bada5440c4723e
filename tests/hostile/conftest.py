"""A server in a process of its own to attack, and the hands of an attacker: for the tests that ask for them."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from raw_peer import HELLO, RawPeer, connect

from fluxon.errors import FluxonError, from_wire
from fluxon.wire import Answer, Ask, Failed

#: Far longer than anything takes that goes well: what waits so long has failed.
PATIENCE = 15.0


class Visitor(RawPeer):
    """A client; what its asks came to is kept."""

    def __init__(self, port: int, context: ssl.SSLContext | None = None, **more: Any) -> None:
        super().__init__(connect(port, PATIENCE, context, **more), ask_limit=100_000)
        self.outcomes: dict[int, Any] = {}

    def __enter__(self) -> Visitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def greet(self) -> Visitor:
        """Say hello, and hear the answer."""
        answer = self.outcome(self.ask_command("hello", HELLO))
        if isinstance(answer, FluxonError):
            raise answer
        self.hello = answer
        return self

    def put_call(self, view: str, payload: Any = None, timeout: float | None = None) -> int:
        """A call that leaves with the next ``flush``."""
        return self.conversation.ask("call", {"view": view, "payload": payload}, waiter=None, timeout=timeout)

    def call(self, view: str, payload: Any = None, timeout: float | None = None) -> int:
        tag = self.put_call(view, payload, timeout)
        self.flush()
        return tag

    def ask_command(self, command: str, arguments: dict[str, Any]) -> int:
        tag = self.conversation.ask(command, arguments, waiter=None)
        self.flush()
        return tag

    def read(self, tokens: list[str] | None = None) -> bool:
        """One read's worth of messages; False at the end of the connection.

        With ``tokens`` a new session's token is put there, and acknowledged.
        """
        received = self.receive()
        for message in received or ():
            if isinstance(message, Answer):
                self.outcomes[message.tag] = message.value
            elif isinstance(message, Failed):
                self.outcomes[message.tag] = from_wire(message.code, message.text, message.details)
            elif isinstance(message, Ask) and message.command == "session" and tokens is not None:
                tokens.append(message.arguments["token"])
                self.conversation.answer(message.tag, {})
                self.flush()
        return received is not None

    def outcome(self, tag: int) -> Any:
        """What an ask came to: its value, its error, or ``...`` when the connection ended first."""
        while tag not in self.outcomes:
            if not self.read():
                return ...
        return self.outcomes[tag]

    def result(self, view: str, payload: Any = None, timeout: float | None = None) -> Any:
        """Call a view, and wait for what it came to."""
        return self.outcome(self.call(view, payload, timeout))

    def code(self, tag: int) -> str:
        """The code of the error that an ask came to."""
        outcome = self.outcome(tag)
        return outcome.code if isinstance(outcome, FluxonError) else repr(outcome)


class Attacked:
    """The server's process, and a well-behaved client of it that must never notice anything."""

    def __init__(
        self,
        folder: str,
        secure: bool,
        descriptors: int | None,
        proxy: bool,
        users: list[str],
        limits: dict[str, Any],
    ) -> None:
        options = {"secure": secure, "proxy": proxy, "limits": limits, "descriptors": descriptors, "users": users}
        options["folder"] = folder
        self._proxy = proxy
        self.log_path = Path(folder) / "log"
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, Path(__file__).with_name("attacked.py"), json.dumps(options)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(f"the server did not start: {self.log}")
        self.port = int(line)
        self.context: ssl.SSLContext | None = None
        if secure:
            self.context = ssl.create_default_context(cafile=str(next(Path(folder).glob("secrets/*cert*"))))
        self._witness = self.visit().greet()

    @property
    def log(self) -> str:
        """What the server has logged."""
        return self.log_path.read_text()

    def visit(self, **more: Any) -> Visitor:
        """A new connection; behind the proxy from the ``address`` that is given, else from this machine."""
        if self._proxy:
            more.setdefault("address", "127.0.0.1")
        return Visitor(self.port, self.context, **more)

    def limits(self) -> dict[str, list[Any]]:
        """What the console's status says: what of each limit is used, and the limit."""
        return dict(self.result("limits"))

    def result(self, view: str, payload: Any = None) -> Any:
        """What a client gets that was there before and does nothing wrong; it comes again if it was silent too long."""
        try:
            outcome = self._witness.result(view, payload)
        except ConnectionError:
            outcome = ...
        if outcome is ...:
            self._witness.socket.close()
            self._witness = self.visit().greet()
            outcome = self._witness.result(view, payload)
        return outcome

    def state(self, collect: bool = False) -> dict[str, Any]:
        """The server's counts, as its witness sees them; after a collection of garbage if so wished."""
        return dict(self.result("state", "collect" if collect else None))

    def until(self, met: Callable[[dict[str, Any]], bool], within: float = PATIENCE) -> dict[str, Any]:
        """The first state that meets a condition, for there is no event to wait for; the last one after ``within``."""
        end = time.monotonic() + within
        while not met(state := self.state(collect=True)) and time.monotonic() < end:
            pass
        return state

    def stop(self) -> int:
        """End the server; its exit status."""
        self._witness.socket.close()
        self._process.communicate(timeout=PATIENCE)
        return self._process.returncode


@contextmanager
def attacked(
    secure: bool = False,
    descriptors: int | None = None,
    proxy: bool = False,
    users: tuple[str, ...] = (),
    **limits: Any,
) -> Iterator[Attacked]:
    """A running server, for as long as the block lasts. It must be there, and clean, at the end."""
    with tempfile.TemporaryDirectory() as folder:
        server = Attacked(folder, secure, descriptors, proxy, list(users), limits)
        try:
            yield server
            assert server.result("echo", "alive") == "alive"
        finally:
            status = server.stop()
        assert status == 0, server.log
        assert "Unhandled" not in server.log, server.log


@pytest.fixture(scope="class")
def server(request: pytest.FixtureRequest) -> Iterator[None]:
    """``self.server`` of a class of tests that share one, with the class's ``limits``, ``secure`` and ``users``."""
    cls: Any = request.cls
    users = getattr(cls, "users", ())
    with attacked(getattr(cls, "secure", False), users=users, **getattr(cls, "limits", {})) as running:
        request.cls.server = running
        yield
        request.cls.server = None


@pytest.fixture
def attackers(request: pytest.FixtureRequest) -> None:
    """``self.attacked``: to run a server of the test's own."""
    request.instance.attacked = attacked
