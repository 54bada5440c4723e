"""A server beside a program that blocks: there inside the block, gone after it, however the block ends."""

from __future__ import annotations

import threading
from typing import Any

from twisted.python import threadable
from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect import ConnectionInterface
from fluxon.database import models
from fluxon.endpoint import AsyncServer, run_in_background
from fluxon.errors import ConfigurationError, Unavailable
from fluxon.routing import Setup


async def shout(request: Any) -> str:
    return str(request.payload).upper()


class BackgroundTests(SynchronousTestCase):
    """On real ports, with this thread as the program's."""

    def setUp(self) -> None:
        class User(models.AuthenticatedUser):
            username = models.CharField(max_length=40, unique=True)

        self.User = User
        self.setup = Setup(
            mapping={"shout": shout},
            secrets="secrets",  # type: ignore[arg-type]
            models=[User],
            database_path="database.sqlite3",
            database_schema_dir="schema",
        )

    def ask(self, port: int) -> Any:
        with ConnectionInterface("localhost", port, timeout=60) as connection:
            return connection.send_request("shout", "hello")

    def test_serves_inside_the_block(self) -> None:
        """Clients are answered, and models block; afterwards nobody listens, and no thread is the reactor's. Twice."""
        for number in (1, 2):
            with run_in_background(AsyncServer(port=0, setup=self.setup)) as server:
                port = server.listening_port.getHost().port
                self.assertEqual(self.ask(port), "HELLO")
                self.assertEqual(self.User.Insert(username=f"user{number}"), number)
            self.assertFalse([each for each in threading.enumerate() if each.name == "fluxon-reactor"])
            self.assertIsNone(threadable.ioThread)
            self.assertRaises(Unavailable, self.ask, port)

    def test_two_servers(self) -> None:
        """The end of one leaves the other."""
        with run_in_background(AsyncServer(port=0, setup=Setup(mapping={"shout": shout}, secrets="s"))) as first:  # type: ignore[arg-type]
            with run_in_background(AsyncServer(port=0, setup=self.setup)) as second:
                self.assertEqual(self.ask(second.listening_port.getHost().port), "HELLO")
            self.assertEqual(self.ask(first.listening_port.getHost().port), "HELLO")

    def test_an_error_in_the_block(self) -> None:
        """It is the program's, Ctrl+C included, and the server is gone all the same."""
        ports: list[int] = []

        def interrupted() -> None:
            with run_in_background(AsyncServer(port=0, setup=self.setup)) as server:
                ports.append(server.listening_port.getHost().port)
                raise KeyboardInterrupt

        self.assertRaises(KeyboardInterrupt, interrupted)
        self.assertRaises(Unavailable, self.ask, ports[0])

    def test_cannot_start(self) -> None:
        """The reason is raised; what is no server, and the reactor's own thread, are refused before that."""

        def enter(server: Any) -> None:
            with run_in_background(server):
                self.fail("it started")

        with run_in_background(AsyncServer(port=0, setup=self.setup)) as server:
            port = server.listening_port.getHost().port
            other = AsyncServer(port=port, setup=Setup(mapping={}, secrets="s"))  # type: ignore[arg-type]
            self.assertRaises(Unavailable, enter, other)
            self.assertEqual(self.ask(port), "HELLO")
        self.assertRaises(ConfigurationError, enter, self.setup)
        self.patch(threadable, "ioThread", threadable.getThreadID())
        self.assertRaises(RuntimeError, enter, AsyncServer(port=0, setup=self.setup))
