"""A server beside a program that blocks: there inside the block, gone after it, however the block ends."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.python import threadable
from twisted.trial.unittest import SynchronousTestCase, TestCase

from fluxon.connect import ConnectionInterface
from fluxon.database import models
from fluxon.endpoint import AsyncServer, run_in_background
from fluxon.errors import ConfigurationError, Unavailable
from fluxon.routing import Setup


async def shout(request: Any) -> str:
    return str(request.payload).upper()


#: Has had a reactor, and would like a server beside it in another thread.
PROGRAM = """
import threading
from twisted.internet import reactor
from fluxon.endpoint import AsyncServer, run_in_background
from fluxon.routing import Setup

def serve():
    try:
        with run_in_background(AsyncServer(port=0, setup=Setup(mapping={}, secrets="secrets"))):
            print("it started")
    except RuntimeError as error:
        print(error)

reactor.callWhenRunning(reactor.stop)
reactor.run()
for _ in range(2):
    thread = threading.Thread(target=serve)
    thread.start()
    thread.join()
"""


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


class ReactorTests(TestCase):
    """Whose the reactor is."""

    async def test_one_that_runs_already(self) -> None:
        """Is used by a thread that blocks, and goes on when the server has ended."""

        def serve() -> tuple[Any, bool]:
            setup = Setup(mapping={"shout": shout}, secrets="secrets")  # type: ignore[arg-type]
            with run_in_background(AsyncServer(port=0, setup=setup)) as server:
                port = server.listening_port.getHost().port
                with ConnectionInterface("localhost", port, timeout=60) as connection:
                    answer = connection.send_request("shout", "hello")
            return answer, any(each.name == "fluxon-reactor" for each in threading.enumerate())

        self.assertEqual(await deferToThread(serve), ("HELLO", False))
        await deferLater(reactor, 0)

    def test_one_that_was_stopped(self) -> None:
        """Cannot run again in its process; whoever tries is told, and not left waiting."""
        Path("program.py").write_text(PROGRAM)
        done = subprocess.run([sys.executable, "program.py"], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.stdout.count("cannot run again: use another process"), 2, done.stdout + done.stderr)
        self.assertNotIn("it started", done.stdout)
