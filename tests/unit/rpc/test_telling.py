"""What the other side tells: done and not answered, whatever comes of it, and not without end."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import NotFound
from fluxon.rpc.telling import _MOST
from fluxon.wire.messages import write_tell


class TellingTests(SynchronousTestCase):
    """A client's connection."""

    make_line: Any
    client_factory: Any
    logged: list[dict[str, Any]]

    def setUp(self) -> None:
        self.line = self.make_line(factory=self.client_factory)
        self.done: list[Any] = []
        self.waits: list[Deferred[Any]] = []
        self.line.jobs["note"] = self.done.append
        self.line.jobs["wait"] = self.wait

    async def wait(self, value: Any) -> None:
        self.waits.append(Deferred())
        await self.waits[-1]
        self.done.append(value)

    def tell(self, job: str, value: Any = None, command: str = "do") -> None:
        self.line.raw(write_tell(command, {"job": job, "value": value}, {}))

    def warnings(self) -> list[str]:
        return [each["log_format"] for each in self.logged if each["log_level"].name == "warn"]

    def assert_silent(self) -> None:
        """Nothing was answered, and the connection lives."""
        self.line.clock.advance(0)
        self.assertEqual((self.line.transport.sent, self.line.ended), (b"", None))

    def test_done(self) -> None:
        """By plain functions and by those that wait."""
        self.tell("note", 1)
        self.tell("wait", 2)
        self.tell("note", 3)
        self.assertEqual(self.done, [1, 3])
        self.waits[0].callback(None)
        self.assertEqual(self.done, [1, 3, 2])
        self.assertEqual(self.logged, [])
        self.assert_silent()

    def test_of_a_newer_server(self) -> None:
        """A command that is not known here is passed over."""
        self.tell("note", 1, command="later")
        self.tell("note", 2)
        self.assertEqual((self.done, self.logged), ([2], []))
        self.assert_silent()

    def test_failures(self) -> None:
        """An error of a program's is a line, any other one a traceback, and so are arguments that are none."""

        def refuse(value: Any) -> None:
            raise NotFound("no such note")

        self.line.jobs["refuse"] = refuse
        self.line.jobs["break"] = lambda value: 1 // 0
        self.tell("refuse")
        self.line.raw(write_tell("do", {"job": "note"}, {}))
        self.assertEqual(len(self.warnings()), 2)
        self.tell("break")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.tell("note", 1)
        self.assertEqual(self.done, [1])
        self.assert_silent()

    def test_too_many(self) -> None:
        """Beyond so many that are not done one is dropped, with a line; each that is done makes room for another."""
        for number in range(_MOST):
            self.tell("wait", number)
        self.assertEqual(self.warnings(), [])
        self.tell("note", "dropped")
        self.assertEqual((self.done, len(self.warnings())), ([], 1))
        self.waits[5].callback(None)
        self.tell("note", "in its place")
        self.assertEqual((self.done, len(self.warnings())), ([5, "in its place"], 1))
        for each in self.waits:
            if not each.called:
                each.callback(None)
        self.assertEqual(len(self.done), _MOST + 1)
        self.assert_silent()
