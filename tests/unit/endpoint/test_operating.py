"""What whoever operates a server may do to it: reload, terminate, and start one with a fault in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from serving import Person, ServingTestCase
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import formatEvent, globalLogPublisher
from zope.interface import implementer

from fluxon.endpoint import AsyncServer
from fluxon.errors import Unavailable
from fluxon.routing import Request


async def echo(request: Request) -> Any:
    return request.payload


@implementer(IStreamServerEndpoint)
class Faulty:
    """An endpoint with a fault of its own."""

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        raise ZeroDivisionError("a fault of the endpoint")


class ReloadTests(ServingTestCase):
    """``server.reload()``."""

    async def test_a_certificate(self) -> None:
        """One that was replaced is taken up, and one that was not is told as such; requests go on."""
        setup = self.setup_of(echo)
        server = await self.start(setup, endpoint=self.new_place(), secure=True)
        self.assertNotIn("new", await server.reload())
        for name in (setup.secrets.certificate_path, setup.secrets.key_path):
            os.unlink(name)
        other = self.setup_of(echo, folder="other")
        await (await self.start(other, endpoint=self.new_place(), secure=True)).stopService()
        for name in ("certificate_path", "key_path"):
            os.rename(getattr(other.secrets, name), getattr(setup.secrets, name))
        self.assertEqual(await server.reload(), "the new certificate is in use for new connections")

    async def test_log_files(self) -> None:
        """After somebody moved them away, new ones are written, and the moved ones no more."""
        server = await self.start(self.setup_of(echo, logs_dir="logs"), endpoint=self.new_place())
        log, moved = Path("logs/fluxon.log"), Path("logs/moved.log")
        log.rename(moved)
        before = moved.read_text()
        self.assertEqual(await server.reload(), "no port has TLS, so no certificate is in use")
        self.assertIn("reloaded: ", log.read_text())
        self.assertEqual(moved.read_text(), before)

    async def test_nothing_to_reload(self) -> None:
        """A server without TLS and log files says so, and one that does not run refuses."""
        server = await self.serve(echo)
        self.assertEqual(await server.reload(), "no port has TLS, so no certificate is in use")
        await server.stopService()
        await self.fails(Unavailable, Deferred.fromCoroutine(self.reloaded(server)))

    async def reloaded(self, server: AsyncServer) -> str:
        return await server.reload()


class EndTests(ServingTestCase):
    def test_terminate(self) -> None:
        """Stops the reactor that the server was given, and no other."""
        given = MemoryReactorClock()
        server = AsyncServer(setup=self.setup_of(echo), reactor=given)
        server.terminate()
        self.assertTrue(given.hasStopped)


class StartTests(ServingTestCase):
    async def test_a_fault(self) -> None:
        """What is nobody's mistake is logged with its traceback, which a mistake is not, and raised as it is."""
        server = AsyncServer(setup=self.setup_of(echo, users=True), endpoint=Faulty())
        server.startService()
        await self.fails(ZeroDivisionError, server.when_ready())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        await server.stopService()
        # Nothing holds the database.
        await self.serve(echo, users=True)
        self.assertEqual(await Person.Count(), 0)

    async def test_tables_of_others(self) -> None:
        """Without a folder of schemas the database's tables are used as they are, and nothing is written or said."""
        first = await self.serve(echo, users=True)
        await Person.Insert(username="ann", password="x")
        await first.stopService()
        before = sorted(Path("project/schema").iterdir())
        said: list[str] = []

        def observe(event: Any) -> None:
            said.append(str(event.get("line", "")))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        await self.serve(echo, users=True, database_schema_dir=None)
        self.assertEqual([row.username for row in await Person.Check()], ["ann"])
        self.assertEqual(sorted(Path("project/schema").iterdir()), before)
        self.assertEqual([each for each in said if "schema" in each], [])

    async def test_tables_that_nobody_makes(self) -> None:
        """Neither there nor to be made, for want of a folder: the log says so at the start, and what to write."""
        said: list[str] = []

        def observe(event: Any) -> None:
            said.append(str(formatEvent(event)))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        await self.serve(echo, users=True, database_schema_dir=None)
        (line,) = [each for each in said if "database_schema_dir" in each]
        self.assertIn("no tables for Person", line)

    async def test_no_cloud(self) -> None:
        """A server without files says so to a view that asks for them."""
        server = await self.serve(echo)
        error = self.assertRaises(Unavailable, lambda: server.cloud)
        self.assertIn("no cloud storage", error.text)
