"""Reads that hold more than can be worked on at once: in whose turn, how much at a time, and until when."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from fluxon.commands import Call
from fluxon.errors import OutcomeUnknown
from fluxon.limits import Limits
from fluxon.rpc import Responders, ServerFactory
from fluxon.wire import Answer, Conversation, Failed, encode
from fluxon.wire.messages import write_answer, write_ask

#: Seconds that the work on one ask takes in these tests, by their clock.
WORK = 0.02


class HeavyTests(SynchronousTestCase):
    """Connections of one port, and a clock that only work moves on."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(100)
        self.work = WORK
        self.begun: list[Any] = []
        self.factory = ServerFactory(Responders({Call: self.call}), self.clock, Limits())
        self.factory.busy.now = self.clock.seconds

    def call(self, peer: Any, arguments: dict[str, Any]) -> Any:
        self.begun.append((peer.number, arguments["view"]))
        self.clock.rightNow += self.work
        return len(arguments["payload"])

    def connect(self, count: int) -> list[Any]:
        made = []
        for _ in range(count):
            protocol = self.factory.buildProtocol(None)
            protocol.makeConnection(StringTransport())
            protocol.peer.greeted = True
            protocol.greeted()
            protocol.conversation.take(2**20, 2**20)
            made.append(protocol)
        return made

    def asks(self, *views: str, items: int = 10_000) -> bytes:
        payload: list[Any] = [[]] * items
        return b"".join(
            write_ask(tag, "call", {"view": view, "payload": payload}, None, {}) for tag, view in enumerate(views)
        )

    def answers(self, protocol: Any) -> list[Any]:
        end = Conversation(receive_limit=2**20, send_limit=2**20)
        for tag in range(5):
            end.ask("call", {"n": tag}, waiter=tag)
        received = end.receive(protocol.transport.value())
        return [
            each.value if isinstance(each, Answer) else each.code
            for each in received
            if isinstance(each, Answer | Failed)
        ]

    def views(self, protocol: Any) -> list[str]:
        return [view for number, view in self.begun if number == protocol.peer.number]

    def test_alone(self) -> None:
        """The first is worked on at once; what would be too much after it goes on later, in order, and reading too."""
        (protocol,) = self.connect(1)
        protocol.dataReceived(self.asks("a", "b", "c"))
        self.assertEqual(self.views(protocol), ["a"])
        self.assertEqual(protocol.transport.producerState, "paused")
        self.clock.pump([WORK] * 4)
        self.assertEqual(self.views(protocol), ["a", "b", "c"])
        self.assertEqual(protocol.transport.producerState, "producing")
        self.assertEqual(self.answers(protocol), [10_000] * 3)

    def test_what_is_quick(self) -> None:
        """Nobody waits for their own, however much it is."""
        self.work = 0.0
        (protocol,) = self.connect(1)
        protocol.dataReceived(self.asks(*"abcdefgh"))
        self.assertEqual(self.answers(protocol)[:5], [10_000] * 5)
        self.assertEqual(len(self.factory.heavy), 0)

    def test_a_hundred(self) -> None:
        """One portion is worked on; the rest of all of them waits, undecoded, and whoever asks little does not."""
        protocols = self.connect(100)
        for each in protocols:
            each.dataReceived(self.asks("heavy", "heavy"))
        self.assertEqual(len(self.begun), 1)
        self.assertEqual(len(self.factory.heavy), 100)
        (light,) = self.connect(1)
        light.dataReceived(self.asks("light", items=1))
        large = write_ask(1, "call", {"view": "large", "payload": "x" * 100_000}, None, {})
        light.dataReceived(large)
        self.assertEqual(self.views(light), ["light", "large"])
        before = len(self.begun)
        self.clock.advance(1)
        self.assertEqual(len(self.begun), before + 1)  # a turn, and the next is later

    def test_in_turn(self) -> None:
        """Who came first goes first, and who has more goes to the end."""
        protocols = self.connect(3)
        for each in protocols:
            each.dataReceived(self.asks("1", "2"))
        self.clock.pump([2 * WORK] * 8)
        numbers = [each.peer.number for each in protocols]
        self.assertEqual([number for number, _ in self.begun], [numbers[0], *numbers, *numbers[1:]])
        self.assertEqual([view for _, view in self.begun], ["1", "2", "1", "1", "2", "2"])
        self.assertEqual(len(self.factory.heavy), 0)

    def test_too_long(self) -> None:
        """Whose turn does not come in time is told when to try again; nobody is unread for longer than the limit."""
        first, second = self.connect(2)
        self.work = 15.0
        first.dataReceived(self.asks("1"))
        second.dataReceived(self.asks("2"))
        self.work = 0.0
        self.assertEqual(self.views(second), [])
        self.clock.advance(10.0)
        self.assertEqual(self.answers(second), ["ResourceExhausted"])
        self.assertEqual(second.transport.producerState, "producing")
        second.dataReceived(self.asks("3"))
        self.clock.pump([1.0] * 10)
        self.assertEqual(self.views(second), ["3"])

    def test_several_in_a_turn(self) -> None:
        """What turns out to be quick is worked on in one turn, all of it."""
        (protocol,) = self.connect(1)
        protocol.dataReceived(self.asks("1", "2", "3", "4"))
        self.assertEqual(self.views(protocol), ["1"])
        self.work = 0.0
        (turn,) = [each for each in self.clock.getDelayedCalls() if each.func == self.factory.heavy._turn]
        self.clock.calls.remove(turn)
        self.clock.advance(WORK)
        turn.func()
        self.assertEqual(self.views(protocol), ["1", "2", "3", "4"])
        self.assertEqual(len(self.factory.heavy), 0)

    def test_aborted_while_it_waits(self) -> None:
        """Nothing of it is worked on any more, though its transport has not said yet that it is gone."""
        first, second = self.connect(2)
        asked = second.peer.ask(Call, {"view": "told", "payload": None})
        self.clock.advance(0)
        first.dataReceived(self.asks("1", "2"))
        second.dataReceived(write_answer(0, encode([[]] * 10_000)) + self.asks("3", "4"))
        second.abort("in the test")
        self.clock.pump([2 * WORK] * 8)
        self.assertNoResult(asked)
        second.connectionLost()
        self.failureResultOf(asked, OutcomeUnknown)
        self.assertEqual((self.views(first), self.views(second)), (["1", "2"], []))
        self.assertEqual(len(self.factory.heavy), 0)

    def test_one_ends_another(self) -> None:
        """Of those whose time is over in one turn the first may end the others: they are not refused, but gone."""
        first, second = self.connect(2)
        asked = first.peer.ask(Call, {"view": "told", "payload": None})
        self.clock.advance(0)
        asked.addCallback(lambda _: second.connectionLost())
        busy = self.connect(1)[0]
        self.work = 15.0
        busy.dataReceived(self.asks("busy"))
        first.dataReceived(write_answer(0, encode([[]] * 10_000)) + self.asks("1"))
        second.dataReceived(self.asks("3", "4"))
        self.assertEqual(len(self.factory.heavy), 2)
        self.clock.pump([10.0] * 3)
        self.successResultOf(asked)
        self.assertTrue(second.peer.lost)
        self.assertEqual(second.transport.value(), b"")
        self.assertEqual((self.views(second), len(self.factory.heavy)), ([], 0))

    def test_gone(self) -> None:
        """A connection that ends while it waits is forgotten, and no timer is left."""
        first, second = self.connect(2)
        calls = len(self.clock.getDelayedCalls())
        first.dataReceived(self.asks("1"))
        second.dataReceived(self.asks("2"))
        self.assertEqual(len(self.factory.heavy), 1)
        second.abort("in the test")
        second.connectionLost()
        self.assertEqual(len(self.factory.heavy), 0)
        self.assertLessEqual(len(self.clock.getDelayedCalls()), calls + 1)

    def test_an_offence_behind_it(self) -> None:
        """A frame that breaks the rules ends the connection when its turn comes, and what was before it is done."""
        (protocol,) = self.connect(1)
        protocol.dataReceived(self.asks("1", "2", items=20_000) + b"\x00\x00\x00\x03\x00\x82\x07")
        self.clock.pump([WORK] * 4)
        self.assertEqual(self.views(protocol), ["1", "2"])
        self.assertTrue(protocol.transport.disconnected or protocol.transport.disconnecting)
