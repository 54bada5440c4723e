"""Somebody who has only the document can read and send streams."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from fluxon.commands import Command, Hello, Integer
from fluxon.errors import FluxonError, ResourceExhausted
from fluxon.limits import Limits
from fluxon.rpc import Incoming, Opening, Outgoing, Peer, Responders, ServerFactory, send_directly

reactor: Any = _reactor


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


Client = load("independent_client").Client
streaming = load("independent_streams").streaming
CONTENT = os.urandom(700_000)


class Get(Command):
    name = "get"
    arguments = {"size": Integer(0)}
    response = {"stream": Integer(0)}
    errors = (FluxonError,)
    opens = True


class Put(Command):
    name = "put"
    response = {"stream": Integer(0)}
    errors = (FluxonError,)
    opens = True


class Blocks:
    """A source."""

    def __init__(self, size: int) -> None:
        self.left = CONTENT[:size]

    def read(self, size: int) -> bytes:
        data, self.left = self.left[:size], self.left[size:]
        return data

    def close(self) -> None:
        self.left = b""


class Kept:
    """A sink."""

    def __init__(self) -> None:
        self.data_ = b""
        self.ends: list[FluxonError | None] = []

    def data(self, piece: memoryview) -> None:
        self.data_ += piece
        if len(self.data_) > 500_000:
            raise ResourceExhausted("enough")

    def ended(self, error: FluxonError | None) -> None:
        self.ends.append(error)


class IndependentStreamTests(TestCase):
    timeout = 30

    async def setUp(self) -> None:
        self.kept: list[Kept] = []
        table = Responders({Get: self.get, Put: self.put, Hello: self.hello})
        self.factory = ServerFactory(table, reactor)
        self.port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(self.factory)
        self.assertTrue(send_directly(self.port))

    async def tearDown(self) -> None:
        await self.port.stopListening()
        while self.factory.peers:
            await deferLater(reactor, 0.001)

    def hello(self, peer: Peer, arguments: dict[str, Any]) -> dict[str, Any]:
        peer.greeted = True
        peer.protocol.greeted()
        limits = Limits()
        names = {"frame": limits.frame_anonymous, "frame_authenticated": 1, "frame_to_client": limits.frame_to_client}
        return {"token": "t", "authenticated": False, "fresh": False, "recovered": False, "limits": names}

    def get(self, peer: Peer, arguments: dict[str, Any]) -> Opening:
        return Opening({}, Outgoing(Blocks(arguments["size"])))

    def put(self, peer: Peer, arguments: dict[str, Any]) -> Opening:
        self.kept.append(Kept())
        return Opening({}, Incoming(self.kept[-1], window=50_000))

    async def test_both_ways(self) -> None:
        """Files of several windows, of one byte, and of none; one given up; one that the server gives up; then more."""

        def use() -> None:
            client = streaming(Client)("127.0.0.1", self.port.getHost().port)
            try:
                for size in (700_000, 1):
                    assert client.read(client.open("get", {"size": size})) == CONTENT[:size]
                for size in (400_000, 1, 0):
                    assert client.write(client.open("put", {}), CONTENT[:size]) is None
                client.give_up(client.open("get", {"size": 700_000}))
                assert client.write(client.open("put", {}), CONTENT) == "ResourceExhausted"
                assert client.read(client.open("get", {"size": 10})) == CONTENT[:10]
            finally:
                client.close()

        await deferToThread(use)
        self.assertEqual([each.data_ for each in self.kept[:3]], [CONTENT[:size] for size in (400_000, 1, 0)])
        self.assertEqual([each.ends for each in self.kept[:3]], [[None]] * 3)
        self.assertEqual([type(each) for each in self.kept[3].ends], [ResourceExhausted])
