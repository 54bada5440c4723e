"""A server in memory whose every word is a test's, for the clients of Twisted programs: as right as its test wants it.

On the reactor it is awaited; on a ``Clock`` a test lets everything arrive with ``settle``, and takes what came.
"""

from __future__ import annotations

from typing import Any

from raw_peer import welcome
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect import Client
from fluxon.errors import FluxonError
from fluxon.testing.calling import Calls
from fluxon.testing.network import MemoryClientEndpoint, Network
from fluxon.wire import Ask, Conversation
from fluxon.wire.streams import Flow

PORT = 1


class Visit(Protocol):
    """One connection of a client."""

    def __init__(self) -> None:
        self.conversation = Conversation(receive_limit=2**25, send_limit=2**25, stream_limit=10)
        #: What the client asked, in order.
        self.asks: DeferredQueue[Ask] = DeferredQueue()
        #: Everything else that it said.
        self.heard: list[Any] = []
        #: Bytes that came.
        self.received = 0
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        self.received += len(data)
        for message in self.conversation.receive(data):
            if isinstance(message, Ask):
                self.asks.put(message)
            else:
                self.heard.append(message)
        self.say()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = True

    def say(self, more: bytes = b"") -> None:
        """Send what the conversation has to say, and ``more``."""
        data = b"".join(self.conversation.output) + more
        self.conversation.output.clear()
        self.conversation.output_size = 0
        if data:
            self.transport.write(data)

    def answer(self, ask: Ask, value: Any) -> None:
        self.conversation.answer(ask.tag, value)
        self.say()

    def fail(self, ask: Ask, error: FluxonError) -> None:
        self.conversation.fail(ask.tag, error)
        self.say()

    def ask(self, command: str, arguments: dict[str, Any]) -> None:
        """Ask the client; what it answers is ``heard``."""
        self.conversation.ask(command, arguments, waiter=command)
        self.say()

    def open(self, ask: Ask, sending: bool, **answer: Any) -> Flow:
        """Answer with a stream."""
        flow = self.conversation.streams.open(sending, "server")
        self.answer(ask, {**answer, "stream": flow.tag})
        return flow

    def send(self, flow: Flow, data: bytes) -> None:
        self.say(self.conversation.streams.chunk(flow, len(data)) + data)

    def end(self, flow: Flow) -> None:
        self.conversation.streams.end(flow)
        self.say()

    def cut(self) -> None:
        """The connection is lost."""
        self.transport.abortConnection()

    async def greet(self, **changes: Any) -> Ask:
        """Answer the hello as a server should."""
        hello = await self.asks.get()
        assert hello.command == "hello", hello
        self.answer(hello, welcome(**changes))
        return hello


class ScriptedServer(Factory):
    """``endpoint`` leads to it; ``come`` are its visits, for whoever takes them first, ``visits`` all there were."""

    noisy = False

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.visits: list[Visit] = []
        self.come: DeferredQueue[Visit] = DeferredQueue()
        self._network = Network(Calls(reactor, False), reactor)
        self.endpoint = MemoryClientEndpoint(self._network, PORT)
        self.open()

    def open(self) -> None:
        self._network.listen(PORT, self)

    def close(self) -> None:
        """From now on nobody listens."""
        self._network.close(PORT)

    def buildProtocol(self, addr: IAddress | None) -> Visit:  # type: ignore[override]
        visit = Visit()
        self.visits.append(visit)
        self.come.put(visit)
        return visit

    async def visit(self, **changes: Any) -> Visit:
        """The next one, greeted."""
        visit = await self.come.get()
        await visit.greet(**changes)
        return visit

    # --- on a Clock ---------------------------------------------------------------------------------------------------

    def settle(self, seconds: float = 0) -> None:
        """Let everything arrive, and then what comes within ``seconds``."""
        for after in (0, seconds):
            self.reactor.advance(after)
            for _ in range(50):
                self.reactor.advance(0)

    def now(self, waiting: Any) -> Any:
        """What a coroutine or a Deferred of this server's gives, all of which has arrived."""
        self.settle()
        outcome: list[Any] = []
        waiting = waiting if isinstance(waiting, Deferred) else Deferred.fromCoroutine(waiting)
        waiting.addBoth(outcome.append)
        self.settle()
        assert outcome, "the client did not say it"
        if isinstance(outcome[0], Failure):
            outcome[0].raiseException()
        return outcome[0]


class MemoryTestCase(SynchronousTestCase):
    """A client, and a server whose every word is the test's, on a clock."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.server = ScriptedServer(self.clock)

    def client(self, where: Any = None, **keywords: Any) -> Client:
        """One that has begun to connect."""
        client = Client(self.clock, where or self.server.endpoint, **{"random": lambda: 0.0, **keywords})
        client.startService()
        self.addCleanup(self.stop, client)
        return client

    def stop(self, client: Client) -> None:
        stopped = client.close()
        self.server.settle()
        self.successResultOf(stopped)
