"""Both clients and servers that send noise: always an error that a program can catch, never a hang."""

from __future__ import annotations

import random
import socket
import threading

from raw_peer import welcome
from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from fluxon.connect import Client, ConnectionInterface
from fluxon.connect import backoff as backoff_module
from fluxon.errors import FluxonError
from fluxon.wire import Conversation, encode
from fluxon.wire.messages import write_answer, write_ask, write_failed, write_ping

ROUNDS = 150

#: Printed by a failing test through its message, so that it can be run again.
SEED = 20260101


def noise(chance: random.Random, tag: int) -> bytes:
    """A few messages, some of them right, with bytes changed, cut out or put in."""
    messages = [
        write_answer(tag + chance.randrange(2), encode({"text": "x" * chance.randrange(40)})),
        write_failed(tag, chance.choice(["NotFound", "Nonsense"]), "text", {}),
        write_ask(chance.randrange(4), chance.choice(["call", "session", "hello"]), {"view": "f", "payload": 1}, 1, {}),
        write_ping(1),
        chance.randbytes(chance.randrange(30)),
    ]
    data = bytearray(b"".join(chance.choices(messages, weights=(6, 3, 3, 3, 1), k=chance.randrange(1, 4))))
    for _ in range(chance.choice((0, 0, 1, 3))):
        at = chance.randrange(len(data) + 1)
        data[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
    return bytes(data)


class Noisy:
    """A server's side of one connection: a proper hello, and noise to everything else."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.conversation = Conversation(receive_limit=2**20, send_limit=2**20)
        #: Whether it closes now: a length made of noise would otherwise swallow all that follows.
        self.tired = False

    def answer(self, data: bytes) -> bytes:
        answers = b""
        for message in self.conversation.receive(data):
            if getattr(message, "command", None) == "hello":
                self.conversation.answer(message.tag, welcome())
                answers += b"".join(self.conversation.output)
                self.conversation.output.clear()
            else:
                answers += noise(self.chance, message.tag)
                self.tired = self.chance.random() < 0.2
        return answers


class BlockingNoiseTests(SynchronousTestCase):
    def test_every_request_ends(self) -> None:
        """An answer or a FluxonError, whatever comes; no thread of the client dies of it."""
        self.patch(backoff_module, "FIRST_DELAY", 0.001)
        self.patch(backoff_module, "MAX_DELAY", 0.001)
        listening = socket.create_server(("127.0.0.1", 0))
        chance = random.Random(SEED)

        def serve() -> None:
            while True:
                try:
                    connected, _ = listening.accept()
                except OSError:
                    return
                noisy = Noisy(chance)
                with connected:
                    try:
                        while not noisy.tired and (data := connected.recv(65536)):
                            connected.sendall(noisy.answer(data))
                    except OSError:
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        self.addCleanup(thread.join, 10)
        self.addCleanup(listening.close)
        self.addCleanup(listening.shutdown, socket.SHUT_RDWR)
        connection = ConnectionInterface("127.0.0.1", listening.getsockname()[1], timeout=0.05)
        connection.reverse_request_mapping({"f": lambda number: number})
        self.addCleanup(connection.close)
        answers = errors = 0
        for _ in range(ROUNDS):
            try:
                connection.send_request("echo")
                answers += 1
            except FluxonError:
                errors += 1
        self.assertEqual(answers + errors, ROUNDS)
        self.assertGreater(min(answers, errors), 0)
        self.assertTrue(connection._line.connector._thread.is_alive())


class DeferredNoiseTests(TestCase):
    async def test_every_call_ends(self) -> None:
        """The same on the reactor, and nothing is left in it."""
        self.patch(backoff_module, "FIRST_DELAY", 0.001)
        self.patch(backoff_module, "MAX_DELAY", 0.001)
        chance = random.Random(SEED)

        class Server(Protocol):
            def connectionMade(self) -> None:
                self.noisy = Noisy(chance)

            def dataReceived(self, data: bytes) -> None:
                self.transport.write(self.noisy.answer(data))
                if self.noisy.tired:
                    self.transport.loseConnection()

        port = reactor.listenTCP(0, Factory.forProtocol(Server), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        client = Client(
            reactor, f"127.0.0.1:{port.getHost().port}", timeout=0.05, functions={"f": lambda number: number}
        )
        client.startService()
        self.addCleanup(client.close)
        answers = errors = 0
        for _ in range(ROUNDS):
            try:
                await client.call("echo")
                answers += 1
            except FluxonError:
                errors += 1
        self.assertEqual(answers + errors, ROUNDS)
        self.assertGreater(min(answers, errors), 0)
        await client.close()
        await deferLater(reactor, 0)
