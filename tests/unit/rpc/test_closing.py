"""Ends, wanted and not: what is still said, what still runs, and that nothing is left in the reactor."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import NotFound, OutcomeUnknown
from fluxon.limits import MIB


class ClosingCase(SynchronousTestCase):
    make_line: Any
    commands: Any

    def setUp(self) -> None:
        self.line = self.make_line()
        self.waits: list[Deferred[Any]] = []
        self.line.jobs["wait"] = lambda _: self.waits.append(Deferred()) or self.waits[-1]
        self.line.jobs["make"] = lambda size: b"x" * size

    def assert_clean(self, ended: str = "ConnectionDone") -> None:
        self.assertEqual(self.line.ended, ended)
        self.assertEqual(self.line.clock.getDelayedCalls(), [])
        self.assertEqual(self.line.factory.peers, set())


class CloseTests(ClosingCase):
    def test_idle(self) -> None:
        """Closed at once; a second close does nothing."""
        self.line.protocol.close()
        self.line.protocol.close()
        self.assert_clean()
        self.line.protocol.close()
        self.line.protocol.abort("afterwards")
        self.assertEqual(self.line.clock.getDelayedCalls(), [])

    def test_work_that_outlives_the_reactor(self) -> None:
        """Its timer may have been cleared away with everything else: its end is no error."""
        self.line.ask("wait")
        self.line.transport.lose(ConnectionDone())
        for call in self.line.clock.getDelayedCalls():
            call.cancel()
        self.waits[0].callback("nobody hears")
        self.assert_clean()

    def test_what_is_ready_leaves(self) -> None:
        """Output of this turn, and a backlog that is being read, are sent before the end."""
        tags = [self.line.ask("wait"), self.line.ask("wait")]
        self.waits[0].callback("ready")
        self.line.protocol.close()
        self.assertEqual(self.line.ended, "ConnectionDone")
        self.assertEqual([self.line.outcome(tag) for tag in tags], ["ready", ...])
        self.waits[1].callback("nobody hears")
        self.assert_clean()

    def test_backlog(self) -> None:
        """A close waits for a backlog; what is asked meanwhile is refused and not run."""
        self.line.transport.reading = False
        large = self.line.ask("make", 2 * MIB)
        self.line.protocol.close()
        ran: list[Any] = []
        self.line.jobs["note"] = ran.append
        self.line.ask("note", 1)
        while self.line.transport.queue:
            self.assertIsNone(self.line.ended)
            self.line.transport.take(100_000)
        self.assert_clean()
        self.assertEqual(len(self.line.outcome(large)), 2 * MIB)
        self.assertEqual(ran, [])

    def test_nothing_new(self) -> None:
        """While what is ready leaves, nothing new is begun, though there would be room for its answer."""
        ran: list[Any] = []
        self.line.jobs["note"] = ran.append
        self.line.transport.reading = False
        self.line.ask("make", 500_000)
        self.line.protocol.close()
        refused = self.line.ask("note", 1)
        while self.line.transport.queue:
            self.line.transport.take(100_000)
        self.assert_clean()
        self.assertEqual(self.line.code(refused), "Unavailable")
        self.assertEqual(ran, [])

    def test_more_than_may_wait(self) -> None:
        """What was still to be said may be what is too much for one who does not read: then the end is at once."""
        self.line = self.make_line(output_high=50_000, output_abort=100_000)
        self.line.transport.reading = False
        asked = [self.ask_much()]
        while self.line.protocol._backlog is None or self.line.protocol._backlog.behind <= 100_000:
            self.assertIsNone(self.line.ended)
            asked.append(self.ask_much())
        polite: list[Any] = []
        self.line.transport.loseConnection = lambda: polite.append("goodbye")
        # The last of them is not written yet.
        self.line.protocol.close()
        self.assertEqual((polite, self.line.transport.aborted), ([], True))
        self.assert_clean("ConnectionAborted")
        for each in asked:
            self.failureResultOf(each, OutcomeUnknown)

    def ask_much(self) -> Deferred[Any]:
        """Ask the other side with so much that a full transport takes few of them."""
        return self.line.peer.ask(self.commands[0], {"job": "x", "value": "x" * 30_000})

    def test_not_read(self) -> None:
        """A close that the other side does not let happen is an abort within seconds."""
        self.line.transport.reading = False
        self.line.ask("make", 2 * MIB)
        self.line.protocol.close()
        self.line.clock.advance(4.9)
        self.assertIsNone(self.line.ended)
        self.line.clock.advance(0.1)
        self.assert_clean("ConnectionAborted")

    def test_transport_that_never_closes(self) -> None:
        """As TLS does when its goodbye is not answered: nothing is read any more, and an abort follows."""
        ran: list[Any] = []
        self.line.jobs["note"] = ran.append
        self.line.transport.loseConnection = lambda: None
        self.line.protocol.close()
        self.line.ask("note", 1)
        self.assertEqual(ran, [])
        self.assertTrue(self.line.peer.lost)
        self.line.clock.advance(5)
        self.assert_clean("ConnectionAborted")

    def test_work_under_way(self) -> None:
        """What still runs after the end goes on, and its answer is dropped."""
        self.line.ask("wait")
        self.line.protocol.close()
        self.line.clock.advance(0)
        self.waits[0].callback("x" * 1000)
        self.assert_clean()
        self.assertEqual(self.line.protocol.conversation.output, [])


class DrainTests(ClosingCase):
    def test_idle(self) -> None:
        """Nothing to wait for: closed as soon as the other side has heard so."""
        self.line.protocol.drain()
        self.line.pull()
        self.assertEqual([each.command for each in self.line.asked], ["leaving"])
        self.assert_clean()

    def test_asked_before_it_heard(self) -> None:
        """What crosses with the word that this side leaves is answered: no ask is left without an outcome."""
        self.line.protocol.drain()
        crossing = self.line.ask("echo", 1)
        self.assertIsNone(self.line.ended)
        error = self.line.outcome(crossing)
        self.assertEqual((error.code, error.details), ("Unavailable", {"stopping": True}))
        self.assert_clean()

    def test_never_heard(self) -> None:
        """A client that does not say that it heard is not waited for, nor one that knows no such word."""
        self.line.takes_leave = False
        self.line.protocol.drain()
        self.line.pull()
        self.line.clock.advance(1.9)
        self.assertIsNone(self.line.ended)
        self.line.clock.advance(0.1)
        self.assert_clean()
        self.line = self.make_line()
        self.line.takes_leave = False
        self.line.protocol.drain()
        self.line.pull()
        self.line.remote.fail(self.line.asked[0].tag, NotFound())
        self.line.push()
        self.assert_clean()

    def test_twice(self) -> None:
        """To drain again says and does nothing more."""
        self.line.protocol.drain()
        self.line.protocol.drain()
        self.line.pull()
        self.assertEqual(len(self.line.asked), 1)
        self.assert_clean()

    def test_under_way(self) -> None:
        """What runs is answered, what is asked now is Unavailable, and then the connection closes."""
        running = self.line.ask("wait")
        self.line.protocol.drain()
        refused = self.line.ask("echo", 1)
        self.assertEqual(self.line.code(refused), "Unavailable")
        self.assertIsNone(self.line.ended)
        self.waits[0].callback("done")
        self.assert_clean()
        self.assertEqual(self.line.outcome(running), "done")

    def test_heard_before_it_ends(self) -> None:
        """That the other side has heard closes nothing while something runs; the end of that does."""
        running = self.line.ask("wait")
        self.line.protocol.drain()
        self.line.pull()
        self.assertEqual([each.command for each in self.line.asked], ["leaving"])
        self.assertIsNone(self.line.ended)
        self.waits[0].callback("done")
        self.assertEqual(self.line.outcome(running), "done")
        self.assert_clean()

    def test_hung(self) -> None:
        """A request that hangs ends with its deadline, and the drain with it, though its work never ends."""

        async def hang(_: Any) -> Any:
            while True:
                try:
                    await Deferred()
                except CancelledError:
                    pass

        self.line.jobs["hang"] = hang
        tag = self.line.ask("hang", None, 3)
        self.line.protocol.drain()
        self.line.clock.advance(3)
        self.assert_clean()
        self.assertEqual(self.line.code(tag), "DeadlineExceeded")

    def test_held(self) -> None:
        """What was held for want of reading is refused when it can be said, and the connection closes then."""
        self.line.transport.reading = False
        large = self.line.ask("make", 2 * MIB)
        held = self.line.ask("echo", 1)
        self.line.protocol.drain()
        self.assertIsNone(self.line.ended)
        while self.line.transport.queue:
            self.line.transport.take()
            self.line.pull()
        self.assert_clean()
        self.assertEqual(len(self.line.outcome(large)), 2 * MIB)
        self.assertEqual(self.line.code(held), "Unavailable")

    def test_last_held_is_cancelled(self) -> None:
        """The drain ends also when what it waits for is given up."""
        self.line.transport.reading = False
        self.line.ask("make", 2 * MIB)
        held = self.line.ask("echo", 1)
        self.line.protocol.drain()
        self.line.cancel(held)
        while self.line.transport.queue:
            self.line.transport.take()
            self.line.pull()
        self.assert_clean()

    def test_before_hello(self) -> None:
        """A stranger is closed at once."""
        self.line = self.make_line(greeted=False)
        self.line.protocol.drain()
        self.assert_clean()


class LostTests(ClosingCase):
    def test_in_every_state(self) -> None:
        """Lost idle, before hello, with output queued, paused, holding, closing or pinged: nothing is left."""

        def paused(line: Any) -> None:
            line.transport.reading = False
            line.jobs["make"] = lambda size: b"x" * size
            line.ask("make", 2 * MIB)
            line.ask("echo", 1)

        def closing(line: Any) -> None:
            paused(line)
            line.protocol.close()

        def pinged(line: Any) -> None:
            line.clock.advance(25)

        def output_of_this_turn(line: Any) -> None:
            line.jobs["wait"] = lambda _: self.waits.append(Deferred()) or self.waits[-1]
            line.ask("wait")
            self.waits[-1].callback(1)

        for state in (lambda line: None, paused, closing, pinged, output_of_this_turn):
            for greeted in (True, False):
                line = self.line = self.make_line(greeted=greeted)
                if greeted:
                    state(line)
                line.transport.lose(ConnectionError())
                self.assert_clean("ConnectionError")
                self.assertEqual(line.protocol.backlog, 0)

    def test_aborted_twice(self) -> None:
        """Whatever else ends while an abort is on its way changes nothing."""
        self.line.protocol.abort("once")
        self.line.protocol.abort("twice")
        self.line.protocol.violation("and again")
        self.line.protocol.close()
        self.line.protocol.drain()
        self.line.protocol.pauseProducing()
        self.line.protocol.resumeProducing()
        self.line.protocol.greeted()
        self.assert_clean("ConnectionAborted")

    def test_load_is_given_back(self) -> None:
        """A lost connection's work counts until it ends, and not longer."""
        for _ in range(5):
            self.line.ask("wait")
        self.assertEqual(self.line.factory.load._count, 5)
        self.line.transport.lose(ConnectionError())
        self.assertEqual(self.line.factory.load._count, 5)
        self.line.clock.advance(self.line.limits.view_timeout)
        self.assertEqual(self.line.factory.load._count, 0)
        self.assertEqual(self.line.clock.getDelayedCalls(), [])
