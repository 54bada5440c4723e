"""Ports that only root may open are there for a server that is nobody any more when it is ready."""

from __future__ import annotations

import os
import socket
from typing import Any
from unittest import SkipTest

from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint, UNIXServerEndpoint, clientFromString, connectProtocol
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from fluxon.endpoint.privileged import take

_NOBODY = 65_534


def _free_port() -> int:
    """One below 1024."""
    for number in range(1_023, 600, -1):
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", number))
            except OSError:
                continue
            return number
    raise SkipTest("no privileged port is free")


class TakenTests(TestCase):
    def setUp(self) -> None:
        if os.geteuid() != 0:
            raise SkipTest("only root may open privileged ports, and give its privileges up")
        self.number = _free_port()
        self.endpoint = TCP4ServerEndpoint(reactor, self.number, interface="127.0.0.1")

    def connect(self) -> Any:
        client = clientFromString(reactor, f"tcp:127.0.0.1:{self.number}")
        return connectProtocol(client, Protocol())

    async def test_listening_as_nobody(self) -> None:
        """Until it listens everybody is refused; then, without any privileges, it serves."""
        taken = take(reactor, self.endpoint)
        assert taken is not None
        await self.assertFailure(self.connect(), ConnectionRefusedError)
        os.seteuid(_NOBODY)
        try:
            port = await ensureDeferred(taken.listen(Factory.forProtocol(Protocol)))
        finally:
            os.seteuid(0)
        self.assertEqual(port.getHost().port, self.number)
        client = await self.connect()
        client.transport.abortConnection()
        await port.stopListening()

    def test_what_is_left_alone(self) -> None:
        """What anybody may open, what is no TCP port, what is in use, and everything for those who are not root."""
        self.assertIsNone(take(reactor, TCP4ServerEndpoint(reactor, 0)))
        self.assertIsNone(take(reactor, TCP4ServerEndpoint(reactor, 1_024)))
        self.assertIsNone(take(reactor, UNIXServerEndpoint(reactor, "nowhere")))
        with socket.socket() as other:
            other.bind(("127.0.0.1", self.number))
            other.listen()
            self.assertIsNone(take(reactor, self.endpoint))
        os.seteuid(_NOBODY)
        try:
            self.assertIsNone(take(reactor, self.endpoint))
        finally:
            os.seteuid(0)
