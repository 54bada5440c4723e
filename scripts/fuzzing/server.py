"""Target ``server``: a whole server but for its sockets, and a stranger who says whatever they like.

Sessions, logins, views that wait, streams both ways, deadlines and the heartbeat are the real ones, on a clock that a
step of the input moves on. Afterwards nothing may be left of the connection, nor may anything have been logged that
somebody would have to look at.
"""

from __future__ import annotations

from threading import get_ident
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel, globalLogPublisher
from twisted.python import threadable
from twisted.python.failure import Failure

from fluxon.commands import Call, Command, Hello, Integer
from fluxon.errors import FluxonError
from fluxon.limits import Limits
from fluxon.routing.greeting import Greeting
from fluxon.routing.mapping import make_views
from fluxon.routing.router import Router
from fluxon.rpc import Incoming, Opening, Outgoing, Peer, Responders, ServerFactory
from fluxon.security.tokens import SESSION_ID_BYTES, TokenSigner
from fluxon.sessions import Sessions
from fluxon.wire import RAW, Splitter, decode
from fuzzing import conversation, steps

LIMITS = Limits(
    frame_before_hello=1_024,
    frame_anonymous=4_096,
    frame_authenticated=8_192,
    frame_to_client=16_384,
    in_flight=4,
    in_flight_total=6,
    output_high=8_192,
    output_abort=32_768,
    streams=2,
    stream_idle=20,
    view_timeout=5,
    anonymous_sessions=50,
    request_lines=0,
)

WINDOW = 4_096

KEY = b"k" * 32


def token_of(number: int) -> str:
    """The token of the session that is made as the ``number``-th: they are the same each time."""
    return TokenSigner({"k": KEY}).sign(number.to_bytes(SESSION_ID_BYTES, "big"))


class Get(Command):
    """So many bytes, as a stream."""

    name = "get"
    arguments = {"length": Integer(0)}
    response = {"stream": Integer(0)}
    errors = (FluxonError,)
    opens = True


class Put(Command):
    """Takes a stream."""

    name = "put"
    response = {"stream": Integer(0)}
    errors = (FluxonError,)
    opens = True


class Zeros:
    """A source of so many bytes."""

    def __init__(self, length: int) -> None:
        self.left = length
        self.closed = 0

    def read(self, size: int) -> bytes:
        size = min(size, self.left, 1_024)
        self.left -= size
        return bytes(size)

    def close(self) -> None:
        self.closed += 1


class Sink:
    """Takes what comes, some of it at once and some later."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.held = 0
        self.ends = 0

    def data(self, piece: memoryview) -> Deferred[None] | None:
        assert not self.ends, "bytes after the end"
        if len(piece) % 3:
            return None
        self.held += len(piece)
        assert self.held <= WINDOW, "more under way than was granted"
        taken: Deferred[None] = Deferred()
        self.clock.callLater(0.5, self._take, taken, len(piece))
        return taken

    def _take(self, taken: Deferred[None], size: int) -> None:
        self.held -= size
        taken.callback(None)

    def ended(self, error: FluxonError | None) -> None:
        self.ends += 1


class Accounts:
    """Users 1 and 2."""

    def load_user(self, user_id: int) -> Deferred[Any]:
        return succeed((user_id, "password") if user_id in (1, 2) else None)

    def credential(self, row: Any) -> bytes:
        return repr(row).encode()


class Transport(StringTransport):
    """In memory; what was sent is read, or not, as the input says."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.protocol: Any = None
        self.reading = True
        self.over = False

    def write(self, data: bytes) -> None:
        assert type(data) is bytes and not self.over
        super().write(data)
        if not self.reading and self.producer is not None and self.producerState == "producing":
            self.producerState = "paused"
            self.producer.pauseProducing()

    def read_on(self) -> None:
        self.reading = True
        if self.producer is not None and self.producerState == "paused":
            self.producerState = "producing"
            self.producer.resumeProducing()

    def loseConnection(self) -> None:
        self.lose(ConnectionDone())

    def abortConnection(self) -> None:
        self.lose(ConnectionAborted())

    def lose(self, why: Exception) -> None:
        if not self.over:
            self.over = True
            self.clock.callLater(0, self.protocol.connectionLost, Failure(why))


