"""What the tests of the rpc room stand on: a transport with an end to its patience, and a line to a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from memory_transport import Transport
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure

from fluxon.commands import Anything, Command, Integer, Leaving, Text
from fluxon.errors import FluxonError, NotFound, from_wire
from fluxon.limits import Limits
from fluxon.rpc import ClientFactory, PeerFactory, PeerProtocol, Responders, ServerFactory
from fluxon.wire import Answer, Ask, Cancel, Conversation, Failed


class Do(Command):
    """Runs the job of that name. Every error of its is meant to be seen."""

    name = "do"
    arguments = {"job": Text(max_bytes=32), "value": Anything()}
    response = Anything()
    errors = (FluxonError,)


class Strict(Command):
    """The same, with one declared error and a response that is checked."""

    name = "strict"
    arguments = {"job": Text(max_bytes=32), "value": Anything()}
    response = {"sum": Integer()}
    errors = (NotFound,)


class Transfer(Command):
    """The same, and its job may open a stream."""

    name = "transfer"
    arguments = {"job": Text(max_bytes=32), "value": Anything()}
    response = Anything()
    errors = (FluxonError,)
    opens = True


class Open(Command):
    """May be asked before hello."""

    name = "open"
    response = Anything()
    before_hello = True


class Line:
    """A server's connection, and its other side: a bare conversation that the test speaks with.

    ``jobs`` are what the commands run: ``function(value)``.
    """

    def __init__(self, greeted: bool = True, factory: type[PeerFactory] = ServerFactory, **limits: Any) -> None:
        self.clock = Clock()
        self.limits = Limits(**limits)
        self.jobs: dict[str, Callable[[Any], Any]] = {"echo": lambda value: value}
        table = Responders(
            {Do: self._run, Strict: self._run, Transfer: self._run, Open: lambda peer, arguments: "open"}
        )
        self.lost: list[Failure] = []
        self.factory = factory(
            table, self.clock, self.limits, on_disconnect=lambda peer, reason: self.lost.append(reason)
        )
        self.connect(greeted)

    def connect(self, greeted: bool = True, host: str | None = None) -> None:
        """Another connection of the same factory, from ``host``."""
        protocol = self.factory.buildProtocol(None)
        assert isinstance(protocol, PeerProtocol)
        self.protocol = protocol
        self.peer = self.protocol.peer
        self.transport = self.protocol_transport(self.protocol, host)
        self.remote = Conversation(
            receive_limit=2**26, send_limit=2**26, in_flight=10_000, ask_limit=10_000, stream_limit=100
        )
        self.outcomes: dict[int, Any] = {}
        self.asked: list[Ask] = []
        self.cancelled: list[int] = []
        #: Whether the other side says that it heard when this one leaves.
        self.takes_leave = True
        self._read = 0
        if greeted:
            self.peer.greeted = True
            self.protocol.conversation.receive_limit = 2**26
            self.protocol.greeted()

    def protocol_transport(self, protocol: PeerProtocol, host: str | None) -> Transport:
        transport = Transport(self.clock, None if host is None else IPv4Address("TCP", host, 1))
        transport.protocol = protocol
        protocol.makeConnection(transport)  # type: ignore[arg-type]
        return transport

    def _run(self, peer: Any, arguments: dict[str, Any]) -> Any:
        return self.jobs[arguments["job"]](arguments["value"])

    # The other side.

    def ask(self, job: str, value: Any = None, timeout: float | None = None, *, command: str = "do") -> int:
        """Ask the server, in a read of its own; the tag."""
        tag = self.put(job, value, timeout, command=command)
        self.push()
        return tag

    def put(self, job: str, value: Any = None, timeout: float | None = None, *, command: str = "do") -> int:
        """An ask that leaves with the next ``push``."""
        arguments = {} if command == "open" else {"job": job, "value": value}
        return self.remote.ask(command, arguments, waiter=None, timeout=timeout, opens=command == "transfer")

    def cancel(self, tag: int) -> None:
        """Give up on an ask; its answer is still noted."""
        asked = self.remote.asked[tag]
        self.remote.abandon(tag)
        self.remote._abandoned = None
        self.remote.asked[tag] = asked
        self.push()

    def push(self) -> None:
        """What the other side has to say arrives in one read."""
        data = b"".join(self.remote.output)
        self.remote.output.clear()
        self.protocol.dataReceived(data)

    def raw(self, data: bytes) -> None:
        """Bytes of the test's own."""
        self.protocol.dataReceived(data)

    def pull(self) -> list[Any]:
        """The messages that the other side has read since."""
        self.clock.advance(0)
        data, self._read = self.transport.sent[self._read :], len(self.transport.sent)
        messages = self.remote.receive(data)
        for message in messages:
            if isinstance(message, Answer):
                self.outcomes[message.tag] = message.value
            elif isinstance(message, Failed):
                self.outcomes[message.tag] = from_wire(message.code, message.text, message.details)
            elif isinstance(message, Cancel):
                self.cancelled.append(message.tag)
            elif isinstance(message, Ask):
                self.asked.append(message)
                if message.command == Leaving.name and self.takes_leave:
                    self.remote.answer(message.tag, {})
                    self.push()
        return messages

    def outcome(self, tag: int) -> Any:
        """What an ask came to: its value, its error, or ``...`` while there is none."""
        self.pull()
        return self.outcomes.get(tag, ...)

    def code(self, tag: int) -> str:
        """The code of the error that an ask came to."""
        return self.outcome(tag).code

    @property
    def ended(self) -> str | None:
        """Why the connection ended; None while it has not."""
        self.clock.advance(0)
        return type(self.lost[-1].value).__name__ if self.lost else None


@pytest.fixture(autouse=True)
def line(request: pytest.FixtureRequest) -> Any:
    """Every test has ``self.make_line(**limits)``, and ``self.logged``: what the engine logged while it ran."""
    logged: list[dict[str, Any]] = []

    def observe(event: dict[str, Any]) -> None:
        if str(event.get("log_namespace")).startswith("fluxon"):
            logged.append(event)

    globalLogPublisher.addObserver(observe)
    if request.instance is not None:
        request.instance.make_line = Line
        request.instance.make_transport = Transport
        request.instance.logged = logged
        request.instance.commands = (Do, Strict, Open)
        request.instance.transfer = Transfer
        request.instance.client_factory = ClientFactory
    yield
    globalLogPublisher.removeObserver(observe)
