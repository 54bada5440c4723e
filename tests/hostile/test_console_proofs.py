"""Clients of SSH that show a known public key and cannot prove that it is theirs."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from console_server import ConsoleServer
from twisted.conch.ssh.connection import SSHConnection
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.transport import SSHClientTransport
from twisted.conch.ssh.userauth import SSHUserAuthClient
from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.trial.unittest import TestCase

from fluxon.console.ssh.authentication import ATTEMPTS, OFFERS


class Liar(SSHUserAuthClient):
    """Offers ``public`` again and again, and signs with ``private``, which is another's."""

    def __init__(self, public: Key, private: Key) -> None:
        super().__init__(b"anybody", SSHConnection())
        self.public = public
        self.private = private
        self.offers = self.proofs = 0

    def getPublicKey(self) -> Any:
        self.offers += 1
        # The same key is not offered twice by Conch's client unless it is another object.
        self.lastPublicKey = None
        self.triedPublicKeys = []
        return self.public if self.offers < 100 else None

    def getPrivateKey(self) -> Any:
        self.proofs += 1
        return succeed(self.private)


class Client(SSHClientTransport):
    """A connection that tells why it was ended."""

    def __init__(self, service: Liar) -> None:
        self.service_wanted = service
        self.reason = b""
        self.over: Deferred[None] = Deferred()

    def verifyHostKey(self, hostKey: bytes, fingerprint: str) -> Any:
        return succeed(True)

    def connectionSecure(self) -> None:
        self.requestService(self.service_wanted)

    def receiveError(self, reasonCode: int, description: bytes) -> None:
        self.reason = description

    def connectionLost(self, reason: Any = None) -> None:
        super().connectionLost(reason)
        if not self.over.called:
            self.over.callback(None)


class ProofTests(TestCase):
    """Against a real server."""

    timeout = 60

    def setUp(self) -> None:
        self.server = ConsoleServer()
        self.addCleanup(self.server.remove)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "stranger"], check=True)
        self.known = Key.fromFile(str(self.server.folder / "keys" / "ed25519.pub"))
        self.stranger = Key.fromFile("stranger")

    async def attempt(self, public: Key) -> tuple[Client, Liar]:
        liar = Liar(public, self.stranger)
        client = Client(liar)
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.server.console_port)
        await connectProtocol(endpoint, client)
        await client.over
        return client, liar

    async def test_three_attempts(self) -> None:
        """The third proof that does not hold ends the connection; each is in the log."""
        client, liar = await self.attempt(self.known)
        self.assertEqual((liar.proofs, client.reason), (ATTEMPTS, b"too many bad auths"))
        self.assertEqual(self.server.log.count("a login from 127.0.0.1 failed"), ATTEMPTS)
        self.assertNotIn("Traceback", self.server.log)

    async def test_offers_without_end(self) -> None:
        """Whoever goes on offering keys that nobody knows is sent away."""
        client, liar = await self.attempt(self.stranger.public())
        self.assertEqual((liar.proofs, client.reason), (0, b"too many keys"))
        self.assertLessEqual(liar.offers, OFFERS + 1)
        self.assertNotIn("Traceback", self.server.log)
        self.assertTrue(Path(self.server.folder, "secrets").is_dir())