class Server:
    """One server, one connection, and everything that it opened."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.sinks: list[Sink] = []
        self.sources: list[Zeros] = []
        self.drawn = 0
        sessions = Sessions(
            TokenSigner({"k": KEY}),
            Accounts(),
            self.clock,
            LIMITS,
            digest=lambda purpose, data: data[::-1],
            random=self.draw,
        )
        greeting = Greeting(sessions, LIMITS)
        views = make_views({"echo": echo, "login": login, "logout": logout, "wait": self.wait, "call_back": call_back})
        router = Router(views, sessions, greeting, None, self.clock, LIMITS)
        table = Responders({Hello: greeting.hello, Call: router.call, Get: self.get, Put: self.put})
        self.lost: list[Peer] = []
        self.factory = ServerFactory(table, self.clock, LIMITS, on_disconnect=lambda peer, reason: greeting.leave(peer))
        self.protocol = self.factory.buildProtocol(None)
        self.transport = Transport(self.clock)
        self.transport.protocol = self.protocol
        self.protocol.makeConnection(self.transport)

    def draw(self, count: int) -> bytes:
        self.drawn += 1
        return self.drawn.to_bytes(count, "big")

    async def wait(self, request: Any) -> Any:
        done: Deferred[Any] = Deferred()
        call = self.clock.callLater(1, done.callback, request.payload)
        try:
            return await done
        finally:
            if call.active():
                call.cancel()

    def get(self, peer: Peer, arguments: dict[str, Any]) -> Opening:
        self.sources.append(Zeros(min(arguments["length"], 20_000)))
        return Opening({}, Outgoing(self.sources[-1]))

    def put(self, peer: Peer, arguments: dict[str, Any]) -> Opening:
        self.sinks.append(Sink(self.clock))
        return Opening({}, Incoming(self.sinks[-1], WINDOW))


async def echo(request: Any) -> Any:
    return request.payload


async def login(request: Any) -> None:
    await request.login(request.payload if type(request.payload) is int else 1)


async def logout(request: Any) -> None:
    request.logout()


async def call_back(request: Any) -> Any:
    return await request.connection.send("told", request.payload, 2)


# What a step does beyond those of ``conversation`` that bring bytes, by its number modulo eight.
PASS_TIME, STOP_READING, READ_ON, DRAIN = 4, 5, 6, 7


def server(data: bytes) -> None:
    """Nothing raised, nothing logged as a failure, nothing left; what the server says can be read."""
    logged: list[dict[str, Any]] = []

    def observe(event: dict[str, Any]) -> None:
        if event["log_level"] >= LogLevel.error and not _is_foreseen(event):
            logged.append(event)

    globalLogPublisher.addObserver(observe)
    reactors, threadable.ioThread = threadable.ioThread, get_ident()
    try:
        running = Server()
        for what, body in steps.read(data):
            if running.transport.over:
                break
            _step(running, what % 8, body)
        running.transport.lose(ConnectionDone())
        # Longer than any view, stream or acknowledgement takes.
        for _ in range(12):
            running.clock.advance(5)
    finally:
        threadable.ioThread = reactors
        globalLogPublisher.removeObserver(observe)
    assert not logged, logged
    _check_left(running)
    _check_said(running.transport.value())


def _step(running: Server, what: int, body: bytes) -> None:
    transport, clock = running.transport, running.clock
    if what <= conversation.BYTES:
        for piece in conversation.pieces(what, body):
            if not transport.over:
                running.protocol.dataReceived(piece)
    elif what == PASS_TIME:
        clock.advance((body[0] if body else 1) / 8)
    elif what == STOP_READING:
        transport.reading = False
    elif what == READ_ON:
        transport.read_on()
    elif what == DRAIN:
        running.protocol.drain()
    clock.advance(0)
    limits = LIMITS
    assert len(running.protocol.conversation.answering) <= limits.in_flight
    assert running.protocol.backlog <= limits.output_abort + limits.frame_to_client + 2**18


def _is_foreseen(event: dict[str, Any]) -> bool:
    """An answer that cannot be sent is the view's doing: ``echo`` gives back what is one level too deep."""
    return "cannot be sent" in str(event.get("log_format"))


def _check_left(running: Server) -> None:
    assert not running.clock.getDelayedCalls(), running.clock.getDelayedCalls()
    assert not running.factory.peers and running.factory.load.count == 0
    assert not running.protocol.conversation.answering and not running.protocol.conversation.asked
    assert all(sink.ends == 1 and not sink.held for sink in running.sinks)
    assert all(source.closed == 1 for source in running.sources)


def _check_said(said: bytes) -> None:
    splitter = Splitter(LIMITS.frame_to_client)
    splitter.chunk_limit = 2**21
    for flags, body in splitter.feed(said):
        if flags != RAW:
            assert not flags
            fields = decode(body)
            assert type(fields) is list and type(fields[0]) is int
