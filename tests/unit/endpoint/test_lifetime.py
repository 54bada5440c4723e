"""``on_start`` and ``on_stop``: what is there when they are called, what they hold up, and what becomes of failures."""

from __future__ import annotations

import threading
from typing import Any

from serving import Person, ServingTestCase
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from fluxon.endpoint import AsyncServer
from fluxon.errors import ConfigurationError, DeadlineExceeded, Unavailable
from fluxon.routing import Request, Setup


async def people(request: Request) -> Any:
    return await Person.Count()


class LifetimeTests(ServingTestCase):
    """One server, and what its project does before and after."""

    def setUp(self) -> None:
        self.seen: list[Any] = []

    async def test_before_anybody_and_after_everybody(self) -> None:
        """Views' things are there and nobody is served; at the stop the last end was told, and rows are there."""

        async def begin(server: AsyncServer) -> None:
            await Person.Insert(username="ann", password="x")
            self.assertIsNotNone(server.database)
            self.assertEqual(await server.online.users(), [])
            self.assertFalse(await server.reverse_request(1, "hear"))
            with self.assertRaises(Unavailable):
                _ = server.listening_port
            self.seen.append("start")

        async def gone(event: Any) -> None:
            self.seen.append(event.kind)

        async def end(server: AsyncServer) -> None:
            self.seen.append(("stop", await Person.Count(), await server.online.users()))

        server = await self.serve(people, users=True, on_start=begin, on_stop=end, on_disconnect=gone)
        wire = await self.wire(server)
        self.assertEqual(await wire.call("people"), 1)
        await server.stopService()
        self.assertEqual(self.seen, ["start", "disconnect", ("stop", 1, [])])

    async def test_plain_functions(self) -> None:
        """Run in a thread, where calls block: the reactor is not held up."""

        def begin(server: AsyncServer) -> None:
            Person.Insert(username="ann", password="x")
            self.seen.append((threading.current_thread().name.startswith("fluxon-lifetime"), Person.Count()))

        def end(server: AsyncServer) -> None:
            self.seen.append(Person.Count())

        server = await self.serve(people, users=True, on_start=begin, on_stop=end)
        await server.stopService()
        self.assertEqual(self.seen, [(True, 1), 1])

    async def test_each_run(self) -> None:
        """A server that is started again begins again."""

        async def begin(server: AsyncServer) -> None:
            self.seen.append("start")

        async def end(server: AsyncServer) -> None:
            self.seen.append("stop")

        server = await self.serve(on_start=begin, on_stop=end)
        await server.stopService()
        server.startService()
        await server.when_ready()
        await server.stopService()
        self.assertEqual(self.seen, ["start", "stop"] * 2)

    async def test_a_start_that_fails(self) -> None:
        """Is told as what it was; nothing listens, and what did not begin has no end."""

        async def begin(server: AsyncServer) -> None:
            raise OSError("no such printer")

        async def end(server: AsyncServer) -> None:
            self.seen.append("stop")

        server = AsyncServer(setup=self.setup_of(on_start=begin, on_stop=end), endpoint=self.new_place())
        server.startService()
        error = await self.fails(OSError, server.when_ready())
        self.assertEqual(str(error), "no such printer")
        (failure,) = self.flushLoggedErrors(OSError)
        self.assertIs(failure.value, error)
        with self.assertRaises(Unavailable):
            _ = server.groups
        await server.stopService()
        self.assertEqual(self.seen, [])

    async def test_a_port_that_is_taken(self) -> None:
        """What ``on_start`` opened is closed, though nobody was served."""

        async def begin(server: AsyncServer) -> None:
            self.seen.append("start")

        async def end(server: AsyncServer) -> None:
            self.seen.append("stop")

        first = await self.serve(sockets=True)
        setup = self.setup_of(on_start=begin, on_stop=end, folder="other")
        server = AsyncServer(port=first.listening_port.getHost().port, setup=setup)
        server.startService()
        await self.fails(Unavailable, server.when_ready())
        self.assertEqual(self.seen, ["start", "stop"])
        await server.stopService()

    async def test_too_long(self) -> None:
        """A start that hangs is a failure that says what to do; a stop that hangs is given up."""

        async def hang(server: AsyncServer) -> None:
            await Deferred()

        limits = {"view_timeout": 0.05, "drain": 0.05}
        server = AsyncServer(setup=self.setup_of(on_start=hang, limits=limits), endpoint=self.new_place())
        server.startService()
        error = await self.fails(DeadlineExceeded, server.when_ready())
        self.assertIn("on_start took longer than Limits.view_timeout (0.05 s)", str(error))
        await server.stopService()

        server = await self.serve(users=True, on_stop=hang, limits=limits)
        await server.stopService()
        (failure,) = self.flushLoggedErrors(DeadlineExceeded)
        self.assertIn("on_stop took longer than Limits.drain (0.05 s)", str(failure.value))
        with self.assertRaises(ConfigurationError):  # its database is closed
            Person.Count()

    async def test_given_up(self) -> None:
        """Whoever does not want to wait for a start or a stop any more, by a second Ctrl+C, does not have to."""

        async def hang(server: AsyncServer) -> None:
            self.seen.append("begun")
            await Deferred()

        server = AsyncServer(setup=self.setup_of(on_start=hang), endpoint=self.new_place())
        server.startService()
        while not self.seen:
            await deferLater(reactor, 0)
        server.hurry()
        error = await self.fails(Unavailable, server.when_ready())
        self.assertEqual(str(error), "on_start was given up")
        await server.stopService()

        server = await self.serve(on_stop=hang)
        server.hurry()  # before: requests are not waited for, and what puts things away begins all the same
        stopped = server.stopService()
        while len(self.seen) < 2:
            await deferLater(reactor, 0)
        server.hurry()
        await stopped
        (failure,) = self.flushLoggedErrors(Unavailable)
        self.assertEqual(str(failure.value), "on_stop was given up")

    def test_what_is_no_function(self) -> None:
        """Is said when the setup is made, by the name of its keyword."""
        for wrong, told in (
            ("begin", "the function 'on_start' must be a function, not str"),
            (lambda: None, "the function 'on_start' must take one argument, the server"),
        ):
            with self.assertRaises(ConfigurationError) as caught:
                Setup(mapping={}, secrets="secrets", on_start=wrong)
            self.assertIn(told, str(caught.exception))
